"""The disk of a dockerd of our own is full, before a job and during one."""

from __future__ import annotations

import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from private_engine import PrivateDockerd, base_image, why_not
from private_jobs import PrivateJobs, processes_of_the_sandbox

from sandbox.docker_engine import DockerEngine
from sandbox.engine import BuildContext, SandboxError
from sandbox.outcome import Ending, Fault

pytestmark = pytest.mark.engine
WRITES = "import time; open('/out/a', 'w').write('x'); print('begun', flush=True); time.sleep({})"


@pytest.fixture(scope="module")
def dockerd(engine: DockerEngine) -> Iterator[PrivateDockerd]:
    """Its images, layers and volumes are on a file system of 512 MiB."""
    if reason := why_not():
        pytest.skip(reason)
    made = PrivateDockerd(Path(f"/tmp/ar-dockerd-{secrets.token_hex(3)}"))
    data = made.folder / "data"
    data.mkdir()
    try:
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512m", "tmpfs", str(data)], check=False)
        if mounted.returncode:
            pytest.skip("this machine does not let root mount a tmpfs (a container without CAP_SYS_ADMIN?)")
        made.start()
        made.load_from(engine, base_image(engine)[0])
        yield made
    finally:
        made.close()


@pytest.fixture
def jobs(dockerd: PrivateDockerd, engine: DockerEngine, tmp_path: Path) -> Iterator[PrivateJobs]:
    """Afterwards there is room again, and nothing of the job is left."""
    made = PrivateJobs(dockerd, *base_image(engine), tmp_path)
    ballast = dockerd.folder / "data" / "ballast"
    yield made
    ballast.unlink(missing_ok=True)
    assert made.run(WRITES.format(0)).ending is Ending.EXITED
    assert made.engine.remnants() == []
    assert processes_of_the_sandbox(dockerd) == []


def fill(folder: Path) -> None:
    with (folder / "data" / "ballast").open("wb", buffering=0) as file:
        for size in (1 << 20, 4096):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                continue


def test_a_job_on_an_engine_without_room_is_nobodys_fault(jobs: PrivateJobs, dockerd: PrivateDockerd) -> None:
    fill(dockerd.folder)
    outcome = jobs.run(WRITES.format(0))
    assert outcome.fault is Fault.INFRASTRUCTURE, outcome
    assert outcome.detail
    assert outcome.files == {}


def test_a_disk_that_fills_during_a_job_costs_the_job_nothing_or_is_nobodys_fault(
    jobs: PrivateJobs, dockerd: PrivateDockerd
) -> None:
    """/out is memory with a size of its own, so an output does not depend on the engine's disk."""
    filler = jobs.when_running(lambda: fill(dockerd.folder))
    outcome = jobs.run(WRITES.format(2))
    filler.join()
    if outcome.ending is Ending.EXITED:
        assert outcome.exit_code == 0
        assert "a" in outcome.files
    else:
        assert outcome.fault is Fault.INFRASTRUCTURE, outcome


def test_a_snapshot_without_room_is_an_error_in_a_sentence(
    jobs: PrivateJobs, dockerd: PrivateDockerd
) -> None:
    fill(dockerd.folder)
    context = BuildContext(
        dockerfile="FROM scratch\nCOPY note /note\n",
        files={"note": b"x" * (1 << 20)},
        tags=("autoresearch/full:1",),
    )
    with pytest.raises(SandboxError) as failure:
        jobs.engine.build(context)
    assert "\n" not in str(failure.value)
