"""Each engine, told to do the same things in its own way."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from bench import Bench

from sandbox.engine import SandboxError
from sandbox.fake import FakeEngine, Script
from sandbox.spec import Job

DOCKERFILE = "FROM scratch\nCOPY note /note\n"


def _fake(folder: Path) -> Bench:
    bench: Bench

    def behaviour(job: Job) -> Script:
        assert bench.playing is not None
        script = bench.playing.pretend(job.destination)
        return script if isinstance(script, Script) else Script()

    engine = FakeEngine(behaviour)
    image = engine.import_root(Path("/"), "autoresearch/candidate:cpu")
    bench = Bench(engine, image.id, folder, DOCKERFILE)
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
        made = Bench(engine, image.id, tmp_path, DOCKERFILE)
    yield made
    for image in made.engine.images({"dev.autoresearch.test": made.name}):
        made.engine.remove_image(image.id)
    assert list(made.engine.remnants(made.name)) == []
