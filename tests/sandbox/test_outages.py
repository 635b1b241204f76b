"""The real engine behind a socket that fails on purpose."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from sandbox import deadline
from sandbox.docker_engine import DockerEngine
from sandbox.engine import EngineUnavailable
from sandbox.outcome import Ending, Fault
from sandbox.spec import Job

SOCKET = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock").removeprefix("unix://")


class Proxy:
    """Passes a unix socket on, until it is told to hang up."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._open: list[socket.socket] = []
        self._server: socket.socket | None = None
        self.listen()

    def listen(self) -> None:
        self.path.unlink(missing_ok=True)
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(self.path))
        self._server.listen()
        threading.Thread(target=self._accept, args=(self._server,), daemon=True).start()

    def hang_up(self) -> None:
        assert self._server is not None
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self.path.unlink(missing_ok=True)
        for end in self._open:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        self._open.clear()

    def _accept(self, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = server.accept()
                far = socket.socket(socket.AF_UNIX)
                far.connect(SOCKET)
                self._open += [near, far]
                for source, sink in ((near, far), (far, near)):
                    threading.Thread(target=_pump, args=(source, sink), daemon=True).start()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while block := source.recv(1 << 16):
            sink.sendall(block)
    for end in (source, sink):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def proxy(engine: DockerEngine, tmp_path: Path) -> Iterator[Proxy]:
    if not Path(SOCKET).is_socket():
        pytest.skip("the engine is not behind a local socket")
    made = Proxy(tmp_path / "engine.sock")
    yield made
    made.hang_up()


def _after(seconds: float, *actions: Any) -> None:
    def act() -> None:
        time.sleep(seconds)
        for action in actions:
            action()

    threading.Thread(target=act, daemon=True).start()


@pytest.mark.engine
def test_an_engine_that_goes_away_is_not_the_candidates_fault_and_is_cleared_up_later(
    proxy: Proxy, sandboxed: Any, engine: DockerEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deadline, "_ENGINE_PATIENCE_S", 1.0)
    fragile = DockerEngine.connect(f"unix://{proxy.path}")
    _after(1.0, proxy.hang_up)
    outcome = fragile.run(sandboxed.job("import time; time.sleep(60)"))
    assert (outcome.ending, outcome.fault) == (Ending.ENGINE_FAILED, Fault.INFRASTRUCTURE)
    assert outcome.detail
    assert outcome.seconds < 10
    assert len(engine.remnants(sandboxed.name)) == 4
    engine.reap(now=time.time(), everything_of_run=sandboxed.name)
    proxy.listen()  # so that the watchdog sees that there is nothing left to keep


@pytest.mark.engine
def test_what_could_not_be_removed_is_removed_before_the_next_job(
    proxy: Proxy, sandboxed: Any, engine: DockerEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deadline, "_ENGINE_PATIENCE_S", 1.0)
    fragile = DockerEngine.connect(f"unix://{proxy.path}")
    _after(1.0, proxy.hang_up)
    fragile.run(sandboxed.job("import time; time.sleep(60)"))
    proxy.listen()
    assert fragile.run(sandboxed.job("pass")).exit_code == 0
    assert engine.remnants(sandboxed.name) == []


@pytest.mark.engine
@pytest.mark.parametrize(
    "gone",
    [
        requests.exceptions.ConnectionError("Connection aborted."),
        requests.exceptions.ChunkedEncodingError("Connection broken: IncompleteRead"),
    ],
    ids=["before its answer", "in the middle of it"],
)
def test_an_engine_that_shuts_down_takes_the_container_with_it_and_that_is_a_loss(
    gone: Exception, sandboxed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asked(*_: object) -> None:
        raise gone

    dying = DockerEngine.connect()
    monkeypatch.setattr("sandbox.docker_engine.ending", asked)
    outcome = dying.run(sandboxed.job("raise SystemExit(137)"))
    assert (outcome.ending, outcome.fault) == (Ending.LOST, Fault.INFRASTRUCTURE)


@pytest.mark.engine
def test_an_engine_that_is_back_soon_costs_nothing(
    proxy: Proxy, sandboxed: Any, engine: DockerEngine
) -> None:
    fragile = DockerEngine.connect(f"unix://{proxy.path}")

    def until_it_runs() -> None:
        ours = {"label": f"dev.autoresearch.run={sandboxed.name}"}
        end = time.monotonic() + 20
        while len(engine.client.containers(filters=ours)) < 2 and time.monotonic() < end:
            time.sleep(0.02)
        time.sleep(0.2)

    _after(0, until_it_runs, proxy.hang_up, lambda: time.sleep(0.3), proxy.listen)
    job: Job = sandboxed.job("import time; time.sleep(2.5); open('/out/report', 'w').write('made it')")
    outcome = fragile.run(job)
    assert (outcome.ending, outcome.exit_code) == (Ending.EXITED, 0)
    assert outcome.files["report"].path.read_text() == "made it"


def test_no_engine_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(EngineUnavailable, match=r"install docker.io and start dockerd") as failure:
        DockerEngine.connect(f"unix://{tmp_path}/nothing.sock")
    assert "\n" not in str(failure.value)


@pytest.mark.skipif(os.getuid() == 0, reason="root may use every socket")
def test_a_socket_that_is_not_ours_says_which_group(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s.sock"))
        (tmp_path / "s.sock").chmod(0)
        with pytest.raises(EngineUnavailable, match="docker group"):
            DockerEngine.connect(f"unix://{tmp_path}/s.sock")


@pytest.mark.engine
def test_an_unknown_runtime_is_refused_when_connecting() -> None:
    with pytest.raises(EngineUnavailable, match="it knows"):
        DockerEngine.connect(runtime="no-such-runtime")


@pytest.mark.engine
def test_a_full_disk_on_the_host_is_not_the_candidates_fault(
    sandboxed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("sandbox.collect.os.fsync", full)
    job = sandboxed.job("open('/out/report', 'w').write('x')")
    from sandbox.docker_engine import DockerEngine

    outcome = DockerEngine.connect().run(job)
    assert (outcome.ending, outcome.fault) == (Ending.ENGINE_FAILED, Fault.INFRASTRUCTURE)
    assert "No space" in outcome.detail
    assert list(job.destination.iterdir()) == []
