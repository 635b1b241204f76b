"""What a second terminal may do to a real run: follow it, ask it to stop, go on with it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable

import pytest
from processes import gone, watchdog_of
from real_run import LEASE_S, Runner, Search

from runner.search.endings import ASKED

pytestmark = pytest.mark.engine
Start = Callable[..., Runner]


def verb(search: Search, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "runner.cli", *words]
    return subprocess.run(
        command, cwd=search.folder, capture_output=True, text=True, check=False, timeout=LEASE_S
    )


def test_watch_shows_every_event_to_the_end_and_another_watch_may_be_broken_off(
    search: Search, in_training: Start
) -> None:
    runner = in_training()
    command = [sys.executable, "-m", "runner.cli", "watch"]
    broken = subprocess.Popen(
        command, cwd=search.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert broken.stdout is not None
    assert "budget" in broken.stdout.readline()
    broken.send_signal(signal.SIGINT)
    assert "the run goes on" in broken.communicate(timeout=30)[1]
    assert broken.returncode == 130
    seen = verb(search, "watch", "--json")
    assert seen.returncode == 0, seen.stderr
    assert runner.finish() == 0, runner.errors()
    assert [json.loads(line) for line in seen.stdout.splitlines()] == runner.seen


def test_watch_says_when_the_runner_died_and_when_there_is_none(search: Search, in_training: Start) -> None:
    runner = in_training()
    command = [sys.executable, "-m", "runner.cli", "watch"]
    watch = subprocess.Popen(
        command, cwd=search.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert watch.stdout is not None
    watch.stdout.readline()
    watchdog = watchdog_of(runner.process.pid)
    runner.signal(signal.SIGKILL)
    runner.process.wait()
    assert "resume" in watch.communicate(timeout=30)[1]
    assert watch.returncode == 8
    nobody = verb(search, "watch", "--json")
    assert nobody.returncode == 8
    assert json.loads(nobody.stdout)["error"]["kind"] == "not_running"
    assert gone(watchdog, within=10)


def test_stop_ends_a_run_as_ctrl_c_does_and_resume_goes_on(search: Search, in_training: Start) -> None:
    runner = in_training()
    stopped = verb(search, "stop", "--json")
    assert stopped.returncode == 0, stopped.stderr
    answer = json.loads(stopped.stdout)
    assert (answer["asked"], answer["pid"], answer["ended"]) == ("signalled", runner.process.pid, True)
    assert runner.finish(within=1) == 130
    assert search.check()[1].status == "open"
    again = verb(search, "stop")
    assert (again.returncode, "nothing is running" in again.stdout) == (0, True)
    resumed = verb(search, "resume", "--display", "none")
    assert resumed.returncode == 0, resumed.stderr
    assert [e.status for e in search.check()] == ["keep", "keep"]


def test_stop_after_the_experiment_lets_it_finish(search: Search, in_training: Start) -> None:
    runner = in_training("--max-experiments", "5")
    stopped = verb(search, "stop", "--after-experiment")
    assert stopped.returncode == 0, stopped.stderr
    assert runner.finish(within=1) == 0, runner.errors()
    assert runner.seen[-1]["reason"] == ASKED
    assert search.check()[1].status == "keep"
