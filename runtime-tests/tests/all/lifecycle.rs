//! create, start, state, kill, delete, and what they leave.

use runtime_tests::{Config, Sandbox};

#[test]
fn run_gives_the_exit_code() {
    let s = Sandbox::new();
    s.run(Config::probe(&["exit", "0"])).expect_code(0);
    s.run(Config::probe(&["exit", "7"])).expect_code(7);
    s.run(Config::probe(&["exit", "255"])).expect_code(255);
}
