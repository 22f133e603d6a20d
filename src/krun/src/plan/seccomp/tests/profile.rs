//! Profiles for the tests: one like the engines ship, and random ones.

use oci_spec::runtime::{
    Arch, LinuxSeccomp, LinuxSeccompAction as Action, LinuxSeccompArg, LinuxSeccompArgBuilder,
    LinuxSeccompOperator as Op, LinuxSyscall,
};

use crate::plan::seccomp::table::{ARM_PRIVATE, NO, SYSCALLS};

/// A profile from its JSON text.
pub fn parse(json: &str) -> LinuxSeccomp {
    serde_json::from_str(json).unwrap()
}

/// Calls an engine's default profile keeps from a container.
const DENIED: &[&str] = &[
    "acct",
    "add_key",
    "bpf",
    "clock_adjtime",
    "clock_settime",
    "create_module",
    "delete_module",
    "fanotify_init",
    "finit_module",
    "fsconfig",
    "fsmount",
    "fsopen",
    "fspick",
    "get_kernel_syms",
    "init_module",
    "ioperm",
    "iopl",
    "kcmp",
    "kexec_file_load",
    "kexec_load",
    "keyctl",
    "lookup_dcookie",
    "mbind",
    "migrate_pages",
    "mount",
    "mount_setattr",
    "move_mount",
    "move_pages",
    "nfsservctl",
    "open_tree",
    "perf_event_open",
    "personality",
    "pivot_root",
    "process_vm_readv",
    "process_vm_writev",
    "query_module",
    "quotactl",
    "quotactl_fd",
    "reboot",
    "request_key",
    "set_mempolicy",
    "setdomainname",
    "sethostname",
    "setns",
    "settimeofday",
    "swapoff",
    "swapon",
    "sysfs",
    "_sysctl",
    "syslog",
    "umount2",
    "unshare",
    "uselib",
    "userfaultfd",
    "ustat",
    "vhangup",
    "clone",
    "clone3",
    "socket",
    "afs_syscall",
    "getpmsg",
    "putpmsg",
    "security",
    "tuxcall",
    "vserver",
    "epoll_ctl_old",
    "epoll_wait_old",
    "get_thread_area",
    "set_thread_area",
    "io_uring_enter",
    "io_uring_register",
    "io_uring_setup",
];

/// An allow list in the way of an engine's default: some 310 x86_64 calls, those that
/// only i386 has, some with conditions.
pub fn like_an_engine() -> LinuxSeccomp {
    let allowed: Vec<_> = SYSCALLS
        .iter()
        .filter(|(name, [x86_64, x86, ..])| {
            (*x86_64 < 462 || *x86_64 == NO && *x86 < 462) && !DENIED.contains(name)
        })
        .map(|(name, _)| format!("{name:?}"))
        .collect();
    parse(&format!(
        r#"{{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 1,
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
        "syscalls": [
          {{"names": [{}], "action": "SCMP_ACT_ALLOW"}},
          {{"names": ["personality"], "action": "SCMP_ACT_ALLOW", "args": [{{"index": 0, "value": 0, "op": "SCMP_CMP_EQ"}}]}},
          {{"names": ["personality"], "action": "SCMP_ACT_ALLOW", "args": [{{"index": 0, "value": 8, "op": "SCMP_CMP_EQ"}}]}},
          {{"names": ["socket"], "action": "SCMP_ACT_ALLOW", "args": [{{"index": 0, "value": 40, "op": "SCMP_CMP_NE"}}]}},
          {{"names": ["clone"], "action": "SCMP_ACT_ALLOW", "args": [{{"index": 0, "value": 2114060288, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}}]}},
          {{"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38}}
        ]}}"#,
        allowed.join(",")
    ))
}

/// xorshift64*: the same profiles on every run.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    pub fn of<T: Copy>(&mut self, values: &[T]) -> T {
        values[self.below(values.len())]
    }

    /// Values at which comparisons turn over, and some that mean nothing.
    pub fn value(&mut self) -> u64 {
        const EDGES: [u64; 8] = [0, 1, 2, 0x7fff_ffff, 0xffff_ffff, 0x1_0000_0000, 0x1_0000_0001, u64::MAX];
        match self.below(4) {
            0 => self.next(),
            1 => self.next() & 0x3_0000_0003,
            _ => self.of(&EDGES),
        }
    }

    fn action(&mut self) -> (Action, Option<u32>) {
        let errno = (self.below(2) == 0).then(|| self.below(200) as u32);
        match self.below(12) {
            0 => (Action::ScmpActKill, None),
            1 => (Action::ScmpActKillThread, None),
            2 => (Action::ScmpActKillProcess, None),
            3 => (Action::ScmpActTrap, None),
            4 => (Action::ScmpActLog, None),
            5 => (Action::ScmpActTrace, errno),
            6..=8 => (Action::ScmpActErrno, errno),
            _ => (Action::ScmpActAllow, None),
        }
    }

    fn name(&mut self) -> String {
        // A few names often, so that several rules meet.
        const COMMON: [&str; 8] =
            ["socket", "clone", "personality", "semop", "socketcall", "ipc", "read", "accept"];
        match self.below(20) {
            0..=3 => self.of(&COMMON).to_owned(),
            4 => self.of(&ARM_PRIVATE).0.to_owned(),
            5 => "no_such_call".to_owned(),
            _ => SYSCALLS[self.below(SYSCALLS.len())].0.to_owned(),
        }
    }

    fn arg(&mut self) -> LinuxSeccompArg {
        const OPS: [Op; 7] = [
            Op::ScmpCmpNe,
            Op::ScmpCmpLt,
            Op::ScmpCmpLe,
            Op::ScmpCmpEq,
            Op::ScmpCmpGe,
            Op::ScmpCmpGt,
            Op::ScmpCmpMaskedEq,
        ];
        let arg =
            LinuxSeccompArgBuilder::default().index(self.below(6)).op(self.of(&OPS)).value(self.value());
        match self.below(3) {
            0 => arg.build().unwrap(),
            _ => arg.value_two(self.value()).build().unwrap(),
        }
    }

    fn entry(&mut self, action: (Action, Option<u32>)) -> LinuxSyscall {
        let mut entry = LinuxSyscall::default();
        let most = self.of(&[2, 4, 120]);
        entry.set_names((0..=self.below(most)).map(|_| self.name()).collect());
        entry.set_action(action.0);
        entry.set_errno_ret(action.1);
        if self.below(2) == 0 {
            entry.set_args(Some((0..self.below(4)).map(|_| self.arg()).collect()));
        }
        entry
    }

    /// A profile with many kinds of actions.
    pub fn profile(&mut self) -> LinuxSeccomp {
        const ARCHS: [Arch; 7] = [
            Arch::ScmpArchX86_64,
            Arch::ScmpArchX86,
            Arch::ScmpArchX32,
            Arch::ScmpArchArm,
            Arch::ScmpArchAarch64,
            Arch::ScmpArchNative,
            Arch::ScmpArchS390x,
        ];
        let mut spec = LinuxSeccomp::default();
        let default = self.action();
        spec.set_default_action(default.0);
        spec.set_default_errno_ret(default.1);
        spec.set_architectures(Some((0..self.below(5)).map(|_| self.of(&ARCHS)).collect()));
        let entries = self.below(24);
        spec.set_syscalls(Some(
            (0..entries)
                .map(|_| {
                    let action = self.action();
                    self.entry(action)
                })
                .collect(),
        ));
        spec
    }

    /// A profile with one action beside the default, as seccompiler has it.
    pub fn allow_list(&mut self) -> LinuxSeccomp {
        let mut spec = LinuxSeccomp::default();
        spec.set_default_action(Action::ScmpActErrno);
        let entries = 1 + self.below(12);
        spec.set_syscalls(Some((0..entries).map(|_| self.entry((Action::ScmpActAllow, None))).collect()));
        spec
    }
}
