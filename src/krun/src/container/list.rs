//! The containers of a state root.
use std::path::Path;

use krun_sys::spent::Spent;

use super::{ContainerError, status_of};
use crate::cgroup::Freezers;
use crate::pidfd::PidFd;
use crate::state::{ContainerId, Head, Listing, Status};

/// A container of a list and what was made of it, or why it can't be shown.
pub type Listed<T> = (ContainerId, Result<T, ContainerError>);

/// How many containers are worth a thread: one takes about 20 us, a thread about 100.
const PER_THREAD: usize = 100;

/// What `show` makes of each container of a state root, sorted by id. Directories without a state (half made, or being
/// deleted) are left out. Many are looked at in parallel, on the processors that krun may use; a state is not kept longer
/// than it is shown, since a thousand of them are a megabyte of fresh pages.
///
/// # Errors
/// [`ContainerError::List`] if `root` can't be read.
pub fn list<T: Send>(
    root: &Path,
    show: impl Fn(&Head, Status) -> T + Sync,
) -> Result<Vec<Listed<T>>, ContainerError> {
    let wrong = |source| ContainerError::List { root: root.to_owned(), source };
    let listing = Listing::open(root).map_err(wrong)?;
    let mut slots: Vec<Slot<T>> = listing.ids().map_err(wrong)?.into_iter().map(Slot::new).collect();
    let threads = (slots.len() / PER_THREAD).min(crate::host::processors()).max(1);
    let share = slots.len().div_ceil(threads).max(1);
    std::thread::scope(|scope| {
        let mut shares = slots.chunks_mut(share);
        let first = shares.next();
        for slots in shares {
            let (listing, show) = (&listing, &show);
            let work = move || {
                // Descriptors of its own: opening and closing in a shared table is not parallel.
                let _ = krun_sys::process::unshare(u64::from(nix::libc::CLONE_FILES.unsigned_abs()));
                look_at(listing, slots, show);
            };
            // Where no thread can be had (pids.max), its slots stay empty.
            let _ = std::thread::Builder::new().stack_size(256 << 10).spawn_scoped(scope, work);
        }
        first.into_iter().for_each(|slots| look_at(&listing, slots, &show));
    });
    look_at(&listing, &mut slots, &show);
    Ok(slots.into_iter().filter_map(Slot::listed).collect())
}

/// A container that is looked at once.
struct Slot<T> {
    id: ContainerId,
    seen: Option<Result<T, ContainerError>>,
}

impl<T> Slot<T> {
    fn new(id: ContainerId) -> Self {
        Self { id, seen: None }
    }

    fn listed(self) -> Option<Listed<T>> {
        match self.seen? {
            Err(ContainerError::State(error)) if error.is_not_exist() => None,
            seen => Some((self.id, seen)),
        }
    }
}

/// Fills the slots that are empty.
fn look_at<T>(listing: &Listing, slots: &mut [Slot<T>], show: &impl Fn(&Head, Status) -> T) {
    let (mut bytes, mut freezers, mut spent) = (Vec::new(), Freezers::default(), Spent::default());
    for slot in slots.iter_mut().filter(|slot| slot.seen.is_none()) {
        let mut look = || {
            let head = listing.head(&slot.id, &mut bytes, &mut spent)?;
            let alive = head.identity().open().map(PidFd::into_fd).map(|fd| spent.add(fd)).is_ok();
            let frozen = |cgroup: &_| freezers.is_frozen(cgroup, &mut spent);
            let status = status_of(&head, alive, frozen, || listing.has_gate(&slot.id))?;
            Ok(show(&head, status))
        };
        slot.seen = Some(look());
    }
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
        let listed = list(&root, |head, status| (head.id.clone(), status)).unwrap();
        let ids: Vec<&str> = listed.iter().map(|(id, _)| id.as_str()).collect();
        assert_eq!(ids, &names[..499]);
        for (id, result) in &listed {
            match result {
                Ok((shown, status)) => assert_eq!((shown.as_str(), *status), (id.as_str(), Status::Stopped)),
                Err(error) => {
                    assert!(id.as_str() == "c0003" && error.to_string().contains("c0003"), "{id}: {error}")
                }
            }
        }
        std::fs::remove_dir_all(&root).unwrap();
    }
}
