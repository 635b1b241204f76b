"""A dockerd of our own goes away and comes back, in training and in judging, gently and with kill -9."""

from __future__ import annotations

import secrets
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from private_engine import PrivateDockerd, base_image, why_not
from private_jobs import PrivateJobs, processes_of_the_sandbox

from sandbox.docker_engine import DockerEngine
from sandbox.outcome import Ending, Fault
from sandbox.spec import Role

pytestmark = pytest.mark.engine
SAVED = "import time; open('/out/a', 'w').write('x'); print('begun', flush=True); time.sleep({})"


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "live-restore"])
def dockerd(
    request: pytest.FixtureRequest, engine: DockerEngine, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PrivateDockerd]:
    if reason := why_not():
        pytest.skip(reason)
    # a short path: a unix socket's name has room for 107 bytes
    folder = Path(f"/tmp/ar-dockerd-{secrets.token_hex(3)}")
    made = PrivateDockerd(folder, live_restore=request.param)
    try:
        made.start()
        made.load_from(engine, base_image(engine)[0])
        yield made
    finally:
        made.close()


@pytest.fixture
def jobs(dockerd: PrivateDockerd, engine: DockerEngine, tmp_path: Path) -> Iterator[PrivateJobs]:
    made = PrivateJobs(dockerd, *base_image(engine), tmp_path)
    yield made
    fresh = DockerEngine.connect(dockerd.host)
    assert [item for item in fresh.remnants() if item.kind == "container"] == []
    assert processes_of_the_sandbox(dockerd) == []


@pytest.mark.parametrize("role", [Role.TRAIN, Role.JUDGE_SCORE])
def test_a_restart_is_survived_or_is_nobodys_fault_and_the_next_job_is_well(
    jobs: PrivateJobs, dockerd: PrivateDockerd, role: Role, request: pytest.FixtureRequest
) -> None:
    def restart() -> None:
        dockerd.stop()
        dockerd.start()

    thread = jobs.when_running(restart)
    outcome = jobs.run(SAVED.format(6), role=role)
    thread.join()
    if "live-restore" in request.node.name:
        assert (outcome.ending, outcome.exit_code) == (Ending.EXITED, 0), outcome
        assert outcome.files["a"].path.read_text() == "x"
    else:
        assert (outcome.ending, outcome.fault) == (Ending.LOST, Fault.INFRASTRUCTURE), outcome
        assert outcome.files == {}
    assert jobs.run(SAVED.format(0)).exit_code == 0


def test_an_engine_killed_with_9_leaves_nothing_when_it_is_back(
    jobs: PrivateJobs, dockerd: PrivateDockerd
) -> None:
    def crash() -> None:
        dockerd.stop(signal.SIGKILL)
        dockerd.start()

    thread = jobs.when_running(crash)
    outcome = jobs.run(SAVED.format(6))
    thread.join()
    assert outcome.fault in {Fault.NONE, Fault.INFRASTRUCTURE}, outcome
    assert jobs.run(SAVED.format(0)).exit_code == 0


def test_the_deadline_holds_while_the_engine_is_away(jobs: PrivateJobs, dockerd: PrivateDockerd) -> None:
    """The engine is away when the time is up. What lives through that is killed when the engine is back, and what it wrote
    after its deadline does not count."""

    limit_s = 8.0

    def leave() -> None:
        dockerd.stop()
        assert time.monotonic() - started < limit_s, "the engine was still there when the time was up"
        time.sleep(limit_s)
        dockerd.start()

    started = time.monotonic()
    thread = jobs.when_running(leave)
    outcome = jobs.run(SAVED.format(60), wall_clock_s=limit_s)
    thread.join()
    assert outcome.ending in {Ending.LATE, Ending.LOST}, outcome
    assert outcome.files == {}
    assert time.monotonic() - started < 40
    assert jobs.run(SAVED.format(0)).exit_code == 0, (
        "what could not be removed then is removed before the next job"
    )
