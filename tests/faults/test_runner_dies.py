"""The runner is killed, stopped, or started twice. The run goes on, and nothing is lost, doubled or left."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from processes import gone, watchdog_of
from real_run import BASELINE, LEASE_S, NOISY_BASELINE, NOISY_BETTER, Runner, Search, write_workspace

from sandbox.docker_engine import DockerEngine

pytestmark = pytest.mark.engine
Start = Callable[..., Runner]


def finished(search: Search) -> list[list[str | None]]:
    """After the end: the outcome of every attempt of every experiment."""
    experiments = search.check()
    assert [e.status for e in experiments] == ["keep", "keep"]
    assert all(e.image and e.git_commit for e in experiments)
    return [
        [a.outcome for a in e.attempts if a.confirmation is None and not a.contended] for e in experiments
    ]


def killed_with_nothing_left(search: Search, runner: Runner) -> None:
    """kill -9: ten seconds later nothing of the run is there, and neither is the watchdog of its wall clock.
    (`test_a_second_signal…` goes on at once instead.)"""
    watchdog = watchdog_of(runner.process.pid)
    runner.signal(signal.SIGKILL)
    runner.process.wait()
    assert gone(watchdog, within=10)
    search.check()


def test_kill_9_in_training_and_the_run_goes_on(search: Search, in_training: Start) -> None:
    killed_with_nothing_left(search, in_training())

    search.resume()

    assert finished(search) == [["ok"] * 3, ["infrastructure", "ok"]]
    assert search.experiments()[1].attempts[0].reason == "runner_died"


@pytest.mark.slow
def test_a_script_tried_by_a_runner_that_was_stopped_over_its_deadline_is_judged(
    search: Search, tmp_path: Path
) -> None:
    """tests/sandbox/test_watchdog.py has the short form: the same without a judge."""
    endless = tmp_path / "endless.py"
    endless.write_text(BASELINE + "time.sleep(600)\n")
    command = [sys.executable, "-m", "runner.cli", "try", str(endless), "--json", "--compile-check", "off"]
    process = subprocess.Popen(command, cwd=search.folder, stdout=subprocess.PIPE, text=True)
    owner = f":{process.pid}:"
    deadline = time.monotonic() + LEASE_S
    while not [i for i in search.engine.remnants() if owner in i.owner and i.role == "train"]:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    time.sleep(5)
    process.send_signal(signal.SIGSTOP)
    time.sleep(25)
    process.send_signal(signal.SIGCONT)
    answer = json.loads(process.communicate(timeout=LEASE_S)[0])
    assert answer["outcome"] == "ok"
    assert 25 <= answer["seconds"] < 27.5


def test_kill_9_in_judging_and_the_run_goes_on(search: Search, in_training: Start) -> None:
    runner = in_training()
    search.container("judge-score", within=60)
    killed_with_nothing_left(search, runner)

    search.resume()

    assert finished(search) == [["ok"] * 3, ["infrastructure", "ok"]]


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_one_signal_ends_the_container_and_says_how_to_go_on(
    search: Search, in_training: Start, number: int, code: int
) -> None:
    runner = in_training()
    runner.signal(number)
    assert runner.finish(within=20) == code
    assert "--resume" in runner.errors()
    experiments = search.check()
    assert experiments[1].status == "open"
    assert (search.folder / "results.tsv").exists(), "the report is written all the same"


def test_a_second_signal_ends_at_once_and_the_next_start_clears_up(
    search: Search, in_training: Start
) -> None:
    runner = in_training()
    runner.signal(signal.SIGTERM)
    runner.signal(signal.SIGTERM)
    assert runner.process.wait(10) in {-signal.SIGTERM, 143}  # the first may have been done already
    search.check(over=False)

    search.resume()

    assert finished(search) == [["ok"] * 3, ["infrastructure", "ok"]]


def test_a_second_runner_in_the_workspace_is_refused_and_the_first_is_not_disturbed(
    search: Search, in_training: Start
) -> None:
    runner = in_training()
    second = search.start("--resume", "--budget", "1h")
    assert second.finish(within=30) == 2
    assert "another `autoresearch run`" in second.errors()
    assert runner.finish() == 0, runner.errors()
    assert finished(search) == [["ok"] * 3, ["ok"]]


def test_kill_9_in_a_confirmation_and_its_pair_is_finished(
    engine: DockerEngine, images: object, dataset: Path, tmp_path: Path
) -> None:
    write_workspace(tmp_path / "w", dataset, NOISY_BASELINE, [NOISY_BETTER])
    search = Search(tmp_path / "w", engine)
    runner = search.start("--budget", "1h", "--max-experiments", "1")
    try:
        runner.until(lambda event: event["event"] == "confirming")
        runner.until(lambda event: event["event"] == "judged")
        runner.until(lambda event: event.get("state") == "training")
        search.container("train")
        killed_with_nothing_left(search, runner)

        search.resume()

        experiments, confirmations = search.check(), search.confirmations()
        assert [c.verdict for c in confirmations] == ["confirmed"]
        counted = sorted((e.number, a.seed) for e in experiments for a in e.counted if a.confirmation)
        seeds = sorted({seed for _, seed in counted})
        assert confirmations[0].pairs == len(seeds)
        assert counted == [(number, seed) for number in (0, 1) for seed in seeds], "a run lost or made twice"
        outcomes = [a.outcome for e in experiments for a in e.attempts if a.confirmation]
        assert outcomes.count("infrastructure") == 1, "the run that was killed"
    finally:
        runner.end()
        for image in engine.images({"dev.autoresearch.snapshot.run": search.run}):
            engine.remove_image(image.id)
