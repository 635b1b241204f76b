# EXPECT: outcome=no_artifact says=held
# Capabilities, root, the engine's socket, namespaces, mounts.
import ctypes
import os
import platform

libc = ctypes.CDLL(None, use_errno=True)
ARM = platform.machine() == "aarch64"
status = dict(line.rstrip().split(":\t", 1) for line in open("/proc/self/status") if ":\t" in line)
for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
    print("held" if int(status[name], 16) == 0 else "ESCAPED:", name)
print("held" if status["NoNewPrivs"] == "1" and status["Seccomp"] == "2" else "ESCAPED: may gain rights")
for action in (
    lambda: os.setuid(0),
    lambda: os.setgid(0),
    lambda: os.setgroups([0]),
    lambda: os.chroot("/tmp"),
    lambda: os.nice(-5),
    lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1)),
    lambda: os.chown("/out", 0, 0),
    lambda: os.write(os.open("/proc/self/uid_map", os.O_WRONLY), b"0 65532 1"),
):
    try:
        action()
        print("ESCAPED: it was let")
    except OSError as error:
        print("held:", error.strerror)
calls = {
    "unshare": ((272, 97), 0x10000000),
    "setns": ((308, 268), 0),
    "mount": ((165, 40), 0),
    "bpf": ((321, 280), 0),
    "keyctl": ((250, 219), 0),
    "io_uring_setup": ((425, 425), 1),
    "userfaultfd": ((323, 282), 0),
    "perf_event_open": ((298, 241), 0),
    "process_vm_readv": ((310, 270), 1),
    "init_module": ((175, 105), 0),
    "open_by_handle_at": ((304, 265), 0),
    "kexec_load": ((246, 104), 0),
}
for name, (numbers, argument) in calls.items():
    done = libc.syscall(numbers[ARM], argument, 0, 0, 0, 0, 0) >= 0
    error = os.strerror(ctypes.get_errno())
    print("ESCAPED:" if done or error == "Bad address" else "held:", name, error)
for place in (
    "/var/run/docker.sock",
    "/run/docker.sock",
    "/run/containerd/containerd.sock",
    "/run/podman/podman.sock",
):
    print("ESCAPED:" if os.path.exists(place) else "held:", place)
