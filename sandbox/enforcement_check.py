"""Tests whether the engine enforces its limits, with small containers that try to exceed them.

Limits can be ignored without an error (rootless podman on cgroup v1), so their effect is tested before an unattended run. The programs
are ours, but their output is parsed as untrusted input.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path

from sandbox.engine import Engine
from sandbox.job_user import NARROW, WIDE
from sandbox.outcome import Ending, Outcome
from sandbox.spec import MIB, Job, Lease, Limits, Output, Role

PIDS, OUT_INODES = 32, 16
_KILLED = 137
"""128 and SIGKILL's number."""
_LIMITS = Limits(
    wall_clock_s=20.0,
    memory_bytes=128 * MIB,
    pids=PIDS,
    shm_bytes=2 * MIB,
    tmp_bytes=2 * MIB,
    tmp_inodes=32,
    out_bytes=4 * MIB,
    out_inodes=OUT_INODES,
)

PROBE = r"""
import ctypes, errno, json, mmap, os, signal, socket, time
found = {}
def attempt(name, action):
    try:
        found[name] = action()
    except OSError as error:
        found[name] = errno.errorcode.get(error.errno, "?")
def status(key):
    for line in open("/proc/self/status"):
        if line.startswith(key + ":"):
            return line.split()[1]
def fill(path, size):
    with open(path, "wb", buffering=0) as file:
        for _ in range(size >> 20):
            if file.write(b"x" * (1 << 20)) < 1 << 20:
                return "ENOSPC"
    return "unlimited"
def forks():
    children = []
    try:
        while len(children) < 200:
            child = os.fork()
            if child == 0:
                time.sleep(60)
                os._exit(0)
            children.append(child)
    except OSError:
        pass
    for child in children:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    return len(children)
def files():
    count = 0
    try:
        while count < 200:
            open(f"/out/n{count}", "x").close()
            count += 1
    except OSError:
        pass
    for number in range(count):
        os.unlink(f"/out/n{number}")
    return count
def connect():
    probe = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    probe.connect(("192.0.2.1", 9))  # TEST-NET-1 (RFC 5737): a route is looked up, nothing is sent
    return "reachable"
libc = ctypes.CDLL(None, use_errno=True)
def call(*arguments):
    if libc.syscall(*arguments) < 0:
        raise OSError(ctypes.get_errno(), "")
    return "allowed"
found["capabilities"] = int(status("CapEff"), 16) | int(status("CapBnd"), 16)
found["no_new_privileges"] = status("NoNewPrivs")
found["seccomp"] = status("Seccomp")
found["uid"] = os.getuid()
attempt("root", lambda: open("/escape", "w").close() or "writable")
attempt("pids", forks)
attempt("inodes", files)
attempt("file", lambda: fill("/out/full", 8 << 20))
os.truncate("/out/full", 0)
attempt("out", lambda: (fill("/out/full", 3 << 20), fill("/out/more", 3 << 20))[1])
attempt("tmp", lambda: fill("/tmp/full", 8 << 20))
attempt("shm", lambda: fill("/dev/shm/full", 8 << 20))
os.unlink("/out/full")
os.unlink("/out/more")
attempt("network", connect)
attempt("interfaces", lambda: sorted(os.listdir("/sys/class/net")))
attempt("alg", lambda: socket.socket(38, socket.SOCK_SEQPACKET, 0).close() or "allowed")
attempt("vsock", lambda: socket.socket(40, socket.SOCK_STREAM, 0).close() or "allowed")
attempt("ptrace", lambda: call(PTRACE, 16, 1, 0, 0))
attempt("io_uring", lambda: call(425, 1, 0))
attempt("namespace", lambda: call(UNSHARE, 0x10000000))
attempt("sync", lambda: call(SYNC))
attempt("inotify", lambda: call(INOTIFY, 0))
attempt("huge_pages", lambda: mmap.mmap(-1, 1 << 21, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x40000).close() or "allowed")
def queue():
    open("/dev/mqueue/q", "w").close()
    return "made"
attempt("message_queues", queue)
open("/out/report.json", "w").write(json.dumps(found))
"""
# four times the limit and no more, so that the machine does not suffer if nothing is enforced
MEMORY_BOMB = "hoard = [bytearray(b'x' * (8 << 20)) for _ in range(64)]"
STUBBORN = (
    "import signal, time\n"
    "for n in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:\n"
    "    try: signal.signal(n, signal.SIG_IGN)\n"
    "    except (OSError, ValueError): pass\n"
    "while True: time.sleep(1)"
)
_SYSCALLS = "import os\nPTRACE, UNSHARE, SYNC, INOTIFY = (117, 97, 81, 26) if os.uname().machine == 'aarch64' else (101, 272, 162, 294)\n"


@dataclass(frozen=True, slots=True)
class LimitCheck:
    """One limit: its name, whether it was enforced, and what was observed."""

    name: str
    held: bool
    seen: str


def check_limits(engine: Engine, image: str, python: str, lease: Lease) -> list[LimitCheck]:
    """Test every limit (takes a few seconds). `image` is a content id, `python` the interpreter inside it."""
    probe = _run(engine, image, python, lease, _SYSCALLS + PROBE, _LIMITS)
    found = _report(probe)
    if not found:
        why = probe[0].detail or probe[0].log_tail[-200:] or "no report"
        return [LimitCheck("probe", False, f"the probe {probe[0].ending}: {why}")]
    expected: dict[str, bool] = {
        "capabilities": found.get("capabilities") == 0,
        "no_new_privileges": found.get("no_new_privileges") == "1",
        "seccomp": found.get("seccomp") == "2",
        "uid": found.get("uid") in WIDE or found.get("uid") in NARROW,
        "root": found.get("root") == "EROFS",
        "pids": isinstance(found.get("pids"), int) and 0 < int(str(found["pids"])) < PIDS,
        "inodes": isinstance(found.get("inodes"), int) and 0 < int(str(found["inodes"])) < OUT_INODES,
        "file": found.get("file") == "EFBIG",
        "out": found.get("out") == "ENOSPC",
        "tmp": found.get("tmp") == "ENOSPC",
        "shm": found.get("shm") == "ENOSPC",
        "network": found.get("network") in {"ENETUNREACH", "EHOSTUNREACH", "EPERM"},
        "interfaces": found.get("interfaces") in ([], ["lo"], "ENOENT"),
        **{name: found.get(name) in {"EPERM", "ENOSYS", "EAFNOSUPPORT"} for name in ("alg", "vsock")},
        **{name: found.get(name) in {"EPERM", "ENOSYS"} for name in ("ptrace", "io_uring", "namespace")},
        **{name: found.get(name) in {"EPERM", "ENOSYS"} for name in ("sync", "inotify", "huge_pages")},
        "message_queues": found.get("message_queues") in {"EMFILE", "ENOENT", "EACCES", "EPERM", "EROFS"},
    }
    results = [LimitCheck(name, held, str(found.get(name))[:80]) for name, held in expected.items()]
    bomb, _ = _run(engine, image, python, lease, MEMORY_BOMB, _LIMITS)
    # not every engine reports why the kernel killed it; without a limit it ends by itself
    held = bomb.ending is Ending.OUT_OF_MEMORY or (bomb.ending is Ending.EXITED and bomb.exit_code == _KILLED)
    results.append(LimitCheck("memory", held, f"{bomb.ending}, code {bomb.exit_code}"))
    brief = Limits(wall_clock_s=1.0, memory_bytes=128 * MIB, pids=PIDS, out_bytes=MIB)
    late, _ = _run(engine, image, python, lease, STUBBORN, brief)
    in_time = late.ending is Ending.TIMED_OUT and late.seconds < 5
    results.append(LimitCheck("deadline", in_time, f"{late.ending} after {late.seconds:.1f} s of 1 s"))
    return results


def _run(
    engine: Engine, image: str, python: str, lease: Lease, program: str, limits: Limits
) -> tuple[Outcome, bytes]:
    with tempfile.TemporaryDirectory(prefix="autoresearch-probe-") as folder:
        outcome = engine.run(
            Job(
                run="probe",
                experiment="0",
                attempt=1,
                role=Role.PROBE,
                image=image,
                command=(python, "-I", "-B", "-c", program),
                limits=limits,
                lease=lease,
                destination=Path(folder),
                outputs=(Output("report.json", 8192),),
            )
        )
        report = outcome.files.get("report.json")
        return outcome, report.path.read_bytes() if report else b""


def _report(ran: tuple[Outcome, bytes]) -> dict[str, object]:
    try:
        found = json.loads(ran[1])
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
