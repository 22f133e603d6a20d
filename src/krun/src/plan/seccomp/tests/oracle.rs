//! What a profile means, evaluated rule by rule for one system call: written
//! from libseccomp's and runc's behaviour, not from the compiler.

use oci_spec::runtime::{LinuxSeccomp, LinuxSeccompArg, LinuxSeccompArgBuilder, LinuxSeccompOperator as Op};

use super::interpreter::Data;
use crate::plan::seccomp::abi::{Abi, Call, Machine, multiplexed};

pub const KILL_PROCESS: u32 = 0x8000_0000;
pub const ENOSYS: u32 = 0x0005_0026;

struct Rule {
    nr: u32,
    args: Vec<LinuxSeccompArg>,
    mask: u64,
    value: u32,
}

struct View {
    abi: Abi,
    rules: Vec<Rule>,
    newest: Option<u32>,
}

/// A profile, resolved for the conventions it covers on one machine.
pub struct Oracle {
    views: Vec<View>,
    default: u32,
}

impl Oracle {
    pub fn new(machine: Machine, spec: &LinuxSeccomp) -> Self {
        let default = spec.default_action().as_u32(spec.default_errno_ret());
        let mut abis = vec![machine.native()];
        abis.extend(spec.architectures().iter().flatten().filter_map(|arch| machine.abi(*arch)));
        let views = abis.into_iter().map(|abi| View::new(abi, spec, default)).collect();
        Self { views, default }
    }

    pub fn evaluate(&self, data: &Data) -> u32 {
        let x86_64 = data.arch == Abi::X86_64.audit_arch();
        let x32 = x86_64 && data.nr >= 0x4000_0000;
        let listed = |abi: &Abi| self.views.iter().any(|view| view.abi == *abi);
        let abi = match data.arch {
            _ if x32 && listed(&Abi::X32) => Abi::X32,
            _ if x32 && data.nr != u32::MAX => return KILL_PROCESS,
            _ if x86_64 => Abi::X86_64,
            arch => match [Abi::X86, Abi::Arm, Abi::Aarch64].into_iter().find(|abi| abi.audit_arch() == arch)
            {
                Some(abi) => abi,
                None => return KILL_PROCESS,
            },
        };
        let Some(view) = self.views.iter().find(|view| view.abi == abi) else { return KILL_PROCESS };
        view.evaluate(data, self.default)
    }
}

impl View {
    fn new(abi: Abi, spec: &LinuxSeccomp, default: u32) -> Self {
        let mut view = Self { abi, rules: Vec::new(), newest: None };
        for entry in spec.syscalls().iter().flatten() {
            let value = entry.action().as_u32(entry.errno_ret());
            let args = entry.args().clone().unwrap_or_default();
            for name in entry.names() {
                let nr = Call::named(name).and_then(|call| abi.number(call));
                view.newest = view.newest.max(nr.filter(|nr| abi != Abi::Arm || *nr < 0x0f_0000));
                if value == default {
                    continue;
                }
                if let Some(nr) = nr {
                    view.add(nr, &args, value);
                }
                if let Some((multiplexer, op)) = multiplexed(name).filter(|_| abi == Abi::X86) {
                    let nr = if multiplexer == "ipc" { 117 } else { 102 };
                    let mask = if multiplexer == "ipc" { 0xffff } else { u64::MAX };
                    let arg = LinuxSeccompArgBuilder::default().value(op).build().unwrap();
                    view.rules.push(Rule { nr, args: vec![arg], mask, value });
                }
            }
        }
        view
    }

    fn add(&mut self, nr: u32, args: &[LinuxSeccompArg], value: u32) {
        let twice = |arg: &LinuxSeccompArg| args.iter().filter(|a| a.index() == arg.index()).count() > 1;
        let mask = u64::MAX;
        if args.iter().any(twice) {
            self.rules.extend(args.iter().map(|arg| Rule { nr, args: vec![*arg], mask, value }));
        } else {
            self.rules.push(Rule { nr, args: args.to_vec(), mask, value });
        }
    }

    fn evaluate(&self, data: &Data, default: u32) -> u32 {
        let permissive = matches!(default & 0xffff_0000, 0x7fff_0000 | 0x7ffc_0000 | 0x7ff0_0000);
        let private = self.abi == Abi::Arm && data.nr >= 0x0f_0000;
        if !permissive && !private && self.newest.is_some_and(|newest| data.nr > newest) {
            return ENOSYS;
        }
        let rules = || self.rules.iter().filter(|rule| rule.nr == data.nr);
        // A masked comparison with mask 0 is no condition.
        let vacuous = |arg: &LinuxSeccompArg| arg.op() == Op::ScmpCmpMaskedEq && self.width(arg.value()) == 0;
        if let Some(rule) = rules().find(|rule| rule.args.iter().all(vacuous)) {
            return rule.value;
        }
        rules()
            .find(|rule| rule.args.iter().all(|arg| self.holds(arg, rule.mask, data)))
            .map_or(default, |rule| rule.value)
    }

    fn width(&self, value: u64) -> u64 {
        if matches!(self.abi, Abi::X86 | Abi::X32 | Abi::Arm) { value & 0xffff_ffff } else { value }
    }

    fn holds(&self, arg: &LinuxSeccompArg, mask: u64, data: &Data) -> bool {
        let (actual, value) = (self.width(data.args[arg.index()] & mask), self.width(arg.value()));
        match arg.op() {
            Op::ScmpCmpNe => actual != value,
            Op::ScmpCmpLt => actual < value,
            Op::ScmpCmpLe => actual <= value,
            Op::ScmpCmpEq => actual == value,
            Op::ScmpCmpGe => actual >= value,
            Op::ScmpCmpGt => actual > value,
            Op::ScmpCmpMaskedEq => actual & value == self.width(arg.value_two().unwrap_or(0)) & value,
        }
    }
}
