//! What is put into a plan is found in it by who maps it. Without system calls: Miri runs this too.
use krun_spawner::plan::Rlimit;

use super::super::{Joined, Request, build, dump};
use super::*;
use crate::bundle::{Bundle, spec_from_json};
use crate::host::Facts;

#[test]
fn values_are_found_in_a_frozen_plan() {
    let mut buf = PlanBuf::new();
    buf.plan.hostname = buf.str("odd");
    buf.plan.domainname = buf.str("cut\0off");
    let limit = Rlimit { resource: 7, reserved: 0, soft: 1, hard: u64::MAX };
    buf.plan.rlimits = buf.slice(&[limit, limit]);
    buf.plan.inherit = buf.slice(&[3_i32, -1, 5]);
    buf.plan.process.envp = buf.pointers(["A=b", ""], true);
    let frozen = buf.freeze();
    let View { arena, plan } = frozen.view();
    assert_eq!((arena.cstr(plan.hostname), arena.cstr(plan.domainname)), (c"odd", c"cut"));
    assert_eq!(arena.slice(plan.rlimits), [limit, limit]);
    assert_eq!(arena.slice(plan.inherit), [3, -1, 5]);
    let [first, second, home, 0] = *arena.slice(plan.process.envp) else { panic!("an end and HOME's place") };
    let text = |address: u64| &arena.bytes()[usize::try_from(address - ADDRESS as u64).unwrap()..];
    assert!(text(first).starts_with(b"A=b\0") && text(second).starts_with(b"\0"));
    assert_eq!(text(home), [0; HOME_LEN]);
    assert!(View::new(&frozen.bytes()[..8]).is_none());
}

#[test]
fn a_whole_plan_is_read_without_a_stray_access() {
    let text = r#"{"ociVersion":"1.3.0","process":{"user":{"uid":7,"gid":8,"additionalGids":[9]},"args":["sh","-c",""],
        "env":["PATH=/bin:/usr/bin"],"cwd":"/","rlimits":[{"type":"RLIMIT_CORE","hard":1,"soft":0}]},
        "root":{"path":"rootfs"},"hostname":"h","mounts":[{"destination":"/proc","type":"proc","source":"proc"},
        {"destination":"/t","type":"tmpfs","source":"t","options":["nosuid","size=1m"]}],
        "hooks":{"createContainer":[{"path":"/h","args":["h"],"env":["A=b"]}]},
        "linux":{"namespaces":[{"type":"mount"},{"type":"uts"}],"maskedPaths":["/proc/kcore"],"sysctl":{"a.b":"c"}}}"#;
    let spec = spec_from_json(text.as_bytes(), Path::new("config.json")).unwrap();
    let bundle = Bundle { dir: "/b".into(), spec };
    let (facts, joined) = (Facts::ideal(), Joined::unopened(&bundle.spec));
    let frozen = build(&Request::dry(&bundle, "id", &facts, &joined, None)).unwrap();
    let json = dump::json(frozen.view());
    assert_eq!(json["hostname"], "h");
    assert_eq!(json["root"]["path"], "/b/rootfs");
}
