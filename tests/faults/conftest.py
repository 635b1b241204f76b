"""A real `autoresearch run` with the real engine, small enough to be killed often."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from real_run import BASELINE, BETTER, Runner, Search, write_workspace

from sandbox.docker_engine import DockerEngine
from sandbox.engine import SandboxError


@pytest.fixture(scope="session")
def template(
    engine: DockerEngine, images: object, dataset: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Search]:
    """A run that was stopped with SIGTERM as soon as its baseline was kept. Made once, copied for every fault."""
    folder = tmp_path_factory.mktemp("template")
    write_workspace(folder / "w", dataset, BASELINE, [BETTER])
    search = Search(folder / "w", engine)
    runner = search.start("--budget", "1h", "--max-experiments", "1")
    try:
        runner.until(lambda event: event["event"] == "kept")
        runner.signal(signal.SIGTERM)
        assert runner.finish() == 143, runner.errors()
        search.check()
        yield search
    finally:
        runner.end()
        for image in engine.images({"dev.autoresearch.snapshot.run": search.run}):
            engine.remove_image(image.id)


@pytest.fixture
def search(template: Search, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Search]:
    """A copy of the template, to be resumed. Whatever the test did, no runner and nothing of it stays."""
    folder = tmp_path / "w"
    shutil.copytree(template.folder, folder, symlinks=True)
    with sqlite3.connect(folder / ".autoresearch" / "ledger.db") as db:
        # whichever image has the tag now: an earlier test may have had it built again
        current = template.engine.image(f"autoresearch/{template.run}:0000").id
        db.execute("UPDATE experiments SET image = ? WHERE number = 0", (current,))
        # the copy is the run's home now, as if the template had been moved
        home = str((folder / ".autoresearch" / "ledger.db").resolve())
        db.execute("UPDATE runs SET settings = json_set(settings, '$.home', ?)", (home,))
    copy = Search(folder, template.engine)
    yield copy
    for runner in copy.started:
        with contextlib.suppress(ProcessLookupError):
            os.kill(runner.process.pid, signal.SIGKILL)
        runner.process.wait()
    left = copy.engine.remnants(copy.run)
    with contextlib.suppress(SandboxError):
        copy.engine.reap(now=0.0, everything_of_run=copy.run)
    assert left == []


@pytest.fixture
def in_training(search: Search) -> Callable[..., Runner]:
    """Resume until the container of experiment 1 is training, and hand the runner over."""

    def start(*words: str, **environment: str) -> Runner:
        runner = search.start("--resume", "--budget", "1h", "--max-experiments", "1", *words, **environment)
        runner.until(lambda event: event.get("state") == "training")
        search.container("train")
        return runner

    return start
