//! The steps of a process's life that take time: each begins on the event
//! loop, goes on in a worker, and ends on the event loop.

use std::sync::Arc;
use std::time::Duration;

use krun_sys::process::{Exit as Ended, waitid_pidfd};
use krun_sys::{Fd, libc};
use std::os::fd::OwnedFd;

use super::model::{Exit, Model, Note};
use super::{Live, Task};
use crate::event_loop::{Call, ProcessKey, Shim, Timer};
use crate::proto::Timestamp;
use crate::proto::events::Event;
use crate::proto::task::{self, Create, Stdio};
use crate::proto::ttrpc::{Code, Status};
use crate::runtime::{Container, Process};
use crate::stdio::Wiring;
use crate::workers::{Lane, Then};

/// Longest wait of a delete for output that hasn't ended.
const DRAIN: Duration = Duration::from_secs(10);
/// Time for a logging program to end by itself.
const LOGGER: Duration = Duration::from_secs(12);

/// What a worker has made: a process and what its stdio needs.
#[derive(Debug)]
pub struct Made {
    process: Process,
    wiring: Wiring,
}

/// Wires stdio, runs `make` with it, and wires the terminal it returned.
fn make(
    container: &Container,
    stdio: &Stdio,
    start: impl FnOnce(&[Option<OwnedFd>; 3]) -> Result<Process, Status>,
) -> Result<Made, Status> {
    let context = container.stdio_context();
    let failed = |e: crate::stdio::Error| Status::new(Code::Unknown, e.to_string());
    if !stdio.terminal {
        let mut wiring = Wiring::plain(stdio, context).map_err(failed)?;
        let child = std::mem::take(&mut wiring.child);
        let process = start(&child)?;
        return Ok(Made { process, wiring });
    }
    let process = start(&[None, None, None])?;
    let wiring = match &process.console {
        Some(master) => Wiring::console(stdio, context, master).map_err(|e| {
            process.kill();
            failed(e)
        })?,
        None => Wiring::default(),
    };
    Ok(Made { process, wiring })
}

/// Create: mounts, stdio, container.
pub fn create(shim: &mut Shim, call: Call, request: Create) -> Result<(), Status> {
    if shim.tasks.contains_key(&request.id) || shim.creating.contains(&request.id) {
        return Err(Status::new(Code::AlreadyExists, format!("container {}: already exists", request.id)));
    }
    let id = request.id.clone();
    shim.creating.push(id.clone());
    let namespace = shim.settings.namespace.clone();
    shim.workers.submit(
        &id,
        Lane::Start,
        Box::new(move || {
            let made = Container::prepare(&request, &namespace).and_then(|container| {
                let made =
                    make(&container, &request.stdio, |stdio| container.create(stdio, request.stdio.terminal));
                made.inspect_err(|_| container.undo()).map(|made| (container, made))
            });
            Box::new(move |shim: &mut Shim| create_done(shim, call, request, made))
        }),
    );
    Ok(())
}

fn create_done(shim: &mut Shim, call: Call, request: Create, made: Result<(Container, Made), Status>) {
    shim.creating.retain(|id| *id != request.id);
    let (container, made) = match made {
        Ok(made) => made,
        Err(status) => return shim.reply(call, Err(status)),
    };
    let pid = made.process.pid;
    let cgroup = container.cgroup();
    let task = Task {
        model: Model::created(pid),
        container: Arc::new(container),
        processes: [(String::new(), Live { stdio: request.stdio.clone(), ..Live::default() })].into(),
        waiters: Vec::new(),
        deletes: Vec::new(),
    };
    shim.tasks.insert(request.id.clone(), task);
    if let Some(cgroup) = cgroup {
        shim.watch_oom(&request.id, &cgroup);
    }
    let bundle = &request.bundle;
    shim.publish(Event::create(&request.id, bundle, &request.rootfs, &request.stdio, pid));
    adopt(shim, &ProcessKey { id: request.id, exec_id: String::new() }, made);
    shim.reply(call, Ok(task::pid_response(pid)));
}

/// Takes over a process that a worker made.
fn adopt(shim: &mut Shim, key: &ProcessKey, made: Made) {
    let Some(task) = shim.tasks.get_mut(&key.id) else { return };
    let live = task.processes.entry(key.exec_id.clone()).or_default();
    let copies = live.wire(made.wiring);
    live.console = made.process.console;
    shim.add_copies(key, copies);
    let pidfd = made.process.pidfd;
    let Ok(token) = shim.watch_process(&pidfd, key.clone()) else { return };
    if let Some(live) = shim.tasks.get_mut(&key.id).and_then(|t| t.processes.get_mut(&key.exec_id)) {
        live.pidfd = Some((pidfd, token));
    }
}

/// Start: opens the gate of a created container, or makes an exec's process.
pub fn start(shim: &mut Shim, call: Call, key: ProcessKey) -> Result<(), Status> {
    let task = shim.task(&key.id)?;
    task.model.start(&key.exec_id)?;
    let container = Arc::clone(&task.container);
    let live = task.process(&key.exec_id)?;
    let (stdio, spec) = (live.stdio.clone(), std::mem::take(&mut live.spec));
    let id = key.id.clone();
    shim.workers.submit(
        &id,
        Lane::Start,
        Box::new(move || -> Then {
            if key.exec_id.is_empty() {
                let started = container.start();
                return Box::new(move |shim: &mut Shim| start_done(shim, call, &key, started.map(|()| None)));
            }
            let made = make(&container, &stdio, |fds| container.exec(&spec, fds, stdio.terminal));
            Box::new(move |shim: &mut Shim| start_done(shim, call, &key, made.map(Some)))
        }),
    );
    Ok(())
}

fn start_done(shim: &mut Shim, call: Call, key: &ProcessKey, started: Result<Option<Made>, Status>) {
    let Some(task) = shim.tasks.get_mut(&key.id) else { return };
    let init_pid = task.model.state("").map_or(0, |(pid, ..)| pid);
    match started {
        Ok(made) => {
            let pid = made.as_ref().map_or(init_pid, |made| made.process.pid);
            let notes = task.model.start_done(&key.exec_id, Some(pid));
            tell(shim, &key.id, notes);
            if let Some(made) = made {
                adopt(shim, key, made);
            }
            shim.reply(call, Ok(task::pid_response(pid)));
        }
        Err(status) => {
            let notes = task.model.start_done(&key.exec_id, None);
            shim.reply(call, Err(status));
            tell(shim, &key.id, notes);
            answer_waiters(shim, key);
        }
    }
}

/// Collects a process whose pidfd says that it ended. Says whether it did.
pub fn collect(shim: &mut Shim, key: &ProcessKey) -> bool {
    let Some(task) = shim.tasks.get_mut(&key.id) else { return true };
    let Some(live) = task.processes.get_mut(&key.exec_id) else { return true };
    let Some((pidfd, token)) = &live.pidfd else { return true };
    let status = match waitid_pidfd(Fd::of(pidfd), libc::WNOHANG) {
        Ok(None) => return false,
        Ok(Some(Ended::Code(code))) => code.unsigned_abs(),
        Ok(Some(Ended::Signal(signal))) => 128 + signal.unsigned_abs(),
        // Someone else collected it: the status is lost.
        Err(_) => 255,
    };
    let token = *token;
    live.pidfd = None;
    let exit = Exit { status, at: Timestamp::now() };
    let notes = task.model.exited(&key.exec_id, exit);
    let kill_rest = key.exec_id.is_empty() && !task.container.has_private_pids();
    let container = Arc::clone(&task.container);
    shim.forget(token);
    shim.stop_copies(key, true);
    if kill_rest {
        let job = move || -> Then {
            container.kill_all();
            Box::new(|_| {})
        };
        shim.workers.submit(&key.id, Lane::Control, Box::new(job));
    }
    tell(shim, &key.id, notes);
    true
}

/// Publishes notes in order and answers who waited for them.
fn tell(shim: &mut Shim, id: &str, notes: Vec<Note>) {
    for note in notes {
        match note {
            Note::Started { exec_id, pid } => shim.publish(Event::start(id, &exec_id, pid)),
            Note::Exited { exec_id, pid, exit } => {
                if exec_id.is_empty() && shim.oom.finish(id) {
                    shim.publish(Event::oom(id));
                }
                shim.publish(Event::exit(id, &exec_id, pid, exit.status, exit.at));
                answer_waiters(shim, &ProcessKey { id: id.to_owned(), exec_id });
            }
        }
    }
}

/// Answers the Wait calls for a process that has ended, and goes on with its
/// deletes.
fn answer_waiters(shim: &mut Shim, key: &ProcessKey) {
    let Some(task) = shim.tasks.get_mut(&key.id) else { return };
    let Ok((_, _, Some(exit))) = task.model.state(&key.exec_id) else { return };
    let (ours, others) =
        std::mem::take(&mut task.waiters).into_iter().partition(|(id, _)| *id == key.exec_id);
    task.waiters = others;
    let ours: Vec<(String, Call)> = ours;
    let (deletes, others) =
        std::mem::take(&mut task.deletes).into_iter().partition(|(id, _)| *id == key.exec_id);
    task.deletes = others;
    let deletes: Vec<(String, Call)> = deletes;
    for (_, call) in ours {
        shim.reply(call, Ok(task::wait_response(exit.status, exit.at)));
    }
    for (_, call) in deletes {
        if let Err(status) = delete(shim, call, key.clone()) {
            shim.reply(call, Err(status));
        }
    }
}

/// Delete: waits for the output, then removes the container or the process.
pub fn delete(shim: &mut Shim, call: Call, key: ProcessKey) -> Result<(), Status> {
    let draining = shim.is_draining(&key);
    let task = shim.task(&key.id)?;
    if task.model.delete(&key.exec_id)? {
        // Created, never started: its exit brings us back here.
        if let Some((pidfd, _)) = &task.process(&key.exec_id)?.pidfd {
            let _ = krun_sys::process::pidfd_send_signal(Fd::of(pidfd), libc::SIGKILL);
        }
        task.deletes.push((key.exec_id, call));
        return Ok(());
    }
    task.deletes.push((key.exec_id.clone(), call));
    if draining {
        shim.after(DRAIN, Timer::Drained(key));
    } else {
        drained(shim, &key);
    }
    Ok(())
}

/// The output of a process has ended, or was waited for long enough: goes on
/// with its delete, if there is one.
pub fn drained(shim: &mut Shim, key: &ProcessKey) {
    let Some(task) = shim.tasks.get_mut(&key.id) else { return };
    if !task.model.is_deleting(&key.exec_id) {
        return;
    }
    let Some(at) = task.deletes.iter().position(|(id, _)| *id == key.exec_id) else { return };
    let (_, call) = task.deletes.remove(at);
    let container = Arc::clone(&task.container);
    shim.stop_copies(key, false);
    if !key.exec_id.is_empty() {
        return delete_done(shim, call, key, Ok(()));
    }
    let key = key.clone();
    let id = key.id.clone();
    let job = move || -> Then {
        let deleted = container.delete();
        Box::new(move |shim: &mut Shim| delete_done(shim, call, &key, deleted))
    };
    shim.workers.submit(&id, Lane::Control, Box::new(job));
}

fn delete_done(shim: &mut Shim, call: Call, key: &ProcessKey, deleted: Result<(), Status>) {
    let Some(task) = shim.tasks.get_mut(&key.id) else { return };
    let (pid, _, exit) = match task.model.state(&key.exec_id) {
        Ok(state) => state,
        Err(status) => return shim.reply(call, Err(status)),
    };
    if let Err(status) = deleted {
        task.model.delete_failed(&key.exec_id);
        return shim.reply(call, Err(status));
    }
    let live = task.processes.remove(&key.exec_id);
    task.model.deleted(&key.exec_id);
    let mut gone: Vec<Live> = live.into_iter().collect();
    let (status, at) = exit.map_or((0, Timestamp::default()), |e| (e.status, e.at));
    if key.exec_id.is_empty() {
        if let Some(task) = shim.tasks.remove(&key.id) {
            gone.extend(task.processes.into_values());
        }
        shim.publish(Event::delete(&key.id, pid, status, at));
    }
    for live in gone {
        let Live { logger, .. } = live;
        if let Some(logger) = logger {
            logger.terminate();
            shim.after(LOGGER, Timer::Logger(logger));
        }
    }
    shim.reply(call, Ok(task::delete_response(pid, status, at)));
}
