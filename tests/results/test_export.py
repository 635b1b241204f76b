"""A kept experiment is handed over whole and checked, and nothing of the user's is lost to it."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from pathlib import Path

import pytest
from simulated_run import Night, source

from runner.errors import NothingEvaluated, PrerequisiteMissing, UsageError
from runner.results.apply import apply
from runner.results.export import export
from runner.results.kept_experiment import find

BETTER = source(1.9, "better = 1\n")


@pytest.fixture
def night(tmp_path: Path) -> Night:
    made = Night(tmp_path / "w", [BETTER, source(2.1, "worse = 1\n")])
    made.loop().go()
    return made


def test_a_kept_experiment_is_found_by_number_tag_or_as_the_best(night: Night) -> None:
    tag = night.ledger.experiment("night", 1).tag
    assert tag
    assert [find(night.ledger, name).number for name in ("0", "1", tag, "best")] == [0, 1, 1, 1]


@pytest.mark.parametrize("name", ["2", "9", "-1", "worst", "autoresearch/night:0002", "night:1"])
def test_what_was_not_kept_cannot_be_taken(night: Night, name: str) -> None:
    with pytest.raises(UsageError):
        find(night.ledger, name)


def test_of_a_run_that_has_kept_nothing_there_is_no_best(tmp_path: Path) -> None:
    with pytest.raises(NothingEvaluated):
        find(Night(tmp_path, []).ledger, "best")


def test_an_export_holds_what_was_judged_with_its_hashes(night: Night, tmp_path: Path) -> None:
    best = find(night.ledger, "best")
    hashes = export(best, tmp_path / "out", night.data, None)
    files = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (tmp_path / "out").iterdir()
    }
    assert files == hashes
    assert set(files) == {
        "train.py",
        "params.safetensors",
        "model.stablehlo",
        "verdict.json",
        "manifest.json",
    }
    assert (tmp_path / "out" / "train.py").read_text() == BETTER
    assert files["params.safetensors"] == best.measured[0].params_sha256
    verdict = json.loads((tmp_path / "out" / "verdict.json").read_text())
    assert (verdict["val_bpb"], verdict["image"]) == (best.val_bpb, best.image)


@pytest.mark.parametrize("name", ["train.py", "params.safetensors"])
def test_a_file_that_is_not_the_one_that_was_judged_is_not_exported(
    night: Night, tmp_path: Path, name: str
) -> None:
    path = find(night.ledger, "best").measured[0].folder / name
    path.chmod(0o644)
    path.write_text("other")
    with pytest.raises(PrerequisiteMissing, match="SHA-256"):
        export(find(night.ledger, "best"), tmp_path / "out", night.data, None)
    path.unlink()
    with pytest.raises(PrerequisiteMissing, match="gone"):
        export(find(night.ledger, "best"), tmp_path / "out", night.data, None)
    assert [p.name for p in tmp_path.iterdir()] == ["w"]


def test_the_manifest_of_another_data_set_is_not_exported(night: Night, tmp_path: Path) -> None:
    best, manifest = find(night.ledger, "best"), night.data / "manifest.json"
    known = hashlib.sha256(manifest.read_bytes()).hexdigest()
    manifest.write_text("other")
    with pytest.raises(PrerequisiteMissing, match="not the data set of this run"):
        export(best, tmp_path / "out", night.data, known)
    assert [p.name for p in tmp_path.iterdir()] == ["w"]


def test_an_export_never_overwrites(night: Night, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(UsageError, match="already"):
        export(find(night.ledger, "best"), tmp_path / "out", night.data, None)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_script_that_the_ledger_has_may_be_replaced(night: Night) -> None:
    done = apply(find(night.ledger, "best"), night.workspace.script, night.ledger, force=False)
    assert (done.changed, done.backup) == (True, None)
    assert night.workspace.script.read_text() == BETTER
    assert not apply(find(night.ledger, "best"), night.workspace.script, night.ledger, force=False).changed


def test_unsaved_changes_are_not_overwritten_and_force_keeps_a_copy(night: Night) -> None:
    script = night.workspace.script
    for number in (1, 2):
        script.write_text(f"mine = {number}\n")
        with pytest.raises(UsageError, match="--force"):
            apply(find(night.ledger, "best"), script, night.ledger, force=False)
        assert script.read_text() == f"mine = {number}\n"
        done = apply(find(night.ledger, "best"), script, night.ledger, force=True)
        assert done.backup == script.with_name(f"train.py.before-{number}")
        assert done.backup.read_text() == f"mine = {number}\n"


def test_what_git_has_may_be_replaced(night: Night) -> None:
    script = night.workspace.script
    script.write_text("mine = 1\n")
    git = ["git", "-C", str(script.parent), "-c", "user.name=x", "-c", "user.email=x@localhost"]
    subprocess.run([*git, "add", "train.py"], check=True)
    subprocess.run([*git, "commit", "-qm", "mine"], check=True)
    assert apply(find(night.ledger, "best"), script, night.ledger, force=False).changed


def test_another_file_may_be_named(night: Night, tmp_path: Path) -> None:
    before = night.workspace.script.read_text()
    apply(find(night.ledger, "1"), tmp_path / "new.py", night.ledger, force=False)
    assert (tmp_path / "new.py").read_text() == BETTER
    assert night.workspace.script.read_text() == before


def test_neither_the_ledgers_folder_nor_a_pipe_becomes_a_script(night: Night, tmp_path: Path) -> None:
    best, ledger = find(night.ledger, "best"), night.workspace.ledger
    with pytest.raises(UsageError, match="ledger"):
        apply(best, ledger, night.ledger, force=True)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UsageError, match="regular"):
        apply(best, tmp_path / "pipe", night.ledger, force=True)
