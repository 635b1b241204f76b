"""No slip of a user's ends in "something unexpected": every one is a sentence that says what is wrong, and a documented code."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import typer

from runner.cli import main
from runner.cli.app import program
from runner.cli.error_reporting import Stopped, guarded
from runner.errors import UsageError
from runner.store.config import Config, override
from runner.store.ledger import Ledger
from runner.store.workspace import Workspace, create, read_script
from sandbox.owner import this_process

BOM = b"\xef\xbb\xbf"
Said = tuple[int, str]


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    made = create(tmp_path / "my work")
    monkeypatch.chdir(made.folder)
    monkeypatch.setenv("AUTORESEARCH_CACHE", str(tmp_path / "cache"))
    return made


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    def run(*words: str) -> Said:
        with pytest.raises(SystemExit) as ended:
            main(words)
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        assert isinstance(ended.value.code, int)
        return ended.value.code, captured.out + captured.err

    return run


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        ("run --budget 0", 2, "--budget: '0' is not a duration"),
        ("run --budget -5m", 2, "not a duration"),
        ("run --budget nan", 2, "not a duration"),
        ("run --budget 1e9h", 2, "not a duration"),
        ("run --budget 99999999999999999999h", 2, "longer than ten years"),
        (f"run --budget {'9' * 400}h", 2, "longer than ten years"),
        ("run --wall-clock 0s", 2, "no time at all"),
        ("run --seed 99999999999999999999999", 2, "--seed"),
        ("run --seed -1", 2, "--seed"),
        ("try train.py --seed 99999999999999999999999", 2, "--seed"),
        ("run --max-experiments 99999999999999999999999", 2, "--max-experiments"),
        ("run --max-tokens 99999999999999999999999", 2, "--max-tokens"),
        ("run --max-cost nan", 2, "amount of dollars"),
        ("run --proposer tpe --model openai/gpt-5", 2, "--model: the proposer tpe asks no model"),
        ("run --fallback-model openai/gpt-5", 2, "--fallback-model: the proposer tpe asks no model"),
        ("run --proposer repeat --api-base http://127.0.0.1:1/v1", 2, "--api-base: the proposer repeat asks"),
        ("run --max-cost -1", 2, "amount of dollars"),
        ("run --budget 8h --data train.py", 2, "train.py"),
        ("run --budget 8h --data nowhere", 3, "data prepare"),
        ("calibrate --repeats 9999999999999", 2, "--repeats"),
        ("data prepare --dataset train.py --seq-len 0", 2, "--seq-len"),
        ("data prepare --dataset train.py --vocab-size 0", 2, "--vocab-size"),
        ("data prepare --dataset climbmix --shards 0", 2, "--shards"),
        ("try .", 2, "is a folder"),
        ("try empty.py", 2, "is empty"),
        ("try pipe", 2, "no regular file"),
        ("try utf16.py", 2, "UTF-16"),
        ("try nowhere.py", 2, "cannot read"),
        ("init train.py", 2, "train.py"),
        ("init train.py/below", 2, "train.py"),
        ("data verify train.py", 2, "train.py"),
        ("plot -o .", 2, "no name for a picture"),
        ("plot -o x.xyz", 2, "no name for a picture"),
        ("status", 2, "no ledger"),
        ("ls --json", 2, "no ledger"),
        ("show 99999999999999999999", 2, "less than or equal to 2147483647"),
        ("logs 99999999999999999999", 2, "less than or equal to 2147483647"),
        ("logs 1 --attempt 99999999999999999999", 2, "'--attempt': Input should be less"),
        ("diff 1 99999999999999999999", 2, "less than or equal to 2147483647"),
        ("ls -n 99999999999999999999", 2, "less than or equal to 2147483647"),
        (f"show {'9' * 5000}", 2, "experiment"),
        ("run --proposer scripted:nowhere", 2, "nowhere names no folder"),
        ("run --proposer scripted:", 2, "there is no proposer 'scripted:'"),
        ("run --proposer command:", 2, "there is no proposer 'command:'"),
        ("run --proposer tpe:5", 2, "there is no proposer 'tpe:5'"),
        ("run --proposer randon", 2, "did you mean random?"),
        ("run --display jsno", 2, "did you mean json?"),
        ("resume --display jsno", 2, "did you mean json?"),
        ("build --variant cuda14", 2, "only auto, cpu, cuda12, cuda13; did you mean cuda1"),
        ("data prepare --variant cuda14", 2, "only auto, cpu, cuda12, cuda13"),
        ("data prepare --shards 5", 2, "--shards is for --dataset climbmix alone"),
        ("data prepare --text-column body", 2, "--text-column is for your own data"),
        ("data prepare --dataset defualt", 3, "did you mean default?"),
        ("stop nowhere", 2, "no folder nowhere"),
        ("watch nowhere", 2, "no folder nowhere"),
        ("resume nowhere", 2, "no folder nowhere"),
        ("stop below", 2, "below is no workspace"),
        ("reproduce x:1 --repeats 0", 2, "--repeats"),
        ("reproduce x:1 --exact --repeats 2", 2, "--exact runs once"),
        ("reproduce x:1 --time-limit 0s", 2, "--time-limit: '0s' is no time at all"),
        ("nonsense", 2, "No such command"),
    ],
)
def test_a_slip_is_a_sentence_and_a_code(
    words: str, code: int, says: str, workspace: Workspace, say: Callable[..., Said]
) -> None:
    (workspace.folder / "empty.py").write_text(" \n")
    (workspace.folder / "utf16.py").write_bytes("x = 1".encode("utf-16"))
    os.mkfifo(workspace.folder / "pipe")
    (workspace.folder / "below").mkdir()
    found = say(*words.split())
    assert found[0] == code, found
    assert says in found[1]
    assert "unexpected" not in found[1]


def options_and_arguments() -> list[tuple[str, ...]]:
    """Every option and argument of every verb that takes a text or a number: the verb, what else it needs, and this one empty."""
    found = []

    def walk(command: Any, words: tuple[str, ...]) -> None:
        for name, below in getattr(command, "commands", {}).items():
            walk(below, (*words, name))
        needed = [p for p in command.params if p.required]
        for param in command.params if words else ():
            others = [p for p in needed if p is not param]
            given = [
                w for p in others for w in ([p.opts[0], "1"] if p.param_type_name == "option" else ["1"])
            ]
            if param.param_type_name == "argument":
                found.append((*words, *given, ""))
            elif not param.is_flag:
                found.append((*words, f"{max(param.opts, key=len)}=", *given))

    walk(typer.main.get_command(program(())), ())
    return found


@pytest.mark.parametrize("words", options_and_arguments(), ids=" ".join)
def test_no_option_or_argument_of_any_verb_takes_an_empty_text(
    words: tuple[str, ...], workspace: Workspace, say: Callable[..., Said]
) -> None:
    code, said = say(*words)
    assert (code, "is empty" in said) == (2, True), said


def test_there_are_many_options_to_look_at() -> None:
    found = options_and_arguments()
    assert len(found) > 50
    assert ("run", "--llm-timeout=") in found
    assert ("sandbox", "reap") not in found


@pytest.mark.parametrize("number", ["99999999999999999999", "9" * 5000, str(2**31)])
@pytest.mark.parametrize("verb", [("export", "--to", "new"), ("apply",)])
def test_a_number_that_no_ledger_can_hold_is_refused(
    number: str, verb: tuple[str, ...], workspace: Workspace, say: Callable[..., Said]
) -> None:
    Ledger(workspace.ledger).start_run("r", now=0.0, seed=0, settings={})
    code, said = say(*verb, number)
    assert (code, "no experiment's number" in said) == (2, True), said


@pytest.mark.parametrize(
    "words",
    [
        ("plot", "--out", "/proc/x.png"),
        ("plot", "--out", "nowhere/x.png"),
        ("apply", "0", "--to", "/proc/x.py"),
    ],
)
def test_a_file_that_cannot_be_written_has_the_name_that_was_given(
    words: tuple[str, ...], workspace: Workspace, say: Callable[..., Said]
) -> None:
    kept_baseline(workspace)
    code, said = say(*words)
    assert code == 2, said
    assert words[-1] in said
    assert ".new" not in said
    assert "/proc/." not in said


def kept_baseline(workspace: Workspace) -> None:
    """A run whose baseline is kept."""
    ledger = Ledger(workspace.ledger)
    ledger.start_run("r", now=0.0, seed=0, settings={})
    ledger.add_experiment(
        "r", 0, now=0.0, source=b"x = 1", source_sha256="", fingerprint="", nodes=1, title="baseline",
        hypothesis="", category="baseline", status="keep", parent=None, author="",
    )  # fmt: skip
    ledger.close()


@pytest.mark.parametrize("tag", ["a b", "../x", "-x", "\udcff\udcfe", "x" * 400])
@pytest.mark.engine
def test_what_is_no_tag_is_told_before_the_engine_is_asked(
    tag: str, workspace: Workspace, say: Callable[..., Said]
) -> None:
    code, said = say("reproduce", "--", tag)
    assert (code, "is no image tag" in said) == (2, True), said


@pytest.mark.parametrize(
    "content",
    [
        b'memory_gb = nan\nwall_clock = "5m"',
        b"memory_gb = inf",
        b"retests = 99999999999999999999",
        b"baseline_repeats = 99999999999999999999",
        b"pids = -1",
        b'wall_clock = "\xff"',
        b"\0",
        b"unknown = 1",
        b"[table]\nx = 1",
    ],
)
def test_a_configuration_that_makes_no_sense_is_refused_by_name(
    content: bytes, workspace: Workspace, say: Callable[..., Said]
) -> None:
    (workspace.folder / "autoresearch.toml").write_bytes(content)
    code, said = say("run", "--budget", "8h")
    assert code == 2, said
    assert "autoresearch.toml" in said


@pytest.mark.parametrize(
    ("content", "proposer"),
    [
        ('model = "openai/gpt-5"', "llm"),
        ('model = "openai/gpt-5"\nproposer = "tpe"', "tpe"),
        ('model = ""', "tpe"),
    ],
)
def test_a_model_in_the_configuration_is_asked_as_one_on_the_command_line_is(
    content: str, proposer: str, workspace: Workspace
) -> None:
    (workspace.folder / "autoresearch.toml").write_text(content)
    assert workspace.config().proposer == proposer


def test_early_stopping_is_turned_off_by_the_key_and_by_the_option(workspace: Workspace) -> None:
    assert workspace.config().early_stopping
    assert not override(workspace.config(), early_stopping=False).early_stopping
    (workspace.folder / "autoresearch.toml").write_text("early_stopping = false")
    assert not override(workspace.config(), early_stopping=None).early_stopping


def test_every_key_of_a_new_configuration_may_be_used_as_it_stands(workspace: Workspace) -> None:
    config = workspace.folder / "autoresearch.toml"
    first, *keys = config.read_text().splitlines()
    assert first.startswith("# Every key is optional")
    config.write_text("\n".join(key.removeprefix("# ") for key in keys))
    assert workspace.config() == Config()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ('wall_clock = "5"', "wall_clock: '5' is not a duration"),
        ('llm_timeout = "0s"', "llm_timeout: '0s' is no time"),
        ("wall_clock = 300", "wall_clock must be text in quotes"),
        ('pids = "9"', "pids must be a whole number"),
        ("retests = -1", "retests: -1 is not allowed, only 0 to 1,000"),
        ("pids = 1", "pids: 1 is not allowed, only 64 to"),
        ("early_stopping = 0", "early_stopping must be true or false"),
        ('early_stopping = "no"', "early_stopping must be true or false"),
        ("pids = true", "pids must be a whole number"),
    ],
)
def test_what_is_wrong_with_a_key_is_said_of_that_key(
    content: str, says: str, workspace: Workspace, say: Callable[..., Said]
) -> None:
    (workspace.folder / "autoresearch.toml").write_text(content)
    code, said = say("run", "--budget", "8h")
    assert (code, says in said) == (2, True), said


def test_a_byte_order_mark_is_no_part_of_a_file(workspace: Workspace, say: Callable[..., Said]) -> None:
    config, script = workspace.folder / "autoresearch.toml", workspace.script
    config.write_bytes(BOM + b'wall_clock = "7m"\n')
    assert workspace.config().wall_clock == "7m"
    text = script.read_bytes()
    script.write_bytes(BOM + text)
    assert read_script(script) == text


@pytest.mark.parametrize("kind", ["text", "folder", "foreign", "newer", "negative"])
@pytest.mark.parametrize("verb", [("status",), ("run", "--budget", "8h"), ("report",)])
def test_a_ledger_that_is_none_is_named(
    kind: str, verb: tuple[str, ...], workspace: Workspace, say: Callable[..., Said]
) -> None:
    workspace.ledger.parent.mkdir(exist_ok=True)
    if kind == "text":
        workspace.ledger.write_text("this is no database, whatever its name may say about it\n" * 100)
    elif kind == "folder":
        workspace.ledger.mkdir()
    else:
        from runner.store.schema import MIGRATIONS

        version = {"foreign": len(MIGRATIONS), "newer": 999, "negative": -5}[kind]
        database = sqlite3.connect(workspace.ledger)
        database.executescript(f"CREATE TABLE birds (name); PRAGMA user_version = {version}")
        database.close()
    code, said = say(*verb)
    assert (code, "ledger" in said) == (3, True), said


@pytest.mark.parametrize("verb", [("run", "--budget", "8h"), ("status",)])
def test_a_state_folder_that_is_a_file_is_named(
    verb: tuple[str, ...], workspace: Workspace, say: Callable[..., Said]
) -> None:
    workspace.state.joinpath(".gitignore").unlink()
    workspace.state.rmdir()
    workspace.state.write_text("")
    code, said = say(*verb)
    assert (code, ".autoresearch" in said) == (2, True), said


def test_without_a_home_the_variables_to_set_are_named(
    workspace: Workspace, say: Callable[..., Said], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AUTORESEARCH_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)

    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", homeless)
    code, said = say("run", "--budget", "8h")
    assert code == 3
    assert "set HOME, or AUTORESEARCH_CACHE" in said


def shell(line: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    env = {
        **os.environ,
        "AR": f"{sys.executable} -m runner.cli",
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    return subprocess.run(
        ["bash", "-c", line], cwd=cwd, env=env, capture_output=True, text=True, check=False, timeout=60
    )


@pytest.mark.parametrize(
    ("line", "code", "says"),
    [
        ("$AR --help > /dev/full", 3, "could not be written to stdout"),
        ("$AR --help >&-", 0, ""),
        ("mkdir gone; cd gone; rmdir ../gone; $AR status", 2, "present folder cannot be used"),
        ("LC_ALL=C PYTHONIOENCODING=ascii $AR try \u00e9.py", 2, "cannot read"),
    ],
)
def test_a_shell_that_is_unkind_hears_no_traceback(line: str, code: int, says: str, tmp_path: Path) -> None:
    done = shell(line, tmp_path)
    assert done.returncode == code, done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


def test_an_error_is_one_json_object_for_whoever_asked(
    workspace: Workspace, say: Callable[..., Said]
) -> None:
    _, said = say("status", "--json")
    assert json.loads(said.splitlines()[0])["error"]["kind"] == "usage"


def test_a_script_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nowhere"):
        read_script(tmp_path / "nowhere")


def test_gc_clears_what_killed_verbs_left_also_where_nothing_was_ever_run(
    workspace: Workspace, say: Callable[..., Said], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    left = tmp_path / "autoresearch-try-left"
    left.mkdir()
    (left / "owner").write_text(str(replace(this_process(), start_time=1)))
    assert say("gc") == (0, f"kind     MB   name\nscratch  0.0  {left}\n1 things, 0.0 MB freed\n")
    assert not left.exists()


def test_a_row_of_the_ledger_that_is_no_json_is_a_sentence(
    workspace: Workspace, say: Callable[..., Said]
) -> None:
    Ledger(workspace.ledger).start_run("r", now=0.0, seed=0, settings={})
    with sqlite3.connect(workspace.ledger) as db:
        db.execute("UPDATE runs SET settings = '{'")
    code, said = say("status")
    assert code == 3
    assert "ledger of this workspace is damaged" in said


@pytest.mark.parametrize(("verb", "goes_on"), [("run", True), ("resume", True), ("try", False)])
def test_only_a_run_that_was_stopped_can_go_on(
    verb: str, goes_on: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop() -> None:
        raise Stopped(15)

    assert guarded(stop, [verb]) == 143
    assert ("--resume` goes on" in capsys.readouterr().err) == goes_on
