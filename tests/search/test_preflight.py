"""What a run needs is tried before its first training, and on a resume what is missing is said instead of failing for ever."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from benchmarks.simulated_run import SimulatedRun, source
from runner.errors import PrerequisiteMissing
from runner.evaluation import setup
from runner.evaluation.setup import Environment
from runner.images.build import Images
from runner.search.preflight import preflight
from runner.search.session import Options, session
from runner.store.config import Config
from runner.store.ledger import Ledger
from sandbox.engine import SandboxError
from sandbox.fake_engine import Point
from sandbox.mounts import make_folder, write_file
from sandbox.outcome import Ending
from sandbox.spec import Role

OPTIONS = Options(budget_s=3600.0, max_experiments=30, resume=False, seed=1, judge_guess_s=15.0)
AGAIN = Options(budget_s=None, max_experiments=None, resume=True, seed=0, judge_guess_s=15.0)


@pytest.fixture
def simulated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SimulatedRun:
    made = SimulatedRun(tmp_path, [])
    pipeline = made.loop().attempts.pipeline
    made.ledger.close()
    for path in made.workspace.state.glob("ledger.db*"):
        path.unlink()
    environment = Environment(
        made.engine, Images(made.base, made.base, "cpu"), made.data, pipeline, lambda: ""
    )
    monkeypatch.setattr("runner.evaluation.setup.set_up", lambda _, **__: environment)
    return made


def trained(simulated: SimulatedRun) -> int:
    return sum(job.role is Role.TRAIN for job in simulated.engine.jobs)


def begin(simulated: SimulatedRun, options: Options = OPTIONS) -> None:
    (simulated.workspace.folder / "ideas").mkdir(exist_ok=True)
    (simulated.workspace.folder / "ideas" / "1.py").write_text(source(1.0))
    session(
        simulated.workspace,
        Config(proposer=f"scripted:{simulated.workspace.folder}/ideas"),
        options,
        display="none",
    )


def test_a_good_machine_is_left_as_it_was(simulated: SimulatedRun) -> None:
    pipeline = setup.set_up(Config()).pipeline
    before = (
        {path.name for path in simulated.workspace.folder.iterdir()},
        {p.name for p in simulated.workspace.state.iterdir()},
    )
    preflight(pipeline, simulated.base, simulated.workspace.folder, simulated.workspace.state, "simulated")
    after = (
        {path.name for path in simulated.workspace.folder.iterdir()},
        {p.name for p in simulated.workspace.state.iterdir()},
    )
    assert after == before
    assert [image.id for image in simulated.engine.images({"dev.autoresearch.image": "preflight"})] == []


def test_a_repository_that_takes_no_commit_is_said_before_the_first_training(simulated: SimulatedRun) -> None:
    shutil.rmtree(simulated.workspace.folder / ".git" / "objects")
    with pytest.raises(PrerequisiteMissing, match="git"):
        begin(simulated)
    assert trained(simulated) == 0


def test_a_workspace_without_a_repository_gets_one_and_the_run_its_branch(simulated: SimulatedRun) -> None:
    shutil.rmtree(simulated.workspace.folder / ".git")
    begin(simulated)
    ledger = Ledger(simulated.workspace.ledger)
    assert all(e.git_commit for e in ledger.experiments(ledger.run().id) if e.status == "keep")
    ledger.close()


def test_an_engine_that_cannot_build_is_said_before_the_first_training(simulated: SimulatedRun) -> None:
    simulated.engine.inject(Point.BUILD, SandboxError("no room left"))
    with pytest.raises(PrerequisiteMissing, match="stored as an image"):
        begin(simulated)
    assert trained(simulated) == 0
    ledger = Ledger(simulated.workspace.ledger)
    assert ledger.run().finished_at is not None
    ledger.close()


def test_data_that_a_container_cannot_read_are_said_before_the_first_training(
    simulated: SimulatedRun,
) -> None:
    write_file(simulated.data / "train" / "tokens.bin", b"x")
    (simulated.data / "train" / "tokens.bin").chmod(0o600)
    with pytest.raises(PrerequisiteMissing, match=r"chmod -R a\+rX"):
        begin(simulated)
    (simulated.data / "train" / "tokens.bin").chmod(0o644)
    simulated.engine.inject(Point.RUNNING, Ending.ENGINE_FAILED)
    with pytest.raises(PrerequisiteMissing, match="cannot read what a training needs"):
        begin(simulated)
    assert trained(simulated) == 0


def test_a_workspace_that_cannot_be_written_is_said_before_the_first_training(
    simulated: SimulatedRun,
) -> None:
    make_folder(simulated.workspace.folder / "gone")
    pipeline = setup.set_up(Config()).pipeline
    with pytest.raises(PrerequisiteMissing, match="cannot be written"):
        preflight(
            pipeline,
            simulated.base,
            simulated.workspace.folder / "gone" / "x",
            simulated.workspace.state,
            "simulated",
        )
    if os.geteuid() == 0:
        with pytest.raises(PrerequisiteMissing, match="cannot be written"):
            preflight(pipeline, simulated.base, Path("/proc"), simulated.workspace.state, "simulated")


def test_a_kept_row_whose_files_are_gone_is_said_once_and_the_run_goes_on(simulated: SimulatedRun) -> None:
    begin(simulated)
    ledger = Ledger(simulated.workspace.ledger)
    baseline = ledger.experiment(ledger.run().id, 0)
    assert baseline.image is not None
    simulated.engine.remove_image(baseline.image)
    (baseline.counted[0].folder / "params.safetensors").unlink()
    begin(simulated, AGAIN)
    said = [data for _, kind, data in ledger.events(ledger.run().id) if kind == "not_frozen"]
    assert [Path(path).name for path in said[0]["missing"]] == ["params.safetensors"]
    ledger.close()


def test_a_run_whose_losses_are_gone_is_a_sentence(simulated: SimulatedRun) -> None:
    begin(simulated)
    ledger = Ledger(simulated.workspace.ledger)
    best = [e for e in ledger.experiments(ledger.run().id) if e.status == "keep"][-1]
    (best.counted[0].folder / "document_nats.npy").unlink()
    with pytest.raises(PrerequisiteMissing, match=r"nats\.npy is gone"):
        begin(simulated, AGAIN)
    ledger.close()
