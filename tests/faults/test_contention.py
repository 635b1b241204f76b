"""Somebody else on our GPU: we wait for them, and a measurement beside them does not count."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from runner.evaluation.pipeline import Ids, Pipeline
from sandbox.fake_engine import FakeEngine, Point, Script
from sandbox.gpu import FakeGpuProbe
from sandbox.lease import CpuLeases, GpuLeases, LeaseUnavailable
from sandbox.outcome import Ending
from sandbox.spec import Job, Limits

sys.path.insert(0, str(Path(__file__).parents[1] / "search"))
from benchmarks.simulated_run import SimulatedRun, WrittenScore, source

GPU = "GPU-a"


def pipeline(folder: Path, probe: FakeGpuProbe, engine: FakeEngine, image: str) -> Pipeline:
    cpus = CpuLeases(1, folder=folder, available=range(2), patience_s=0)
    leases = GpuLeases([GPU], probe, cpus, folder=folder, patience_s=0, sleep=lambda _: None)
    return Pipeline(
        engine, image, WrittenScore(), leases, folder / "data" / "train", Limits(60.0), preset="gpu"
    )


def night_with(folder: Path, probe: FakeGpuProbe, strangers: list[bool]) -> SimulatedRun:
    """A run in which a stranger appears on the GPU during the trainings marked True."""
    simulated = SimulatedRun(folder, [source(1.9, "better = 1\n")])
    honest = simulated.engine._behaviour

    def train(job: Job) -> Script | None:
        if strangers and strangers.pop(0):
            probe.busy[GPU] = [4711]
        else:
            probe.busy.clear()
        return honest(job)  # type: ignore[return-value]

    simulated.engine._behaviour = train
    return simulated


def test_a_measurement_beside_a_stranger_is_marked_and_does_not_count(tmp_path: Path) -> None:
    probe = FakeGpuProbe([GPU])
    simulated = night_with(tmp_path, probe, [True])
    evaluation = pipeline(tmp_path, probe, simulated.engine, simulated.base.id).evaluate(
        source(1.9).encode(), Ids("simulated", "0", 1), seed=1, folder=tmp_path / "evaluation"
    )
    assert evaluation.contended
    assert evaluation.val_bpb is not None


def test_a_gpu_that_stays_taken_is_not_trained_on(tmp_path: Path) -> None:
    probe = FakeGpuProbe([GPU], busy={GPU: [4711]})
    simulated = SimulatedRun(tmp_path, [])
    with pytest.raises(LeaseUnavailable, match="others are using them"):
        pipeline(tmp_path, probe, simulated.engine, simulated.base.id).evaluate(
            source(1.9).encode(), Ids("simulated", "0", 1), seed=1, folder=tmp_path / "evaluation"
        )
    assert simulated.engine.jobs == []


def test_what_survived_sigkill_keeps_its_gpu_and_its_cpus_out_of_use(tmp_path: Path) -> None:
    probe = FakeGpuProbe([GPU])
    simulated = SimulatedRun(tmp_path, [])
    simulated.engine.inject(Point.RUNNING, Ending.UNKILLABLE)
    way = pipeline(tmp_path, probe, simulated.engine, simulated.base.id)
    evaluation = way.evaluate(
        source(1.9).encode(), Ids("simulated", "0", 1), seed=1, folder=tmp_path / "evaluation"
    )
    assert evaluation.outcome == "infrastructure"
    assert sorted(note.name for note in tmp_path.glob("*.quarantined")) == [
        "cpu-0.quarantined",
        "gpu-GPU-a.quarantined",
    ]
    with pytest.raises(LeaseUnavailable), way.leases.acquire():
        pass
