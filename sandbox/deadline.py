"""The wall clock: kept by the host's monotonic clock, enforced with SIGKILL, verified.

A timer inside the container is no deadline (a process of the same user can stop or kill it), and killing a client
of the engine leaves the container running. So the host waits, kills, and asks until it is dead: not running as
the engine sees it, and no process left in its cgroup as the kernel sees it.

An engine that goes away meanwhile is given a while to come back. A container that is found dead then was killed
by the engine's restart; one that is still running (live-restore) keeps its deadline.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import requests
from docker.errors import APIError, NotFound

from sandbox import cgroup

_FIRST_LOOK_S = 0.25
_LONGEST_LOOK_S = 5.0
_KILL_PATIENCE_S = 20.0
_ENGINE_PATIENCE_S = 30.0


@dataclass(frozen=True, slots=True)
class Death:
    dead: bool
    killed: bool = False
    """The host killed it at the deadline."""
    interrupted: bool = False
    """It died while the engine was away."""
    memory_peak_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Watch:
    """One running container. `local` says that its cgroup can be looked at; times are monotonic seconds."""

    client: Any
    container: str
    monotonic: Callable[[], float]
    sleep: Callable[[float], None]
    local: bool = True

    def until_dead(self, deadline: float) -> Death:
        """Wait for its death, killing it at `deadline`. Raises docker's NotFound when somebody removed it, and
        the engine's errors when it does not come back."""
        peak: int | None = None
        look = _FIRST_LOOK_S
        while (left := deadline - self.monotonic()) > 0:
            try:
                if self._ended(min(left, look)):
                    return Death(dead=True, memory_peak_bytes=peak)
            except NotFound:
                raise
            except (APIError, requests.exceptions.RequestException, OSError) as error:
                if not self._running_after_outage(error):
                    return Death(dead=True, interrupted=True, memory_peak_bytes=peak)
            if deadline - self.monotonic() > 0:
                peak = max(filter(None, (peak, self._memory())), default=None)
            look = min(2 * look, _LONGEST_LOOK_S)
        return self._kill(peak)

    def _kill(self, peak: int | None) -> Death:
        end = self.monotonic() + _KILL_PATIENCE_S
        pause, killed = 0.5, False
        while True:
            try:
                killed = self._sent_kill() or killed
                if self._ended(pause):
                    return Death(dead=True, killed=killed, memory_peak_bytes=peak)
            except NotFound:
                raise
            except (APIError, requests.exceptions.RequestException, OSError) as error:
                if not self._running_after_outage(error):
                    return Death(dead=True, killed=killed, interrupted=True, memory_peak_bytes=peak)
            if self.monotonic() >= end:
                return Death(dead=False, killed=killed, memory_peak_bytes=peak)
            pause = min(2 * pause, _LONGEST_LOOK_S)

    def _sent_kill(self) -> bool:
        """False when it died on its own at the last moment (409), or when the engine hangs and we ask again."""
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
        """Whether it is dead, waiting up to `seconds` for that."""
        try:
            self.client.wait(self.container, timeout=max(seconds, 0.05))
        except requests.exceptions.RequestException as error:
            if not _timed_out(error):
                raise
            return False
        if self._running():
            self.sleep(0.05)  # the engine has said so, the kernel is still clearing up
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

    def _memory(self) -> int | None:
        """Peak bytes so far: the kernel's own count, else what the engine tells (with cgroup v2 only the usage
        of this moment)."""
        if self.local and (peak := cgroup.memory_peak(self.container)) is not None:
            return peak
        try:
            memory = self.client.stats(self.container, stream=False, one_shot=True).get("memory_stats") or {}
        except (APIError, requests.exceptions.RequestException):
            return None
        value = memory.get("max_usage") or memory.get("usage")
        return int(value) if value else None


def _timed_out(error: Exception) -> bool:
    """A timeout while the answer's body is read is wrapped in a ConnectionError."""
    return isinstance(error, requests.exceptions.Timeout) or "timed out" in str(error).lower()
