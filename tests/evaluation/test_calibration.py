"""The noise of a script, measured as a run would measure it."""

from __future__ import annotations

import statistics
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.simulated_run import SimulatedRun
from runner.errors import NothingEvaluated, PrerequisiteMissing
from runner.evaluation.calibration import Calibration, _chi_square, calibrate, interval
from runner.evaluation.failure_advice import unscored
from runner.protocols import Evaluation
from runner.scoring.repeat_noise import Noise
from sandbox.fake_engine import Point
from sandbox.outcome import Ending


def go(simulated: SimulatedRun, folder: Path, seeds: list[int]) -> Calibration:
    source = simulated.workspace.script.read_bytes()
    return calibrate(
        source,
        simulated.loop().attempts.pipeline,
        seeds,
        folder / "c",
        run="calibrate-1",
        progress=lambda _: None,
    )


@pytest.mark.parametrize(
    ("share", "freedom", "value"),
    [(0.025, 1, 0.000982), (0.975, 1, 5.024), (0.025, 4, 0.4844), (0.975, 4, 11.143), (0.975, 30, 46.979)],
)
def test_the_quantiles_are_those_of_the_handbook(share: float, freedom: int, value: float) -> None:
    assert _chi_square(share, freedom) == pytest.approx(value, rel=1e-3)


def test_sigma_is_the_spread_of_the_scores_and_lies_in_its_interval(tmp_path: Path) -> None:
    simulated = SimulatedRun(tmp_path, [])
    found = go(simulated, tmp_path, [1, 2, 3, 4, 6])
    assert found.noise.sigma == pytest.approx(statistics.stdev(found.scores))
    assert found.low < found.noise.sigma < found.high
    assert found.confirmed_gain(4) < found.confirmed_gain(1)
    assert simulated.ledger.experiments("simulated") == [], "nothing of it enters a run"


def test_more_runs_tell_more() -> None:
    few, many = interval(Noise(1.0, 2)), interval(Noise(1.0, 20))
    assert few[0] < many[0] < 1 < many[1] < few[1]


def test_a_script_that_cannot_be_scored_and_an_engine_that_fails_are_told_apart(tmp_path: Path) -> None:
    simulated = SimulatedRun(tmp_path, [])
    simulated.engine.inject(Point.RUNNING, Ending.ENGINE_FAILED)
    with pytest.raises(PrerequisiteMissing):
        go(simulated, tmp_path, [1, 2])
    simulated.workspace.script.write_text("CRASH = True\n")
    with pytest.raises(NothingEvaluated, match="crash"):
        go(simulated, tmp_path / "again", [1, 2])


@pytest.mark.parametrize(
    ("outcome", "advice"),
    [
        ("timeout_no_artifact", "no weights within 40s"),
        ("oom", "memory_gb"),
        ("too_slow", "judge_wall_clock"),
        ("crash", "`autoresearch logs 0`"),
    ],
)
def test_what_to_do_about_a_script_without_a_score_depends_on_its_outcome(outcome: str, advice: str) -> None:
    assert advice in unscored(outcome, 40.0, look="autoresearch logs 0")


def test_a_run_beside_a_stranger_does_not_count(tmp_path: Path) -> None:
    simulated = SimulatedRun(tmp_path, [])
    pipeline = simulated.loop().attempts.pipeline
    seen = iter([False, True, True, True])

    class Beside:
        def evaluate(self, *words: Any, **named: Any) -> Evaluation:
            return replace(pipeline.evaluate(*words, **named), contended=next(seen))

    source = simulated.workspace.script.read_bytes()
    evaluations = [1, 2, 3]
    with pytest.raises(NothingEvaluated, match="fewer than two"):
        calibrate(source, Beside(), evaluations, tmp_path / "c", run="calibrate-1", progress=lambda _: None)  # type: ignore[arg-type]
