"""A workspace is named in one way by every verb that reads or changes one: -C DIR. `ls --runs` lists its runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer

from benchmarks.simulated_run import SimulatedRun, source
from runner.cli import main
from runner.cli.app import program
from runner.store.ledger import Ledger
from runner.store.workspace import Workspace, open_state
from runner.store.workspace_lock import lock

NO_WORKSPACE = {"task", "init", "build", "data", "sandbox"}
READING = [["status"], ["ls"], ["ls", "--runs"], ["show", "1"], ["best"], ["logs", "1"], ["diff", "1"]]
Said = tuple[int, str, str]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace in which a run has kept its experiment 1."""
    run = SimulatedRun(tmp_path_factory.mktemp("run"), [source(1.9, "better = 1\n")])
    run.loop().go()
    (run.workspace.folder / "autoresearch.toml").write_text("")
    run.ledger.close()
    return run.workspace.folder


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    def run(*words: str) -> Said:
        with pytest.raises(SystemExit) as ended:
            main(words)
        captured = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return ended.value.code, captured.out, captured.err

    return run


def test_every_verb_that_has_a_workspace_takes_it() -> None:
    group: Any = typer.main.get_command(program(()))
    for name, command in group.commands.items():
        options = {option for param in command.params for option in param.opts}
        assert ({"-C", "--workspace"} <= options) == (name not in NO_WORKSPACE), name


@pytest.mark.parametrize("words", READING, ids=" ".join)
def test_from_elsewhere_a_reading_verb_says_what_it_says_there(
    words: list[str],
    finished: Path,
    say: Callable[..., Said],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(finished)
    there = say(*words)
    assert there[0] == 0
    assert there[1] + there[2]
    monkeypatch.chdir(tmp_path)
    for option in ("-C", "--workspace"):
        assert say(*words, option, str(finished)) == there
    assert say(*words)[0] == 2


def test_report_and_plot_write_into_the_workspace_that_is_named(
    finished: Path, say: Callable[..., Said], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert say("plot", "-C", str(finished))[:2] == (0, f"{finished}/progress.png\n")
    assert say("plot", "-C", str(finished), "--out", "here.png")[:2] == (0, "here.png\n")
    assert (finished / "progress.png").exists()
    assert (tmp_path / "here.png").exists()
    assert say("report", "-C", str(finished))[0] == 0
    assert (finished / "report.html").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["here.png"]


@pytest.mark.parametrize("words", [*READING, ["run"], ["resume"], ["gc"], ["doctor"]], ids=" ".join)
def test_a_folder_that_is_none_or_no_workspace_is_refused(
    words: list[str],
    finished: Path,
    say: Callable[..., Said],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(finished)
    code, _, said = say(*words, "-C", "nowhere")
    assert (code, "there is no folder nowhere" in said) == (2, True), said
    code, _, said = say(*words, "-C", str(tmp_path))
    assert (code, "is no workspace" in said) == (2, True), said


@pytest.mark.parametrize("verb", ["status", "ls", "best", "report"])
def test_a_workspace_that_is_named_as_an_argument_is_answered_with_the_option(
    verb: str, finished: Path, say: Callable[..., Said]
) -> None:
    code, _, said = say(verb, str(finished))
    assert (code, "a workspace is named with -C DIR" in said) == (2, True), said


@pytest.mark.parametrize("verb", ["watch", "stop", "resume"])
def test_a_workspace_is_not_named_twice(verb: str, finished: Path, say: Callable[..., Said]) -> None:
    code, _, said = say(verb, str(finished), "-C", str(finished))
    assert (code, "named twice" in said) == (2, True), said


def test_a_configuration_that_cannot_be_used_is_not_replaced_by_the_defaults(
    say: Callable[..., Said], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "autoresearch.toml").write_text("memory_gb = 0.01\n")
    (tmp_path / "train.py").write_text("x = 1\n")
    for words in (["try", "train.py"], ["reproduce", "autoresearch/x:0001"]):
        code, _, said = say(*words)
        assert (code, "memory_gb: 0.01" in said) == (2, True), said
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nobody.sock")
    code, said, _ = say("doctor", "--json")
    found = {item["name"]: item for item in json.loads(said)["findings"]}
    assert (code, found["configuration"]["level"]) == (3, "fail")
    assert "memory_gb: 0.01" in found["configuration"]["sentence"]


def test_runs_are_listed_in_the_order_they_were_begun(
    finished: Path, say: Callable[..., Said], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(finished)
    ledger = Ledger(finished / ".autoresearch" / "ledger.db")
    ledger.start_run("second", now=1e9, seed=0, settings={})
    ledger.finish_run("second", now=1e9, reason="refused: no engine")
    ledger.close()
    answer = json.loads(say("ls", "--runs", "--json")[1])
    assert answer["schema"] == "autoresearch/ls-runs/1"
    assert [run["run"] for run in answer["runs"]] == ["simulated", "second"]
    first = answer["runs"][0]
    assert (first["experiments"], first["kept"], first["confirmed"]) == (2, 1, 1)
    assert first["best_val_bpb"] == pytest.approx(1.9, abs=1e-3)
    assert not first["running"]
    _, text, _ = say("ls", "--runs")
    assert [line.split()[0] for line in text.splitlines()] == ["run", "simulated", "second"]
    assert "not finished; `autoresearch resume --run` goes on" in text.splitlines()[1]
    assert text.splitlines()[2].endswith("refused: no engine")
    assert [line.split()[0] for line in say("ls", "--runs", "-n", "1")[1].splitlines()] == ["run", "second"]


def test_only_the_run_that_was_begun_or_resumed_last_can_be_at_work(
    say: Callable[..., Said], tmp_path: Path
) -> None:
    workspace = Workspace(tmp_path)
    (tmp_path / "autoresearch.toml").write_text("")
    open_state(workspace)
    ledger = Ledger(workspace.ledger)
    for name in ("killed", "newer"):
        ledger.start_run(name, now=0.0, seed=0, settings={})

    def running() -> list[str]:
        answer = json.loads(say("ls", "--runs", "--json", "-C", str(tmp_path))[1])
        status = {
            run["run"]
            for run in answer["runs"]
            if say("status", "--run", run["run"], "-C", str(tmp_path))[1].split()[2] == "running"
        }
        found = [run["run"] for run in answer["runs"] if run["running"]]
        assert status == set(found)
        return found

    assert running() == []
    for name, command in (
        ("killed", "`autoresearch resume --run killed`"),
        ("newer", "`autoresearch resume`"),
    ):
        assert f"not running; {command} goes on" in say("status", "--run", name, "-C", str(tmp_path))[1]
    with lock(workspace.state):
        assert running() == ["newer"]
        ledger.reopen_run("killed")
        assert running() == ["killed"]
    ledger.close()


def test_a_list_of_all_runs_is_not_of_one(finished: Path, say: Callable[..., Said]) -> None:
    code, _, said = say("ls", "--runs", "--run", "simulated", "-C", str(finished))
    assert (code, "leave out --run" in said) == (2, True)


def test_an_unknown_run_is_answered_with_where_they_are_listed(
    finished: Path, say: Callable[..., Said]
) -> None:
    for verb in ("status", "resume"):
        code, _, said = say(verb, "--run", "nobody", "-C", str(finished))
        assert (code, "no run nobody; `autoresearch ls --runs` lists them" in said) == (2, True), said
