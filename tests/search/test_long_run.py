"""A long run decides as a short one and its steps cost no more."""

from __future__ import annotations

import random
import sys
from dataclasses import fields, replace
from pathlib import Path
from types import FrameType

import pytest

from benchmarks.ledger import RUN, LongRun
from benchmarks.simulated_run import SimulatedRun, source
from runner.protocols import State
from runner.search.decider import Decider
from runner.search.disk_budget import DiskBudget
from runner.search.recent_experiments import BLOCK
from runner.search.seeds import common_seed
from runner.store.experiment_index import ExperimentIndex
from runner.store.records import Attempt, Experiment

SIGMA = 0.001
FEW = 20
"""Instructions of the database, as finely as they are counted."""
IMAGE = -700
"""Bytes of the base image. The fake engine's have none, so each snapshot counts as 700."""


def experiment(number: int, status: str, attempts: list[Attempt], **values: float) -> Experiment:
    unset = {field.name: None for field in fields(Experiment)}
    known = {"run": "a", "number": number, "status": status, "state": State.DECIDED, "nodes": 100}
    return Experiment(**{**unset, **known, "fingerprint": f"{number}", "attempts": tuple(attempts), **values})


class Rows:
    """Rows as a run writes them, of scripts that adopt, discard, run again and are confirmed."""

    def __init__(self, seed: int) -> None:
        self.rng, self.index, self._order, self._seeds, self._usual = random.Random(seed), None, 0, 3, 0
        self.index = ExperimentIndex()
        baseline = [self.attempt(2.0, seed) for seed in range(3)]
        self.index.put(experiment(0, "keep", baseline, val_bpb=2.0, decision=1, decided_after=3))
        self._decisions = 1
        self.best, self.truth = 0, 2.0

    def attempt(self, truth: float, seed: int, confirmation: int | None = None) -> Attempt:
        self._order += 1
        unset = {field.name: None for field in fields(Attempt)}
        shared = random.Random(seed).gauss(0.0, SIGMA)
        known = {
            "seed": common_seed(1, seed),
            "outcome": "ok",
            "val_bpb": truth + shared + self.rng.gauss(0.0, SIGMA),
        }
        known |= {"order": self._order, "contended": False, "confirmation": confirmation}
        return Attempt(**{**unset, **known})

    def fresh(self) -> int:
        self._seeds += 1
        return self._seeds - 1

    def candidate(self) -> Experiment:
        """The next one, trained once and open."""
        gain = self.rng.gauss(2 * SIGMA, 3 * SIGMA)
        self._truth = self.truth + gain
        made = experiment(len(self.index), "open", [self.attempt(self._truth, self._usual)])
        self.index.put(made)
        return made

    def decide(self, made: Experiment) -> None:
        again = self.rng.random() < 0.2
        if again:
            made = replace(made, attempts=(*made.attempts, self.attempt(self._truth, self.fresh())))
        if self.rng.random() < 0.1:
            self.rerun(self.best, self.truth)
        keep, delta = self.rng.random() < 0.05, self._truth - self.truth
        self._decisions += 1
        made = replace(
            made,
            decision=self._decisions,
            decided_after=self._order,
            status="keep" if keep else "discard",
            delta=delta,
            delta_error=SIGMA,
            expected_delta=0.7 * delta,
            expected_error=0.7 * SIGMA,
        )
        self.index.put(made)
        if keep:
            self.best, self.truth = made.number, self._truth
            if self.rng.random() < 0.3:
                seed = self.fresh()
                self.rerun(self.best, self.truth, seed, confirmation=1)
                self.rerun(0, 2.0, seed, confirmation=1)

    def rerun(
        self, number: int, truth: float, seed: int | None = None, confirmation: int | None = None
    ) -> None:
        attempt = self.attempt(truth, self.fresh() if seed is None else seed, confirmation)
        before = self.index[number]
        self.index.put(replace(before, attempts=(*before.attempts, attempt)))


@pytest.mark.parametrize("seed", [1, 2])
def test_what_was_remembered_decides_as_a_decider_that_was_made_afresh(seed: int) -> None:
    """So a resumed run goes on as it would have gone on, however long it is."""
    rows, remembering, steps = Rows(seed), Decider(1, 2), set()
    for number in range(1, 2 * BLOCK + 40):
        made = rows.candidate()
        if number % 5 == 0 or number > 2 * BLOCK - 3:
            choice = remembering.choose(made, rows.index, trainings_left=30)
        if number % 50 == 0 or number in {2 * BLOCK - 1, 2 * BLOCK, 2 * BLOCK + 30}:
            afresh = Decider(1, 2).choose(made, rows.index, trainings_left=30)
            choice = remembering.choose(made, rows.index, trainings_left=30)
            steps.add(choice.step)
            assert (choice.step, choice.seed) == (afresh.step, afresh.seed)
            assert choice.estimate.difference == pytest.approx(afresh.estimate.difference, rel=1e-6, abs=1e-9)
            assert choice.estimate.mean == pytest.approx(afresh.estimate.mean, rel=1e-6, abs=1e-9)
        rows.decide(made)
    assert len(steps) > 1


def work_of_a_step(run: LongRun) -> tuple[int, int]:
    """How many functions and generator steps of Python are entered, and instructions made by the database, in the least of some steps."""
    counts, instructions = list[int](), list[int]()

    def count(frame: FrameType, event: str, argument: object) -> None:
        counts[-1] += event == "call"

    def count_instructions() -> int:
        instructions[-1] += FEW
        return 0

    class Counting(type(run.stopwatch)):  # type: ignore[misc]
        def propose(self, context: object) -> object:
            counts.append(0)
            instructions.append(0)
            return super().propose(context)

    run.stopwatch.__class__ = Counting
    counts.append(0)
    instructions.append(0)
    run.ledger._db.set_progress_handler(count_instructions, FEW)
    sys.setprofile(count)
    try:
        run.steps(6, promising=False)
    finally:
        sys.setprofile(None)
        run.ledger._db.set_progress_handler(None, 0)
    return min(counts[3:-1]), min(instructions[3:-1])


def test_a_step_of_a_run_three_times_as_long_does_hardly_more(tmp_path: Path) -> None:
    """Work is counted, not timed. Both are so long that the newest experiments alone are looked at."""
    short, long = (
        work_of_a_step(LongRun(tmp_path / name, count)) for name, count in (("a", 800), ("b", 2336))
    )
    assert long[0] < 1.05 * short[0]
    assert long[1] < 1.05 * short[1]


def test_the_disk_is_measured_where_it_has_changed_and_the_sum_is_right(tmp_path: Path) -> None:
    simulated = SimulatedRun(tmp_path, [source(2.0 - 0.02 * step, f"step = {step}\n") for step in range(8)])
    attempts = simulated.workspace.attempts(RUN, 0).parent

    def made() -> DiskBudget:
        folders = [simulated.workspace.state]
        return DiskBudget(
            simulated.engine, RUN, attempts, IMAGE, folders, 50.0, 0.0, lambda: simulated.ledger.index(RUN)
        )

    disk, checked = made(), list[float]()

    def check() -> None:
        disk.check()
        held = disk._held()
        assert held == made().held()
        checked.append(held)

    loop = simulated.loop()
    loop.attempts.require_space = check
    loop.go()
    assert len(set(checked)) > 8
