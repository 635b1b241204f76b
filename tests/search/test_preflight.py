"""What a run needs is tried before its first training, and on a resume what is missing is said instead of failing for ever."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

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
from tests.search.simulated_run import Night, source

OPTIONS = Options(budget_s=3600.0, max_experiments=30, resume=False, seed=1, judge_guess_s=15.0)
AGAIN = Options(budget_s=None, max_experiments=None, resume=True, seed=0, judge_guess_s=15.0)


@pytest.fixture
def night(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Night:
    made = Night(tmp_path, [])
    pipeline = made.loop().attempts.pipeline
    made.ledger.close()
    for path in made.workspace.state.glob("ledger.db*"):
        path.unlink()
    environment = Environment(
        made.engine, Images(made.base, made.base, "cpu"), made.data, pipeline, lambda: ""
    )
    monkeypatch.setattr("runner.evaluation.setup.set_up", lambda _, **__: environment)
    return made


def trained(night: Night) -> int:
    return sum(job.role is Role.TRAIN for job in night.engine.jobs)


def begin(night: Night, options: Options = OPTIONS) -> None:
    (night.workspace.folder / "ideas").mkdir(exist_ok=True)
    (night.workspace.folder / "ideas" / "1.py").write_text(source(1.0))
    session(
        night.workspace, Config(proposer=f"scripted:{night.workspace.folder}/ideas"), options, display="none"
    )


def test_a_good_machine_is_left_as_it_was(night: Night) -> None:
    pipeline = setup.set_up(Config()).pipeline
    before = (
        {path.name for path in night.workspace.folder.iterdir()},
        {p.name for p in night.workspace.state.iterdir()},
    )
    preflight(pipeline, night.base, night.workspace.folder, night.workspace.state, "night")
    after = (
        {path.name for path in night.workspace.folder.iterdir()},
        {p.name for p in night.workspace.state.iterdir()},
    )
    assert after == before
    assert [image.id for image in night.engine.images({"dev.autoresearch.image": "trial"})] == []


def test_a_repository_that_takes_no_commit_is_said_before_the_first_training(night: Night) -> None:
    shutil.rmtree(night.workspace.folder / ".git" / "objects")
    with pytest.raises(PrerequisiteMissing, match="git"):
        begin(night)
    assert trained(night) == 0


def test_a_workspace_without_a_repository_gets_one_and_the_run_its_branch(night: Night) -> None:
    shutil.rmtree(night.workspace.folder / ".git")
    begin(night)
    ledger = Ledger(night.workspace.ledger)
    assert all(e.git_commit for e in ledger.experiments(ledger.run().id) if e.status == "keep")
    ledger.close()


def test_an_engine_that_cannot_build_is_said_before_the_first_training(night: Night) -> None:
    night.engine.inject(Point.BUILD, SandboxError("no room left"))
    with pytest.raises(PrerequisiteMissing, match="frozen as an image"):
        begin(night)
    assert trained(night) == 0
    ledger = Ledger(night.workspace.ledger)
    assert ledger.run().finished_at is not None
    ledger.close()


def test_data_that_a_container_cannot_read_are_said_before_the_first_training(night: Night) -> None:
    write_file(night.data / "train" / "tokens.bin", b"x")
    (night.data / "train" / "tokens.bin").chmod(0o600)
    with pytest.raises(PrerequisiteMissing, match=r"chmod -R a\+rX"):
        begin(night)
    (night.data / "train" / "tokens.bin").chmod(0o644)
    night.engine.inject(Point.RUNNING, Ending.ENGINE_FAILED)
    with pytest.raises(PrerequisiteMissing, match="cannot read what a training needs"):
        begin(night)
    assert trained(night) == 0


def test_a_workspace_that_cannot_be_written_is_said_before_the_first_training(night: Night) -> None:
    make_folder(night.workspace.folder / "gone")
    pipeline = setup.set_up(Config()).pipeline
    with pytest.raises(PrerequisiteMissing, match="cannot be written"):
        preflight(pipeline, night.base, night.workspace.folder / "gone" / "x", night.workspace.state, "night")
    if os.geteuid() == 0:
        with pytest.raises(PrerequisiteMissing, match="cannot be written"):
            preflight(pipeline, night.base, Path("/proc"), night.workspace.state, "night")


def test_a_kept_row_whose_files_are_gone_is_said_once_and_the_run_goes_on(night: Night) -> None:
    begin(night)
    ledger = Ledger(night.workspace.ledger)
    baseline = ledger.experiment(ledger.run().id, 0)
    assert baseline.image is not None
    night.engine.remove_image(baseline.image)
    (baseline.measured[0].folder / "params.safetensors").unlink()
    begin(night, AGAIN)
    said = [data for _, kind, data in ledger.events(ledger.run().id) if kind == "not_frozen"]
    assert [Path(path).name for path in said[0]["missing"]] == ["params.safetensors"]
    ledger.close()


def test_a_run_whose_losses_are_gone_is_a_sentence(night: Night) -> None:
    begin(night)
    ledger = Ledger(night.workspace.ledger)
    best = [e for e in ledger.experiments(ledger.run().id) if e.status == "keep"][-1]
    (best.measured[0].folder / "document_nats.npy").unlink()
    with pytest.raises(PrerequisiteMissing, match=r"nats\.npy is gone"):
        begin(night, AGAIN)
    ledger.close()
