//! A plan for people and for golden tests: what will be done, in words of the
//! kernel. Nothing here depends on the host but the seccomp program.

use krun_spawner::plan::{Hook, Mount, View, flag, mount_flag, mount_kind, sched_flag};
use krun_sys::plain::{Slice, Str};
use nix::libc;
use serde_json::{Map, Value, json};

use super::seccomp;

const FLAGS: &[(u64, &str)] = &[
    (flag::HELPER, "helper"),
    (flag::AWAIT_CGROUP, "await-cgroup"),
    (flag::AWAIT_MAPS, "await-id-maps"),
    (flag::BECOME_ROOT, "become-root"),
    (flag::NO_PIVOT, "no-pivot"),
    (flag::CHROOT, "chroot"),
    (flag::READONLY_ROOT, "readonly-root"),
    (flag::BIND_DEVICES, "bind-devices"),
    (flag::AWAIT_HOOKS, "await-hooks"),
    (flag::TERMINAL, "terminal"),
    (flag::NO_NEW_PRIVS, "no-new-privs"),
    (flag::GATE, "start-gate"),
    (flag::CREATE_CWD, "create-cwd"),
    (flag::LOOPBACK, "loopback-up"),
    (flag::KEEP_GROUPS, "keep-groups"),
    (flag::RESET_AFFINITY, "reset-affinity"),
    (flag::TIME_NAMESPACE, "time-namespace"),
    (flag::KEYRING, "session-keyring"),
];

const NAMESPACES: &[(i32, &str)] = &[
    (libc::CLONE_NEWUSER, "user"),
    (libc::CLONE_NEWPID, "pid"),
    (libc::CLONE_NEWNS, "mount"),
    (libc::CLONE_NEWNET, "network"),
    (libc::CLONE_NEWIPC, "ipc"),
    (libc::CLONE_NEWUTS, "uts"),
    (libc::CLONE_NEWCGROUP, "cgroup"),
    (0x80, "time"),
];

const ATTRIBUTES: &[(u64, &str)] = &[
    (libc::MOUNT_ATTR_RDONLY, "ro"),
    (libc::MOUNT_ATTR_NOSUID, "nosuid"),
    (libc::MOUNT_ATTR_NODEV, "nodev"),
    (libc::MOUNT_ATTR_NOEXEC, "noexec"),
    (libc::MOUNT_ATTR_NOATIME, "noatime"),
    (libc::MOUNT_ATTR_STRICTATIME, "strictatime"),
    (libc::MOUNT_ATTR_NODIRATIME, "nodiratime"),
    (libc::MOUNT_ATTR_NOSYMFOLLOW, "nosymfollow"),
];

const MOUNT_FLAGS: &[(u32, &str)] = &[
    (mount_flag::RECURSIVE, "recursive"),
    (mount_flag::COPY_UP, "tmpcopyup"),
    (mount_flag::INHERIT_MODE, "inherit-mode"),
    (mount_flag::ORDINARY_TARGET, "ordinary-target"),
    (mount_flag::TARGET_NOFOLLOW, "dest-nofollow"),
    (mount_flag::SOURCE_NOFOLLOW, "src-nofollow"),
    (mount_flag::COPY_SYMLINK, "copy-symlink"),
    (mount_flag::FALLBACK_BIND, "or-bind"),
    (mount_flag::PROC_TARGET, "inside-proc"),
    (mount_flag::LATE_READONLY, "late-ro"),
    (mount_flag::AT_ONCE, "at-once"),
    (mount_flag::PARENT, "parent"),
];

/// The plan as JSON; members sorted by name, what is empty left out.
#[must_use]
pub fn json(view: View<'_>) -> Value {
    let dump = Dump { view };
    let plan = view.plan;
    let mut out = Map::new();
    let mut put = |name: &str, value: Value| {
        if !is_empty(&value) {
            out.insert(name.to_owned(), value);
        }
    };
    put("flags", names(FLAGS, plan.flags));
    put("namespaces", dump.namespaces());
    put("keyring", dump.text(plan.keyring));
    put("root", dump.root());
    put("mounts", dump.list(plan.mounts, |mount| dump.mount(mount)));
    put(
        "devices",
        dump.list(plan.devices, |device| {
            let kind = match device.mode & libc::S_IFMT {
                libc::S_IFBLK => "b",
                libc::S_IFIFO => "p",
                _ => "c",
            };
            let mode = format!("{:04o}", device.mode & 0o7777);
            json!([dump.text(device.path), kind, device.major, device.minor, mode, device.uid, device.gid])
        }),
    );
    put("links", dump.list(plan.links, |link| json!([dump.text(link.name), dump.text(link.target)])));
    put("createContainer", dump.hooks(plan.hooks.create_container));
    put(
        "sysctls",
        dump.list(plan.sysctls, |sysctl| json!([dump.text(sysctl.path), dump.text(sysctl.value)])),
    );
    put("masked", dump.list(plan.masked, |path| dump.text(*path)));
    put("readonly", dump.list(plan.readonly, |path| dump.text(*path)));
    put("hostname", dump.text(plan.hostname));
    put("domainname", dump.text(plan.domainname));
    put("timeOffsets", dump.text(plan.time_offsets));
    put("apparmor", dump.text(plan.apparmor));
    put("selinux", dump.text(plan.selinux));
    put("scheduling", dump.sched());
    put("rlimits", dump.list(plan.rlimits, |limit| json!([limit.resource, limit.soft, limit.hard])));
    put("identity", dump.identity());
    put("seccomp", dump.seccomp());
    put("startContainer", dump.hooks(plan.hooks.start_container));
    put("process", dump.process());
    Value::Object(out)
}

/// The plan for people: the JSON, indented, without its punctuation.
#[must_use]
pub fn human(view: View<'_>) -> String {
    let mut out = String::new();
    indent(&json(view), 0, &mut out);
    out
}

fn indent(value: &Value, depth: usize, out: &mut String) {
    let pad = "  ".repeat(depth);
    let line = |out: &mut String, text: &str| {
        out.push_str(&pad);
        out.push_str(text);
        out.push('\n');
    };
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                match flat(value) {
                    Some(text) => line(out, &format!("{key}: {text}")),
                    None => {
                        line(out, &format!("{key}:"));
                        indent(value, depth + 1, out);
                    }
                }
            }
        }
        Value::Array(list) => {
            for value in list {
                match (flat(value), value) {
                    (Some(text), _) => line(out, &text),
                    (None, Value::Object(map)) => {
                        let parts = map
                            .iter()
                            .map(|(key, value)| format!("{key}={}", flat(value).unwrap_or_default()));
                        line(out, &parts.collect::<Vec<_>>().join(" "));
                    }
                    (None, _) => indent(value, depth, out),
                }
            }
        }
        other => line(out, &flat(other).unwrap_or_default()),
    }
}

/// What fits on one line.
fn flat(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Array(list) if list.iter().all(|value| !value.is_object() && !value.is_array()) => {
            let joined = list.iter().filter_map(flat).collect::<Vec<_>>().join(" ");
            (joined.len() <= 100).then_some(joined)
        }
        Value::Object(_) | Value::Array(_) => None,
        other => Some(other.to_string()),
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    }
}

fn names(table: &[(u64, &str)], bits: u64) -> Value {
    table.iter().filter(|(bit, _)| bits & bit != 0).map(|(_, name)| *name).collect()
}

fn propagation(bits: u64) -> Value {
    let kinds = [
        (libc::MS_SHARED, "shared"),
        (libc::MS_SLAVE, "slave"),
        (libc::MS_PRIVATE, "private"),
        (libc::MS_UNBINDABLE, "unbindable"),
    ];
    let recursive = if bits & libc::MS_REC != 0 { "r" } else { "" };
    kinds
        .iter()
        .find(|(bit, _)| bits & bit != 0)
        .map_or(Value::Null, |(_, name)| format!("{recursive}{name}").into())
}

struct Dump<'a> {
    view: View<'a>,
}

impl Dump<'_> {
    fn text(&self, s: Str) -> Value {
        if !s.is_some() {
            return Value::Null;
        }
        self.view.arena.cstr(s).to_string_lossy().into_owned().into()
    }

    fn list<T: krun_sys::plain::Plain>(&self, slice: Slice<T>, each: impl Fn(&T) -> Value) -> Value {
        self.view.arena.slice(slice).iter().map(each).collect()
    }

    /// Strings behind an array of addresses of the child.
    fn pointers(&self, slice: Slice<u64>) -> Value {
        let base = krun_spawner::plan::ADDRESS as u64;
        let end = self.view.arena.bytes().len().saturating_sub(krun_spawner::plan::HOME_LEN);
        let string = |address: &u64| {
            let at = usize::try_from(address.checked_sub(base)?).ok()?;
            if at >= end {
                return Some(Value::from("HOME=(from /etc/passwd)"));
            }
            let bytes = self.view.arena.bytes().get(at..)?;
            let text = std::ffi::CStr::from_bytes_until_nul(bytes).ok()?;
            Some(text.to_string_lossy().into_owned().into())
        };
        self.view.arena.slice(slice).iter().filter_map(string).collect()
    }

    fn namespaces(&self) -> Value {
        let plan = self.view.plan;
        let of = |bits: u64| -> Value {
            let table = NAMESPACES.iter().filter(|(bit, _)| bits & u64::from(bit.cast_unsigned()) != 0);
            table.map(|(_, name)| *name).collect()
        };
        let joined = |slice| self.list::<krun_spawner::plan::Join>(slice, |join| of(join.flags));
        json!({ "new": of(plan.clone_flags), "joinedByHelper": joined(plan.helper_joins), "joined": joined(plan.joins) })
    }

    fn root(&self) -> Value {
        let root = self.view.plan.root;
        json!({
            "path": self.text(root.path),
            "propagation": propagation(root.propagation),
            "finalPropagation": propagation(root.final_propagation),
        })
    }

    fn mount(&self, mount: &Mount) -> Value {
        let kind = match mount.kind {
            mount_kind::BIND => "bind",
            mount_kind::CLASSIC => "mount",
            mount_kind::REMOUNT => "change",
            _ => "filesystem",
        };
        let options = self.list(mount.options, |option| {
            let key = self.view.arena.cstr(option.key).to_string_lossy();
            let value = option.value.is_some().then(|| self.view.arena.cstr(option.value).to_string_lossy());
            value.map_or_else(|| key.clone().into_owned(), |value| format!("{key}={value}")).into()
        });
        let flags: Value =
            MOUNT_FLAGS.iter().filter(|(bit, _)| mount.flags & bit != 0).map(|(_, name)| *name).collect();
        let mut out = Map::new();
        let fields = [
            ("target", self.text(mount.target)),
            ("kind", kind.into()),
            ("type", self.text(mount.fstype)),
            ("source", self.text(mount.source)),
            ("options", options),
            ("data", self.text(mount.data)),
            ("attributes", names(ATTRIBUTES, u64::from(mount.attr) | mount.attr_set)),
            ("cleared", names(ATTRIBUTES, mount.attr_clr)),
            ("recursiveAttributes", names(ATTRIBUTES, mount.rec_set)),
            ("recursivelyCleared", names(ATTRIBUTES, mount.rec_clr)),
            ("propagation", propagation(mount.propagation)),
            ("flags", flags),
        ];
        out.extend(
            fields
                .into_iter()
                .filter(|(_, value)| !is_empty(value))
                .map(|(name, value)| (name.to_owned(), value)),
        );
        Value::Object(out)
    }

    fn hooks(&self, slice: Slice<Hook>) -> Value {
        self.list(slice, |hook| {
            json!({ "path": self.text(hook.path), "args": self.pointers(hook.argv), "timeoutMs": hook.timeout_ms })
        })
    }

    fn sched(&self) -> Value {
        let sched = self.view.plan.sched;
        let mut out = Map::new();
        let has = |bit| sched.set & bit != 0;
        if has(sched_flag::SCHEDULER) {
            out.insert("policy".to_owned(), sched.policy.into());
            out.insert("nice".to_owned(), sched.nice.into());
            out.insert("priority".to_owned(), sched.priority.into());
        }
        if has(sched_flag::IOPRIO) {
            out.insert("ioprio".to_owned(), sched.ioprio.into());
        }
        if has(sched_flag::MEMPOLICY) {
            out.insert("memoryPolicy".to_owned(), sched.mempolicy.into());
        }
        if has(sched_flag::PERSONALITY) {
            out.insert("personality".to_owned(), sched.personality.into());
        }
        Value::Object(out)
    }

    fn identity(&self) -> Value {
        let id = self.view.plan.identity;
        let caps = |bits: u64| -> Value {
            let mut all: Vec<_> = caps::all().into_iter().filter(|cap| bits & cap.bitmask() != 0).collect();
            all.sort_by_key(caps::Capability::index);
            all.iter().map(ToString::to_string).collect()
        };
        json!({
            "uid": id.uid,
            "gid": id.gid,
            "groups": self.view.arena.slice(id.groups),
            "umask": format!("{:04o}", id.umask),
            "bounding": caps(id.bounding),
            "effective": caps(id.effective),
            "permitted": caps(id.permitted),
            "inheritable": caps(id.inheritable),
            "ambient": caps(id.ambient),
        })
    }

    /// The program differs between architectures: system call numbers do.
    fn seccomp(&self) -> Value {
        let words = self.view.arena.slice(self.view.plan.seccomp.filter);
        if words.is_empty() {
            return Value::Null;
        }
        let instructions = words.iter().map(|word| {
            let [c0, c1, jt, jf, k0, k1, k2, k3] = word.to_ne_bytes();
            seccomp::Instruction {
                code: u16::from_ne_bytes([c0, c1]),
                jt,
                jf,
                k: u32::from_ne_bytes([k0, k1, k2, k3]),
            }
        });
        let program = seccomp::Program {
            instructions: instructions.collect(),
            flags: self.view.plan.seccomp.flags,
            notify: self.view.plan.seccomp.listener != 0,
        };
        let lines: Vec<_> = seccomp::dump(&program).collect();
        json!({ "flags": program.flags, "listener": program.notify, "program": lines })
    }

    fn process(&self) -> Value {
        let process = self.view.plan.process;
        json!({
            "candidates": self.list(process.candidates, |path| self.text(*path)),
            "args": self.pointers(process.argv),
            "env": self.pointers(process.envp),
            "cwd": self.text(process.cwd),
        })
    }
}
