//! The containers of a state root.
use std::path::Path;

use super::{ContainerError, status_of};
use crate::state::{ContainerId, Head, Listing, Status};

/// A container of a list, or why it can't be shown.
pub type Listed = (ContainerId, Result<(Head, Status), ContainerError>);

/// The containers of a state root, sorted by id. Directories without a state (half made, or being deleted) are left out.
///
/// # Errors
/// [`ContainerError::List`] if `root` can't be read.
pub fn list(root: &Path) -> Result<Vec<Listed>, ContainerError> {
    let wrong = |source| ContainerError::List { root: root.to_owned(), source };
    let mut listing = Listing::open(root).map_err(wrong)?;
    let mut listed = Vec::new();
    for id in listing.ids().map_err(wrong)? {
        match look(&mut listing, &id) {
            Err(ContainerError::State(error)) if error.is_not_exist() => {}
            result => listed.push((id, result)),
        }
    }
    Ok(listed)
}

fn look(listing: &mut Listing, id: &ContainerId) -> Result<(Head, Status), ContainerError> {
    let head = listing.head(id)?;
    let status = status_of(&head, || listing.has_gate(id))?;
    Ok((head, status))
}
