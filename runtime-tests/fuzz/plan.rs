//! Is everything that a frozen plan refers to in it? Every access of an arena is checked and panics otherwise.

use std::ffi::CStr;

use krun_spawner::plan::{ADDRESS, FsOption, HOME_LEN, Hook, Mount, View};
use krun_sys::plain::{Slice, Str};

/// Reads all strings, slices and pointers of a plan.
pub fn walk(view: View<'_>) {
    let walker = Walker { view };
    let (arena, plan) = (view.arena, view.plan);
    arena.slice(plan.helper_joins);
    arena.slice(plan.joins);
    arena.slice(plan.inherit);
    arena.slice(plan.rlimits);
    arena.slice(plan.identity.groups);
    assert!(arena.slice(plan.seccomp.filter).len() <= 4096, "a filter longer than the kernel takes");
    arena.slice(plan.sched.nodes);
    arena.slice(plan.sched.final_affinity);
    walker.texts(&[plan.root.path, plan.hostname, plan.domainname, plan.time_offsets, plan.keyring]);
    walker.texts(&[plan.apparmor, plan.selinux, plan.process.cwd]);
    walker.texts(&[plan.hooks.creating, plan.hooks.created, plan.hooks.rest]);
    for list in [plan.root.pseudo, plan.masked, plan.readonly, plan.process.candidates] {
        walker.texts(arena.slice(list));
    }
    arena.slice(plan.mounts).iter().for_each(|mount| walker.mount(mount));
    arena.slice(plan.devices).iter().for_each(|device| walker.texts(&[device.path, device.name]));
    arena.slice(plan.links).iter().for_each(|link| walker.texts(&[link.name, link.target]));
    arena.slice(plan.sysctls).iter().for_each(|sysctl| walker.texts(&[sysctl.path, sysctl.value]));
    walker.pointers(plan.process.argv);
    walker.pointers(plan.process.envp);
    for hooks in [plan.hooks.create_container, plan.hooks.start_container] {
        arena.slice(hooks).iter().for_each(|hook| walker.hook(hook));
    }
}

struct Walker<'a> {
    view: View<'a>,
}

impl Walker<'_> {
    fn texts(&self, all: &[Str]) {
        for text in all {
            self.view.arena.cstr(*text);
        }
    }

    fn mount(&self, mount: &Mount) {
        let Mount { source, fallback, target, fstype, data, label, options, .. } = *mount;
        self.texts(&[source, fallback, target, fstype, data, label]);
        let options: &[FsOption] = self.view.arena.slice(options);
        options.iter().for_each(|option| self.texts(&[option.key, option.value]));
    }

    fn hook(&self, hook: &Hook) {
        self.texts(&[hook.path]);
        self.pointers(hook.argv);
        self.pointers(hook.envp);
    }

    /// Addresses in the child, of strings that end; the last one is 0, and only that.
    fn pointers(&self, list: Slice<u64>) {
        let addresses = self.view.arena.slice(list);
        let Some((end, strings)) = addresses.split_last() else { return };
        assert_eq!(*end, 0, "an array without its end");
        let bytes = self.view.arena.bytes();
        for address in strings {
            let offset = address.checked_sub(ADDRESS as u64).expect("an address below the plan");
            let text =
                bytes.get(usize::try_from(offset).expect("an offset")..).expect("an address in the plan");
            let text = CStr::from_bytes_until_nul(text).expect("a string that ends");
            assert!(text.count_bytes() < bytes.len() - HOME_LEN);
        }
    }
}
