"""Leases across real processes: disjoint, all or nothing, and gone with their holder."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sandbox.engine import SandboxError
from sandbox.gpu import FakeGpuProbe, GpuState
from sandbox.lease import CpuLeases, GpuLeases, LeaseUnavailable, quarantined

HOLD = """
import sys, time
from pathlib import Path
from sandbox.lease import CpuLeases
with CpuLeases(int(sys.argv[2]), folder=Path(sys.argv[1]), available=range(4), patience_s=20).acquire() as lease:
    print(*lease.cpus, flush=True)
    sys.stdin.read()
"""


def holder(folder: Path, count: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder), str(count)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def held_by(process: subprocess.Popen[str]) -> set[int]:
    assert process.stdout is not None
    return {int(word) for word in process.stdout.readline().split()}


def cpus(folder: Path, count: int, **options: Any) -> CpuLeases:
    return CpuLeases(count, folder=folder, available=range(4), **{"patience_s": 0, **options})


def test_two_processes_never_share_a_cpu(tmp_path: Path) -> None:
    first, second = holder(tmp_path, 2), holder(tmp_path, 2)
    try:
        one, two = held_by(first), held_by(second)
        assert len(one) == len(two) == 2
        assert one & two == set()
        with pytest.raises(LeaseUnavailable, match="another run holds them"), cpus(tmp_path, 1).acquire():
            pass
    finally:
        for process in (first, second):
            process.communicate()


def test_a_holder_that_is_killed_leaves_its_cpus_free(tmp_path: Path) -> None:
    process = holder(tmp_path, 4)
    assert held_by(process) == {0, 1, 2, 3}
    process.send_signal(signal.SIGKILL)
    process.communicate()
    with cpus(tmp_path, 4).acquire() as lease:
        assert lease.cpus == (0, 1, 2, 3)


def test_a_lease_that_cannot_be_had_whole_holds_nothing(tmp_path: Path) -> None:
    with (
        cpus(tmp_path, 3).acquire(),
        pytest.raises(LeaseUnavailable),
        cpus(tmp_path, 2).acquire(),
    ):
        pass
    with cpus(tmp_path, 3).acquire(), cpus(tmp_path, 1).acquire() as lease:
        assert lease.cpus == (3,)


def test_we_wait_as_long_as_we_were_told_and_say_so_once(tmp_path: Path) -> None:
    now, told = [0.0], list[str]()

    def sleep(seconds: float) -> None:
        now[0] += seconds

    with (
        cpus(tmp_path, 4).acquire(),
        pytest.raises(LeaseUnavailable, match="within 60 s"),
        cpus(
            tmp_path, 1, patience_s=60, sleep=sleep, monotonic=lambda: now[0], waiting=told.append
        ).acquire(),
    ):
        pass
    assert 60 <= now[0] < 63
    assert told == ["waiting for 1 of 4 CPUs: another training of autoresearch holds them"]
    with cpus(tmp_path, 1, waiting=told.append).acquire():
        assert len(told) == 1, "nothing had to be waited for"


def test_more_cpus_than_this_process_may_use_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(SandboxError, match="may use 4"):
        cpus(tmp_path, 5)


def test_a_lock_survives_a_narrow_umask_so_that_others_can_open_it(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        with cpus(tmp_path, 1).acquire():
            pass
    finally:
        os.umask(before)
    assert (tmp_path / "cpu-0.lock").stat().st_mode & 0o777 == 0o666


def test_a_symlink_in_the_lock_folder_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "cpu-0.lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SandboxError, match=r"cpu-0\.lock"), cpus(tmp_path, 1).acquire():
        pass
    assert not (tmp_path / "elsewhere").exists()


def test_a_lock_is_not_inherited_by_a_child(tmp_path: Path) -> None:
    """A child that outlives us would hold the GPU for ever."""
    with cpus(tmp_path, 1).acquire():
        child = subprocess.Popen(
            [sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE
        )
    try:
        with open(tmp_path / "cpu-0.lock") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    finally:
        child.communicate()


def gpus(
    folder: Path, probe: FakeGpuProbe, uuids: tuple[str, ...] = ("GPU-a", "GPU-b"), **options: Any
) -> GpuLeases:
    options = {"patience_s": 0, "sleep": lambda _: None, **options}
    return GpuLeases(uuids, probe, cpus(folder, 1), folder=folder, **options)


def test_a_gpu_is_leased_to_one_at_a_time(tmp_path: Path) -> None:
    probe = FakeGpuProbe(["GPU-a", "GPU-b"])
    with gpus(tmp_path, probe).acquire() as one, gpus(tmp_path, probe).acquire() as two:
        assert {one.gpu_uuid, two.gpu_uuid} == {"GPU-a", "GPU-b"}
        assert set(one.cpus) & set(two.cpus) == set()
        with pytest.raises(LeaseUnavailable), gpus(tmp_path, probe).acquire():
            pass


HOLD_GPU = """
import sys
from pathlib import Path
from sandbox.gpu import FakeGpuProbe
from sandbox.lease import CpuLeases, GpuLeases
folder, both = Path(sys.argv[1]), ["GPU-a", "GPU-b"]
cpus = CpuLeases(1, folder=folder, available=range(4), patience_s=20)
with GpuLeases(both, FakeGpuProbe(both), cpus, folder=folder, patience_s=20).acquire() as lease:
    print(lease.gpu_uuid, *lease.cpus, flush=True)
    sys.stdin.read()
"""


def test_two_processes_never_share_a_gpu_and_a_killed_one_leaves_it_free(tmp_path: Path) -> None:
    holders = [
        subprocess.Popen(
            [sys.executable, "-c", HOLD_GPU, str(tmp_path)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for _ in range(2)
    ]  # fmt: skip
    try:
        (one, *one_cpus), (two, *two_cpus) = (process.stdout.readline().split() for process in holders)  # type: ignore[union-attr]
        assert {one, two} == {"GPU-a", "GPU-b"}
        assert set(one_cpus) & set(two_cpus) == set()
        probe = FakeGpuProbe(["GPU-a", "GPU-b"])
        with pytest.raises(LeaseUnavailable), gpus(tmp_path, probe).acquire():
            pass
        holders[0].send_signal(signal.SIGKILL)
        holders[0].wait()
        with gpus(tmp_path, probe).acquire() as lease:
            assert lease.gpu_uuid == one
    finally:
        for process in holders:
            process.communicate()


def test_a_gpu_with_a_strangers_process_is_waited_for(tmp_path: Path) -> None:
    probe = FakeGpuProbe(["GPU-a"], busy={"GPU-a": [4711]})
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            probe.busy.clear()

    told: list[str] = []
    waited = gpus(tmp_path, probe, ("GPU-a",), patience_s=100, sleep=sleep, waiting=told.append)
    with waited.acquire() as lease:
        assert told == [
            "waiting for a GPU: none of the 1 that may be used is free (`nvidia-smi` shows what is on them)"
        ]
        assert lease.gpu_uuid == "GPU-a"
        assert not lease.contended
    assert len(waits) == 3


def test_a_stranger_that_appears_marks_the_lease_contended(tmp_path: Path) -> None:
    probe = FakeGpuProbe(["GPU-a"])
    leases = gpus(tmp_path, probe, ("GPU-a",))
    with leases.acquire() as lease:
        assert not leases.with_contention(lease).contended
        probe.busy["GPU-a"] = [4711]
        assert leases.with_contention(lease).contended


def test_our_own_dead_process_in_the_drivers_list_is_not_a_stranger(tmp_path: Path) -> None:
    probe = FakeGpuProbe(["GPU-a"])
    leases = gpus(tmp_path, probe, ("GPU-a",), sleep=lambda _: probe.busy.clear())
    with leases.acquire() as lease:
        probe.busy["GPU-a"] = [4711]
        assert not leases.with_contention(lease).contended


def test_what_a_container_would_not_let_go_of_is_not_leased_again(tmp_path: Path) -> None:
    probe = FakeGpuProbe(["GPU-a", "GPU-b"])
    leases = gpus(tmp_path, probe)
    with leases.acquire() as lease:
        leases.quarantine(lease, "the container survived SIGKILL")
    assert [note.name for note in quarantined(tmp_path)] == ["cpu-0.quarantined", "gpu-GPU-a.quarantined"]
    with leases.acquire() as lease:
        assert (lease.gpu_uuid, lease.cpus) == ("GPU-b", (1,))
    for note in quarantined(tmp_path):
        note.unlink()
    with leases.acquire() as lease:
        assert (lease.gpu_uuid, lease.cpus) == ("GPU-a", (0,))


def test_a_gpu_that_the_driver_does_not_know_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SandboxError, match="nvidia-smi -L"):
        gpus(tmp_path, FakeGpuProbe([]), ("GPU-a",))


def test_a_gpu_whose_memory_is_in_use_or_that_does_not_answer_is_not_free(tmp_path: Path) -> None:
    class Probe(FakeGpuProbe):
        def state(self, uuid: str) -> GpuState:
            if uuid == "GPU-lost":
                raise SandboxError("GPU is lost")
            return GpuState(used_bytes={"GPU-full": 2 << 30, "GPU-display": 300 << 20}[uuid])

    names = ("GPU-full", "GPU-lost", "GPU-display")
    with gpus(tmp_path, Probe(names), names).acquire() as lease:
        assert lease.gpu_uuid == "GPU-display"
        with pytest.raises(LeaseUnavailable), gpus(tmp_path, Probe(names), names).acquire():
            pass


def test_gpus_take_turns_so_that_a_broken_one_does_not_get_every_training(tmp_path: Path) -> None:
    leases, seen = gpus(tmp_path, FakeGpuProbe(["GPU-a", "GPU-b", "GPU-c"]), ("GPU-a", "GPU-b", "GPU-c")), []
    for _ in range(4):
        with leases.acquire() as lease:
            seen.append(lease.gpu_uuid)
    assert seen == ["GPU-a", "GPU-b", "GPU-c", "GPU-a"]


def test_a_training_on_a_gpu_does_not_wait_for_cpus(tmp_path: Path) -> None:
    probe = FakeGpuProbe(["GPU-a"])
    shared = GpuLeases(["GPU-a"], probe, cpus(tmp_path, 2, may_share=True), folder=tmp_path, patience_s=0)
    with cpus(tmp_path, 3).acquire(), shared.acquire() as lease:
        assert lease.cpus == (3, 0)
