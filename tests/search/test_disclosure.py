"""What an agent is told of the hidden text: coarse numbers below a ceiling, closed words above it, and no times."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.simulated_run import SimulatedRun, WrittenScore, source
from judge.verdict import Verdict
from runner.protocols import Context
from runner.search.disclosure import FINEST, MUCH_WORSE, Disclosure
from runner.search.proposer_context import context_for

SIGMA = 0.0021
TOLD = Disclosure(2.0, SIGMA)
scores = st.floats(0.5, 2.02)


@given(scores, scores)
def test_a_difference_is_the_difference_of_what_was_told(value: float, other: float) -> None:
    mine, best = TOLD.score(value), TOLD.score(other)
    assert mine is not None
    assert best is not None
    assert TOLD.delta(value, value - other) == pytest.approx(mine - best, abs=1e-9)


@given(scores)
def test_a_score_lies_on_a_grid_no_finer_than_a_tenth_of_the_noise(value: float) -> None:
    told = TOLD.score(value)
    assert told is not None
    assert TOLD.step >= SIGMA / 10
    assert abs(told - value) <= TOLD.step / 2 + 1e-9 <= SIGMA / 8 + 1e-9
    assert told / TOLD.step == pytest.approx(round(told / TOLD.step), abs=1e-6)


@given(st.floats(1e-9, 1e3))
def test_a_width_takes_few_values(value: float) -> None:
    told = TOLD.width(value)
    assert told is not None
    assert told == FINEST or told <= value * (1 + 1e-9) < 1.7 * told
    digits = told / 10 ** math.floor(math.log10(told) + 1e-9)
    assert any(digits == pytest.approx(size) for size in (1, 1.5, 2, 3, 5, 7))


@pytest.mark.parametrize("value", [2.0 + 11 * SIGMA, 9025290680.57, 1e300, math.inf, math.nan])
def test_above_the_ceiling_there_is_no_number(value: float) -> None:
    """A script wrote four hidden tokens into a score of 9025290680.57 and read them back."""
    assert TOLD.score(value) is None
    assert TOLD.delta(value, value - 2.0) is None


@pytest.mark.parametrize("sigma", [None, 0.0, 1e-9])
def test_where_no_noise_is_known_it_is_no_finer(sigma: float | None) -> None:
    told = Disclosure(2.0, sigma)
    assert told.step >= FINEST
    assert told.ceiling < 2.0 + 0.011


class Asking:
    """A proposer that writes down what it is told; its last idea is far worse than the baseline."""

    name = "scripted"

    def __init__(self, simulated: SimulatedRun) -> None:
        self.told: list[Context] = []
        self._night = simulated

    def propose(self, context: Context) -> object:
        self.told.append(context)
        return self._night.proposals.propose(context)


def told_in(simulated: SimulatedRun, judge: WrittenScore | None = None) -> list[Context]:
    loop = simulated.loop()
    if judge is not None:
        loop.attempts.pipeline = replace(loop.attempts.pipeline, judge=judge)
    asking = Asking(simulated)
    loop._stage._proposer = loop._stage._prefetch._proposer = asking  # type: ignore[assignment]
    loop.go()
    return asking.told


def test_the_agent_is_told_no_number_of_a_script_that_writes_text_into_its_score(tmp_path: Path) -> None:
    simulated = SimulatedRun(tmp_path, [source(9025290.57, "a = 1\n"), source(1.9, "b = 1\n")])
    told = told_in(simulated)
    context = context_for(
        simulated.ledger.experiments("simulated"),
        simulated.ledger.experiments("simulated")[0],
        None,
        memo="",
        trainings_left=1,
        time_limit_s=1.0,
        number=3,
    )
    for past in (told[-1].history[1], context.history[1]):
        assert (past.val_bpb, past.delta, past.error, past.reason) == (None, None, None, MUCH_WORSE)
    assert "9025" not in repr([(past, past.log_tail) for context in told for past in context.history])


def test_what_judging_took_is_told_to_nobody(tmp_path: Path) -> None:
    """A loop that runs only if a row is there took 33 s of judging against 15 s, and the proposer was told what was left."""

    class Slow(WrittenScore):
        simulated: SimulatedRun
        seconds = 0.0

        def score(self, artifact: Path, split: str, **words: object) -> Verdict:
            self.simulated.clock.now += self.seconds
            return super().score(artifact, split, **words)

    seen = []
    for seconds in (0.0, 40.0):
        folder = tmp_path / str(seconds)
        judge = Slow()
        simulated = SimulatedRun(folder, [source(2.1, "a = 1\n"), source(2.2, "b = 1\n")])
        judge.seconds, judge.simulated = seconds, simulated
        told = told_in(simulated, judge)
        assert len(told) >= 2
        seen.append([replace(context, time_limit_s=0.0, history=tuple(context.history)) for context in told])

    assert seen[0] == seen[1]
    assert [context.trainings_left for context in seen[0]] == sorted(
        (context.trainings_left for context in seen[0]), reverse=True
    )


def test_a_model_worse_than_guessing_evenly_scores_as_guessing_evenly(tmp_path: Path) -> None:
    class Bounded(WrittenScore):
        def score(self, artifact: Path, split: str, **words: object) -> Verdict:
            return replace(super().score(artifact, split, **words), uniform_bpb=4.0)

    simulated = SimulatedRun(tmp_path, [source(9025290680.57, "a = 1\n")])
    told_in(simulated, Bounded())
    assert simulated.ledger.experiments("simulated")[1].val_bpb == 4.0
