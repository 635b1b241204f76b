"""The wall clock: kept by the host's monotonic clock, enforced with SIGKILL, verified.

A timer inside the container is no deadline (a process of the same user can stop or kill it), and killing a client
of the engine leaves the container running. So the host waits, kills, and asks the engine until it is dead.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import requests
from docker.errors import APIError

_POLL_S = 5.0
_KILL_PATIENCE_S = 20.0


@dataclass(frozen=True, slots=True)
class Death:
    dead: bool
    killed: bool
    """True when the host had to kill it at the deadline."""
    memory_peak_bytes: int | None


def await_death(client: Any, container: str, *, deadline: float, monotonic: Callable[[], float]) -> Death:
    """Wait until the container is dead, killing it at `deadline` (monotonic seconds)."""
    peak: int | None = None
    while (left := deadline - monotonic()) > 0:
        if _wait(client, container, min(left, _POLL_S)):
            return Death(dead=True, killed=False, memory_peak_bytes=peak)
        if deadline - monotonic() > 1.0:
            peak = max(filter(None, (peak, _memory(client, container))), default=None)
    end = monotonic() + _KILL_PATIENCE_S
    pause = 0.5
    while monotonic() < end:
        with contextlib.suppress(APIError):  # "is not running": it died on its own at the last moment
            client.kill(container, signal="SIGKILL")
        if _wait(client, container, pause) or not client.inspect_container(container)["State"]["Running"]:
            return Death(dead=True, killed=True, memory_peak_bytes=peak)
        pause *= 2
    return Death(dead=False, killed=True, memory_peak_bytes=peak)


def _wait(client: Any, container: str, seconds: float) -> bool:
    """Whether the container ended within `seconds`."""
    try:
        client.wait(container, timeout=max(seconds, 0.05))
    except (requests.exceptions.ReadTimeout, requests.exceptions.ConnectionError) as error:
        if isinstance(error, requests.exceptions.ConnectionError) and "timed out" not in str(error).lower():
            raise
        return False
    return True


def _memory(client: Any, container: str) -> int | None:
    """Peak bytes so far: `max_usage` with cgroup v1, the usage of this moment with v2. None if not told."""
    try:
        memory = client.stats(container, stream=False, one_shot=True).get("memory_stats") or {}
    except (APIError, requests.exceptions.RequestException):
        return None
    value = memory.get("max_usage") or memory.get("usage")
    return int(value) if value else None
