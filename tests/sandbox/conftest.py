"""Run a few lines of Python in the real sandbox and see that nothing is left of it."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import pytest

from sandbox.docker_engine import DockerEngine
from sandbox.engine import SandboxError
from sandbox.outcome import Outcome
from sandbox.spec import MIB, Job, Lease, Limits, Monitor, Mount, Output, Role

PYTHON = "/opt/venv/bin/python"
NO_IMAGE = (
    "run script/bootstrap first, or name an image with Python at /opt/venv/bin in AUTORESEARCH_TEST_IMAGE"
)
SMALL = {"memory_bytes": 256 * MIB, "pids": 64, "out_bytes": 8 * MIB, "out_inodes": 32, "tmp_bytes": 4 * MIB}


class Sandboxed(Protocol):
    """Run `program`; `limits` are overrides of small defaults."""

    name: str
    engine: DockerEngine

    def job(self, program: str, **options: Any) -> Job: ...

    def __call__(self, program: str, **options: Any) -> Outcome: ...


class _Sandboxed:
    def __init__(self, engine: DockerEngine, image: str, folder: Path) -> None:
        self.engine, self.image, self.folder = engine, image, folder
        self.name = f"test-{secrets.token_hex(4)}"
        self.count = 0

    def job(
        self,
        program: str,
        *,
        wall_clock_s: float = 20.0,
        outputs: tuple[Output, ...] = (Output("report", MIB),),
        mounts: tuple[Mount, ...] = (),
        environment: Mapping[str, str] | None = None,
        arguments: tuple[str, ...] = (),
        monitor: Monitor | None = None,
        **limits: int,
    ) -> Job:
        self.count += 1
        destination = self.folder / str(self.count)
        destination.mkdir()
        return Job(
            run=self.name,
            experiment="e",
            attempt=self.count,
            role=Role.TRAIN,
            image=self.image,
            command=(PYTHON, "-I", "-B", "-u", "-c", program, *arguments),
            limits=Limits(wall_clock_s=wall_clock_s, **{**SMALL, **limits}),
            lease=Lease(cpus=(min(os.sched_getaffinity(0)),)),
            destination=destination,
            outputs=outputs,
            mounts=mounts,
            environment=environment or {},
            monitor=monitor,
        )

    def __call__(self, program: str, **options: Any) -> Outcome:
        return self.engine.run(self.job(program, **options))


@pytest.fixture(scope="session")
def candidate_image(engine: DockerEngine) -> str:
    for reference in ("autoresearch/candidate:cpu", os.environ.get("AUTORESEARCH_TEST_IMAGE")):
        try:
            if reference:
                return engine.image(reference).id
        except SandboxError:
            continue
    pytest.fail(NO_IMAGE)


@pytest.fixture
def sandboxed(engine: DockerEngine, candidate_image: str, tmp_path: Path) -> Iterator[Sandboxed]:
    """After the test no container or volume of its run may be there."""
    run = _Sandboxed(engine, candidate_image, tmp_path)
    yield run
    left = engine.remnants(run.name)
    engine.reap(now=0.0, everything_of_run=run.name)
    assert left == []
