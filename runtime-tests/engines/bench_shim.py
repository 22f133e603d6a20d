"""Measures both shims under a running containerd; prints one line a figure."""

import json
import os
import statistics
import subprocess
import sys
import time

from rpc import Client, Tasks

RUNS, EXECS, IDLE = (int(a) for a in sys.argv[1:4])
IMAGE = "docker.io/library/krun-test:latest"
RUNTIMES = {"krun": "io.containerd.krun.v2", "runc": "io.containerd.runc.v2"}
# ctr asks for a weight unless told not to, which needs the cpu controller.
controllers = open("/sys/fs/cgroup/cgroup.controllers").read().split()
FLAGS = [] if "cpu" in controllers else ["--cpu-shares", "0"]
PROCESS = json.dumps(
    {"args": ["/bin/true"], "cwd": "/", "env": ["PATH=/bin"], "user": {"uid": 0, "gid": 0}, "noNewPrivileges": True}
)


def ctr(*args):
    subprocess.run(["ctr", *args], check=True, stdout=subprocess.DEVNULL)


def clock(run):
    begin = time.perf_counter()
    run()
    return (time.perf_counter() - begin) * 1000


def report(name, times, unit="ms"):
    ours, theirs = (statistics.median(times[r]) for r in ("krun", "runc"))
    print(f"{name:36} krun {ours:9.2f} {unit}   runc {theirs:9.2f} {unit}   ratio {ours / theirs:.2f}", flush=True)


def both(name, count, run, skip=1):
    """Interleaves `count` runs of each and drops the first ones."""
    times = {"krun": [], "runc": []}
    for round_ in range(count + skip):
        for runtime in times if round_ % 2 else reversed(list(times)):
            taken = run(runtime)
            if round_ >= skip:
                times[runtime].append(taken)
    report(name, times)


def run_rm(runtime):
    return clock(lambda: ctr("run", *FLAGS, "--runtime", RUNTIMES[runtime], "--rm", IMAGE, "bench", "true"))


client = Client("/run/containerd/containerd.sock")


def start(runtime):
    """Create and Start of a task whose container exists."""
    name = f"bench-{runtime}"
    task = Tasks(client, name)

    def create_and_start():
        task.create(name)
        task.call("Start", {})

    taken = clock(create_and_start)
    task.call("Kill", {3: 9})
    task.call("Wait", {})
    task.call("Delete", {})
    return taken


def memory(pid):
    fields = {}
    for line in open(f"/proc/{pid}/smaps_rollup"):
        name, *rest = line.split()
        if name in ("Rss:", "Pss:"):
            fields[name] = int(rest[0])
    return fields["Rss:"], fields["Pss:"], len(os.listdir(f"/proc/{pid}/task"))


def shims(runtime):
    wanted = f"containerd-shim-{runtime}-v2"
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            argv = open(f"/proc/{pid}/cmdline").read().split("\0")
        except OSError:
            continue
        if os.path.basename(argv[0]) == wanted:
            yield pid


both("ctr run --rm", RUNS, run_rm)
for runtime in RUNTIMES:
    ctr("run", *FLAGS, "-d", "--runtime", RUNTIMES[runtime], IMAGE, f"bench-{runtime}", "/bin/sleep", "1000")
    ctr("task", "rm", "-f", f"bench-{runtime}")
both("task create + start", RUNS, start)

for runtime in RUNTIMES:
    for n in range(IDLE):
        ctr("run", *FLAGS, "-d", "--runtime", RUNTIMES[runtime], IMAGE, f"{runtime}-{n}", "/bin/sleep", "10000")
tasks = {runtime: Tasks(client, f"{runtime}-0") for runtime in RUNTIMES}
both("exec", EXECS, lambda runtime: clock(lambda: tasks[runtime].exec("e", PROCESS)), skip=5)
time.sleep(40)  # Go gives memory back every 30 seconds
for at, (name, unit) in enumerate([("RSS of a shim", "KiB"), ("PSS of a shim", "KiB"), ("threads of a shim", "")]):
    report(f"{name} ({IDLE} idle pods)", {r: [memory(pid)[at] for pid in shims(r)] for r in RUNTIMES}, unit)
for runtime in RUNTIMES:
    for n in range(IDLE):
        ctr("task", "rm", "-f", f"{runtime}-{n}")
        ctr("container", "rm", f"{runtime}-{n}")
