//! The model's promises, by example and over random histories.
#![allow(clippy::unwrap_used)]

use super::*;

fn exit(status: u32) -> Exit {
    Exit { status, at: Timestamp::default() }
}

fn started(exec_id: &str, pid: u32) -> Note {
    Note::Started { exec_id: exec_id.into(), pid }
}

fn exited(exec_id: &str, pid: u32, status: u32) -> Note {
    Note::Exited { exec_id: exec_id.into(), pid, exit: exit(status) }
}

fn running() -> Model {
    let mut m = Model::created(10);
    m.start("").unwrap();
    assert_eq!(m.start_done("", Some(10)), [started("", 10)]);
    m
}

#[test]
fn an_exit_before_start_returned_is_told_after_it() {
    let mut m = Model::created(10);
    m.start("").unwrap();
    assert_eq!(m.exited("", exit(3)), []);
    assert_eq!(m.state("").unwrap().1, TaskStatus::Created);
    assert_eq!(m.start_done("", Some(10)), [started("", 10), exited("", 10, 3)]);
    assert_eq!(m.state("").unwrap(), (10, TaskStatus::Stopped, Some(exit(3))));
}

#[test]
fn the_exit_of_init_waits_for_every_exec() {
    let mut m = running();
    m.add_exec("a").unwrap();
    m.add_exec("b").unwrap();
    m.add_exec("never started").unwrap();
    m.start("a").unwrap();
    m.start("b").unwrap();
    assert_eq!(m.start_done("a", Some(11)), [started("a", 11)]);
    assert_eq!(m.exited("", exit(0)), []);
    assert_eq!(m.exited("a", exit(137)), [exited("a", 11, 137)]);
    assert_eq!(m.start_done("b", None), [exited("", 10, 0)]);
}

#[test]
fn nothing_starts_once_init_is_gone() {
    let mut m = running();
    m.add_exec("a").unwrap();
    m.add_exec("b").unwrap();
    m.start("b").unwrap();
    assert_eq!(m.exited("", exit(0)), []);
    assert_eq!(m.start("a").unwrap_err().code, Code::FailedPrecondition);
    assert_eq!(m.add_exec("c").unwrap_err().code, Code::FailedPrecondition);
    assert_eq!(m.may_kill("").unwrap_err().code, Code::NotFound);
}

#[test]
fn a_failed_start_leaves_what_can_be_deleted() {
    let mut m = Model::created(10);
    m.start("").unwrap();
    assert_eq!(m.exited("", exit(127)), []);
    assert_eq!(m.start_done("", None), [exited("", 10, 127)]);
    assert_eq!(m.delete(""), Ok(false));

    let mut m = running();
    m.add_exec("a").unwrap();
    m.start("a").unwrap();
    assert_eq!(m.start_done("a", None), []);
    assert_eq!(m.state("a").unwrap().1, TaskStatus::Stopped);
    assert_eq!(m.delete("a"), Ok(false));
}

#[test]
fn only_one_delete_wins_and_a_failed_one_can_be_repeated() {
    let mut m = running();
    assert_eq!(m.delete("").unwrap_err().code, Code::FailedPrecondition);
    m.exited("", exit(0));
    assert_eq!(m.delete(""), Ok(false));
    assert_eq!(m.delete("").unwrap_err().code, Code::NotFound);
    m.delete_failed("");
    assert_eq!(m.delete(""), Ok(false));
}

#[test]
fn a_created_container_is_killed_before_it_is_deleted() {
    let mut m = Model::created(10);
    assert_eq!(m.delete(""), Ok(true));
    assert_eq!(m.exited("", exit(137)), [exited("", 10, 137)]);
    assert_eq!(m.delete(""), Ok(false));
}

#[test]
fn pause_and_resume_show_in_every_process() {
    let mut m = running();
    m.add_exec("a").unwrap();
    m.start("a").unwrap();
    m.start_done("a", Some(11));
    assert!(m.resume().is_err());
    m.pause().unwrap();
    assert_eq!(m.state("").unwrap().1, TaskStatus::Pausing);
    assert!(m.pause().is_err());
    assert!(m.freeze_done(true));
    assert_eq!(m.state("a").unwrap().1, TaskStatus::Paused);
    assert_eq!(m.add_exec("b").unwrap_err().code, Code::FailedPrecondition);
    m.resume().unwrap();
    assert!(m.freeze_done(true));
    assert_eq!(m.state("a").unwrap().1, TaskStatus::Running);
}

#[test]
fn a_container_that_dies_frozen_is_stopped() {
    let mut m = running();
    m.pause().unwrap();
    assert_eq!(m.exited("", exit(137)), [exited("", 10, 137)]);
    assert!(!m.freeze_done(true));
    assert_eq!(m.state("").unwrap().1, TaskStatus::Stopped);
}

/// A small generator: the test needs variety, not quality.
struct Dice(u64);
impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

/// Random calls and exits in every order: whatever happens, the notes of each
/// history keep the promises at the head of the model.
#[test]
fn random_histories_keep_the_order() {
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    for _ in 0..20_000 {
        let mut m = Model::created(1);
        let mut notes = Vec::new();
        let mut starting: Vec<&str> = Vec::new();
        let mut dead: Vec<&str> = Vec::new();
        for _ in 0..30 {
            let id = ["", "a", "b"][usize::try_from(dice.roll(3)).unwrap()];
            match dice.roll(6) {
                0 => drop(m.add_exec(id)),
                1 if m.start(id).is_ok() => starting.push(id),
                2 => {
                    if let Some(at) = starting.iter().position(|s| *s == id) {
                        starting.remove(at);
                        notes.extend(m.start_done(id, (dice.roll(4) > 0).then_some(7)));
                    }
                }
                3 if !dead.contains(&id)
                    && (id.is_empty() || m.state(id).is_ok_and(|s| s.1 == TaskStatus::Running)) =>
                {
                    dead.push(id);
                    notes.extend(m.exited(id, exit(0)));
                }
                4 => drop(m.pause().map(|()| m.freeze_done(true))),
                5 => drop(m.resume().map(|()| m.freeze_done(true))),
                _ => {}
            }
        }
        check_order(&notes);
    }
}

fn check_order(notes: &[Note]) {
    let mut live: Vec<&str> = Vec::new();
    let mut init_exited = false;
    for note in notes {
        assert!(!init_exited, "something followed the exit of init: {notes:?}");
        match note {
            Note::Started { exec_id, .. } => live.push(exec_id),
            Note::Exited { exec_id, .. } if exec_id.is_empty() => {
                live.retain(|id| !id.is_empty());
                assert!(live.is_empty(), "init's exit came before {live:?}: {notes:?}");
                init_exited = true;
            }
            Note::Exited { exec_id, .. } => {
                let at = live.iter().position(|id| id == exec_id);
                assert!(at.is_some(), "exit without start: {notes:?}");
                live.remove(at.unwrap());
            }
        }
    }
}
