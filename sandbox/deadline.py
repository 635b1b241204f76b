"""The wall clock: measured by the host's monotonic clock, enforced with SIGKILL, verified. `deadline` says when it ends.

A timer inside the container is no deadline (a process of the same user can stop or kill it), and killing a client of the engine leaves
the container running. So the host waits, kills, and checks until it is dead: the engine reports that it does not run, and the kernel
that no process is left in its cgroup.

The watchdog (`sandbox.watchdog`) does the same in another process, on time even when the runner is stopped or busy. The
times of kill and death are the earlier of the two observations, so a runner that wakes up later does not change them.

A runner waits a while for an engine that stops answering. A container that is found dead then was killed
by the engine's restart; one that is still running (live-restore) keeps its deadline.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import requests
from docker.errors import APIError, NotFound

from sandbox import cgroup
from sandbox.spec import Limits
from sandbox.watchdog.client import Record

_FIRST_LOOK_S = 0.25
_LONGEST_LOOK_S = 5.0
_KILL_PATIENCE_S = 20.0
_DYING_S, _WORK_S = 180.0, 0.1
"""Time limit for a killed container to free its memory, and the seconds of CPU in _KILL_PATIENCE_S that show that it does."""
_ENGINE_PATIENCE_S = 30.0
LATE_S = 2.0
"""Seconds after the deadline within which SIGKILL must have been sent, or the container have ended, for what it wrote to
count. An engine on a busy machine needs a part of one (docs/sandbox.md)."""


def deadline(started: float, limits: Limits) -> float:
    """When SIGKILL is sent (monotonic seconds). `started`: just before the engine is asked to start the container."""
    return started + limits.wall_clock_s


@dataclass(frozen=True, slots=True)
class Death:
    """`killed_at` and `died_at` are monotonic seconds when the event is known to have happened, so never too early. After SIGKILL the
    container executes no instruction, so a death that takes long (much memory to free, a GPU to release) is not late."""

    dead: bool
    killed: bool = False
    """Whether the host killed it, at the deadline or because of `stopped`."""
    stopped: str = ""
    """Why the host decided to kill it before the deadline. It may still have ended by itself."""
    interrupted: bool = False
    """Whether it died while the engine was away."""
    memory_peak_bytes: int | None = None
    killed_at: float | None = None
    died_at: float | None = None

    def with_record(self, record: Record) -> Death:
        """The death by the observations of watchdog and runner together: the earlier times."""
        return replace(
            self,
            killed=self.killed or record.killed_at is not None,
            killed_at=_earlier(self.killed_at, record.killed_at),
            died_at=_earlier(self.died_at, record.died_at),
        )

    def late(self, deadline: float) -> bool:
        """Whether it may have computed or written after its deadline plus the time an engine needs to deliver SIGKILL."""
        end = _earlier(self.killed_at, self.died_at)
        return end is None or end > deadline + LATE_S


@dataclass(frozen=True, slots=True)
class Watch:
    """One running container. `local`: its cgroup can be read. Times are monotonic seconds."""

    client: Any
    container: str
    monotonic: Callable[[], float]
    sleep: Callable[[float], None]
    local: bool = True
    on_look: Callable[[], None] = lambda: None
    """Called every few seconds while it lives."""
    reason_to_stop: Callable[[], str] = lambda: ""
    """Called every few seconds while it lives; a reason that is not empty ends it. May take a few seconds: the watchdog kills in time."""

    def until_dead(self, deadline: float) -> Death:
        """Wait for its death; kill it at `deadline` or if there is a reason to stop. Raises docker's NotFound if somebody removed it, and
        the engine's errors if the engine does not come back."""
        peak: int | None = None
        look = _FIRST_LOOK_S
        while (left := deadline - self.monotonic()) > 0:
            try:
                self.on_look()
                if self._ended(min(left, look)):
                    return self._death(peak)
            except NotFound:
                raise
            except (APIError, requests.exceptions.RequestException, OSError) as error:
                if not self._running_after_outage(error):
                    return self._death(peak, interrupted=True)
            if deadline - self.monotonic() > 0:
                peak = max(filter(None, (peak, self._memory())), default=None)
                if why := self.reason_to_stop():
                    return replace(self._kill(peak), stopped=why)
            look = min(2 * look, _LONGEST_LOOK_S)
        return self._kill(peak)

    def _kill(self, peak: int | None) -> Death:
        end = self.monotonic() + _KILL_PATIENCE_S
        last, computed = self.monotonic() + _DYING_S, self._computed()
        pause, killed_at = 0.5, None
        while True:
            try:
                if self._sent_kill() and killed_at is None:
                    killed_at = self.monotonic()
                if self._ended(pause):
                    return self._death(peak, killed_at)
            except NotFound:
                raise
            except (APIError, requests.exceptions.RequestException, OSError) as error:
                if not self._running_after_outage(error):
                    return self._death(peak, killed_at, interrupted=True)
            if end <= self.monotonic() < last and (now := self._computed()) > computed + _WORK_S:
                end, computed = self.monotonic() + _KILL_PATIENCE_S, now
            if self.monotonic() >= end:
                return replace(self._death(peak, killed_at), dead=False, died_at=None)
            pause = min(2 * pause, _LONGEST_LOOK_S)

    def _death(self, peak: int | None, killed_at: float | None = None, *, interrupted: bool = False) -> Death:
        return Death(
            dead=True,
            killed=killed_at is not None,
            interrupted=interrupted,
            memory_peak_bytes=peak,
            killed_at=killed_at,
            died_at=self.monotonic(),
        )

    def _sent_kill(self) -> bool:
        """False if it died by itself at the last moment (409), or if the engine hangs and must be asked again."""
        try:
            self.client.kill(self.container, signal="SIGKILL")
        except NotFound:
            raise
        except APIError:
            return False
        except requests.exceptions.RequestException as error:
            if not _timed_out(error):
                raise
            return False
        return True

    def _ended(self, seconds: float) -> bool:
        """Wait up to `seconds` for its death. Whether it is dead."""
        try:
            self.client.wait(self.container, timeout=max(seconds, 0.05))
        except requests.exceptions.RequestException as error:
            if not _timed_out(error):
                raise
            return False
        if self._running():
            self.sleep(0.05)  # dead for the engine, but the kernel still removes its processes
            return False
        return True

    def _running(self) -> bool:
        if self.client.inspect_container(self.container)["State"]["Running"]:
            return True
        return self.local and cgroup.processes(self.container) > 0

    def _running_after_outage(self, error: Exception) -> bool:
        end = self.monotonic() + _ENGINE_PATIENCE_S
        while self.monotonic() < end:
            self.sleep(0.5)
            try:
                return self._running()
            except NotFound:
                raise
            except (APIError, requests.exceptions.RequestException, OSError):
                continue
        raise error

    def _computed(self) -> float:
        """CPU seconds so far. A killed container that still uses some is freeing its memory."""
        return (cgroup.cpu_seconds(self.container) if self.local else None) or 0.0

    def _memory(self) -> int | None:
        """Peak bytes so far, from the kernel, else from the engine (with cgroup v2 only the present usage)."""
        if self.local and (peak := cgroup.memory_peak(self.container)) is not None:
            return peak
        try:
            memory = self.client.stats(self.container, stream=False, one_shot=True).get("memory_stats") or {}
        except (APIError, requests.exceptions.RequestException):
            return None
        value = memory.get("max_usage") or memory.get("usage")
        return int(value) if value else None


def _earlier(one: float | None, other: float | None) -> float | None:
    return min((moment for moment in (one, other) if moment is not None), default=None)


def _timed_out(error: Exception) -> bool:
    """A timeout while the answer's body is read is wrapped in a ConnectionError."""
    return isinstance(error, requests.exceptions.Timeout) or "timed out" in str(error).lower()
