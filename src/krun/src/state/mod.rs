//! What is remembered about a container between two commands: `<root>/<id>/`.
mod id;

pub use id::{ContainerId, IdError};
