"""Confirmations through the real loop: when one is made, what it compares, and that it survives kill -9."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks.simulated_run import SimulatedRun, source
from runner.protocols import Event
from runner.scoring.repeat_noise import claim_noise, noise_floor
from runner.scoring.scores import runs
from runner.search.confirmer import IGNORES_SEED
from runner.store.records import Confirmation
from sandbox.fake_engine import Script
from sandbox.spec import Job, Role

GAINS = [source(2.0 - 0.05 * step, f"step = {step}\n") for step in (1, 2, 3)]


def ran(folder: Path, sources: list[str], *, noise: float = 0.002, **settings: Any) -> SimulatedRun:
    rng = random.Random(7)
    simulated = SimulatedRun(folder, sources, noise=lambda _: rng.gauss(0.0, noise))
    simulated.loop(**settings).go()
    return simulated


def claims(simulated: SimulatedRun) -> list[Confirmation]:
    return simulated.ledger.confirmations("simulated")


def test_the_sum_of_what_was_adopted_is_confirmed_at_the_end(tmp_path: Path) -> None:
    simulated = ran(tmp_path, GAINS)
    (claim,) = claims(simulated)
    assert (claim.candidate, claim.reference, claim.verdict) == (3, 0, "confirmed")
    assert claim.delta == pytest.approx(-0.15, abs=0.01)
    assert claim.low is not None
    assert claim.high is not None
    assert claim.low < -0.15 < claim.high < 0


def test_a_confirmation_is_made_of_new_runs_of_both_under_one_seed(tmp_path: Path) -> None:
    simulated = ran(tmp_path, GAINS)
    experiments = simulated.ledger.experiments("simulated")
    pairs = [[a for a in experiments[number].attempts if a.confirmation] for number in (0, 3)]
    assert [a.seed for a in pairs[0]] == [a.seed for a in pairs[1]]
    earlier = {a.seed for e in experiments for a in e.attempts if a.confirmation is None}
    assert not earlier & {a.seed for a in pairs[0]}, "no run that took part in choosing it"


def test_what_is_no_gain_is_never_claimed(tmp_path: Path) -> None:
    same = [source(2.0, f"same = {step}\n") for step in range(25)]
    simulated = ran(tmp_path, same)
    assert [c for c in claims(simulated) if c.verdict == "confirmed"] == []


def test_the_budget_keeps_time_for_it(tmp_path: Path) -> None:
    """Ten slots: three baselines, and a pair at the end, whatever else is tried."""
    endless = [source(2.0 - 0.05 * step, f"step = {step}\n") for step in range(1, 30)]
    simulated = ran(tmp_path, endless, budget_s=10 * 70.0 + 1, expected_s=60.0)
    (claim,) = claims(simulated)
    assert claim.verdict == "confirmed"
    assert simulated.ledger.run("simulated").spent_s <= 10 * 70.0 + 1


class FixedSeed(SimulatedRun):
    """Candidates (not the baseline) ignore the seed they are given and have one lucky score."""

    def train(self, job: Job) -> Script:
        if job.role is Role.TRAIN:
            text = next(m.source for m in job.mounts if m.target == "/work/train.py").read_text()
            noise: Callable[[int], float] = self.noise
            if "lucky" in text:
                self.noise = lambda _: -0.5
            try:
                return super().train(job)
            finally:
                self.noise = noise
        return super().train(job)


def test_a_script_that_ignores_its_seed_claims_nothing(tmp_path: Path) -> None:
    rng = random.Random(3)
    simulated = FixedSeed(
        tmp_path, [source(2.0, f"lucky = {n}\n") for n in range(6)], noise=lambda _: rng.gauss(0.0, 0.01)
    )
    simulated.loop().go()
    found = claims(simulated)
    assert all(c.verdict == "not_confirmed" for c in found)
    assert IGNORES_SEED in {c.reason for c in found}


class Unreliable(SimulatedRun):
    """The script `flaky` trains once and never again."""

    trained = 0

    def train(self, job: Job) -> Script:
        if job.role is Role.TRAIN:
            text = next(m.source for m in job.mounts if m.target == "/work/train.py").read_text()
            if "flaky" in text:
                self.trained += 1
                if self.trained > 1:
                    self.clock.sleep(self.train_s)
                    return Script(exit_code=1, log="not again")
        return super().train(job)


def test_a_script_that_fails_when_it_runs_again_claims_nothing(tmp_path: Path) -> None:
    simulated = Unreliable(tmp_path, [source(1.8, "flaky = 1\n")])
    simulated.loop(budget_s=20 * 70.0).go()
    (claim,) = claims(simulated)
    assert claim.verdict == "not_confirmed"
    assert claim.reason == "experiment 1 failed when it ran again"
    withdrawn = simulated.ledger.experiment("simulated", 1)
    assert (withdrawn.status, withdrawn.reason) == ("discard", f"withdrawn: {claim.reason}")


class Killed(BaseException):
    """As kill -9: nothing after it runs."""


@pytest.mark.parametrize("moment", range(20, 60, 2))
def test_killed_at_any_event_it_comes_to_the_same_claim(tmp_path: Path, moment: int) -> None:
    simulated = SimulatedRun(tmp_path, GAINS)
    seen = 0

    def die(_: Event) -> None:
        nonlocal seen
        seen += 1
        if seen == moment + 1:
            raise Killed

    try:
        simulated.loop(emit=die).go()
    except Killed:
        simulated.loop().go()
    found = claims(simulated)
    assert [(c.candidate, c.reference, c.verdict) for c in found] == [(3, 0, "confirmed")]
    assert found[0].delta == pytest.approx(-0.15, abs=0.001)


def test_a_runner_killed_between_score_and_decision_decides_it_although_the_budget_is_gone(
    tmp_path: Path,
) -> None:
    simulated = SimulatedRun(tmp_path, GAINS[:1])

    def die(event: Event) -> None:
        if event.kind == "judged" and event.data["number"] == 1:
            raise Killed

    with pytest.raises(Killed):
        simulated.loop(budget_s=4 * 70.0, emit=die).go()
    simulated.loop(budget_s=4 * 70.0).go()
    assert simulated.ledger.experiment("simulated", 1).status == "keep"


class Steady(SimulatedRun):
    """Scripts called `steady` hardly heed their seed."""

    def train(self, job: Job) -> Script:
        if job.role is Role.TRAIN:
            text = next(m.source for m in job.mounts if m.target == "/work/train.py").read_text()
            noise, self.noise = self.noise, self.noise
            if "steady" in text:
                self.noise = lambda seed: noise(seed) / 50
            try:
                return super().train(job)
            finally:
                self.noise = noise
        return super().train(job)


def test_scripts_that_hardly_heed_their_seed_make_no_claim_easier(tmp_path: Path) -> None:
    rng = random.Random(11)
    simulated = Steady(
        tmp_path, [source(2.0, f"steady = {n}\n") for n in range(12)], noise=lambda _: rng.gauss(0.0, 0.01)
    )
    simulated.workspace.script.write_text(source(2.0, "padding = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]\n"))
    simulated.loop().go()
    experiments = simulated.ledger.experiments("simulated")
    assert any(len(runs(e)) > 2 for e in experiments[1:]), "else nothing is tried"
    floor, claimed = noise_floor(experiments), claim_noise(experiments)
    own = noise_floor(experiments[:1])
    assert floor is not None
    assert claimed is not None
    assert own is not None
    assert claimed.sigma >= own.sigma > floor.sigma
