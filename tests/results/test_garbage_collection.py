"""gc removes what no kept row needs, and nothing else."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from benchmarks.simulated_run import SimulatedRun, source
from runner.results.garbage_collection import remove_unneeded_files, remove_unneeded_images
from runner.results.snapshot import PREFIX
from runner.store.copied_workspace import home_of
from runner.store.ledger import Ledger
from sandbox.engine import LABEL, BuildContext, Image

IDEAS = [source(1.9, "better = 1\n"), source(2.1, "worse = 1\n")]


@pytest.fixture
def simulated(tmp_path: Path) -> SimulatedRun:
    made = SimulatedRun(tmp_path, IDEAS)
    made.loop().go()
    return made


def files(simulated: SimulatedRun) -> set[Path]:
    return {
        path for path in simulated.workspace.state.rglob("*") if path.is_file() and "ledger" not in path.name
    }


def planted(simulated: SimulatedRun, *tags: str, run: str = "simulated", script: str = "") -> Image:
    """A snapshot that no row refers to, of a script of this ledger unless another hash is said."""
    kept = simulated.engine.image(simulated.ledger.experiment("simulated", 1).image or "")
    labels = {**kept.labels, f"{PREFIX}.run": run, "extra": "1"}
    if script:
        labels[f"{PREFIX}.train-sha256"] = script
    return simulated.engine.build(BuildContext("FROM scratch", {}, tags=tags, labels=labels))


def test_a_kept_row_keeps_all_it_needs_and_the_run_goes_on_after_it(simulated: SimulatedRun) -> None:
    remove_unneeded_files(simulated.ledger, dry_run=False)
    for experiment in simulated.ledger.experiments("simulated")[:2]:
        first = experiment.counted[0].folder
        for name in ("train.py", "params.safetensors", "model.stablehlo"):
            assert (first / name).exists()
        assert all((a.folder / "document_nats.npy").exists() for a in experiment.counted)
        assert not any((a.folder / "params.safetensors").exists() for a in experiment.counted[1:])
    simulated.proposals.sources.append(source(1.8, "best = 1\n"))
    simulated.ledger._db.executescript(
        "PRAGMA foreign_keys=OFF; DELETE FROM experiments WHERE status = 'proposer_failed';"
        "DELETE FROM scripts WHERE number NOT IN (SELECT number FROM experiments)"
    )
    simulated.loop().go()
    assert simulated.ledger.experiment("simulated", 3).status == "keep"


def test_weights_and_hidden_text_of_what_was_not_kept_go_and_scripts_and_logs_stay(
    simulated: SimulatedRun,
) -> None:
    folder = simulated.ledger.experiment("simulated", 2).attempts[0].folder
    (folder / "params.safetensors").write_text("x" * 1000)
    (folder / "judge-val").mkdir()
    (folder / "judge-val" / "rows.bin").write_text("hidden")
    before = files(simulated)
    would = remove_unneeded_files(simulated.ledger, dry_run=True)
    assert files(simulated) == before, "a dry run removed something"
    assert remove_unneeded_files(simulated.ledger, dry_run=False) == would
    gone = {path.name for path in before - files(simulated) if folder in path.parents}
    assert gone == {"params.safetensors", "rows.bin"}
    assert {f.bytes for f in would if str(folder) in f.name} == {1000, 6}
    assert remove_unneeded_files(simulated.ledger, dry_run=False) == []


def test_an_open_experiment_keeps_everything(simulated: SimulatedRun) -> None:
    simulated.ledger.set_experiment("simulated", 2, status="open")
    path = simulated.ledger.experiment("simulated", 2).attempts[0].folder / "params.safetensors"
    path.write_text("x")
    remove_unneeded_files(simulated.ledger, dry_run=False)
    assert path.exists()


def test_a_snapshot_that_no_kept_row_refers_to_goes(simulated: SimulatedRun) -> None:
    old = planted(simulated, "autoresearch/simulated:0007")
    assert [f.name for f in remove_unneeded_images(simulated.ledger, simulated.engine, dry_run=True)] == [
        "autoresearch/simulated:0007"
    ]
    assert simulated.engine.image(old.id) == old
    remove_unneeded_images(simulated.ledger, simulated.engine, dry_run=False)
    left = {image.id for image in simulated.engine.images({f"{LABEL}.image": "snapshot"})}
    assert left == {e.image for e in simulated.ledger.experiments("simulated") if e.image}


def test_an_image_that_may_be_somebody_elses_stays(simulated: SimulatedRun) -> None:
    planted(simulated, "autoresearch/other:0001", run="other")
    shared = planted(simulated, "autoresearch/simulated:0007", "mine/model:best")
    planted(simulated, "autoresearch/simulated:0008", script="0" * 64)
    assert set(simulated.engine.image(shared.id).tags) == {"autoresearch/simulated:0007", "mine/model:best"}
    assert remove_unneeded_images(simulated.ledger, simulated.engine, dry_run=False) == []


def test_while_a_kept_row_waits_for_its_image_none_goes(simulated: SimulatedRun) -> None:
    planted(simulated, "autoresearch/simulated:0001")
    simulated.ledger.set_experiment("simulated", 1, image=None)
    assert remove_unneeded_images(simulated.ledger, simulated.engine, dry_run=False) == []


def test_a_copy_of_a_workspace_removes_no_image_of_the_first(simulated: SimulatedRun, tmp_path: Path) -> None:
    planted(simulated, "autoresearch/simulated:0007")
    simulated.ledger.change_settings("simulated", home_of(simulated.workspace.ledger))
    copy = shutil.copytree(simulated.workspace.folder, tmp_path.parent / f"{tmp_path.name}-copy")
    assert (
        remove_unneeded_images(Ledger(copy / ".autoresearch" / "ledger.db"), simulated.engine, dry_run=True)
        == []
    )
    assert len(remove_unneeded_images(simulated.ledger, simulated.engine, dry_run=True)) == 1
