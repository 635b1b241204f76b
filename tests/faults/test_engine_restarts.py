"""A dockerd of our own goes away and comes back, in training and in judging, gently and with kill -9."""

from __future__ import annotations

import os
import secrets
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from private_engine import PrivateDockerd, why_not

from sandbox.docker_engine import DockerEngine
from sandbox.engine import ImageMissing
from sandbox.outcome import Ending, Fault, Outcome
from sandbox.spec import MIB, Job, Lease, Limits, Output, Role

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
        made.load_from(engine, _base(engine)[0])
        yield made
    finally:
        made.close()


def _base(engine: DockerEngine) -> tuple[str, str]:
    """The smallest image here that has Python, and where it has it."""
    try:
        return engine.image("autoresearch/base:bookworm").id, "/usr/bin/python3"
    except ImageMissing:
        return engine.image("autoresearch/candidate:cpu").id, "/opt/venv/bin/python"


class Seat:
    """Jobs for the private engine."""

    def __init__(self, dockerd: PrivateDockerd, image: str, python: str, folder: Path) -> None:
        self.dockerd, self.image, self.python, self.folder = dockerd, image, python, folder
        self.name = f"restart-{secrets.token_hex(3)}"
        self.engine = DockerEngine.connect(dockerd.host, python=python)

    def run(self, program: str, *, role: Role = Role.TRAIN, wall_clock_s: float = 30.0) -> Outcome:
        destination = self.folder / secrets.token_hex(3)
        destination.mkdir()
        return self.engine.run(
            Job(
                run=self.name,
                experiment="1",
                attempt=1,
                role=role,
                image=self.image,
                command=(self.python, "-I", "-B", "-u", "-c", program),
                limits=Limits(wall_clock_s=wall_clock_s, memory_bytes=128 * MIB, pids=32, out_bytes=MIB),
                lease=Lease(cpus=(min(os.sched_getaffinity(0)),)),
                destination=destination,
                outputs=(Output("a", 100),),
            )
        )

    def when_running(self, action: Callable[[], None]) -> threading.Thread:
        watcher = DockerEngine.connect(self.dockerd.host)

        def watch() -> None:
            end = time.monotonic() + 20
            while time.monotonic() < end:
                for item in watcher.remnants(self.name):
                    ours = item.kind == "container" and item.role != Role.HOLDER
                    if ours and watcher.client.logs(item.id):
                        action()
                        return
                time.sleep(0.05)

        thread = threading.Thread(target=watch)
        thread.start()
        return thread


@pytest.fixture
def seat(dockerd: PrivateDockerd, engine: DockerEngine, tmp_path: Path) -> Iterator[Seat]:
    made = Seat(dockerd, *_base(engine), tmp_path)
    yield made
    fresh = DockerEngine.connect(dockerd.host)
    assert [item for item in fresh.remnants() if item.kind == "container"] == []
    assert _processes_of_the_sandbox(dockerd) == []


def _processes_of_the_sandbox(dockerd: PrivateDockerd) -> list[str]:
    """Programs of ours that a private engine's shim still holds."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if b"open('/out/a'" in (folder / "cmdline").read_bytes() and folder.stat().st_uid == 65532:
                found.append(folder.name)
        except OSError:
            continue
    return found


@pytest.mark.parametrize("role", [Role.TRAIN, Role.JUDGE_SCORE])
def test_a_restart_is_survived_or_is_nobodys_fault_and_the_next_job_is_well(
    seat: Seat, dockerd: PrivateDockerd, role: Role, request: pytest.FixtureRequest
) -> None:
    def restart() -> None:
        dockerd.stop()
        dockerd.start()

    thread = seat.when_running(restart)
    outcome = seat.run(SAVED.format(6), role=role)
    thread.join()
    if "live-restore" in request.node.name:
        assert (outcome.ending, outcome.exit_code) == (Ending.EXITED, 0), outcome
        assert outcome.files["a"].path.read_text() == "x"
    else:
        assert (outcome.ending, outcome.fault) == (Ending.LOST, Fault.INFRASTRUCTURE), outcome
        assert outcome.files == {}
    assert seat.run(SAVED.format(0)).exit_code == 0


def test_an_engine_killed_with_9_leaves_nothing_when_it_is_back(seat: Seat, dockerd: PrivateDockerd) -> None:
    def crash() -> None:
        dockerd.stop(signal.SIGKILL)
        dockerd.start()

    thread = seat.when_running(crash)
    outcome = seat.run(SAVED.format(6))
    thread.join()
    assert outcome.fault in {Fault.NONE, Fault.INFRASTRUCTURE}, outcome
    assert seat.run(SAVED.format(0)).exit_code == 0


def test_the_deadline_holds_while_the_engine_is_away(seat: Seat, dockerd: PrivateDockerd) -> None:
    """The engine is away when the time is up. What lives through that is killed when the engine is back."""

    def leave() -> None:
        dockerd.stop()
        time.sleep(3)
        dockerd.start()

    thread = seat.when_running(leave)
    started = time.monotonic()
    outcome = seat.run(SAVED.format(60), wall_clock_s=3.0)
    thread.join()
    assert outcome.ending in {Ending.TIMED_OUT, Ending.LOST}, outcome
    assert time.monotonic() - started < 25
    assert seat.run(SAVED.format(0)).exit_code == 0, (
        "what could not be removed then is removed before the next job"
    )
