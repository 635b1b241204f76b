"""Jobs for an engine of our own, which may be stopped, killed or left without room."""

from __future__ import annotations

import contextlib
import os
import secrets
import threading
import time
from collections.abc import Callable
from pathlib import Path

from private_engine import PrivateDockerd

from sandbox import job_user
from sandbox.docker_engine import DockerEngine
from sandbox.outcome import Outcome
from sandbox.spec import MIB, Job, Lease, Limits, Output, Role


class PrivateJobs:
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
                    if ours and _has_printed(watcher, item.id):
                        action()
                        return
                time.sleep(0.05)

        thread = threading.Thread(target=watch)
        thread.start()
        return thread


def _has_printed(watcher: DockerEngine, container: str) -> bool:
    with contextlib.suppress(OSError):  # docker's too: it is not there yet, or no longer
        pid = watcher.client.inspect_container(container)["State"]["Pid"]
        return bool(pid) and Path(f"/proc/{pid}/root/log/log").stat().st_size > 0
    return False


def processes_of_the_sandbox(dockerd: PrivateDockerd) -> list[str]:
    """Programs of ours that a private engine's shim still holds."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if b"open('/out/a'" in (folder / "cmdline").read_bytes() and folder.stat().st_uid in (
                *job_user.WIDE,
                *job_user.NARROW,
            ):
                found.append(folder.name)
        except OSError:
            continue
    return found
