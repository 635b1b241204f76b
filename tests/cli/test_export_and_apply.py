"""export, apply, gc, stop and watch by the command line, in a workspace where a run is over."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from benchmarks.simulated_run import SimulatedRun, source
from runner.cli.app import program
from runner.cli.error_reporting import guarded
from runner.store.workspace_lock import lock


@pytest.fixture
def simulated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SimulatedRun:
    made = SimulatedRun(tmp_path / "w", [source(1.9, "better = 1\n")])
    made.loop().go()
    made.ledger.change_settings("simulated", {"config": {"data": str(made.data)}})
    (made.workspace.folder / "autoresearch.toml").write_text("")
    monkeypatch.setattr("runner.evaluation.setup.connect", lambda _: made.engine)
    monkeypatch.chdir(made.workspace.folder)
    return made


def verb(*words: str) -> int:
    return guarded(lambda: program(words)(args=list(words), standalone_mode=False), words)


def answer(capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    found = json.loads(capsys.readouterr().out)
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize(
    ("words", "schema"),
    [
        (("export", "best", "--to", "out"), "export"),
        (("apply", "1"), "apply"),
        (("gc",), "gc"),
        (("gc", "--dry-run"), "gc"),
        (("stop",), "stop"),
    ],
)
def test_each_answers_with_one_object(
    simulated: SimulatedRun, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], schema: str
) -> None:
    assert verb(*words, "--json") == 0
    assert answer(capsys)["schema"] == f"autoresearch/{schema}/1"
    assert verb(*words) in ({2} if schema == "export" else {0}), "an export never overwrites"


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("export", "7", "--to", "out"), 2, "no experiment 7"),
        (("apply", "worst"), 2, "neither"),
        (("watch",), 8, "resume"),
        (("stop", "/nowhere"), 2, "no folder"),
        (("resume", "/nowhere"), 2, "no folder"),
        (("resume", "--budget", "8"), 2, "not a duration"),
    ],
)
def test_bad_input_is_one_sentence_and_a_documented_code(
    simulated: SimulatedRun, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], code: int, says: str
) -> None:
    assert verb(*words) == code
    error = capsys.readouterr().err
    assert says in error
    assert len(error.strip().splitlines()) == 1


def test_gc_is_refused_while_a_run_is_at_work_here(
    simulated: SimulatedRun, capsys: pytest.CaptureFixture[str]
) -> None:
    with lock(simulated.workspace.state):
        assert verb("gc") == 2
    assert "at work" in capsys.readouterr().err


def test_a_list_counts_the_runs_that_count(
    simulated: SimulatedRun, capsys: pytest.CaptureFixture[str]
) -> None:
    with sqlite3.connect(simulated.workspace.ledger) as db:
        db.execute("UPDATE attempts SET contended = 1 WHERE number = 0 AND attempt = 1")
    assert verb("ls", "--json") == 0
    told = json.loads(capsys.readouterr().out)["experiments"]
    assert verb("ls") == 0
    shown = [line.split("  ") for line in capsys.readouterr().out.splitlines()[1:]]
    runs = [[word for word in row if word.strip().isdigit()][-1].strip() for row in shown]
    assert runs == [str(e["runs"]) for e in told]
    assert told[0]["runs"] < len(simulated.ledger.experiments("simulated")[0].attempts)
