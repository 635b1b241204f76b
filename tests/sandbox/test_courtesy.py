"""Two runs on one device: with courtesy they alternate, and nobody's mark is worth more than one offer."""

from __future__ import annotations

import fcntl
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

import pytest

from benchmarks.shared_clock import SharedClock
from sandbox.courtesy import OFFER_S, UNBELIEVED_S, Courtesy
from sandbox.gpu import FakeGpuProbe
from sandbox.lease import CpuLeases, GpuLeases, LeaseUnavailable

TRAIN_S, TRAININGS = 300.5, 12
Make = Callable[..., CpuLeases | GpuLeases]


def on_cpus(folder: Path, clock: SharedClock, **options: Any) -> CpuLeases:
    return CpuLeases(
        2, folder=folder, available=range(2), sleep=clock.sleep, monotonic=clock.monotonic, **options
    )


def on_a_gpu(folder: Path, clock: SharedClock, **options: Any) -> GpuLeases:
    free = CpuLeases(1, folder=folder, available=range(2), may_share=True)
    return GpuLeases(
        ["GPU-a"],
        FakeGpuProbe(["GPU-a"]),
        free,
        folder=folder,
        sleep=clock.sleep,
        monotonic=clock.monotonic,
        **options,
    )


def trained(
    leases: CpuLeases | GpuLeases, clock: SharedClock, name: str, seen: list[tuple[str, float]]
) -> None:
    """One run: a training, a hundredth of a second for its decision, and the next."""
    for _ in range(TRAININGS):
        with leases.acquire():
            seen.append((name, clock.now))
            clock.sleep(TRAIN_S)
        clock.sleep(0.01)


def two_runs(make: Make, folder: Path, *courteous: bool) -> list[tuple[str, float]]:
    clock, seen = SharedClock(), list[tuple[str, float]]()
    runs = [
        (name, make(folder, clock, courtesy=offers, patience_s=1e5))
        for name, offers in zip("ab", courteous, strict=True)
    ]
    waits = [clock.start(lambda n=name, own=leases: trained(own, clock, n, seen)) for name, leases in runs]
    for wait in waits:
        wait()
    return seen


@pytest.mark.parametrize("make", [on_cpus, on_a_gpu])
def test_two_courteous_runs_alternate_and_without_courtesy_the_second_waits_for_the_first_to_end(
    make: Make, tmp_path: Path
) -> None:
    assert "".join(name for name, _ in two_runs(make, tmp_path, True, True)) in {"ab" * 12, "ba" * 12}
    alone = "".join(name for name, _ in groupby(two_runs(make, tmp_path, False, False), lambda one: one[0]))
    assert alone in {"ab", "ba"}


@pytest.mark.parametrize("make", [on_cpus, on_a_gpu])
def test_taking_turns_costs_seconds(make: Make, tmp_path: Path) -> None:
    at = [moment for _, moment in two_runs(make, tmp_path, True, True)]
    assert max(after - before for before, after in pairwise(at)) <= TRAIN_S + 2.0


@pytest.mark.parametrize("make", [on_cpus, on_a_gpu])
def test_a_courteous_run_alone_loses_nothing(make: Make, tmp_path: Path) -> None:
    clock, seen = SharedClock(), list[tuple[str, float]]()
    trained(make(tmp_path, clock, courtesy=True), clock, "a", seen)
    assert clock.now - seen[0][1] == pytest.approx(TRAININGS * (TRAIN_S + 0.01))


@pytest.mark.parametrize("lock", [fcntl.LOCK_SH, fcntl.LOCK_EX])
def test_a_mark_of_one_that_never_takes_anything_is_worth_one_offer_in_half_an_hour(
    lock: int, tmp_path: Path
) -> None:
    """A process that was stopped while it waited, or that wants to keep others from working."""
    clock, seen = SharedClock(), list[tuple[str, float]]()
    with (tmp_path / "gpu-GPU-a.wanted").open("w") as mark:
        fcntl.flock(mark, lock)
        trained(on_a_gpu(tmp_path, clock, courtesy=True), clock, "a", seen)
    lost = clock.now - seen[0][1] - TRAININGS * (TRAIN_S + 0.01)
    offers = 1 + TRAININGS * TRAIN_S // UNBELIEVED_S
    assert 0.0 < lost <= offers * (OFFER_S + 1.0)


def test_a_mark_ends_with_the_process_that_made_it(tmp_path: Path) -> None:
    program = (
        "import sys\nfrom pathlib import Path\nfrom sandbox.courtesy import Courtesy\n"
        "Courtesy(Path(sys.argv[1])).wait_for(['cpu'])\nprint('marked', flush=True)\nsys.stdin.read()\n"
    )
    waiter = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert waiter.stdout is not None
    waiter.stdout.readline()
    mine = Courtesy(tmp_path, offers=True)
    mine.given_back("cpu")
    assert not mine.may_take("cpu")
    waiter.kill()
    waiter.communicate()
    assert mine.may_take("cpu")


def test_a_runs_own_threads_are_not_others(tmp_path: Path) -> None:
    mine, other = Courtesy(tmp_path, offers=True), Courtesy(tmp_path, offers=True)
    mine.wait_for(["cpu"])
    mine.given_back("cpu")
    other.given_back("cpu")
    assert mine.may_take("cpu")
    assert not other.may_take("cpu"), "and its mark is there all the same"
    mine.wait_no_more()
    assert other.may_take("cpu")


def test_a_mark_outlives_a_look_for_others(tmp_path: Path) -> None:
    mine, other, third = (Courtesy(tmp_path, offers=True) for _ in range(3))
    mine.wait_for(["cpu"])
    other.wait_for(["cpu"])
    mine.given_back("cpu")
    assert not mine.may_take("cpu")
    other.wait_no_more()
    third.given_back("cpu")
    assert not third.may_take("cpu")


@pytest.mark.parametrize("make", [on_cpus, on_a_gpu])
def test_one_that_got_what_it_waited_for_leaves_no_mark(make: Make, tmp_path: Path) -> None:
    first, second = make(tmp_path, SharedClock()), make(tmp_path, SharedClock())
    with first.acquire():
        assert not second.available()
    with second.acquire() as lease:
        pass
    device = f"gpu-{lease.gpu_uuid}" if lease.gpu_uuid else "cpu"
    other = Courtesy(tmp_path, offers=True)
    other.given_back(device)
    assert other.may_take(device)


def test_one_that_gives_up_waiting_leaves_no_mark(tmp_path: Path) -> None:
    clock = SharedClock()
    with on_cpus(tmp_path, clock).acquire():
        with suppress(LeaseUnavailable), on_cpus(tmp_path, clock, patience_s=0.0).acquire():
            raise AssertionError("it was leased twice")
        other = Courtesy(tmp_path, offers=True)
        other.given_back("cpu")
        assert other.may_take("cpu")


def test_a_link_in_a_marks_place_is_not_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.touch(0o600)
    (tmp_path / "cpu.wanted").symlink_to(secret)
    with pytest.raises(Exception, match="cannot be opened"):
        Courtesy(tmp_path).wait_for(["cpu"])
    assert secret.stat().st_mode & 0o777 == 0o600
