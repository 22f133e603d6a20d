//! From a bundle's bytes to a specification that can be carried out: [`load`] reads, [`validate`] judges.
mod error;
mod load;
mod shape;
mod validate;

use std::path::PathBuf;

use oci_spec::runtime::Spec;

pub use error::BundleError;
pub use load::{load, process_from_json, resources_from_json, spec_from_json};
pub use validate::{Caller, problems, validate, validate_process, validate_terminal};

/// A bundle: a directory and what its config.json says.
#[derive(Clone, Debug)]
pub struct Bundle {
    /// The directory, absolute; relative paths of the specification start here.
    pub dir: PathBuf,
    /// The specification.
    pub spec: Box<Spec>,
}

impl Bundle {
    /// Absolute path of the root file system; nothing if `root` is missing.
    #[must_use]
    pub fn rootfs(&self) -> Option<PathBuf> {
        self.spec.root().as_ref().map(|root| self.dir.join(root.path()))
    }
}
