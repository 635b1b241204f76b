"""One container of the watchdog: it is killed at its deadline, and its time of death is recorded.

If the engine runs on this machine, the kernel reports the death through a pidfd of the container's first process: a PID namespace
ends with its first process, and that one is gone only after all others (pid_namespaces(7)). If the engine runs on another machine,
the engine is asked, and the time of death is the time of its answer, so it is never too early.
"""

from __future__ import annotations

import os
import select
import threading
import time
from contextlib import suppress
from pathlib import Path

from sandbox import cgroup
from sandbox.watchdog.api import Api

_LOOK_S = 1.0
_LONGEST_WAIT_S = 30.0
_GLANCE_S, _ANSWER_S = 0.05, 2.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 1.0


class Container:
    """`deadline`, `killed_at` and `died_at` are seconds of CLOCK_MONOTONIC. `killed_at` is when SIGKILL was seen to have reached all
    processes, at the latest when the engine said so. After it the container executes nothing but the exit of its processes."""

    def __init__(self, api: Api, name: str, deadline: float) -> None:
        self.name, self.deadline = name, deadline
        self.killed_at: float | None = None
        self.died_at: float | None = None
        self.started, self._forgotten = threading.Event(), threading.Event()
        self._api = api
        self._pidfd: int | None = None
        threading.Thread(target=self._enforce_deadline, daemon=True).start()

    @property
    def alive(self) -> bool:
        """Whether something may be left to kill."""
        return self.died_at is None and not self._forgotten.is_set()

    def forget(self) -> None:
        """The container has been removed: stop watching it."""
        self._forgotten.set()
        self.started.set()

    def _enforce_deadline(self) -> None:
        try:
            self._until_deadline()
            self._end()
        finally:
            if self._pidfd is not None:
                os.close(self._pidfd)

    def _until_deadline(self) -> None:
        while self.alive and (left := self.deadline - time.monotonic()) > 0:
            if not self.started.is_set():
                self.started.wait(left)
            elif self._pidfd is not None:
                self._see(min(left, _LOOK_S))
            else:
                try:
                    self._look()
                    if self.alive and self._pidfd is None:
                        self._api.wait(self.name, max(min(left, _LONGEST_WAIT_S), 0.1))
                except OSError:
                    self._forgotten.wait(min(left, 0.5))

    def _end(self) -> None:
        """Kill the container until it is dead, however long the engine is away."""
        pause = _FIRST_PAUSE_S
        while self.alive:
            if self._see(0):
                return
            try:
                sent = self._kill()
                if self._pidfd is None:
                    self._look()
                if self._pidfd is None and sent and self.alive:
                    self._api.wait(self.name, pause)
                    self._look()
            except OSError:
                pass
            if self.alive and not self._see(pause) and self._pidfd is None:
                self._forgotten.wait(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_S)

    def _kill(self) -> bool:
        """Ask the engine for SIGKILL and watch meanwhile when it arrives. Docker answers only when the container is dead or after ten
        seconds, and freeing much memory takes longer. Returns whether the signal was sent."""
        answers: list[bool | None] = []
        asking = threading.Thread(target=self._ask_to_kill, args=(answers,), daemon=True)
        asking.start()
        seen = None
        while asking.is_alive() and not self._gone(0):
            if seen is None and cgroup.being_killed(self.name):
                seen = time.monotonic()
            asking.join(_GLANCE_S)
        asking.join(_ANSWER_S)
        sent = answers[0] if answers else seen is not None
        if sent and self.killed_at is None:
            self.killed_at = seen or time.monotonic()
        return bool(sent)

    def _ask_to_kill(self, answers: list[bool | None]) -> None:
        with suppress(OSError):
            answers.append(self._api.kill(self.name))

    def _see(self, seconds: float) -> bool:
        """Wait up to `seconds` for the pidfd. Whether the kernel reports that the container is dead."""
        if self._gone(seconds):
            self._died()
        return self._pidfd is not None and not self.alive

    def _gone(self, seconds: float) -> bool:
        if self._pidfd is None:
            return False
        waiting = select.poll()
        waiting.register(self._pidfd, select.POLLIN)
        return bool(waiting.poll(seconds * 1000))

    def _look(self) -> None:
        """Ask the engine for the container's state and open a pidfd of its first process."""
        seen = self._api.inspect(self.name)
        if seen is None or (seen.begun and not seen.running):
            self._died()
        elif seen.running and seen.pid:
            self._pidfd = _pidfd(seen.pid, seen.id)

    def _died(self) -> None:
        if self.died_at is None:
            self.died_at = time.monotonic()


def _pidfd(pid: int, container: str) -> int | None:
    """A pidfd of the container's process; None if `pid` is not that process on this machine. The check comes after opening, so a number
    that was reused in between is not mistaken for it."""
    try:
        descriptor = os.pidfd_open(pid)
    except OSError:  # another machine's number, or a kernel before 5.3
        return None
    try:
        ours = container in Path(f"/proc/{pid}/cgroup").read_text()
    except OSError:
        ours = False
    if not ours:
        os.close(descriptor)
        return None
    return descriptor
