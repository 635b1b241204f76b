"""`show` in plain words, and which attempts count."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.simulated_run import SimulatedRun, source
from runner.cli import main
from runner.protocols import Evaluation, EvaluationOutcome


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that adopted and confirmed its experiment 1. Then others computed beside a run of it, and one crashed."""
    simulated = SimulatedRun(tmp_path_factory.mktemp("run"), [source(1.9, "better = 1\n")])
    simulated.loop().go()
    (simulated.workspace.folder / "autoresearch.toml").write_text("")
    ledger = simulated.ledger
    ok = Evaluation(EvaluationOutcome.OK, None, 1.9, 60.0, 7, "", "", "", Path())
    crash = replace(ok, outcome=EvaluationOutcome.CRASH, val_bpb=None)
    for evaluation in (replace(ok, contended=True), crash):
        number = ledger.start_attempt("simulated", 1, seed=7, folder=simulated.workspace.folder, now=0.0)
        ledger.finish_attempt("simulated", 1, number, evaluation, now=0.0)
    return simulated.workspace.folder


def shown(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *more: str
) -> str:
    monkeypatch.chdir(folder)
    with pytest.raises(SystemExit) as ended:
        main(["show", "1", *more])
    assert ended.value.code == 0
    return capsys.readouterr().out


def test_no_line_begins_with_the_name_of_a_field(
    finished: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said = shown(finished, monkeypatch, capsys)
    heads = {line[:19].strip() for line in said.splitlines()}
    assert {"experiment", "status", "measured difference", "expected difference", "runs that count"} <= heads
    assert not {head for head in heads if "_" in head} - {"val_bpb"}


def test_an_attempt_says_what_it_was_made_for_and_whether_it_counts(
    finished: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said = shown(finished, monkeypatch, capsys).splitlines()
    table = said[next(place for place, line in enumerate(said) if line.startswith("attempt  outcome")) + 1 :]
    rows = [line for line in table if line[:1].isdigit()]
    assert "the search" in rows[0]
    assert "  yes" in rows[0]
    assert any("confirmation 1  yes" in row for row in rows)
    assert "the search      no, others computed here" in rows[-2]
    assert rows[-1].rstrip().endswith("no")
    counted = sum("  yes" in row for row in rows)
    confirming = sum("confirmation 1" in row for row in rows)
    assert confirming >= 1
    assert f"runs that count     {counted}, {confirming} of them for a confirmation" in said


def test_programs_are_told_the_same(
    finished: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    attempts = json.loads(shown(finished, monkeypatch, capsys, "--json"))["attempts"]
    assert {(a["counts"], a["contended"], a["confirmation"]) for a in attempts} == {
        (True, False, None),
        (True, False, 1),
        (False, True, None),
        (False, False, None),
    }
