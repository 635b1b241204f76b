"""Each engine, told to do the same things in its own way."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from sandbox.engine import BuildContext, Engine, SandboxError
from sandbox.fake import FakeEngine, Script
from sandbox.outcome import Outcome
from sandbox.spec import MIB, Job, Lease, Limits, Output, Role

PYTHON = "/opt/venv/bin/python"


@dataclass(frozen=True)
class Candidate:
    """One behaviour twice: as a program for a real engine, as a function for the pretended one."""

    program: str
    pretend: Callable[[Job], Script]


@dataclass
class Bench:
    engine: Engine
    image: str
    folder: Path
    dockerfile: str
    real: bool
    name: str = field(default_factory=lambda: f"conform-{secrets.token_hex(4)}")
    playing: Candidate | None = None

    def job(self, candidate: Candidate, **changes: Any) -> Job:
        self.playing = candidate
        destination = self.folder / secrets.token_hex(4)
        destination.mkdir()
        options: dict[str, Any] = {
            "run": self.name,
            "experiment": "1",
            "attempt": 1,
            "role": Role.TRAIN,
            "image": self.image,
            "command": (PYTHON, "-I", "-B", "-u", "-c", candidate.program),
            "limits": Limits(wall_clock_s=20, memory_bytes=128 * MIB, pids=32, out_bytes=8 * MIB),
            "lease": Lease(cpus=(min(os.sched_getaffinity(0)),)),
            "destination": destination,
            "outputs": (Output("a", 1000), Output("b", 1000)),
        }
        return Job(**{**options, **changes})

    def run(self, candidate: Candidate, **changes: Any) -> Outcome:
        return self.engine.run(self.job(candidate, **changes))

    def build(self, **changes: Any) -> BuildContext:
        options: dict[str, Any] = {
            "dockerfile": self.dockerfile,
            "files": {"note": b"hello"},
            "labels": {"dev.autoresearch.test": self.name},
            "tags": (f"autoresearch/test-{self.name}:1",),
        }
        return BuildContext(**{**options, **changes})


def _fake(folder: Path) -> Bench:
    bench: Bench

    def behaviour(job: Job) -> Script:
        assert bench.playing is not None
        return bench.playing.pretend(job)

    engine = FakeEngine(behaviour)
    image = engine.import_root(Path("/"), "autoresearch/candidate:cpu")
    bench = Bench(engine, image.id, folder, "FROM scratch\nCOPY note /note\n", real=False)
    return bench


@pytest.fixture(params=["fake", pytest.param("docker", marks=pytest.mark.engine)])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    """After the test nothing of the bench's run may be left, and its images are removed."""
    if request.param == "fake":
        made = _fake(tmp_path)
    else:
        engine = request.getfixturevalue("engine")
        try:
            image = engine.image(os.environ.get("AUTORESEARCH_TEST_IMAGE", "autoresearch/candidate:cpu"))
        except SandboxError as error:
            pytest.fail(f"{error}; run script/bootstrap first")
        made = Bench(engine, image.id, tmp_path, "FROM scratch\nCOPY note /note\n", real=True)
    yield made
    for image in made.engine.images({"dev.autoresearch.test": made.name}):
        made.engine.remove_image(image.id)
    assert list(made.engine.remnants(made.name)) == []
