"""Whatever happens while a text is read is a closed word: the runner waits, is not hurt, and can be stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.parsing.client import Parser
from runner.parsing.facts import Cause, Rejection

CHILD = Path(__file__).with_name("broken_worker.py")
ROOT = Path(__file__).parents[2]


@pytest.fixture
def parser() -> Iterator[Parser]:
    made = Parser(child=CHILD, wall_s=60.0)
    yield made
    made.close()


@pytest.mark.parametrize(
    ("what", "cause"),
    [
        ("crash", Cause.DIED),
        ("cpu", Cause.CPU),
        ("sleep", Cause.WALL),
        ("memory", Cause.MEMORY),
        ("exit", Cause.DIED),
        ("flood", Cause.TOO_LONG),
        ("garbage", Cause.GARBAGE),
        ("nested", Cause.GARBAGE),
        ("digits", Cause.GARBAGE),
        ("lies", Cause.GARBAGE),
        ("infinite", Cause.GARBAGE),
    ],
)
def test_whatever_a_text_does_is_a_word_and_the_next_is_read(parser: Parser, what: str, cause: Cause) -> None:
    found = parser.facts(what)
    assert (found.rejection, found.detail) == (Rejection.UNREADABLE, str(cause))
    assert parser.facts("something else").rejection is None


def test_the_child_itself_ends_a_text_that_sleeps() -> None:
    """Else the runner would have to kill it, after a longer time."""
    made = Parser(child=CHILD, wall_s=20.0)
    made.facts("x = 1")
    before = made._process
    assert made.facts("sleep").detail == str(Cause.WALL)
    assert made._process is before
    made.close()


def test_one_text_leaves_nothing_for_the_next(parser: Parser) -> None:
    parser.facts("remember")
    assert parser.facts("recall").detail == ""


def test_a_reading_sees_no_environment_no_descriptor_and_can_make_nothing(
    parser: Parser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_API_KEY", "secret")
    read, write = os.pipe()
    os.set_inheritable(read, True)
    uid = 65534 if os.geteuid() == 0 else os.geteuid()
    assert parser.facts("look").detail == f"environment 0, uid {uid}, descriptors [0]"
    os.close(read)
    os.close(write)


def test_the_child_is_started_without_an_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_API_KEY", "secret")
    made = Parser()
    made.facts("x = 1\n")
    assert made._process is not None
    assert b"SOME_API_KEY" not in Path(f"/proc/{made._process.pid}/environ").read_bytes()
    made.close()


class Rang(Exception):
    pass


def test_a_signal_ends_the_waiting_and_the_next_text_gets_its_own_reply(parser: Parser) -> None:
    def ring(*_: object) -> None:
        raise Rang

    before = signal.signal(signal.SIGALRM, ring)
    try:
        parser.facts("pid")
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        with pytest.raises(Rang):
            parser.facts("sleep")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert parser.facts("look").detail.startswith("environment")


def test_the_runner_pays_nothing_while_a_text_burns(parser: Parser) -> None:
    parser.facts("pid")
    began = time.process_time()
    parser.facts("cpu")
    assert time.process_time() - began < 0.5, "the child's second is not the runner's"


def test_a_reading_dies_with_the_runner() -> None:
    program = (
        f"import sys, threading; sys.path.insert(0, {str(ROOT)!r})\n"
        "from pathlib import Path\nfrom runner.parsing.client import Parser\n"
        f"parser = Parser(child=Path({str(CHILD)!r}))\n"
        "print(parser.facts('pid').detail, parser._process.pid, flush=True)\n"
        "parser.facts('hang')\n"
    )
    runner = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert runner.stdout is not None
    server = int(runner.stdout.readline().split()[1])
    children = Path(f"/proc/{server}/task/{server}/children")
    deadline = time.monotonic() + 30
    while not (forks := children.read_text().split()) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert forks, "it is being read"
    runner.kill()
    runner.wait()
    runner.stdout.close()
    gone = {server, *map(int, forks)}
    while gone and time.monotonic() < deadline:
        gone = {pid for pid in gone if alive(pid)}
        time.sleep(0.05)
    assert gone == set()


def alive(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_where_no_process_can_be_started_that_is_said_and_no_text_is_blamed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from runner.errors import PrerequisiteMissing

    monkeypatch.setattr("runner.parsing.client._PAUSE_S", 0.0)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "nowhere"))
    with pytest.raises(PrerequisiteMissing, match="no process"):
        Parser().facts("x = 1\n")
