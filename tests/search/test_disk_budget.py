"""A run leaves no weights that nobody will ask for, and neither fills a disk nor begins anything on a full one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.simulated_run import SimulatedRun, source
from runner.errors import PrerequisiteMissing
from runner.search.disk_budget import DiskBudget
from runner.search.loop import Loop
from runner.store.disk_floor import GB, least_free, written_folders
from sandbox.fake_engine import Script
from sandbox.outcome import Ending, Outcome
from sandbox.spec import Job

IDEAS = [source(1.9, "better = 1\n"), source(2.1, "worse = 1\n")]
WEIGHTS = {"params.safetensors", "model.stablehlo", "clock.f64", "position_nats.npy"}


class ForgetsTheModel(SimulatedRun):
    """Every script but the baseline."""

    def train(self, job: Job) -> Script:
        ended = super().train(job)
        if job.experiment != "0":
            (job.destination / "model.stablehlo").unlink()
        return ended


def weights(simulated: SimulatedRun) -> set[str]:
    """Attempts that hold any, as "number/attempt"."""
    return {
        f"{experiment.number}/{attempt.attempt}"
        for experiment in simulated.ledger.experiments("simulated")
        for attempt in experiment.attempts
        if WEIGHTS & {path.name for path in attempt.folder.iterdir()}
    }


def budget(simulated: SimulatedRun, **values: float) -> DiskBudget:
    told = {"cap_gb": 50.0, "floor_gb": 0.0, **values}
    attempts = simulated.workspace.attempts("simulated", 0).parent
    return DiskBudget(
        simulated.engine,
        "simulated",
        attempts,
        0,
        written_folders(simulated.engine, simulated.workspace.state),
        index=lambda: simulated.ledger.index("simulated"),
        **told,
    )


def loop(simulated: SimulatedRun, disk: DiskBudget) -> Loop:
    made = simulated.loop()
    made.attempts.require_space = disk.check
    return made


def test_of_a_kept_script_one_set_of_weights_stays_and_of_any_other_none(tmp_path: Path) -> None:
    simulated = SimulatedRun(tmp_path, IDEAS)
    simulated.loop().go()
    assert [e.status for e in simulated.ledger.experiments("simulated")[:3]] == ["keep", "keep", "discard"]
    assert weights(simulated) == {"0/1", "1/1"}
    assert len(simulated.ledger.experiment("simulated", 0).attempts) > 1
    for experiment in simulated.ledger.experiments("simulated")[:3]:
        for attempt in experiment.attempts:
            assert {"train.py", "log.txt"} <= {path.name for path in attempt.folder.iterdir()}
        assert all((a.folder / "document_nats.npy").exists() for a in experiment.counted)


def test_a_script_that_fails_after_it_has_saved_leaves_no_weights(tmp_path: Path) -> None:
    """It exported no model, so what it saved cannot be judged."""
    simulated = ForgetsTheModel(tmp_path, [source(1.9)])
    simulated.loop().go()
    assert simulated.ledger.experiment("simulated", 1).status == "failed"
    assert weights(simulated) == {"0/1"}


def test_an_attempt_that_is_lost_to_the_engine_leaves_its_script_and_its_log(tmp_path: Path) -> None:
    simulated = SimulatedRun(tmp_path, [])
    train = simulated.engine._behaviour

    def lost_after_it_was_collected(job: Job) -> Script | Outcome:
        """As where the judge's container is lost: the outputs are there."""
        train(job)
        (job.destination / "telemetry.jsonl").write_text("{}")
        simulated.engine._behaviour = train
        return Outcome(ending=Ending.LOST, exit_code=None, seconds=1.0)

    simulated.engine._behaviour = lost_after_it_was_collected
    simulated.loop().go()
    lost, *others = simulated.ledger.experiment("simulated", 0).attempts
    assert lost.outcome == "infrastructure"
    assert {path.name for path in lost.folder.iterdir()} <= {"train.py", "log.txt"}
    assert weights(simulated) == {"0/2"}
    assert len(others) == 3


def test_what_a_killed_runner_had_no_time_to_remove_goes_on_resume(tmp_path: Path) -> None:
    simulated = SimulatedRun(tmp_path, IDEAS)
    simulated.loop().go()
    left = simulated.ledger.experiment("simulated", 2).attempts[0].folder / "params.safetensors"
    left.write_text("x")
    simulated.loop().go()
    assert not left.exists()


def test_below_the_floor_nothing_begins_and_with_room_it_goes_on(tmp_path: Path) -> None:
    simulated = SimulatedRun(tmp_path, IDEAS[:1])
    free, _ = least_free([tmp_path])
    with pytest.raises(PrerequisiteMissing, match="disk_floor_gb"):
        loop(simulated, budget(simulated, floor_gb=free / GB + 1e4)).go()
    assert simulated.engine.jobs == []
    loop(simulated, budget(simulated)).go()
    assert simulated.ledger.experiment("simulated", 1).status == "keep"


def test_a_run_that_holds_its_share_asks_for_no_proposal(tmp_path: Path) -> None:
    simulated = SimulatedRun(tmp_path, IDEAS[:1])
    simulated.loop(max_experiments=0).go()
    disk = budget(simulated, cap_gb=1e-6)
    with pytest.raises(PrerequisiteMissing, match="disk_gb"):
        loop(simulated, disk).go()
    assert [e.number for e in simulated.ledger.experiments("simulated")] == [0]
    assert disk.held() >= 1000


def test_snapshots_count_by_what_they_add_to_their_base(tmp_path: Path) -> None:
    simulated = SimulatedRun(tmp_path, IDEAS[:1])
    simulated.loop().go()
    before = budget(simulated).held()
    snapshots = list(simulated.engine.images({"dev.autoresearch.image": "snapshot"}))
    assert len(snapshots) == 2
    for image in snapshots:
        simulated.engine._memory.images[image.id] = replace(image, bytes=700)
    assert replace(budget(simulated), base=200).held() == before + 1000
