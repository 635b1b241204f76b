"""A run on machines of other kinds, with the real engine: narrow modes, odd paths, a workspace that moves, no credentials."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from real_run import BASELINE, BETTER, LEASE_S, Search

from sandbox.docker_engine import DockerEngine

pytestmark = [pytest.mark.engine, pytest.mark.slow]
PYTHON = [sys.executable, "-m", "runner.cli"]


@pytest.fixture(params=[0o077, 0o027])
def narrow_umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


@pytest.mark.usefixtures("narrow_umask", "images")
def test_a_run_under_a_narrow_umask_on_an_odd_path_is_judged_kept_moved_and_reproduced(
    engine: DockerEngine, dataset: Path, tmp_path: Path
) -> None:
    (home := tmp_path / "home").mkdir(mode=0o700)
    docker = home / ".docker"
    docker.mkdir()
    (docker / "config.json").write_text(
        json.dumps({"credsStore": "no-such-helper", "auths": {"registry.example": {}}})
    )
    environment = {"HOME": str(home), "GIT_DIR": "/nonexistent", "LC_ALL": "C", "GIT_DEFAULT_HASH": "sha256"}
    folder = home / "a b\nc:d"
    subprocess.run([*PYTHON, "init", str(folder)], check=True, capture_output=True)
    (folder / "ideas").mkdir()
    (folder / "ideas" / "1.py").write_text(BETTER)
    (folder / "train.py").write_text(BASELINE)
    (folder / "autoresearch.toml").write_text(
        f'data = "{dataset}"\nproposer = "scripted:ideas"\nwall_clock = "25s"\n'
        "memory_gb = 2.0\nbaseline_repeats = 2\nretests = 0\ncpus = 1\n"
    )
    search = Search(folder, engine)
    runner = search.start("--budget", "1h", "--max-experiments", "1", **environment)
    assert runner.finish() == 0, runner.errors()
    baseline, better = search.check()
    assert (baseline.status, better.status) == ("keep", "keep"), (baseline.reason, better.reason)
    moved = Search(folder.rename(home / "moved"), engine)
    moved.check()
    runner = moved.start("--resume", "--max-experiments", "1", **environment)
    assert runner.finish() == 0, runner.errors()
    words = [*PYTHON, "reproduce", better.tag or "", "--data", str(dataset), "--json"]
    try:
        done = subprocess.run(
            words,
            cwd=home,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=LEASE_S,
        )
        assert json.loads(done.stdout.splitlines()[0])["outcome"] == "ok", done.stdout + done.stderr
    finally:
        for image in engine.images({"dev.autoresearch.snapshot.run": moved.run}):
            engine.remove_image(image.id)
