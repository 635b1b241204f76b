"""The watchdog's main loop: serve the runner until it is dead, remove what it left, then end.

It has its own session, so no hang-up and no Ctrl-C of the runner's terminal reaches it. SIGTERM ends it only when it has no
container. It dies with the runner only where something kills by cgroup: `systemctl stop`, systemd-logind with KillUserProcesses=yes, a
container that both are in. docs/sandbox.md says what to do there.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from sandbox.watchdog.api import Api
from sandbox.watchdog.endpoint import Endpoint
from sandbox.watchdog.kill_at_deadline import Container

_MCL_CURRENT, _MCL_FUTURE, _MCL_ONFAULT = 1, 2, 4
_STACK_BYTES = 256 * 1024
_POLL_MS = 500
_PAUSE_S = 0.5
_CLEAN_LOOKS = 2
"""Checks in a row that must find nothing, because a request that the runner sent as it died may still be under way."""
_PATIENCE_S, _PATIENCE_WITH_WORK_S = 10.0, 600.0
"""Seconds for which an engine that is away is asked again after the runner's death: without, and with containers alive."""


class Runner:
    """The process that is served. It made `pidfd` itself, so that cannot be another process."""

    def __init__(self, pid: int, pidfd: int | None) -> None:
        self.pidfd = pidfd
        self._pid = pid

    def dead(self) -> bool:
        if self.pidfd is None:  # a kernel before 5.3: our parent, until it dies
            return os.getppid() != self._pid
        waiting = select.poll()
        waiting.register(self.pidfd, select.POLLIN)
        return bool(waiting.poll(0))


class Watchdog:
    def __init__(self, api: Api, owner: str, runner: Runner, control: socket.socket) -> None:
        self._api, self._owner, self._runner, self._control = api, owner, runner, control
        self._containers: dict[str, Container] = {}
        self._told_to_end = False

    @property
    def busy(self) -> bool:
        return any(container.alive for container in list(self._containers.values()))

    def serve(self) -> None:
        """Serve until the runner is dead, or until its end of the socket is closed and no container is alive."""
        signal.signal(signal.SIGTERM, self._on_sigterm)
        waiting = select.poll()
        waiting.register(self._control, select.POLLIN)
        if self._runner.pidfd is not None:
            waiting.register(self._runner.pidfd, select.POLLIN)
        spoken_to = True
        while not self._runner.dead():
            if not self.busy and (self._told_to_end or not spoken_to):
                return
            wake = self._runner.pidfd is None or not spoken_to
            ready = {descriptor for descriptor, _ in waiting.poll(_POLL_MS if wake else None)}
            if spoken_to and self._control.fileno() in ready and not self._answer():
                spoken_to = False
                waiting.unregister(self._control)
        self._clear()

    def _on_sigterm(self, *_: object) -> None:
        self._told_to_end = True
        if not self.busy:
            os._exit(0)

    def _answer(self) -> bool:
        """Answer one message; False if the runner's end of the socket is closed."""
        try:
            message = self._control.recv(1 << 16)
        except ConnectionError:
            return False
        if not message:
            return False
        request = json.loads(message)
        with suppress(OSError):
            self._control.send(json.dumps({"id": request["id"], **self._obey(request)}).encode())
        return True

    def _obey(self, request: dict[str, Any]) -> dict[str, Any]:
        name = request.get("name", "")
        match request["verb"]:
            case "keep":
                self._containers[name] = Container(self._api, name, request["deadline"])
            case "started" if name in self._containers:
                self._containers[name].started.set()
            case "record" if name in self._containers:
                kept = self._containers[name]
                return {"killed_at": kept.killed_at, "died_at": kept.died_at}
            case "forget" if name in self._containers:
                self._containers.pop(name).forget()
        return {}

    def _clear(self) -> None:
        """Remove every container and volume with the runner's owner label, and nothing else."""
        end = time.monotonic() + (_PATIENCE_WITH_WORK_S if self.busy else _PATIENCE_S)
        clean = 0
        while clean < _CLEAN_LOOKS and time.monotonic() < end:
            try:
                clean = 0 if self._removed() else clean + 1
            except OSError:
                clean = 0
            if clean < _CLEAN_LOOKS:
                time.sleep(_PAUSE_S)

    def _removed(self) -> bool:
        """Remove what there is. Whether there was anything."""
        containers = self._api.containers_of(self._owner)
        for container in containers:  # first stop all of them
            with suppress(OSError):
                self._api.kill(container)
        for container in containers:
            with suppress(OSError):
                self._api.remove_container(container)
        volumes = self._api.volumes_of(self._owner)
        for volume in volumes:
            with suppress(OSError):
                self._api.remove_volume(volume)
        return bool(containers or volumes)


def lock_memory() -> bool:
    """Lock this process's memory, so that swapping does not delay a deadline. Returns whether it worked: without CAP_IPC_LOCK it needs
    `ulimit -l` above the watchdog's 15 MB."""
    import ctypes
    import resource

    unlimited = resource.getrlimit(resource.RLIMIT_MEMLOCK)[0] == resource.RLIM_INFINITY
    # with a limit, locking future memory would make later allocations fail: then lock only the present
    future = _MCL_FUTURE if unlimited or os.geteuid() == 0 else 0
    return bool(ctypes.CDLL(None).mlockall(_MCL_CURRENT | _MCL_ONFAULT | future) == 0)


def main() -> None:
    """Standard input is the socket to the runner; its first message identifies the runner."""
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTSTP):
        signal.signal(number, signal.SIG_IGN)
    os.chdir("/")
    threading.stack_size(_STACK_BYTES)
    control = socket.socket(fileno=0)
    message, descriptors, _, _ = socket.recv_fds(control, 1 << 16, 1)
    if not message:
        return
    hello = json.loads(message)
    with suppress(OSError):  # so that the OOM killer takes it late; needs CAP_SYS_RESOURCE
        Path("/proc/self/oom_score_adj").write_text("-900")
    runner = Runner(hello["pid"], descriptors[0] if descriptors else None)
    locked = lock_memory()
    control.send(json.dumps({"id": hello["id"], "locked": locked}).encode())
    Watchdog(Api(Endpoint(**hello["endpoint"])), hello["owner"], runner, control).serve()
