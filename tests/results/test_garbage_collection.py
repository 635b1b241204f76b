"""gc removes what no kept row needs, and nothing else."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from simulated_run import Night, source

from runner.results.garbage_collection import clear_files, clear_images
from runner.results.snapshot import PREFIX
from runner.store.copied_workspace import home_of
from runner.store.ledger import Ledger
from sandbox.engine import LABEL, BuildContext, Image

IDEAS = [source(1.9, "better = 1\n"), source(2.1, "worse = 1\n")]


@pytest.fixture
def night(tmp_path: Path) -> Night:
    made = Night(tmp_path, IDEAS)
    made.loop().go()
    return made


def files(night: Night) -> set[Path]:
    return {path for path in night.workspace.state.rglob("*") if path.is_file() and "ledger" not in path.name}


def planted(night: Night, *tags: str, run: str = "night", script: str = "") -> Image:
    """A snapshot that no row refers to, of a script of this ledger unless another hash is said."""
    kept = night.engine.image(night.ledger.experiment("night", 1).image or "")
    labels = {**kept.labels, f"{PREFIX}.run": run, "extra": "1"}
    if script:
        labels[f"{PREFIX}.train-sha256"] = script
    return night.engine.build(BuildContext("FROM scratch", {}, tags=tags, labels=labels))


def test_a_kept_row_keeps_all_it_needs_and_the_run_goes_on_after_it(night: Night) -> None:
    clear_files(night.ledger, dry_run=False)
    for experiment in night.ledger.experiments("night")[:2]:
        first = experiment.measured[0].folder
        for name in ("train.py", "params.safetensors", "model.stablehlo"):
            assert (first / name).exists()
        assert all((a.folder / "document_nats.npy").exists() for a in experiment.measured)
        assert not any((a.folder / "params.safetensors").exists() for a in experiment.measured[1:])
    night.proposals.sources.append(source(1.8, "best = 1\n"))
    night.ledger._db.executescript(
        "PRAGMA foreign_keys=OFF; DELETE FROM experiments WHERE status = 'proposer_failed';"
        "DELETE FROM scripts WHERE number NOT IN (SELECT number FROM experiments)"
    )
    night.loop().go()
    assert night.ledger.experiment("night", 3).status == "keep"


def test_weights_and_hidden_text_of_what_was_not_kept_go_and_scripts_and_logs_stay(night: Night) -> None:
    folder = night.ledger.experiment("night", 2).attempts[0].folder
    (folder / "params.safetensors").write_text("x" * 1000)
    (folder / "judge-val").mkdir()
    (folder / "judge-val" / "rows.bin").write_text("hidden")
    before = files(night)
    would = clear_files(night.ledger, dry_run=True)
    assert files(night) == before, "a dry run removed something"
    assert clear_files(night.ledger, dry_run=False) == would
    gone = {path.name for path in before - files(night) if folder in path.parents}
    assert gone == {"params.safetensors", "rows.bin"}
    assert {f.bytes for f in would if str(folder) in f.name} == {1000, 6}
    assert clear_files(night.ledger, dry_run=False) == []


def test_an_open_experiment_keeps_everything(night: Night) -> None:
    night.ledger.set_experiment("night", 2, status="open")
    path = night.ledger.experiment("night", 2).attempts[0].folder / "params.safetensors"
    path.write_text("x")
    clear_files(night.ledger, dry_run=False)
    assert path.exists()


def test_a_snapshot_that_no_kept_row_refers_to_goes(night: Night) -> None:
    old = planted(night, "autoresearch/night:0007")
    assert [f.name for f in clear_images(night.ledger, night.engine, dry_run=True)] == [
        "autoresearch/night:0007"
    ]
    assert night.engine.image(old.id) == old
    clear_images(night.ledger, night.engine, dry_run=False)
    left = {image.id for image in night.engine.images({f"{LABEL}.image": "snapshot"})}
    assert left == {e.image for e in night.ledger.experiments("night") if e.image}


def test_an_image_that_may_be_somebody_elses_stays(night: Night) -> None:
    planted(night, "autoresearch/other:0001", run="other")
    shared = planted(night, "autoresearch/night:0007", "mine/model:best")
    planted(night, "autoresearch/night:0008", script="0" * 64)
    assert set(night.engine.image(shared.id).tags) == {"autoresearch/night:0007", "mine/model:best"}
    assert clear_images(night.ledger, night.engine, dry_run=False) == []


def test_while_a_kept_row_waits_for_its_image_none_goes(night: Night) -> None:
    planted(night, "autoresearch/night:0001")
    night.ledger.set_experiment("night", 1, image=None)
    assert clear_images(night.ledger, night.engine, dry_run=False) == []


def test_a_copy_of_a_workspace_removes_no_image_of_the_first(night: Night, tmp_path: Path) -> None:
    planted(night, "autoresearch/night:0007")
    night.ledger.change_settings("night", home_of(night.workspace.ledger))
    copy = shutil.copytree(night.workspace.folder, tmp_path.parent / f"{tmp_path.name}-copy")
    assert clear_images(Ledger(copy / ".autoresearch" / "ledger.db"), night.engine, dry_run=True) == []
    assert len(clear_images(night.ledger, night.engine, dry_run=True)) == 1
