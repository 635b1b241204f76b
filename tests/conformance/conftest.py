"""Each engine, told to do the same things in its own way.

The real engine and the fake one are always asked. gVisor (`runsc`) and podman are asked where
AUTORESEARCH_TEST_ENGINES names them, each behind an engine of its own that needs root:

    AUTORESEARCH_TEST_ENGINES=runsc,podman pytest tests/conformance
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from behaviours import Bench
from private_engine import PrivateDockerd, PrivatePodman, base_image, why_no_podman, why_not

from sandbox.docker_engine import DockerEngine
from sandbox.engine import SandboxError
from sandbox.fake_engine import FakeEngine, Script
from sandbox.spec import Job

DOCKERFILE = "FROM scratch\nCOPY note /note\n"
OPTIONAL = "AUTORESEARCH_TEST_ENGINES"
# gVisor's own network stack cannot be set up where there is no network, and its cgroups need v2 or systemd
RUNSC_ARGUMENTS = os.environ.get("AUTORESEARCH_RUNSC_ARGUMENTS", "--network=none --ignore-cgroups").split()

NOT_TOLD = "4.3 on cgroup v1 does not say that the kernel killed it for memory: it exits with code 137"
NO_CGROUP = "without cgroups it has no limit of memory: the deadline ends the container"
LACKING = {
    "runsc": {
        "test_out_of_memory_is_told_from_a_timeout": NO_CGROUP,
        "test_what_is_no_plain_file_is_refused[runsc-import os; os.mkfifo": "a fifo in a volume cannot be made",
        "test_a_file_of_holes_is_refused": "it counts the blocks of a file of holes as if they were written",
    },
    "podman": {"test_out_of_memory_is_told_from_a_timeout": NOT_TOLD},
}


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


def _asked_for(name: str, program: str) -> None:
    if name not in os.environ.get(OPTIONAL, "").split(","):
        pytest.skip(f"{name} is tried where {OPTIONAL} names it")
    if shutil.which(program) is None:
        pytest.skip(f"{name} is not installed: apt-get install {program}")


@pytest.fixture(scope="session")
def runsc(engine: DockerEngine) -> Iterator[tuple[DockerEngine, str, str]]:
    """gVisor behind a dockerd of our own: engine, image, interpreter."""
    _asked_for("runsc", "runsc")
    if reason := why_not():
        pytest.skip(reason)
    runtimes = {"runsc": {"path": shutil.which("runsc"), "runtimeArgs": RUNSC_ARGUMENTS}}
    dockerd = PrivateDockerd(Path(f"/tmp/ar-runsc-{secrets.token_hex(3)}"), runtimes=runtimes)
    try:
        dockerd.start()
        image, python = base_image(engine)
        dockerd.load_from(engine, image)
        yield DockerEngine.connect(dockerd.host, runtime="runsc", python=python), image, python
    finally:
        dockerd.close()


@pytest.fixture(scope="session")
def podman(engine: DockerEngine) -> Iterator[tuple[DockerEngine, str, str]]:
    """podman's Docker-compatible socket: engine, image, interpreter."""
    _asked_for("podman", "podman")
    if reason := why_no_podman():
        pytest.skip(reason)
    service = PrivatePodman(Path(f"/tmp/ar-podman-{secrets.token_hex(3)}"))
    try:
        service.start()
        image, python = base_image(engine)
        service.load_from(engine, image)
        yield DockerEngine.connect(service.host, python=python), image, python
    finally:
        service.close()


@pytest.fixture(
    params=[
        "fake",
        pytest.param("docker", marks=pytest.mark.engine),
        pytest.param("runsc", marks=pytest.mark.engine),
        pytest.param("podman", marks=pytest.mark.engine),
    ]
)
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    """After the test nothing of the bench's run may be left, and its images are removed."""
    if request.param == "fake":
        made = _fake(tmp_path)
    elif request.param == "docker":
        engine = request.getfixturevalue("engine")
        try:
            image = engine.image(os.environ.get("AUTORESEARCH_TEST_IMAGE", "autoresearch/candidate:cpu"))
        except SandboxError as error:
            pytest.fail(f"{error}; run script/bootstrap first")
        made = Bench(engine, image.id, tmp_path, DOCKERFILE)
    else:
        other, image_id, python = request.getfixturevalue(request.param)
        made = Bench(other, image_id, tmp_path, DOCKERFILE, python)
    yield made
    for image in made.engine.images({"dev.autoresearch.test": made.name}):
        made.engine.remove_image(image.id)
    assert list(made.engine.remnants(made.name)) == []


@pytest.fixture(autouse=True)
def _what_is_lacking(request: pytest.FixtureRequest) -> None:
    """What an optional engine is known not to hold is skipped by name, with the reason."""
    name = getattr(request.node, "callspec", None) and request.node.callspec.params.get("bench")
    for test, reason in LACKING.get(name, {}).items():
        if request.node.name.startswith(test):
            pytest.skip(f"{name}: {reason}")
