"""A kept experiment is handed over whole and checked, and nothing of the user's is lost to it."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from pathlib import Path

import pytest

from benchmarks.simulated_run import SimulatedRun, source
from runner.errors import NothingEvaluated, PrerequisiteMissing, UsageError
from runner.results.apply import apply
from runner.results.export import export
from runner.results.kept_experiment import find

BETTER = source(1.9, "better = 1\n")


@pytest.fixture
def simulated(tmp_path: Path) -> SimulatedRun:
    made = SimulatedRun(tmp_path / "w", [BETTER, source(2.1, "worse = 1\n")])
    made.loop().go()
    return made


def test_a_kept_experiment_is_found_by_number_tag_or_as_the_best(simulated: SimulatedRun) -> None:
    tag = simulated.ledger.experiment("simulated", 1).tag
    assert tag
    assert [find(simulated.ledger, name).number for name in ("0", "1", tag, "best")] == [0, 1, 1, 1]


@pytest.mark.parametrize("name", ["2", "9", "-1", "worst", "autoresearch/simulated:0002", "simulated:1"])
def test_what_was_not_kept_cannot_be_taken(simulated: SimulatedRun, name: str) -> None:
    with pytest.raises(UsageError):
        find(simulated.ledger, name)


def test_of_a_run_that_has_kept_nothing_there_is_no_best(tmp_path: Path) -> None:
    with pytest.raises(NothingEvaluated):
        find(SimulatedRun(tmp_path, []).ledger, "best")


def test_an_export_holds_what_was_judged_with_its_hashes(simulated: SimulatedRun, tmp_path: Path) -> None:
    best = find(simulated.ledger, "best")
    hashes = export(best, tmp_path / "out", simulated.data, None)
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
    assert files["params.safetensors"] == best.counted[0].params_sha256
    verdict = json.loads((tmp_path / "out" / "verdict.json").read_text())
    assert (verdict["val_bpb"], verdict["image"]) == (best.val_bpb, best.image)


@pytest.mark.parametrize("name", ["train.py", "params.safetensors"])
def test_a_file_that_is_not_the_one_that_was_judged_is_not_exported(
    simulated: SimulatedRun, tmp_path: Path, name: str
) -> None:
    path = find(simulated.ledger, "best").counted[0].folder / name
    path.chmod(0o644)
    path.write_text("other")
    with pytest.raises(PrerequisiteMissing, match="SHA-256"):
        export(find(simulated.ledger, "best"), tmp_path / "out", simulated.data, None)
    path.unlink()
    with pytest.raises(PrerequisiteMissing, match="gone"):
        export(find(simulated.ledger, "best"), tmp_path / "out", simulated.data, None)
    assert [p.name for p in tmp_path.iterdir()] == ["w"]


def test_the_manifest_of_another_data_set_is_not_exported(simulated: SimulatedRun, tmp_path: Path) -> None:
    best, manifest = find(simulated.ledger, "best"), simulated.data / "manifest.json"
    known = hashlib.sha256(manifest.read_bytes()).hexdigest()
    manifest.write_text("other")
    with pytest.raises(PrerequisiteMissing, match="not the data set of this run"):
        export(best, tmp_path / "out", simulated.data, known)
    assert [p.name for p in tmp_path.iterdir()] == ["w"]


def test_an_export_never_overwrites(simulated: SimulatedRun, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(UsageError, match="already"):
        export(find(simulated.ledger, "best"), tmp_path / "out", simulated.data, None)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_script_that_the_ledger_has_may_be_replaced(simulated: SimulatedRun) -> None:
    done = apply(find(simulated.ledger, "best"), simulated.workspace.script, simulated.ledger, force=False)
    assert (done.changed, done.backup) == (True, None)
    assert simulated.workspace.script.read_text() == BETTER
    assert not apply(
        find(simulated.ledger, "best"), simulated.workspace.script, simulated.ledger, force=False
    ).changed


def test_unsaved_changes_are_not_overwritten_and_force_keeps_a_copy(simulated: SimulatedRun) -> None:
    script = simulated.workspace.script
    for number in (1, 2):
        script.write_text(f"mine = {number}\n")
        with pytest.raises(UsageError, match="--force"):
            apply(find(simulated.ledger, "best"), script, simulated.ledger, force=False)
        assert script.read_text() == f"mine = {number}\n"
        done = apply(find(simulated.ledger, "best"), script, simulated.ledger, force=True)
        assert done.backup == script.with_name(f"train.py.before-{number}")
        assert done.backup.read_text() == f"mine = {number}\n"


def test_what_git_has_may_be_replaced(simulated: SimulatedRun) -> None:
    script = simulated.workspace.script
    script.write_text("mine = 1\n")
    git = ["git", "-C", str(script.parent), "-c", "user.name=x", "-c", "user.email=x@localhost"]
    subprocess.run([*git, "add", "train.py"], check=True)
    subprocess.run([*git, "commit", "-qm", "mine"], check=True)
    assert apply(find(simulated.ledger, "best"), script, simulated.ledger, force=False).changed


def test_another_file_may_be_named(simulated: SimulatedRun, tmp_path: Path) -> None:
    before = simulated.workspace.script.read_text()
    apply(find(simulated.ledger, "1"), tmp_path / "new.py", simulated.ledger, force=False)
    assert (tmp_path / "new.py").read_text() == BETTER
    assert simulated.workspace.script.read_text() == before


def test_neither_the_ledgers_folder_nor_a_pipe_becomes_a_script(
    simulated: SimulatedRun, tmp_path: Path
) -> None:
    best, ledger = find(simulated.ledger, "best"), simulated.workspace.ledger
    with pytest.raises(UsageError, match="ledger"):
        apply(best, ledger, simulated.ledger, force=True)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UsageError, match="regular"):
        apply(best, tmp_path / "pipe", simulated.ledger, force=True)
