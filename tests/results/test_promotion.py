"""A promotion when the engine fails in the middle of it, and what a killed runner leaves in an attempt's folder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.simulated_run import SimulatedRun, WrittenScore, source
from judge.verdict import Verdict
from runner.evaluation.pipeline import OUTPUTS
from runner.protocols import State
from sandbox.engine import SandboxError


class Failing(WrittenScore):
    """The judge's engine fails `times` times when the sealed split is asked for."""

    def __init__(self, times: int) -> None:
        self.left = times

    def score(self, artifact: Path, split: str, **words: Any) -> Verdict:
        if split == "test" and self.left:
            self.left -= 1
            return Verdict(infrastructure="the engine does not answer")
        return super().score(artifact, split, **words)


def test_a_sealed_score_that_the_engine_lost_is_asked_for_again(tmp_path: Path) -> None:
    simulated = SimulatedRun(tmp_path, [])
    loop = simulated.loop()
    loop.promotion = replace(loop.promotion, pipeline=replace(loop.attempts.pipeline, judge=Failing(2)))
    loop.go()
    baseline = simulated.ledger.experiments("simulated")[0]
    assert baseline.test_bpb == pytest.approx(2.0, abs=0.01)
    assert baseline.image


def test_an_engine_that_stays_away_ends_the_run_and_a_resumed_one_keeps(tmp_path: Path) -> None:
    simulated = SimulatedRun(tmp_path, [])
    loop = simulated.loop()
    loop.promotion = replace(loop.promotion, pipeline=replace(loop.attempts.pipeline, judge=Failing(3)))
    with pytest.raises(SandboxError, match="test score"):
        loop.go()
    baseline = simulated.ledger.experiments("simulated")[0]
    assert (baseline.status, baseline.image, baseline.test_bpb) == ("keep", None, None)
    simulated.loop().go()
    baseline = simulated.ledger.experiments("simulated")[0]
    assert baseline.image
    assert baseline.test_bpb is not None


def test_what_a_runner_killed_in_judging_left_is_removed(tmp_path: Path) -> None:
    simulated = SimulatedRun(tmp_path, [source(1.9)])

    def killed(event: Any) -> None:
        if event.data.get("number") == 1 and event.data.get("state") == State.COLLECTED:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        simulated.loop(emit=killed).go()
    folder = simulated.workspace.attempts("simulated", 1) / "1"
    for name in ("judge-val", "judge-test", "artifact-val"):
        (folder / name).mkdir()
        (folder / name / "rows.bin").write_text("hidden")
    assert (folder / "params.safetensors").exists()

    simulated.loop().go()

    assert {path.name for path in folder.iterdir()} == {"train.py", "log.txt"}
    assert simulated.ledger.experiments("simulated")[1].status == "keep"
    assert not {path.name for path in folder.parent.rglob("*")} & {"judge-val", "judge-test", "rows.bin"}
    assert "params.safetensors" in {output.name for output in OUTPUTS}
