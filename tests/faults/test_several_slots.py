"""Several trainings at once, with real containers: side by side on CPUs of their own, and none is left when the runner goes."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from real_run import BASELINE, Runner, Search, write_workspace

from sandbox.docker_engine import DockerEngine
from sandbox.lease import CpuLeases

CPUS = sorted(os.sched_getaffinity(0))
pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(len(CPUS) < 2, reason="two trainings at once need two CPUs"),
]
IDEAS = [BASELINE.replace("time.sleep(1.5)", f"time.sleep(2.5)\nidea = {number}") for number in range(4)]
COUNT = str(len(IDEAS))


@pytest.fixture
def search(engine: DockerEngine, images: object, dataset: Path, tmp_path: Path) -> Iterator[Search]:
    """A workspace with four proposals and nothing run yet."""
    write_workspace(tmp_path / "w", dataset, BASELINE, IDEAS)
    made = Search(tmp_path / "w", engine)
    yield made
    for runner in made.started:
        with contextlib.suppress(ProcessLookupError):
            os.kill(runner.process.pid, signal.SIGKILL)
        runner.process.wait()
    left = engine.remnants(made.run)
    engine.reap(now=0.0, everything_of_run=made.run)
    for image in engine.images({"dev.autoresearch.snapshot.run": made.run}):
        engine.remove_image(image.id)
    assert left == []


def two_in_training(search: Search) -> Runner:
    """Two proposals train at this moment."""
    runner = search.start("--parallel", "2", "--budget", "1h", "--max-experiments", COUNT)
    numbers = set[int]()
    while len(numbers) < 2:
        event = runner.until(
            lambda event: event.get("state") in {"training", "trained"} and event["number"] > 0
        )
        (numbers.add if event["state"] == "training" else numbers.discard)(event["number"])
    end = time.monotonic() + 20.0
    while len(search.training()) < 2:
        assert time.monotonic() < end, "two containers never ran at once"
        time.sleep(0.05)
    return runner


def resumed(search: Search) -> None:
    runner = search.start("--resume", "--budget", "1h", "--max-experiments", COUNT)
    assert runner.finish() == 0, runner.errors()
    experiments = search.check(slots=2)
    assert [e.status for e in experiments if e.attempts and e.number] == ["discard"] * len(IDEAS)
    assert len({e.source_sha256 for e in experiments if e.attempts}) == 1 + len(IDEAS)


def test_two_train_side_by_side_on_cpus_of_their_own(search: Search) -> None:
    runner = two_in_training(search)
    sets = [
        search.engine.client.inspect_container(container)["HostConfig"]["CpusetCpus"]
        for container in search.training()
    ]
    assert sorted(sets) == [str(cpu) for cpu in CPUS[:2]]
    assert runner.finish() == 0, runner.errors()
    experiments = search.check(slots=2)
    assert [e.status for e in experiments[1:]] == ["discard"] * len(IDEAS)


def test_kill_9_with_two_in_training_leaves_no_container_and_no_lease(search: Search) -> None:
    runner = two_in_training(search)
    runner.signal(signal.SIGKILL)
    runner.process.wait()
    end = time.monotonic() + 10.0
    while search.training():
        assert time.monotonic() < end, "a container still runs ten seconds later"
        time.sleep(0.1)
    with CpuLeases(2, available=CPUS[:2], patience_s=max(end - time.monotonic(), 0.0)).acquire() as lease:
        assert len(lease.cpus) == 2
    resumed(search)
    lost = [a for e in search.experiments() for a in e.attempts if a.reason == "runner_died"]
    assert len(lost) == 2


def test_ctrl_c_with_two_in_training_ends_both_and_the_run_goes_on(search: Search) -> None:
    runner = two_in_training(search)
    runner.signal(signal.SIGINT)
    assert runner.finish(within=30.0) == 130, runner.errors()
    assert search.training() == []
    resumed(search)
