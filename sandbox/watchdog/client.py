"""The runner's half: starts the watchdog, registers each container before its start, and reads what happened to it.

A process has one watchdog for each engine, started before the first container. A watchdog that does not answer is killed and replaced,
and all running containers are registered with the new one.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from sandbox.watchdog.endpoint import Endpoint

_PATIENCE_S = 10.0
_ENVIRONMENT = {"LC_ALL": "C.UTF-8", "MALLOC_ARENA_MAX": "1"}
"""Without the runner's environment, which may hold API keys. One arena of glibc is enough (mallopt(3))."""
_PROGRAM = Path(__file__).with_name("__main__.py")


class NoWatchdog(Exception):
    """The watchdog does not start or does not answer. Then no container may be started."""


@dataclass(frozen=True, slots=True)
class Record:
    """When one container was killed and died, in seconds of CLOCK_MONOTONIC; None for what has not happened."""

    killed_at: float | None = None
    died_at: float | None = None


@dataclass
class _Registered:
    deadline: float
    started: bool = False


@dataclass
class Clock:
    """The watchdog of this process's containers on one engine. May be used from several threads."""

    endpoint: Endpoint
    owner: str
    process: subprocess.Popen[bytes] | None = None
    memory_locked: bool = False
    _control: socket.socket | None = None
    _registered: dict[str, _Registered] = field(default_factory=dict)
    _last: int = 0
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def ensure(self) -> None:
        """Start the watchdog unless it runs. Raises NoWatchdog."""
        with self._lock:
            if self.process is None or self.process.poll() is not None:
                self._start()

    def register(self, name: str, deadline: float) -> None:
        """Let the watchdog kill the container `name` at `deadline` (CLOCK_MONOTONIC). Call it before the start. Raises NoWatchdog."""
        with self._lock:
            self.ensure()
            self._ask_or_replace({"verb": "keep", "name": name, "deadline": deadline})
            self._registered[name] = _Registered(deadline)

    def started(self, name: str) -> None:
        """Report that the engine has started the container. Raises NoWatchdog."""
        with self._lock:
            self._registered[name].started = True
            self._ask_or_replace({"verb": "started", "name": name})

    def replace_if_gone(self) -> None:
        """Start another watchdog in place of one that was killed, if possible."""
        with suppress(NoWatchdog):
            self.ensure()

    def record(self, name: str) -> Record | None:
        """What is known of the container; None if the watchdog does not answer."""
        with self._lock:
            try:
                answer = self._ask({"verb": "record", "name": name})
            except NoWatchdog:
                return None
        return Record(answer.get("killed_at"), answer.get("died_at"))

    def forget(self, name: str) -> None:
        """Report that the container has been removed."""
        with self._lock:
            if self._registered.pop(name, None) is None:
                return
            try:
                self._ask({"verb": "forget", "name": name})
            except NoWatchdog:  # then it has nothing to forget
                return

    def _ask_or_replace(self, message: dict[str, Any]) -> None:
        try:
            self._ask(message)
        except NoWatchdog:
            self._start()
            self._ask(message)

    def _start(self) -> None:
        self._end()
        here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with there:
            here.settimeout(_PATIENCE_S)
            try:
                self.process = subprocess.Popen(
                    [sys.executable, "-I", "-S", "-B", str(_PROGRAM)],
                    stdin=there.fileno(),
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,
                    env=_ENVIRONMENT,
                )
            except OSError as error:
                here.close()
                raise NoWatchdog(f"the watchdog of the wall clock cannot be started: {error}") from error
        self._control = here
        hello = {"pid": os.getpid(), "owner": self.owner, "endpoint": asdict(self.endpoint)}
        self.memory_locked = bool(self._ask(hello, _pidfds()).get("locked"))
        for name, kept in self._registered.items():
            self._ask({"verb": "keep", "name": name, "deadline": kept.deadline})
            if kept.started:
                self._ask({"verb": "started", "name": name})

    def _end(self) -> None:
        if self._control is not None:
            self._control.close()
            self._control = None
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def _ask(self, message: dict[str, Any], descriptors: tuple[int, ...] = ()) -> Mapping[str, Any]:
        if self._control is None:
            raise NoWatchdog("there is no watchdog of the wall clock")
        self._last += 1
        try:
            sent = json.dumps({**message, "id": self._last}).encode()
            socket.send_fds(self._control, [sent], descriptors)
            while True:
                # an answer that was not read because of an interrupt comes first
                answer = self._control.recv(1 << 16)
                if not answer:
                    raise NoWatchdog("the watchdog of the wall clock is gone")
                found: dict[str, Any] = json.loads(answer)
                if found["id"] == self._last:
                    return found
        except OSError as error:
            raise NoWatchdog(f"the watchdog of the wall clock does not answer: {error}") from error
        finally:
            for descriptor in descriptors:
                os.close(descriptor)


_clocks: dict[tuple[int, Endpoint, str], Clock] = {}


def clock_of(endpoint: Endpoint, owner: str) -> Clock:
    """This process's watchdog for the engine. It ends after this process does."""
    return _clocks.setdefault((os.getpid(), endpoint, owner), Clock(endpoint, owner))


def _pidfds() -> tuple[int, ...]:
    """A pidfd of this process for the watchdog; empty before Linux 5.3."""
    try:
        return (os.pidfd_open(os.getpid()),)
    except OSError:
        return ()
