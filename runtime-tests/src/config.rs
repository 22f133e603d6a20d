//! config.json for tests: the default of `runc spec`, then changes by path.

use serde_json::{Map, Value, json};

/// A configuration that is being put together.
#[derive(Debug, Clone)]
pub struct Config(Value);

impl Default for Config {
    fn default() -> Config {
        let namespaces = ["pid", "network", "ipc", "uts", "mount", "cgroup"];
        let namespaces: Value = namespaces.iter().map(|t| json!({"type": t})).collect();
        Config(json!({
            "ociVersion": "1.0.2",
            "process": {
                "terminal": false,
                "user": {"uid": 0, "gid": 0},
                "args": ["/probe", "report"],
                "env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"],
                "cwd": "/",
                "capabilities": {"bounding": CAPS, "effective": CAPS, "permitted": CAPS},
                "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}],
                "noNewPrivileges": true
            },
            "root": {"path": "rootfs", "readonly": false},
            "hostname": "krun-test",
            "mounts": mounts(),
            "linux": {
                "resources": {"devices": [{"allow": false, "access": "rwm"}]},
                "namespaces": namespaces,
                "maskedPaths": MASKED,
                "readonlyPaths": READONLY
            }
        }))
    }
}

/// The three capabilities of the default configuration.
pub const CAPS: [&str; 3] = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"];
/// The masked paths of the default configuration.
pub const MASKED: [&str; 9] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/sys/firmware",
];
/// The read-only paths of the default configuration.
pub const READONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

fn mounts() -> Value {
    let m = |to: &str, fs: &str, source: &str, options: &str| {
        let mut v = json!({"destination": to, "type": fs, "source": source});
        if !options.is_empty() {
            v["options"] = options.split(',').collect();
        }
        v
    };
    json!([
        m("/proc", "proc", "proc", ""),
        m("/dev", "tmpfs", "tmpfs", "nosuid,strictatime,mode=755,size=65536k"),
        m("/dev/pts", "devpts", "devpts", "nosuid,noexec,newinstance,ptmxmode=0666,mode=0620,gid=5"),
        m("/dev/shm", "tmpfs", "shm", "nosuid,noexec,nodev,mode=1777,size=65536k"),
        m("/dev/mqueue", "mqueue", "mqueue", "nosuid,noexec,nodev"),
        m("/sys", "sysfs", "sysfs", "nosuid,noexec,nodev,ro"),
        m("/sys/fs/cgroup", "cgroup", "cgroup", "nosuid,noexec,nodev,relatime,ro"),
    ])
}

impl Config {
    /// The default that runs the probe with these arguments.
    pub fn probe(actions: &[&str]) -> Config {
        let args: Vec<&str> = std::iter::once("/probe").chain(actions.iter().copied()).collect();
        Config::default().args(&args)
    }

    /// The default that only waits to be killed.
    pub fn sleeper() -> Config {
        Config::probe(&["ready-sleep"])
    }

    /// process.args.
    pub fn args(self, args: &[&str]) -> Config {
        self.set("/process/args", json!(args))
    }

    /// Sets the value at a JSON pointer, making the objects on the way.
    pub fn set(mut self, pointer: &str, value: impl Into<Value>) -> Config {
        *self.at(pointer) = value.into();
        self
    }

    /// Appends to the array at a JSON pointer, making it if need be.
    pub fn push(mut self, pointer: &str, value: impl Into<Value>) -> Config {
        let slot = self.at(pointer);
        match slot.as_array_mut() {
            Some(a) => a.push(value.into()),
            None => *slot = Value::Array(vec![value.into()]),
        }
        self
    }

    /// Takes the value at a JSON pointer away.
    pub fn remove(mut self, pointer: &str) -> Config {
        let (parent, key) = pointer.rsplit_once('/').unwrap_or(("", pointer));
        if let Some(object) = self.0.pointer_mut(parent).and_then(Value::as_object_mut) {
            object.remove(key);
        }
        self
    }

    /// One more mount.
    pub fn mount(self, target: &str, fstype: &str, source: &str, options: &[&str]) -> Config {
        self.push(
            "/mounts",
            json!({"destination": target, "type": fstype, "source": source, "options": options}),
        )
    }

    /// Takes the mount on `target` away.
    pub fn without_mount(mut self, target: &str) -> Config {
        if let Some(all) = self.at("/mounts").as_array_mut() {
            all.retain(|m| m["destination"] != target);
        }
        self
    }

    /// The namespaces, by type.
    pub fn namespaces(self, types: &[&str]) -> Config {
        self.set("/linux/namespaces", types.iter().map(|t| json!({"type": t})).collect::<Value>())
    }

    /// One more namespace.
    pub fn with_namespace(self, kind: &str) -> Config {
        self.push("/linux/namespaces", json!({"type": kind}))
    }

    /// Without that namespace.
    pub fn without_namespace(mut self, kind: &str) -> Config {
        if let Some(all) = self.at("/linux/namespaces").as_array_mut() {
            all.retain(|n| n["type"] != kind);
        }
        self
    }

    /// A namespace joined by path instead of a new one.
    pub fn join_namespace(self, kind: &str, path: &str) -> Config {
        self.without_namespace(kind).push("/linux/namespaces", json!({"type": kind, "path": path}))
    }

    /// A user namespace in which ids 0..65536 are the host's from 100000.
    pub fn user_namespace(self) -> Config {
        let map = json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
        self.with_namespace("user").set("/linux/uidMappings", map.clone()).set("/linux/gidMappings", map)
    }

    /// The same capabilities in all sets that a process's may do things by.
    pub fn capabilities(self, caps: &[&str]) -> Config {
        self.set("/process/capabilities", json!({"bounding": caps, "effective": caps, "permitted": caps}))
    }

    /// One more hook.
    pub fn hook(self, kind: &str, hook: Value) -> Config {
        self.push(&format!("/hooks/{kind}"), hook)
    }

    /// The value so far.
    pub fn value(&self) -> &Value {
        &self.0
    }

    fn at(&mut self, pointer: &str) -> &mut Value {
        let mut v = &mut self.0;
        for key in pointer.split('/').skip(1) {
            v = match v {
                Value::Array(a) => {
                    let i = key.parse::<usize>().unwrap_or(a.len());
                    while a.len() <= i {
                        a.push(Value::Null);
                    }
                    &mut a[i]
                }
                _ => {
                    if !v.is_object() {
                        *v = Value::Object(Map::new());
                    }
                    &mut v[key]
                }
            };
        }
        v
    }
}
