"""The wall clock is kept whatever the runner does, and nothing of a dead runner goes on computing."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from processes import gone, watchdog_of

from sandbox.docker_engine import DockerEngine
from sandbox.outcome import Ending
from sandbox.spec import Role
from sandbox.watchdog import client

pytestmark = pytest.mark.engine
WALL_CLOCK_S = 3.0
SAVES = (  # whatever the clock says, it saves again, and would be seen to
    "import time\nstarted = time.monotonic()\nwhile True:\n"
    "    open('/out/a', 'w').write(f'{time.monotonic() - started:.2f}')\n    time.sleep(0.05)"
)


class LoneRunner:
    """A process with one job. See single_job.py."""

    def __init__(self, engine: DockerEngine, image: str, folder: Path, **settings: Any) -> None:
        self.engine, self.run = engine, f"lone-{secrets.token_hex(4)}"
        folder.mkdir()
        told = {
            "run": self.run,
            "image": image,
            "folder": str(folder),
            "program": SAVES,
            "wall_clock_s": WALL_CLOCK_S,
            **settings,
        }
        program = str(Path(__file__).with_name("single_job.py"))
        self.process = subprocess.Popen(
            [sys.executable, program, json.dumps(told)], stdout=subprocess.PIPE, text=True
        )
        self.container = self._running()
        self.watchdog = watchdog_of(self.process.pid)

    def _running(self) -> str:
        end = time.monotonic() + 20
        while time.monotonic() < end:
            for item in self.engine.remnants(self.run):
                if item.kind == "container" and item.role == Role.TRAIN and self.runs(item.id):
                    return item.id
            time.sleep(0.02)
        raise AssertionError("it does not start")

    def runs(self, container: str) -> bool:
        found = self.engine.client.containers(filters={"id": container})
        return bool(found)

    def signal(self, number: int) -> None:
        self.process.send_signal(number)  # nobody, once it has ended

    def dead_after(self, seconds: float) -> bool:
        end = time.monotonic() + seconds
        while time.monotonic() < end and self.runs(self.container):
            time.sleep(0.1)
        return not self.runs(self.container)

    def outcome(self) -> dict[str, Any]:
        said, _ = self.process.communicate(timeout=60)
        answer: dict[str, Any] = json.loads(said)
        return answer


Start = Callable[..., LoneRunner]


@pytest.fixture
def start(engine: DockerEngine, candidate_image: str, tmp_path: Path) -> Iterator[Start]:
    """Start a runner; afterwards it, its watchdog and its containers are gone."""
    made: list[LoneRunner] = []

    def one(**settings: Any) -> LoneRunner:
        made.append(LoneRunner(engine, candidate_image, tmp_path / str(len(made)), **settings))
        return made[-1]

    yield one
    for runner in made:
        runner.signal(signal.SIGCONT)
        runner.process.kill()
        runner.process.communicate()
    watchdogs = [runner.watchdog for runner in made if not gone(runner.watchdog, within=10)]
    left = [item for runner in made for item in engine.remnants(runner.run)]
    for runner in made:
        engine.reap(now=0.0, everything_of_run=runner.run)
    assert (watchdogs, left) == ([], [])


def test_a_stopped_runner_does_not_stop_the_clock(start: Start) -> None:
    """SIGSTOP, as a suspended terminal or a machine that swaps: the container ends at its deadline, and when the runner goes
    on it judges what was there then."""
    runner = start()
    runner.signal(signal.SIGSTOP)
    assert runner.dead_after(WALL_CLOCK_S + 3.0), "the stopped runner's container lived on"
    time.sleep(2.5)  # longer than what would be late
    runner.signal(signal.SIGCONT)
    outcome = runner.outcome()
    assert (outcome["ending"], outcome["left"]) == (Ending.TIMED_OUT, 0), outcome
    assert WALL_CLOCK_S <= outcome["seconds"] < WALL_CLOCK_S + 2.5
    assert float(outcome["files"]["a"]) < WALL_CLOCK_S + 2.5
    assert gone(runner.watchdog, within=10)


def test_a_runner_in_native_code_does_not_stop_the_clock(start: Start) -> None:
    runner = start(busy_s=6)
    assert runner.dead_after(WALL_CLOCK_S + 3.0), "nobody kept the clock while the interpreter was held"
    outcome = runner.outcome()
    assert outcome["ending"] == Ending.TIMED_OUT, outcome
    assert WALL_CLOCK_S <= outcome["seconds"] < WALL_CLOCK_S + 2.5


def test_a_script_that_ends_while_the_runner_is_stopped_ended_when_it_did(start: Start) -> None:
    runner = start(program="import time; time.sleep(1.5); open('/out/a', 'w').write('x')", wall_clock_s=20.0)
    runner.signal(signal.SIGSTOP)
    assert runner.dead_after(10)
    time.sleep(3)
    runner.signal(signal.SIGCONT)
    outcome = runner.outcome()
    assert (outcome["ending"], outcome["exit_code"], outcome["files"]) == (Ending.EXITED, 0, {"a": "x"})
    assert outcome["seconds"] < 4.2  # the runner itself could say no less than 4.5


def test_after_kill_9_nothing_of_the_runner_is_left_and_nothing_else_is_touched(
    engine: DockerEngine, start: Start
) -> None:
    other, runner = start(wall_clock_s=60.0), start(wall_clock_s=60.0)
    runner.signal(signal.SIGKILL)
    assert gone(runner.watchdog, within=10), "the watchdog is still there"
    assert engine.remnants(runner.run) == []
    assert runner.process.wait() == -signal.SIGKILL
    assert other.runs(other.container), "another runner's container was removed"
    assert len(engine.remnants(other.run)) >= 3
    other.signal(signal.SIGKILL)


def test_a_watchdog_that_is_killed_is_replaced(start: Start) -> None:
    runner = start(wall_clock_s=5.0)
    os.kill(runner.watchdog, signal.SIGKILL)
    end = time.monotonic() + 6  # the runner looks every five seconds
    while time.monotonic() < end and not replaced(runner):
        time.sleep(0.1)
    assert replaced(runner)
    time.sleep(0.5)  # it is told of what runs
    runner.watchdog = watchdog_of(runner.process.pid)
    runner.signal(signal.SIGSTOP)
    assert runner.dead_after(5.0 + 3.0), "the new watchdog does not know the deadline"
    runner.signal(signal.SIGCONT)
    assert runner.outcome()["ending"] == Ending.TIMED_OUT


def replaced(runner: LoneRunner) -> bool:
    try:
        return watchdog_of(runner.process.pid) != runner.watchdog
    except AssertionError:
        return False


def test_what_lived_beyond_its_deadline_is_nobodys_fault_and_no_score(start: Start) -> None:
    """The watchdog was killed and the runner stopped: nobody was there to end it."""
    runner = start()
    runner.signal(signal.SIGSTOP)
    os.kill(runner.watchdog, signal.SIGKILL)
    time.sleep(WALL_CLOCK_S + 3.0)
    assert runner.runs(runner.container)
    runner.signal(signal.SIGCONT)
    outcome = runner.outcome()
    assert (outcome["ending"], outcome["fault"]) == (Ending.LATE, "infrastructure")
    assert outcome["files"] == {}


def test_neither_hang_up_nor_ctrl_c_nor_sigterm_ends_a_watchdog_at_work(start: Start) -> None:
    runner = start()
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        os.kill(runner.watchdog, number)
    runner.signal(signal.SIGSTOP)
    assert runner.dead_after(WALL_CLOCK_S + 3.0)
    assert os.getsid(runner.watchdog) == runner.watchdog != os.getsid(runner.process.pid)
    runner.signal(signal.SIGCONT)
    assert runner.outcome()["ending"] == Ending.TIMED_OUT


def test_a_paused_container_dies_at_its_deadline(engine: DockerEngine, start: Start) -> None:
    runner = start()
    engine.client.pause(runner.container)
    outcome = runner.outcome()
    assert outcome["ending"] == Ending.TIMED_OUT
    assert outcome["seconds"] < WALL_CLOCK_S + 2.5


def test_without_a_watchdog_nothing_is_started(sandboxed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = DockerEngine.connect()
    monkeypatch.setattr(client, "_clocks", {})
    monkeypatch.setattr(client, "_PROGRAM", Path("/nonexistent"))
    outcome = engine.run(sandboxed.job("print('it ran')"))
    assert (outcome.ending, outcome.log_tail) == (Ending.REFUSED, "")
    assert "watchdog" in outcome.detail


def test_the_watchdog_is_small_and_holds_no_key(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    runner = start()
    folder = Path("/proc") / str(runner.watchdog)
    status = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines())
    assert int(status["VmRSS"].split()[0]) < 32_000
    assert b"sk-secret" not in (folder / "environ").read_bytes()
