//! Hooks that run inside the container's namespaces, and the state they read.

use krun_spawner::plan::Hook as Planned;
use krun_sys::plain::Slice;
use oci_spec::runtime::Hook;

use super::{PlanBuf, Request};

/// Plans createContainer and startContainer hooks.
pub fn plan(buf: &mut PlanBuf, request: &Request<'_>) {
    let Some(hooks) = request.spec.hooks() else { return };
    let create = hooks.create_container().as_deref().unwrap_or_default();
    let start = hooks.start_container().as_deref().unwrap_or_default();
    if create.is_empty() && start.is_empty() {
        return;
    }
    buf.plan.hooks.create_container = all(buf, create, None);
    // A startContainer hook without an environment has the process's.
    let env = buf.plan.process.envp;
    buf.plan.hooks.start_container = all(buf, start, Some(env));
    for status in ["creating", "created"] {
        let (before, after) = state_around_pid(request, status);
        let before = buf.str(before);
        if status == "creating" {
            buf.plan.hooks.creating = before;
        } else {
            buf.plan.hooks.created = before;
        }
        buf.plan.hooks.rest = buf.str(after);
    }
}

/// The state JSON before and after the pid, which only the child knows.
fn state_around_pid(request: &Request<'_>, status: &str) -> (String, String) {
    let quote = |text: &str| serde_json::Value::from(text).to_string();
    let before = format!(
        "{{\"ociVersion\":{},\"id\":{},\"status\":{},\"pid\":",
        quote(request.spec.version()),
        quote(request.id),
        quote(status)
    );
    let annotations = request.spec.annotations().as_ref().filter(|map| !map.is_empty());
    let annotations = annotations.and_then(|map| serde_json::to_string(map).ok());
    let after = match annotations {
        Some(json) => {
            format!(",\"bundle\":{},\"annotations\":{json}}}", quote(&request.bundle.to_string_lossy()))
        }
        None => format!(",\"bundle\":{}}}", quote(&request.bundle.to_string_lossy())),
    };
    (before, after)
}

fn all(buf: &mut PlanBuf, hooks: &[Hook], inherited: Option<Slice<u64>>) -> Slice<Planned> {
    let planned: Vec<_> = hooks
        .iter()
        .map(|hook| {
            let path = buf.path(hook.path());
            let args = hook.args().as_deref().filter(|args| !args.is_empty());
            let argv = match args {
                Some(args) => buf.pointers(args, false),
                None => buf.pointers([hook.path().as_os_str().as_encoded_bytes()], false),
            };
            let envp = match (hook.env(), inherited) {
                (None, Some(envp)) => envp,
                (env, _) => buf.pointers(env.as_deref().unwrap_or_default(), false),
            };
            let seconds = u64::try_from(hook.timeout().unwrap_or(0)).unwrap_or(0);
            Planned { path, argv, envp, timeout_ms: seconds.saturating_mul(1000) }
        })
        .collect();
    buf.slice(&planned)
}
