"""Whose processes are on a GPU, and how a training's samples become numbers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sandbox.engine import SandboxError
from sandbox.gpu import FakeGpuProbe, GpuState
from sandbox.gpu_use import GpuMeter, is_in, meter
from sandbox.spec import Lease

OURS, STRANGER, DEAD = 100, 4711, 99


def measured(looks: list[tuple[list[int], GpuState]]) -> GpuMeter:
    probe = FakeGpuProbe(["GPU-a"])
    found = GpuMeter("GPU-a", probe, lambda pid: {OURS: True, DEAD: None}.get(pid, False))
    for pids, state in looks:
        probe.busy["GPU-a"], probe.states["GPU-a"] = pids, state
        found.look()
    return found


def test_shares_are_of_all_looks() -> None:
    hot = GpuState(30, ("too hot",), 1000, 2000, 90, 1.0)
    cool = GpuState(20, (), 2000, 2000, 60, 0.5)
    use = measured([([OURS], cool), ([OURS, STRANGER], hot), ([OURS], hot), ([OURS], cool)]).use
    assert use is not None
    assert (use.samples, use.strangers_share, use.slowed_share, use.slowed_by) == (4, 0.25, 0.5, "too hot")
    assert (use.utilisation, use.clock_share, use.hottest_c, use.memory_peak_bytes) == (0.75, 0.75, 90, 30)


def test_the_containers_own_and_the_dead_are_no_strangers() -> None:
    use = measured([([OURS, DEAD], GpuState())]).use
    assert use is not None
    assert use.strangers_share == 0.0
    assert (use.utilisation, use.clock_share, use.hottest_c) == (None, None, None), "not told"


def test_a_gpu_that_falls_off_the_bus_is_not_measured() -> None:
    class Lost(FakeGpuProbe):
        def processes(self, uuid: str) -> list[int]:
            raise SandboxError("GPU is lost")

    found = GpuMeter("GPU-a", Lost(["GPU-a"]), lambda _: True)
    found.look()
    assert found.use is None


def test_the_cgroup_says_whose_a_process_is(tmp_path: Path) -> None:
    for pid, path in ((OURS, "/docker/abc123"), (os.getpid(), "/user.slice")):
        (tmp_path / str(pid)).mkdir()
        (tmp_path / str(pid) / "cgroup").write_text(f"0::{path}\n")
    assert is_in("abc123", OURS, tmp_path) is True
    assert is_in("abc123", os.getpid(), tmp_path) is False


def test_a_process_that_has_ended_is_nobodys_and_a_hidden_one_a_strangers() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    assert is_in("abc123", process.pid) is None
    if os.getuid() == 0:
        assert is_in("abc123", 1) is False
    else:
        assert is_in("abc123", 1, Path("/nowhere")) is False, "it may not be signalled, so it is there"


@pytest.mark.parametrize("lease", [Lease((0,)), Lease((0,), "GPU-a")])
def test_without_a_gpu_or_a_driver_nothing_is_measured(lease: Lease) -> None:
    assert meter(lease, None, "abc") is None
    assert (meter(lease, FakeGpuProbe(["GPU-a"]), "abc") is None) == (lease.gpu_uuid is None)


def test_it_looks_while_the_container_runs() -> None:
    probe = FakeGpuProbe(["GPU-a"])
    found = GpuMeter("GPU-a", probe, lambda _: True, every_s=0.01)
    with found.looking():
        while found.use is None:
            pass
    count = found.use.samples
    assert found.use.samples == count, "the thread has ended"
