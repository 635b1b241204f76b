"""Folders of whole scripts and of edits, and the folder that ships: upstream's own run as edits."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from benchmarks.simulated_run import SimulatedRun, source
from runner.errors import UsageError
from runner.parsing.client import shared
from runner.parsing.facts import Rejection
from runner.parsing.static_check import check
from runner.proposers.scripted import EDIT, ScriptedProposer, edited
from runner.protocols import USED_UP, Context, Proposal

ROOT = Path(__file__).parents[2]
TRAIN = (ROOT / "trainer_jax" / "train.py").read_text()
IDEAS = sorted((ROOT / "benchmarks" / "upstream_ideas").glob(f"*{EDIT}"))
SEED_ONLY = "11-another-seed.edit.md"


def edit(search: str, replace: str, title: str = "a title") -> str:
    return (
        f"TITLE: {title}\nHYPOTHESIS: why\nCATEGORY: batch\nEXPECTED_GAIN: 0.01\n\n"
        f"<<<<<<< SEARCH\n{search}\n=======\n{replace}\n>>>>>>> REPLACE\n"
    )


def propose(folder: Path, number: int, best: str = source(2.0)) -> Proposal:
    return ScriptedProposer(folder).propose(Context("memo", best, 2.0, 0.01, number=number))


def test_scripts_and_edits_take_turns_by_their_names(tmp_path: Path) -> None:
    (tmp_path / "1.py").write_text("# title: whole\nSCORE = 1.0\n")
    (tmp_path / "2.edit.md").write_text(edit("SCORE = 2.0", "SCORE = 1.5"))
    (tmp_path / "3.py").write_text("SCORE = 1.2\n")
    (tmp_path / "README.md").write_text("no idea at all")
    assert [propose(tmp_path, n).title for n in (1, 2, 3)] == ["whole", "a title", "3"]
    second = propose(tmp_path, 2)
    assert (second.source, second.category, second.expected_gain) == ("SCORE = 1.5\n", "batch", 0.01)
    assert propose(tmp_path, 4).failure == USED_UP


def test_an_empty_folder_is_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("nothing")
    with pytest.raises(UsageError, match=r"\.edit\.md"):
        ScriptedProposer(tmp_path)


def test_an_edit_that_does_not_fit_is_a_recorded_failure_and_the_next_goes_on(tmp_path: Path) -> None:
    folder = tmp_path / "ideas"
    folder.mkdir()
    (folder / "1.edit.md").write_text(edit("SCORE = 2.0", "SCORE = 1.5", "better"))
    (folder / "2.edit.md").write_text(edit("SCORE = 2.0", "SCORE = 1.4", "of yesterday"))
    (folder / "3.edit.md").write_text("only words")
    (folder / "4.edit.md").write_text(edit("SCORE = 1.5", "SCORE = 1.2", "on top"))
    simulated = SimulatedRun(tmp_path / "w", [])
    simulated.proposals = ScriptedProposer(folder)  # type: ignore[assignment]
    simulated.loop().go()
    found = simulated.ledger.experiments("simulated")[1:]
    assert [(e.title, e.status) for e in found] == [
        ("better", "keep"), ("of yesterday", "proposer_failed"), ("3.edit.md", "proposer_failed"),
        ("on top", "keep"), ("scripted", "proposer_failed"),
    ]  # fmt: skip
    assert "2.edit.md does not fit: block 1: no such lines" in (found[1].reason or "")
    assert "3.edit.md" in (found[2].reason or "")
    assert [e.source for e in found[1:3]] == ["", ""], "the parent is not run in their place"


# -- what ships ---------------------------------------------------------------------------------------------------
def test_at_least_twenty_of_upstreams_ideas_are_there() -> None:
    assert len(IDEAS) >= 20


@pytest.mark.parametrize("idea", IDEAS, ids=lambda path: path.name.removesuffix(EDIT))
def test_an_idea_of_upstreams_fits_the_shipped_train_py(idea: Path) -> None:
    made = edited(idea.read_text(), TRAIN, idea.name, shared())
    assert made.source is not None, made.failure
    ast.parse(made.source)
    assert made.source != TRAIN
    assert made.category not in {"", "other"} or idea.name == SEED_ONLY
    assert "pstream" in made.hypothesis
    parent = shared().facts(TRAIN)
    checked = check(made.source.encode(), shared(), seen={parent.fingerprint}, parent=parent)
    wanted = Rejection.SEED_ONLY if idea.name == SEED_ONLY else None
    assert checked.rejection == wanted, "the seed is the host's; everything else is new"


def test_no_idea_of_upstreams_is_there_twice() -> None:
    made = [edited(idea.read_text(), TRAIN, idea.name, shared()).source or "" for idea in IDEAS]
    assert len({shared().facts(text).fingerprint for text in made}) == len(IDEAS)


def test_they_fit_on_top_of_each_other_so_an_early_keep_does_not_shut_out_the_rest() -> None:
    best = TRAIN
    for idea in IDEAS:
        made = edited(idea.read_text(), best, idea.name, shared())
        assert made.source is not None, made.failure
        best = made.source
    ast.parse(best)
