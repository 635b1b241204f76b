"""Another process asks a runner to stop, and nobody else ever hears of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.simulated_run import SimulatedRun, source
from runner.protocols import Event
from runner.search.endings import ASKED
from runner.search.stop_request import Process, StopRequest, StopResult, end_after_experiment
from sandbox.owner import Owner, parse_owner, this_process

# as a runner does: the first signal gives the handler back and is cleared up after, which takes a moment
RUNNER = """
import signal, sys, time
from sandbox.owner import this_process
def stop(number, _):
    signal.signal(number, signal.SIG_DFL)
    time.sleep(float(sys.argv[1]))
    sys.exit(128 + number)
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, stop)
print(this_process(), flush=True)
time.sleep(60)
"""
Started = tuple[subprocess.Popen[str], Owner]


@pytest.fixture
def runner(request: pytest.FixtureRequest) -> Iterator[Started]:
    clears_up_s = str(getattr(request, "param", 0.0))
    process = subprocess.Popen([sys.executable, "-c", RUNNER, clears_up_s], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    owner = parse_owner(process.stdout.readline().strip())
    assert owner is not None
    yield process, owner
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_runner_gets_one_sigint_and_is_waited_for(runner: Started) -> None:
    process, owner = runner
    with Process(owner) as found:
        assert not found.has_ended(0)
        assert found.interrupt() is StopResult.SIGNALLED
        assert found.has_ended(10)
    assert process.wait(5) == 128 + signal.SIGINT


@pytest.mark.parametrize("runner", [2.0], indirect=True)
@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM])
def test_a_runner_that_is_clearing_up_is_left_to_it(runner: Started, first: signal.Signals) -> None:
    process, owner = runner
    process.send_signal(first)
    time.sleep(0.5)
    with Process(owner) as found:
        assert found.interrupt() is StopResult.STOPPING_ALREADY
        assert found.has_ended(10)
    assert process.wait(5) == 128 + first, "it was cut off"


def test_whoever_has_the_number_now_is_never_signalled(runner: Started) -> None:
    process, owner = runner
    with Process(replace(owner, start_time=owner.start_time - 1)) as found:
        assert found.interrupt() is StopResult.NOT_RUNNING
        assert found.has_ended(0)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.3)


def test_a_process_that_is_gone_cannot_be_stopped(runner: Started) -> None:
    process, owner = runner
    with Process(owner) as found:
        process.kill()
        process.wait()
        assert found.interrupt() in {StopResult.NOT_RUNNING, StopResult.STOPPING_ALREADY}
        assert found.has_ended(0)


def test_the_present_experiment_is_finished_and_no_other_begun(tmp_path: Path) -> None:
    simulated = SimulatedRun(tmp_path, [source(1.9, "x = 1\n"), source(1.8, "y = 1\n")])
    state = simulated.workspace.state
    me = this_process()

    def ask(event: Event) -> None:
        if event.kind == "state" and event.data["number"] == 1:
            end_after_experiment(state, me)

    with StopRequest(state, me) as request:
        assert simulated.loop(emit=ask, asked_to_end=request.is_made).go() == ASKED
    experiments = simulated.ledger.experiments("simulated")
    assert [e.status for e in experiments] == ["keep", "keep"]
    assert experiments[1].state == "decided"
    assert simulated.ledger.confirmations("simulated") == [], "asked to end, it begins nothing else"
    assert simulated.loop().go() != ASKED, "a resumed run obeyed what was asked of the one before"
    assert len(simulated.ledger.experiments("simulated")) == 4


def test_what_was_asked_of_another_process_is_not_obeyed(tmp_path: Path) -> None:
    me = this_process()
    with StopRequest(tmp_path, me) as request:
        end_after_experiment(tmp_path, replace(me, start_time=me.start_time - 1))
        assert not request.is_made()
        end_after_experiment(tmp_path, me)
        assert request.is_made()
    assert os.listdir(tmp_path) == []


def test_an_old_request_is_cleared_before_a_runner_begins(tmp_path: Path) -> None:
    me = this_process()
    end_after_experiment(tmp_path, me)
    with StopRequest(tmp_path, me) as request:
        assert not request.is_made()
