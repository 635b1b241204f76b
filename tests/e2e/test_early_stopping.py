"""Hopeless trainings on the real engine: one that says so is ended, one that lies trains to its end and is judged."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from judge.verdict import Verdict
from runner.evaluation.pipeline import Ids, Pipeline
from runner.images.build import Images
from runner.protocols import Evaluation
from runner.scoring.early_stopping import (
    CHECKPOINTS,
    NOT_FINITE,
    Finished,
    Rule,
    TrainingMonitor,
    far_behind,
)
from runner.scoring.learning_curve import Curve, Telemetry
from sandbox.docker_engine import DockerEngine
from sandbox.lease import CpuLeases
from sandbox.spec import GIB, Limits

pytestmark = [pytest.mark.engine, pytest.mark.usefixtures("nothing_left")]

WALL_CLOCK_S = 40.0
TRAIN = """
import time
import numpy as np
from trainer_jax import harness

harness.export_model(lambda params, tokens: params["w"][tokens], {"w": np.zeros((harness.vocab_size,) * 2, np.float32)})
harness.save_params({"w": np.zeros((harness.vocab_size,) * 2, np.float32)})
step = 0
while (progress := harness.clock.progress()) < 0.9:
    harness.log(step=step, loss=LOSS, tokens=step)
    step += 1
    time.sleep(0.1)
"""


class AnyScore:
    """A judge that gives every model the same score."""

    def score(self, artifact: Path, split: str, **_: object) -> Verdict:
        return Verdict(val_bpb=3.0)


def curve(final: float) -> Telemetry:
    telemetry = Telemetry(WALL_CLOCK_S)
    for step in range(21):
        loss = final + (6.2 - final) * math.exp(-step / 3)
        telemetry.add(f'{{"loss": {loss}, "progress": {step / 20}}}\n'.encode())
    return telemetry


def rule() -> Rule:
    """As after a few trainings whose loss lay up to one nat above the best's."""
    shifts = [0.0, 0.1, 0.2, 0.5, 1.0, 0.3]
    finished = [Finished([shift] * len(CHECKPOINTS), 0.4 * shift) for shift in shifts]
    return Rule.learned(Curve.of([curve(3.0)]), finished, noise=0.005, uniform=6.2)


@pytest.fixture
def pipeline(engine: DockerEngine, images: Images, dataset: Path) -> Pipeline:
    limits = Limits(wall_clock_s=WALL_CLOCK_S, memory_bytes=2 * GIB)
    return Pipeline(engine, images.candidate.id, AnyScore(), CpuLeases(1), dataset / "train", limits)


def trained(pipeline: Pipeline, folder: Path, loss: str) -> tuple[Evaluation, TrainingMonitor]:
    monitor = TrainingMonitor(Telemetry(WALL_CLOCK_S), rule())
    script = TRAIN.replace("LOSS", loss).encode()
    ids = Ids("try-early", "1", 1)
    return pipeline.evaluate(script, ids, seed=1, folder=folder / "e", monitor=monitor), monitor


def test_a_training_that_learns_nothing_is_ended_at_the_first_checkpoint(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    evaluation, monitor = trained(pipeline, tmp_path, "6.2")
    assert (evaluation.outcome, evaluation.reason) == ("stopped_early", far_behind(0.25)), evaluation.log_tail
    assert 0.25 * WALL_CLOCK_S < evaluation.seconds < 0.7 * WALL_CLOCK_S
    assert evaluation.val_bpb is None
    assert monitor.telemetry.reports > 5
    assert (tmp_path / "e" / "telemetry.jsonl").stat().st_size > 500


def test_a_loss_that_is_not_a_number_ends_a_training_at_once(pipeline: Pipeline, tmp_path: Path) -> None:
    evaluation, _ = trained(pipeline, tmp_path, 'float("nan")')
    assert (evaluation.outcome, evaluation.reason) == ("stopped_early", NOT_FINITE), evaluation.log_tail
    assert evaluation.seconds < 0.6 * WALL_CLOCK_S


def test_a_training_that_lies_is_merely_not_ended(pipeline: Pipeline, tmp_path: Path) -> None:
    evaluation, monitor = trained(pipeline, tmp_path, "6.2 * 0.05 ** progress")
    assert (evaluation.outcome, evaluation.val_bpb) == ("ok", 3.0), evaluation.log_tail
    assert evaluation.early_stop == ""
    assert evaluation.seconds > 0.8 * WALL_CLOCK_S
    assert monitor.telemetry.progress > 0.7
