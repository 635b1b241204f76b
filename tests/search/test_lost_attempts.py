"""An attempt that is lost costs time and nothing else: the one in its place has its seed, and decides the same."""

from __future__ import annotations

import zlib
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.simulated_run import SimulatedRun, source
from runner.protocols import Event
from runner.search.decider import Decider
from sandbox.fake_engine import Script
from sandbox.outcome import Ending, Outcome
from sandbox.spec import Job, Role

RUN = "simulated"
CLOSE = [1.999, 1.998, 1.997, 1.996, 1.995, 1.994]
"""Scores within the noise of each other, so that scripts run again under fresh seeds before they are decided."""


class Killed(BaseException):
    """As kill -9: nothing after it runs."""


class OwnNoise(SimulatedRun):
    """A run's score depends on script and seed."""

    def train(self, job: Job) -> Script:
        if job.role is Role.TRAIN:
            script = next(m.source for m in job.mounts if m.target == "/work/train.py").read_bytes()
            self.noise = lambda seed: (zlib.crc32(script + str(seed).encode()) / 2**32 - 0.5) * 4e-3
        return super().train(job)


def close_run(folder: Path) -> SimulatedRun:
    return OwnNoise(folder, [source(score, f"a = {n}\n") for n, score in enumerate(CLOSE)])


def decided(run: SimulatedRun) -> list[tuple[str, list[tuple[int, float | None]]]]:
    """What became of each script, and the seeds and scores of the runs that count."""
    return [
        (e.status, [(a.seed, a.val_bpb) for a in e.counted])
        for e in run.ledger.experiments(RUN)
        if e.status != "proposer_failed"
    ]


@pytest.fixture(scope="module")
def uninterrupted(
    tmp_path_factory: pytest.TempPathFactory,
) -> list[tuple[str, list[tuple[int, float | None]]]]:
    run = close_run(tmp_path_factory.mktemp("uninterrupted"))
    run.loop().go()
    found = decided(run)
    seeds = [seed for _, runs in found for seed, _ in runs]
    assert len(seeds) >= 3 + len(CLOSE) + 4, "scripts ran again"
    return found


@pytest.mark.parametrize("moment", range(2, 130, 3))
def test_killed_at_any_event_it_decides_the_same_on_the_same_seeds(
    moment: int, tmp_path: Path, uninterrupted: list[tuple[str, list[tuple[int, float | None]]]]
) -> None:
    run, seen = close_run(tmp_path), 0

    def die(_: Event) -> None:
        nonlocal seen
        seen += 1
        if seen == moment + 1:
            raise Killed

    try:
        run.loop(emit=die).go()
    except Killed:
        run.loop().go()
    assert decided(run) == uninterrupted


@pytest.mark.parametrize("nth", range(0, 30, 2))
def test_lost_to_the_engine_it_decides_the_same_on_the_same_seeds(
    nth: int, tmp_path: Path, uninterrupted: list[tuple[str, list[tuple[int, float | None]]]]
) -> None:
    run, trained = close_run(tmp_path), 0
    behaviour = run.engine._behaviour

    def lost(job: Job) -> Script | Outcome:
        nonlocal trained
        trained += job.role is Role.TRAIN
        if job.role is Role.TRAIN and trained == nth + 1:
            return Script(ending=Ending.LOST, detail="it was removed", seconds=1.0)
        return behaviour(job)

    run.engine._behaviour = lost
    run.loop().go()
    assert decided(run) == uninterrupted


def test_lost_attempts_of_the_best_script_leave_it_as_many_reruns(tmp_path: Path) -> None:
    run = close_run(tmp_path)
    run.loop(max_experiments=1).go()
    best, candidate = run.ledger.experiment(RUN, 0), run.ledger.experiment(RUN, 1)
    lost = [replace(best.attempts[0], outcome="infrastructure", order=1000 + n) for n in range(4)]
    decider = Decider(1, retests=4)
    assert decider._best_may_run(replace(best, attempts=(*best.attempts, *lost)), candidate)
    ran = [replace(attempt, outcome="ok") for attempt in lost]
    assert not decider._best_may_run(replace(best, attempts=(*best.attempts, *ran)), candidate)
