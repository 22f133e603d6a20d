//! The table of targets: a name, what an input goes through, and inputs to start with that are no text files in seeds/.

mod codecs;
mod json;
mod texts;

/// One target.
pub struct Target {
    /// Its name, and that of its directories of seeds and inputs.
    pub name: &'static str,
    /// Takes an input; panics if something is wrong with what krun makes of it.
    pub run: fn(&[u8]),
    /// Inputs to start with.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// All targets.
pub const TARGETS: &[Target] = &[
    Target { name: "config", run: json::config, seeds: Vec::new },
    Target { name: "process", run: json::process, seeds: Vec::new },
    Target { name: "resources", run: json::resources, seeds: Vec::new },
    Target { name: "state", run: json::state, seeds: Vec::new },
    Target { name: "ttrpc", run: codecs::ttrpc, seeds: codecs::ttrpc_seeds },
    Target { name: "messages", run: codecs::messages, seeds: codecs::message_seeds },
    Target { name: "dbus", run: codecs::dbus, seeds: codecs::dbus_seeds },
    Target { name: "property", run: texts::property, seeds: Vec::new },
    Target { name: "exec", run: texts::exec, seeds: texts::exec_seeds },
    Target { name: "texts", run: texts::texts, seeds: Vec::new },
];
