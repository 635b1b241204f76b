"""What a program finds when it looks around inside the train container, and what it cannot do there."""

from __future__ import annotations

import errno
import json
import socket
from pathlib import Path
from typing import Any

import pytest

from sandbox import job_user
from sandbox.docker_engine import DockerEngine
from sandbox.outcome import Ending
from sandbox.spec import Job, Lease, Limits, Mount, Output, Role

pytestmark = pytest.mark.engine

CANARY = "canary-7f3a91"
LOOK_AROUND = r"""
import ctypes, errno, json, os, resource, socket, sys
libc = ctypes.CDLL(None, use_errno=True)
import fcntl, grp, mmap, pwd, struct
ARM = os.uname().machine == "aarch64"
NUMBER = {"ptrace": (101, 117), "process_vm_readv": (310, 270), "io_uring_setup": (425, 425),
          "keyctl": (250, 219), "add_key": (248, 217), "request_key": (249, 218),
          "userfaultfd": (323, 282), "perf_event_open": (298, 241), "bpf": (321, 280), "mount": (165, 40),
          "unshare": (272, 97), "setns": (308, 268), "kcmp": (312, 272), "pidfd_getfd": (438, 438),
          "clone3": (435, 435), "sync": (162, 81), "syncfs": (306, 267), "inotify_init1": (294, 26), "mq_open": (240, 180), "open_tree": (428, 428), "fsopen": (430, 430), "init_module": (175, 105)}
def attempt(action):
    try:
        return action()
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error.errno))
def syscall(number, *arguments):
    if libc.syscall(number, *arguments) < 0:
        raise OSError(ctypes.get_errno(), "")
    return "allowed"
def write(path):
    with open(path, "wb") as file:
        file.write(b"x")
    return "written"
def fill(path):
    with open(path, "wb", buffering=0) as file:
        while True:
            file.write(b"x" * 65536)
def make(folder):
    count = 0
    while True:
        open(f"{folder}/n{count}", "x").close()
        count += 1
def new_user_namespace():
    return syscall(220 if ARM else 56, 0x10000000 | 17, 0, 0, 0, 0)
def connect(family, address):
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.settimeout(2)
        probe.connect(address)
    return "connected"
status = dict(line.rstrip().split(":\t", 1) for line in open("/proc/self/status") if ":\t" in line)
report = {
    "status": status,
    "environment": dict(os.environ),
    "interfaces": os.listdir("/sys/class/net"),
    "hostname": socket.gethostname(),
    "mounts": [line.split() for line in open("/proc/mounts")],
    "pids": [int(name) for name in os.listdir("/proc") if name.isdigit()],
    "limits": {n: resource.getrlimit(getattr(resource, "RLIMIT_" + n)) for n in ("CORE", "NOFILE", "FSIZE", "MEMLOCK", "MSGQUEUE", "NICE", "RTPRIO", "SIGPENDING")},
    "affinity": sorted(os.sched_getaffinity(0)),
    "descriptors": sorted(os.listdir("/proc/self/fd")),
    "devices": sorted(os.listdir("/dev")),
    "writes": {p: attempt(lambda: write(p)) for p in ("/escape", "/etc/ld.so.preload", "/work/x", "/data/x",
        "/work/train.py", "/opt/venv/lib/python3.11/site-packages/sitecustomize.py", "/proc/sys/kernel/core_pattern",
        "/sys/fs/cgroup/cgroup.procs", "/sys/fs/cgroup/memory/memory.limit_in_bytes")},
    "syscalls": {name: attempt(lambda: syscall(n[ARM], 0, 0, 0, 0, 0)) for name, n in NUMBER.items()},
    "namespace": attempt(new_user_namespace),
    "name": [pwd.getpwuid(os.getuid()).pw_name, pwd.getpwuid(os.getuid()).pw_dir, grp.getgrgid(os.getgid()).gr_name],
    "huge": {
        "mmap": attempt(lambda: mmap.mmap(-1, 1 << 21, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x40000)),
        "memfd": attempt(lambda: os.memfd_create("x", 4)),
        "shm": attempt(lambda: syscall(194 if ARM else 29, 0, 1 << 21, 0o4600 | 0o1000)),
    },
    "merge": [attempt(lambda: syscall(233 if ARM else 28, 0, 0, 12)), attempt(lambda: syscall(167 if ARM else 157, 67, 1, 0, 0, 0))],
    "flush": {n: attempt(lambda: syscall(number[ARM], -1, 0, 0, 0)) for n, number in
        {"fsync": (74, 82), "fdatasync": (75, 83), "msync": (26, 227), "sync_file_range": (277, 84)}.items()},
    "locks": [attempt(lambda: fcntl.fcntl(os.memfd_create("x"), n, struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 0, 1, 0)) and "allowed")
        for n in (5, 6, 7, 36, 37, 38)] + [attempt(lambda: fcntl.flock(os.memfd_create("x"), fcntl.LOCK_SH) or "allowed")],
    "queue": attempt(lambda: open("/dev/mqueue/q", "w")),
    "families": {f: [attempt(lambda: socket.socket(f, t, 0).close() or "allowed") for t in (1, 2, 3, 4, 5, 10)]
        for f in range(64)},
    "host_loopback": attempt(lambda: connect(socket.AF_INET, ("127.0.0.1", int(sys.argv[1])))),
    "outside": attempt(lambda: connect(socket.AF_INET, ("192.0.2.1", 80))),
    "outside6": attempt(lambda: connect(socket.AF_INET6, ("2001:db8::1", 80))),
    "abstract": attempt(lambda: connect(socket.AF_UNIX, "\0" + sys.argv[2])),
    "node": attempt(lambda: os.mknod("/tmp/node", 0o600 | 0o060000, os.makedev(8, 0)) or "made"),
    "tmp": attempt(lambda: fill("/tmp/full")), "tmp_inodes": attempt(lambda: make("/tmp")),
    "shm": attempt(lambda: fill("/dev/shm/full")),
}
for folder, _, files in os.walk("/"):
    if folder.startswith(("/proc", "/sys")):
        continue
    if "docker.sock" in files:
        report["socket"] = folder
json.dump(report, open("/out/report", "w"))
"""


@pytest.fixture(scope="module")
def inside(
    engine: DockerEngine, candidate_image: str, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """What one container saw; the tests below each hold one promise against it."""
    folder = tmp_path_factory.mktemp("inside")
    (folder / "data").mkdir()
    (folder / "train.py").write_text("# nothing\n")
    (folder / "train.py").chmod(0o666)
    (folder / "data").chmod(0o777)  # so that only the mount keeps the container from writing
    (folder / "copies").mkdir()
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.socket(socket.AF_UNIX) as abstract,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("OPENAI_API_KEY", CANARY)
        patch.setenv("HTTP_PROXY", f"http://{CANARY}")
        abstract.bind("\0autoresearch-test")
        abstract.listen()
        outcome = engine.run(
            Job(
                run="test-inside",
                experiment="e",
                attempt=1,
                role=Role.TRAIN,
                image=candidate_image,
                command=(
                    *("/opt/venv/bin/python", "-I", "-B", "-c", LOOK_AROUND),
                    *(str(listener.getsockname()[1]), "autoresearch-test"),
                ),
                limits=Limits(
                    wall_clock_s=30, memory_bytes=1 << 28, tmp_bytes=1 << 20, tmp_inodes=50, shm_bytes=1 << 20
                ),
                lease=Lease(cpus=(0,)),
                destination=folder / "copies",
                mounts=(Mount(folder / "train.py", "/work/train.py"), Mount(folder / "data", "/data")),
                outputs=(Output("report", 1 << 20),),
                environment={"AUTORESEARCH_SEED": "7"},
            )
        )
    assert outcome.ending is Ending.EXITED, outcome
    assert "report" in outcome.files, outcome.log_tail
    return json.loads(outcome.files["report"].path.read_text())


def test_it_has_no_capability_and_cannot_gain_one(inside: dict[str, Any]) -> None:
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(inside["status"][name], 16) == 0
    assert inside["status"]["NoNewPrivs"] == "1"
    assert inside["status"]["Seccomp"] == "2"


def test_it_is_nobody(inside: dict[str, Any]) -> None:
    (uid,) = set(inside["status"]["Uid"].split())
    assert int(uid) in job_user.WIDE or int(uid) in job_user.NARROW
    assert set(inside["status"]["Gid"].split()) == {uid}
    assert inside["status"].get("Groups", "").split() in ([], [uid])


def test_its_user_has_a_name_and_a_home(inside: dict[str, Any]) -> None:
    """Libraries look their user up, and some fail where there is none."""
    assert inside["name"] == ["sandbox", "/tmp", "sandbox"]


def test_its_environment_is_exactly_what_it_was_given(inside: dict[str, Any]) -> None:
    brought_by_image = {"PATH", "LANG", "LC_ALL", "LC_CTYPE", "GPG_KEY", "PYTHON_VERSION", "PYTHON_SHA256"}
    given = {"HOME": "/tmp", "AUTORESEARCH_SEED": "7", "HOSTNAME": "sandbox"}
    given["NVIDIA_VISIBLE_DEVICES"] = "void"  # it has no GPU
    assert {k: v for k, v in inside["environment"].items() if k not in brought_by_image} == given


def test_no_secret_of_the_host_is_inside(inside: dict[str, Any]) -> None:
    assert CANARY not in json.dumps(inside)


def test_only_loopback_is_there_and_it_is_not_the_hosts(inside: dict[str, Any]) -> None:
    assert inside["interfaces"] == ["lo"]
    assert {inside[name] for name in ("host_loopback", "outside", "outside6")} == {"EPERM"}
    assert inside["abstract"] == "ECONNREFUSED"


def test_no_socket_family_but_unix(inside: dict[str, Any]) -> None:
    """Every family that Linux has a number for (46), and some more, with every type. IP sockets, of the loopback too, buffer in
    memory that no cgroup of version 1 counts, up to a limit that the whole machine shares (tcp_mem, tcp(7))."""
    allowed = {name for name, answers in inside["families"].items() if "allowed" in answers}
    assert allowed == {"1"}
    refused = {
        answer for name, answers in inside["families"].items() if name not in allowed for answer in answers
    }
    assert refused == {"EPERM"}, "the kernel was asked"


def test_no_file_can_be_locked(inside: dict[str, Any]) -> None:
    """The kernel keeps a record of each lock, without a limit of their number, and counts it to no container."""
    assert set(inside["locks"]) == {"EPERM"}


def test_the_root_and_the_inputs_cannot_be_written(inside: dict[str, Any]) -> None:
    assert set(inside["writes"].values()) <= {"EROFS", "EACCES", "EPERM", "ENOENT"}
    for path in ("/work/train.py", "/data/x"):
        assert inside["writes"][path] == "EROFS"


def test_what_can_be_written_is_a_small_tmpfs_without_programs(inside: dict[str, Any]) -> None:
    mounts = {mount[1]: mount for mount in inside["mounts"]}
    for place in ("/out", "/tmp", "/dev/shm"):
        assert mounts[place][2] == "tmpfs"
        assert {"noexec", "nosuid", "nodev"} <= set(mounts[place][3].split(","))
    assert inside["tmp"] == inside["tmp_inodes"] == inside["shm"] == errno.errorcode[errno.ENOSPC]


def test_it_sees_only_its_own_processes(inside: dict[str, Any]) -> None:
    assert len(inside["pids"]) == 2
    assert 1 in inside["pids"]


def test_it_cannot_trace_another_process(inside: dict[str, Any]) -> None:
    assert inside["syscalls"]["ptrace"] == "EPERM"
    assert inside["syscalls"]["process_vm_readv"] == "EPERM"


@pytest.mark.parametrize(
    "name",
    "io_uring_setup keyctl add_key request_key userfaultfd perf_event_open bpf mount unshare setns kcmp pidfd_getfd "
    "open_tree fsopen init_module sync syncfs inotify_init1 mq_open".split(),
)
def test_the_system_call_is_refused(inside: dict[str, Any], name: str) -> None:
    assert inside["syscalls"][name] == "EPERM"


def test_no_huge_page_of_the_machines_pool_can_be_taken(inside: dict[str, Any]) -> None:
    assert set(inside["huge"].values()) == {"EPERM"}


def test_its_pages_are_not_merged_with_others(inside: dict[str, Any]) -> None:
    assert inside["merge"] == ["EPERM", "EPERM"]


def test_nothing_is_written_out_on_its_word(inside: dict[str, Any]) -> None:
    """It succeeds without reaching the kernel, which would find that -1 is no descriptor."""
    assert set(inside["flush"].values()) == {"allowed"}


def test_it_makes_no_message_queue(inside: dict[str, Any]) -> None:
    assert inside["queue"] == "EMFILE"


def test_clone3_is_unknown_and_clone_makes_no_namespace(inside: dict[str, Any]) -> None:
    assert inside["syscalls"]["clone3"] == "ENOSYS"
    assert inside["namespace"] == "EPERM"


def test_no_device_can_be_made_and_none_was_passed_on(inside: dict[str, Any]) -> None:
    assert inside["node"] == "EPERM"
    usual = (
        "core fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero console".split()
    )
    assert set(inside["devices"]) <= set(usual)


def test_the_process_limits_are_set(inside: dict[str, Any]) -> None:
    limits = {"CORE": 0, "NOFILE": 4096, "FSIZE": 1 << 30, "MEMLOCK": 8 << 20, "MSGQUEUE": 0, "NICE": 0}
    limits |= {"RTPRIO": 0, "SIGPENDING": 1024}
    assert inside["limits"] == {name: [most, most] for name, most in limits.items()}
    assert inside["affinity"] == [0]
    assert inside["descriptors"] == ["0", "1", "2", "3"]  # 3 is the listing itself


def test_the_engines_socket_is_not_inside(inside: dict[str, Any]) -> None:
    assert "socket" not in inside


def test_jax_runs_under_the_profile(
    engine: DockerEngine, candidate_image: str, tmp_path: Path, sandboxed: Any
) -> None:
    outcome = sandboxed(
        "import jax, jax.numpy as jnp\nprint(jax.jit(lambda x: (x @ x).sum())(jnp.ones((64, 64))))",
        memory_bytes=1 << 30,
        environment={"JAX_PLATFORMS": "cpu"},
    )
    if "No module named 'jax'" in outcome.log_tail:
        pytest.skip("the test image has no jax; build the candidate image with script/bootstrap")
    assert (outcome.exit_code, outcome.log_tail) == (0, "262144.0\n")
