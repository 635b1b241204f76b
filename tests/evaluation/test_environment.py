"""What the environment of a training says to JAX."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.simulated_run import OneLease
from judge.verdict import Verdict
from runner.evaluation.pipeline import GPU_XLA_FLAGS, Ids, Pipeline
from sandbox.engine import BuildContext
from sandbox.fake_engine import FakeEngine, Script
from sandbox.spec import Job, Lease, Limits


class NeverAsked:
    def score(self, *_: object, **__: object) -> Verdict:
        raise AssertionError("nothing was handed over")


@pytest.mark.parametrize(
    ("lease", "wanted"),
    [
        (Lease(cpus=(0,)), {"JAX_PLATFORMS": "cpu"}),
        (Lease(cpus=(0,), gpu_uuid="GPU-0"), {"JAX_PLATFORMS": "cuda", "XLA_FLAGS": GPU_XLA_FLAGS}),
    ],
)
def test_compiling_for_a_gpu_does_not_use_up_the_wall_clock(
    tmp_path: Path, lease: Lease, wanted: dict[str, str]
) -> None:
    seen: list[Job] = []

    def train(job: Job) -> Script:
        seen.append(job)
        return Script()

    engine = FakeEngine(train)
    image = engine.build(BuildContext("FROM scratch", {}, tags=("autoresearch/candidate:cpu",)))
    (tmp_path / "data").mkdir()
    pipeline = Pipeline(
        engine, image.id, NeverAsked(), OneLease(lease), tmp_path / "data", Limits(wall_clock_s=60.0)
    )
    pipeline.evaluate(b"pass", Ids("run", "0", 1), seed=1, folder=tmp_path / "attempt")
    names = ("JAX_PLATFORMS", "XLA_FLAGS")
    assert {k: v for k, v in seen[0].environment.items() if k in names} == wanted
