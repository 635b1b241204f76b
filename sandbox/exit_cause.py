"""Finds the cause of a container's end. Exit status 137 is ambiguous: it may come from the kernel's OOM killer, our own kill, another
user's `docker kill` or the candidate itself. So the host's clock is asked first, then the kernel, then the engine's events.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

import requests
from docker.errors import APIError

from sandbox.deadline import Death
from sandbox.outcome import Ending

_SIGNALLED = 128


def ending(
    client: Any, container: str, state: Mapping[str, Any], death: Death, deadline: float
) -> tuple[Ending, str]:
    """The ending and a note for the operator. `state` is `State` of the engine's inspect answer; `deadline` is on the clock of `death`
    (s)."""
    code = int(state["ExitCode"])
    late = death.late(deadline)
    if death.killed and death.stopped and not late:
        return Ending.STOPPED_EARLY, death.stopped
    if death.killed and not late:
        note = "a process inside was killed for memory" if state.get("OOMKilled") else ""
        return Ending.TIMED_OUT, note
    if death.interrupted:
        return Ending.LOST, "the container died while the engine was away"
    if late:
        return Ending.LATE, "nobody could end the container at its deadline, so nothing it wrote counts"
    if state.get("OOMKilled"):
        if code != 0:
            return Ending.OUT_OF_MEMORY, ""
        return Ending.EXITED, "a process inside was killed for memory"
    if code > _SIGNALLED:
        happened = _events(client, container, state)
        if "oom" in happened:  # the engine may learn of it after the exit only
            return Ending.OUT_OF_MEMORY, ""
        if happened & {"kill", "stop", "restart"}:
            return Ending.LOST, "somebody else killed the container"
    return Ending.EXITED, ""


def _events(client: Any, container: str, state: Mapping[str, Any]) -> set[str]:
    """The engine's events for the container from its start to shortly after its end."""
    since, until = _seconds(state.get("StartedAt")), _seconds(state.get("FinishedAt"))
    if since is None or until is None:
        return set()
    window = {"since": f"{since:.6f}", "until": f"{until + 0.25:.6f}"}
    try:
        found = client.events(**window, filters={"type": "container", "container": container}, decode=True)
        return {str(event.get("Action", "")).partition(":")[0] for event in found}
    except (APIError, requests.exceptions.RequestException, ValueError):
        return set()


def _seconds(stamp: object) -> float | None:
    """The engine's RFC 3339 time in Unix seconds (`fromisoformat` of Python 3.11 cuts its nanoseconds)."""
    try:
        return datetime.datetime.fromisoformat(str(stamp)).timestamp()
    except ValueError:
        return None
