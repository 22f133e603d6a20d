//! Names: `linux.cgroupsPath` to unit and slice, a slice to its path.

use cgroups_rs::systemd::utils::expand_slice;

use super::super::{CgroupError, Scope};

/// The longest name of a unit, in bytes (systemd.unit(5)).
const LONGEST: usize = 255;

/// The unit of a container and its cgroup's path. `linux.cgroupsPath` is
/// `slice:prefix:name`; the default slice is system.slice, a rootless
/// container's user.slice of the user's own manager, the default prefix krun.
pub(in super::super) fn unit_of(
    given: Option<&str>,
    id: &str,
    rootless: bool,
) -> Result<(Scope, String), CgroupError> {
    let (slice, prefix, name) = match given {
        None => ("", "krun", id),
        Some(path) => {
            let mut parts = path.split(':');
            match (parts.next(), parts.next(), parts.next(), parts.next()) {
                (Some(slice), Some(prefix), Some(name), None) => (slice, prefix, name),
                _ => return Err(CgroupError::SystemdPath(path.to_owned())),
            }
        }
    };
    let slice = match (slice, rootless) {
        ("", false) => "system.slice",
        ("", true) => "user.slice",
        (slice, _) => slice,
    };
    let unit = match name.ends_with(".slice") {
        true => name.to_owned(),
        false => format!("{prefix}-{name}.scope"),
    };
    if unit.contains('/') || unit.contains('\0') {
        return Err(CgroupError::SystemdPath(given.unwrap_or(id).to_owned()));
    }
    let path = slice_path(slice)?;
    let scope = Scope { unit, slice: slice.to_owned(), user_bus: rootless };
    let path = format!("{path}/{}", scope.unit);
    Ok((scope, path))
}

/// The cgroup of a slice: `a-b.slice` is `/a.slice/a-b.slice`, `-.slice` the
/// root, written as nothing.
pub(super) fn slice_path(slice: &str) -> Result<String, CgroupError> {
    let error = || CgroupError::SliceName(slice.to_owned());
    // cgroups-rs takes away every suffix; systemd knows one.
    let name = slice.strip_suffix(".slice").ok_or_else(error)?;
    // Each part's path repeats the ones before it.
    if slice.len() > LONGEST {
        return Err(error());
    }
    if name.is_empty() || name.ends_with(".slice") {
        return Err(error());
    }
    let path = expand_slice(slice).map_err(|_| error())?;
    Ok(match path.as_str() {
        "" => path,
        _ => format!("/{path}"),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn units_of_cgroups_paths() {
        for (given, rootless, unit, slice, path) in [
            (None, false, "krun-c1.scope", "system.slice", "/system.slice/krun-c1.scope"),
            (None, true, "krun-c1.scope", "user.slice", "/user.slice/krun-c1.scope"),
            (
                Some("a-b.slice:docker:x"),
                false,
                "docker-x.scope",
                "a-b.slice",
                "/a.slice/a-b.slice/docker-x.scope",
            ),
            (Some(":p:y"), false, "p-y.scope", "system.slice", "/system.slice/p-y.scope"),
            (Some("-.slice:p:y"), false, "p-y.scope", "-.slice", "/p-y.scope"),
            (Some("m.slice::m-n.slice"), false, "m-n.slice", "m.slice", "/m.slice/m-n.slice"),
        ] {
            let (scope, got) = unit_of(given, "c1", rootless).unwrap();
            assert_eq!((scope.unit.as_str(), scope.slice.as_str()), (unit, slice));
            assert_eq!((got.as_str(), scope.user_bus), (path, rootless));
        }
    }

    #[test]
    fn bad_paths_are_refused() {
        for bad in ["/a/b", "a:b", "a:b:c:d", "x:y:z/../w", "a/b.slice:p:n", ".slice:p:n"] {
            assert!(unit_of(Some(bad), "c1", false).is_err(), "{bad}");
        }
        // Its path would be half as long as the square of the name's length.
        let long = "a-".repeat(1 << 20) + "a.slice";
        assert!(slice_path(&long).is_err());
        for bad in ["a--b.slice", "-a.slice", "a-.slice", "a.slice.slice", "a"] {
            assert!(slice_path(bad).is_err(), "{bad}");
        }
    }
}
