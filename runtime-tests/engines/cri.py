"""The life of a pod with two containers, as a kubelet asks for it:
cri.py HANDLER MONITOR [SOCKET]. MONITOR is the program that minds containers:
a shim, of which there is one for the pod, or conmon."""

import os
import sys
import time

import grpc
from rpc import Client

HANDLER, SHIM = sys.argv[1:3]
SOCKET = (sys.argv[3:] or ["/run/containerd/containerd.sock"])[0]
RUNTIME = "runtime.v1.RuntimeService/"
client = Client(SOCKET)
failed = 0


def call(method, message):
    return client.call(RUNTIME + method, message)


def check(name, holds, detail=""):
    global failed
    failed += not holds
    print(f"{'ok   ' if holds else 'FAIL '} cri: {HANDLER}: {name} {'' if holds else detail}", file=sys.stderr)


def refused(name, wanted, method, message):
    try:
        call(method, message)
        check(name, False, "was not refused")
    except grpc.RpcError as e:
        check(name, wanted in e.details(), e.details())


def text(fields, *numbers):
    """Follows field numbers to a string."""
    from rpc import decode

    for number in numbers[:-1]:
        fields = decode(fields.get(number, [b""])[0])
    return fields.get(numbers[-1], [b""])[0]


def until(name, holds):
    end = time.time() + 10
    while not (ok := holds()) and time.time() < end:
        time.sleep(0.05)
    check(name, ok)


def shims():
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            argv = open(f"/proc/{pid}/cmdline").read().split("\0")
        except OSError:
            continue
        if os.path.basename(argv[0]) == SHIM:
            found.append(pid)
    return found


logs = f"/run/logs-{HANDLER}"
os.makedirs(logs, exist_ok=True)
pod_config = {1: {1: "pod", 2: f"uid-{HANDLER}", 3: "default", 4: 1}, 2: "pod-host", 3: logs, 8: {1: f"/pods-{HANDLER}"}}
pod = text(call("RunPodSandbox", {1: pod_config, 2: HANDLER}), 1).decode()
check("pod sandbox runs", pod != "")
ip = text(call("PodSandboxStatus", {1: pod}), 1, 5, 1).decode()
check("it has an address of the bridge", ip.startswith("10.88.0."), ip)


IMAGE = "docker.io/library/krun-test:latest"


def request(name, *args):
    config = {1: {1: name}, 2: {1: IMAGE, 18: IMAGE}, 3: list(args), 11: f"{name}.log"}
    return {1: pod, 2: config, 3: pod_config}


def container(name, *args):
    return text(call("CreateContainer", request(name, *args)), 1).decode()


server = container("server", "httpd", "-f", "-p", "80", "-h", "/etc")
call("StartContainer", {1: server})
other = container("other", "sh", "-c", "echo to the log; exec sleep 1000")
call("StartContainer", {1: other})
if SHIM != "conmon":
    check("one shim serves the pod", len(shims()) == 1, shims())
until("its log has what it wrote", lambda: "stdout F to the log" in open(f"{logs}/other.log").read())


def exec_sync(target, *cmd):
    answer = call("ExecSync", {1: target, 2: list(cmd), 3: 10})
    return text(answer, 1).decode(), (answer.get(3) or [0])[0]


out, code = exec_sync(other, "wget", "-qO-", "http://127.0.0.1/passwd")
check("containers share the pod's network", code == 0 and "root:" in out, out)
check("exec's exit code", exec_sync(other, "sh", "-c", "exit 7")[1] == 7)
check("the pod's host name", exec_sync(other, "hostname")[0].strip() == "pod-host")
for n in range(30):
    if exec_sync(other, "true")[1] != 0:
        check("probe after probe", False, n)
        break
else:
    check("probe after probe", True)
refused("exec of a missing program", "/no/such", "ExecSync", {1: other, 2: ["/no/such"], 3: 10})
if SHIM == "conmon":  # CRI-O creates at once, containerd when it starts
    refused("create of a missing program", "/no/such", "CreateContainer", request("bad", "/no/such"))
else:
    bad = container("bad", "/no/such")
    refused("start of a missing program", "/no/such", "StartContainer", {1: bad})
    call("RemoveContainer", {1: bad})
stats = call("ContainerStats", {1: other})
check("stats", 1 in stats)
crash = container("crash", "sh", "-c", "exit 5")
call("StartContainer", {1: crash})
until("a crash is told with its code", lambda: text(call("ContainerStatus", {1: crash}), 1, 7) == 5)
call("RemoveContainer", {1: crash})
call("StopContainer", {1: server, 2: 1})
state = text(call("ContainerStatus", {1: server}), 1, 3)
check("stop", state == 2, state)
check("the other goes on", exec_sync(other, "true")[1] == 0)
call("StopPodSandbox", {1: pod})
call("RemovePodSandbox", {1: pod})
refused("the pod is gone", "not found", "PodSandboxStatus", {1: pod})
sys.exit(1 if failed else 0)
