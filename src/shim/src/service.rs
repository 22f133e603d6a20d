//! The Task service: every method, and which of them take time.

use std::sync::Arc;

use krun_sys::{Fd, libc};

use crate::event_loop::{Call, ProcessKey, Shim};
use crate::proto::events::Event;
use crate::proto::task::{self, Create, Exec, State, Target, Update};
use crate::proto::ttrpc::{Code, Request, Status};
use crate::proto::wire::Message;
use crate::runtime::Container;
use crate::task::{Live, lifecycle};
use crate::workers::{Lane, Then};

/// An answer, or none yet: it comes when the work is done.
type Answer = Result<Option<Vec<u8>>, Status>;

const NOTHING: Answer = Ok(Some(Vec::new()));

/// Both versions of the service: they differ in the package's name only.
const SERVICES: [&str; 2] = ["containerd.task.v2.Task", "containerd.task.v3.Task"];

/// Answers a request, or begins to.
pub fn dispatch(shim: &mut Shim, call: Call, request: &Request) -> Answer {
    let unknown = |what: &str| Err(Status::new(Code::Unimplemented, what.to_owned()));
    if !SERVICES.contains(&request.service.as_str()) {
        return unknown(&format!("service {}", request.service));
    }
    let bytes = &request.payload;
    let target = || Target::decode(bytes);
    match request.method.as_str() {
        "Create" => create(shim, call, Create::decode(bytes)?),
        "Exec" => exec(shim, Exec::decode(bytes)?),
        "Update" => update(shim, call, &Update::decode(bytes)?),
        "Start" => lifecycle::start(shim, call, key(target()?)).map(|()| None),
        "Delete" => lifecycle::delete(shim, call, key(target()?)).map(|()| None),
        "State" => state(shim, &target()?),
        "Wait" => wait(shim, call, target()?),
        "Kill" => kill(shim, call, &target()?),
        "Pids" => pids(shim, call, &target()?),
        "Stats" => stats(shim, call, &target()?),
        "Pause" => freeze(shim, call, &target()?, true),
        "Resume" => freeze(shim, call, &target()?, false),
        "ResizePty" => resize(shim, &target()?),
        "CloseIO" => close_io(shim, &target()?),
        "Connect" => connect(shim, &target()?),
        "Shutdown" => shutdown(shim),
        "Checkpoint" => unknown("checkpoint"),
        method => unknown(&format!("method {method}")),
    }
}

fn key(target: Target) -> ProcessKey {
    ProcessKey { id: target.id, exec_id: target.exec_id }
}

/// Runs `work` on a worker and hands its result to `then`.
fn blocking<T: Send + 'static>(
    shim: &mut Shim,
    id: &str,
    work: impl FnOnce(&Container) -> T + Send + 'static,
    then: impl FnOnce(&mut Shim, T) + Send + 'static,
) -> Answer {
    let container = Arc::clone(&shim.task(id)?.container);
    let job = move || -> Then {
        let result = work(&container);
        Box::new(move |shim| then(shim, result))
    };
    shim.workers.submit(id, Lane::Control, Box::new(job));
    Ok(None)
}

fn create(shim: &mut Shim, call: Call, request: Create) -> Answer {
    if !request.checkpoint.is_empty() {
        return Err(Status::new(Code::Unimplemented, "restore from a checkpoint"));
    }
    lifecycle::create(shim, call, request).map(|()| None)
}

fn exec(shim: &mut Shim, request: Exec) -> Answer {
    let task = shim.task(&request.id)?;
    task.model.add_exec(&request.exec_id)?;
    let live = Live { stdio: request.stdio, spec: request.spec, ..Live::default() };
    task.processes.insert(request.exec_id.clone(), live);
    shim.publish(Event::exec_added(&request.id, &request.exec_id));
    NOTHING
}

fn state(shim: &mut Shim, target: &Target) -> Answer {
    let task = shim.task(&target.id)?;
    let (pid, status, exit) = task.model.state(&target.exec_id)?;
    let bundle = task.container.bundle().to_owned();
    let stdio = &task.process(&target.exec_id)?.stdio;
    let id = if target.exec_id.is_empty() { &target.id } else { &target.exec_id };
    let exit = exit.map(|e| (e.status, e.at));
    let state = State { id, exec_id: &target.exec_id, bundle: &bundle, pid, status, stdio, exit };
    Ok(Some(state.encode()))
}

fn wait(shim: &mut Shim, call: Call, target: Target) -> Answer {
    let task = shim.task(&target.id)?;
    if let (_, _, Some(exit)) = task.model.state(&target.exec_id)? {
        return Ok(Some(task::wait_response(exit.status, exit.at)));
    }
    task.waiters.push((target.exec_id, call));
    Ok(None)
}

/// A signal to one process goes through its pidfd, at once: no start or stuck
/// job of the container is in its way.
fn kill(shim: &mut Shim, call: Call, target: &Target) -> Answer {
    let signal = i32::try_from(target.third).map_err(|_| Status::new(Code::InvalidArgument, "signal"))?;
    let is_init = target.exec_id.is_empty();
    let task = shim.task(&target.id)?;
    task.model.may_kill(&target.exec_id)?;
    let whole =
        is_init && (target.fourth != 0 || (signal == libc::SIGKILL && !task.container.has_private_pids()));
    if whole {
        return blocking(
            shim,
            &target.id,
            move |container| container.kill(signal),
            move |shim, killed| shim.reply(call, killed.map(|()| Vec::new())),
        );
    }
    let Some((pidfd, _)) = &task.process(&target.exec_id)?.pidfd else {
        return Err(Status::new(Code::NotFound, "process already finished: not found"));
    };
    krun_sys::process::pidfd_send_signal(Fd::of(pidfd), signal).map_err(|e| match e {
        krun_sys::Errno::ESRCH => Status::new(Code::NotFound, "process already finished: not found"),
        e => Status::new(Code::Unknown, format!("kill: {}", nix::Error::from_raw(e.0))),
    })?;
    NOTHING
}

fn pids(shim: &mut Shim, call: Call, target: &Target) -> Answer {
    let id = target.id.clone();
    let answer = move |shim: &mut Shim, pids: Result<Vec<u32>, Status>| {
        let execs: Vec<(u32, String)> = shim
            .tasks
            .get(&id)
            .map(|task| task.model.running_execs().map(|(id, pid)| (pid, id.to_owned())).collect())
            .unwrap_or_default();
        let named = |pid| execs.iter().find(|(p, _)| *p == pid).map(|(_, id)| id.as_str());
        let encode = |pids: Vec<u32>| {
            let pids: Vec<(u32, Option<&str>)> = pids.into_iter().map(|pid| (pid, named(pid))).collect();
            task::pids_response(&pids)
        };
        shim.reply(call, pids.map(encode));
    };
    blocking(shim, &target.id, Container::pids, answer)
}

fn stats(shim: &mut Shim, call: Call, target: &Target) -> Answer {
    let answer = move |shim: &mut Shim, stats: Result<Vec<u8>, Status>| {
        shim.reply(call, stats.map(task::stats_response));
    };
    blocking(shim, &target.id, Container::stats, answer)
}

fn freeze(shim: &mut Shim, call: Call, target: &Target, on: bool) -> Answer {
    let model = &mut shim.task(&target.id)?.model;
    if on { model.pause() } else { model.resume() }?;
    let id = target.id.clone();
    let done = move |shim: &mut Shim, frozen: Result<(), Status>| {
        let changed = shim.tasks.get_mut(&id).is_some_and(|task| task.model.freeze_done(frozen.is_ok()));
        if changed {
            shim.publish(if on { Event::paused(&id) } else { Event::resumed(&id) });
        }
        shim.reply(call, frozen.map(|()| Vec::new()));
    };
    blocking(shim, &target.id, move |container| if on { container.pause() } else { container.resume() }, done)
}

fn update(shim: &mut Shim, call: Call, request: &Update) -> Answer {
    shim.task(&request.id)?.model.may_update()?;
    let resources = request.resources.clone();
    blocking(
        shim,
        &request.id,
        move |container| container.update(&resources),
        move |shim, updated| shim.reply(call, updated.map(|()| Vec::new())),
    )
}

fn resize(shim: &mut Shim, target: &Target) -> Answer {
    let size = |n: u32| u16::try_from(n).unwrap_or(u16::MAX);
    let live = shim.task(&target.id)?.process(&target.exec_id)?;
    if let Some(console) = &live.console {
        krun_sys::tty::set_winsize(Fd::of(console), size(target.fourth), size(target.third))
            .map_err(|e| Status::new(Code::Unknown, format!("resize: {}", nix::Error::from_raw(e.0))))?;
    }
    NOTHING
}

fn close_io(shim: &mut Shim, target: &Target) -> Answer {
    let live = shim.task(&target.id)?.process(&target.exec_id)?;
    if target.third != 0 {
        live.stdin = None;
        live.stdin_closed = true;
    }
    NOTHING
}

fn connect(shim: &mut Shim, target: &Target) -> Answer {
    let pid = shim.task(&target.id).and_then(|task| task.model.state("")).map_or(0, |(pid, ..)| pid);
    Ok(Some(task::connect_response(std::process::id(), pid)))
}

/// Ignored while there are containers: the others of the pod live on.
fn shutdown(shim: &mut Shim) -> Answer {
    if shim.tasks.is_empty() && shim.creating.is_empty() {
        shim.end();
    }
    NOTHING
}
