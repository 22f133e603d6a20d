//! The containers of a state root.
use std::path::Path;

use super::{ContainerError, status_of};
use crate::state::{ContainerId, Head, Listing, Status};

/// A container of a list, or why it can't be shown.
pub type Listed = (ContainerId, Result<(Head, Status), ContainerError>);

/// How many containers are worth a thread: one takes about 20 us, a thread about 100.
const PER_THREAD: usize = 100;

/// The containers of a state root, sorted by id. Directories without a state (half made, or being deleted) are left out.
/// Many are looked at in parallel, on the processors that krun may use.
///
/// # Errors
/// [`ContainerError::List`] if `root` can't be read.
pub fn list(root: &Path) -> Result<Vec<Listed>, ContainerError> {
    let wrong = |source| ContainerError::List { root: root.to_owned(), source };
    let listing = Listing::open(root).map_err(wrong)?;
    let ids = listing.ids().map_err(wrong)?;
    let threads = (ids.len() / PER_THREAD).min(crate::host::processors()).max(1);
    let share = ids.len().div_ceil(threads).max(1);
    let (first, others) = ids.split_at_checked(share).unwrap_or((&ids, &[]));
    let mut listed = Vec::with_capacity(ids.len());
    std::thread::scope(|scope| {
        let others = others.chunks(share).map(|ids| (ids, spawn(scope, &listing, ids)));
        let others: Vec<_> = others.collect();
        listed.extend(look_at(&listing, first));
        for (ids, other) in others {
            // Where no thread can be had (pids.max), it is done here.
            listed.extend(
                other.and_then(|thread| thread.join().ok()).unwrap_or_else(|| look_at(&listing, ids)),
            );
        }
    });
    Ok(listed)
}

type Thread<'scope> = std::thread::ScopedJoinHandle<'scope, Vec<Listed>>;

fn spawn<'scope>(
    scope: &'scope std::thread::Scope<'scope, '_>,
    listing: &'scope Listing,
    ids: &'scope [ContainerId],
) -> Option<Thread<'scope>> {
    let work = || {
        // Descriptors of its own: opening and closing in a shared table is not parallel.
        let _ = krun_sys::process::unshare(u64::from(nix::libc::CLONE_FILES.unsigned_abs()));
        look_at(listing, ids)
    };
    std::thread::Builder::new().stack_size(256 << 10).spawn_scoped(scope, work).ok()
}

fn look_at(listing: &Listing, ids: &[ContainerId]) -> Vec<Listed> {
    let mut bytes = Vec::new();
    let looked = ids.iter().map(|id| (id.clone(), look(listing, id, &mut bytes)));
    looked
        .filter(|(_, result)| !matches!(result, Err(ContainerError::State(error)) if error.is_not_exist()))
        .collect()
}

fn look(listing: &Listing, id: &ContainerId, bytes: &mut Vec<u8>) -> Result<(Head, Status), ContainerError> {
    let head = listing.head(id, bytes)?;
    let status = status_of(&head, || listing.has_gate(id))?;
    Ok((head, status))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::DirBuilderExt as _;

    use super::*;

    #[test]
    fn more_than_one_thread_looks_at_are_in_order_and_complete() {
        let root = std::env::temp_dir().join(format!("krun-list-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&root);
        std::fs::DirBuilder::new().mode(0o700).create(&root).unwrap();
        let names: Vec<String> = (0..5 * PER_THREAD).map(|n| format!("c{n:04}")).collect();
        for name in &names {
            let dir = root.join(name);
            std::fs::create_dir(&dir).unwrap();
            let head = serde_json::json!({
                "pid": 0, "startTime": 0, "ociVersion": "1.3.0", "id": name, "bundle": "/b", "rootfs": "/b/r",
                "created": "", "ownerUid": 0, "gate": false,
                "cgroup": {"driver": "disabled", "path": "", "mount": ""},
            });
            std::fs::write(dir.join("state.json"), format!("{head}\nwhat follows is not read")).unwrap();
        }
        std::fs::write(root.join("c0003/state.json"), "{").unwrap();
        std::fs::remove_file(root.join("c0499/state.json")).unwrap();
        let listed = list(&root).unwrap();
        let ids: Vec<&str> = listed.iter().map(|(id, _)| id.as_str()).collect();
        assert_eq!(ids, &names[..499]);
        for (id, result) in &listed {
            match result {
                Ok((head, status)) => assert_eq!((head.id.as_str(), *status), (id.as_str(), Status::Stopped)),
                Err(error) => {
                    assert!(id.as_str() == "c0003" && error.to_string().contains("c0003"), "{id}: {error}")
                }
            }
        }
        std::fs::remove_dir_all(&root).unwrap();
    }
}
