//! Against a real dbus-daemon, where there is one.
#![allow(clippy::unwrap_used)]

use super::*;

#[test]
fn addresses_are_unescaped() {
    assert_eq!(socket_path("unix:path=/run/a%20b,guid=1").unwrap(), "/run/a b");
    assert_eq!(socket_path("tcp:host=x;unix:path=/p").unwrap(), "/p");
    for bad in ["", "unix:abstract=/x", "tcp:host=x", "unix:path=%ff"] {
        assert!(socket_path(bad).is_err(), "{bad}");
    }
}

#[test]
fn nobody_listening_is_named() {
    let text = Bus::open("/nonexistent/bus", true).unwrap_err().to_string();
    assert_eq!(text, "cannot reach systemd over D-Bus at /nonexistent/bus");
}
