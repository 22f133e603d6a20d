use krun::launch::*;
use krun::state::ContainerId;
use std::path::PathBuf;
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let host = Host {
        root: "/run/krun-try".into(),
        cgroup_driver: CgroupDriver::Cgroupfs,
        rootless: Rootless::Auto,
    };
    let id = ContainerId::new(a[2].clone()).unwrap();
    let c = CreateOptions {
        host: host.clone(),
        id: id.clone(),
        config: None,
        bundle: PathBuf::from(a.get(3).cloned().unwrap_or_default()),
        console_socket: None,
        pidfd_socket: None,
        pid_file: None,
        no_pivot: false,
        no_new_keyring: false,
        preserve_fds: 0,
        io: Io::default(),
        timing: false,
    };
    let r = match a[1].as_str() {
        "run" => {
            run(&RunOptions { create: c, detach: false, keep: false, no_subreaper: false }).map(|c| c as i32)
        }
        "create" => create(&c).map(|c| {
            println!("pid {}", c.pid);
            0
        }),
        "start" => start(&host.root, &id).map(|_| 0),
        "exec" => exec_wait(&ExecOptions {
            host,
            id,
            process: ExecProcess::Overrides(Box::new(ProcessOverrides {
                args: a[3..].to_vec(),
                ..Default::default()
            })),
            console_socket: None,
            pidfd_socket: None,
            pid_file: None,
            detach: false,
            preserve_fds: 0,
            cgroup: None,
            ignore_paused: false,
            io: Io::default(),
            timing: false,
        })
        .map(|c| c as i32),
        _ => panic!(),
    };
    match r {
        Ok(c) => std::process::exit(c),
        Err(e) => {
            eprintln!("error: {}", krun::chain(&e));
            std::process::exit(1)
        }
    }
}
