"""The few requests of the Engine API that a watchdog makes, on plain sockets.

HTTP/1.0, so that an answer is never chunked and ends with the connection (RFC 1945). Go's HTTP server, which Docker and podman use,
supports it. `http.client` would cost 4 MB of memory, docker-py 40 MB.
"""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from sandbox.watchdog.endpoint import Endpoint

_TIMEOUT_S = 10.0
_LONGEST_ANSWER = 16 << 20
_GONE, _CONFLICT = 404, 409


class EngineFailed(OSError):
    """The engine answered with an error, or the answer is not one of an engine."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A container as the engine reports it. `begun` is false from its creation to its start."""

    id: str
    running: bool
    begun: bool
    pid: int


@dataclass(frozen=True, slots=True)
class Api:
    """Requests to one engine. All raise OSError when the engine is away, hangs or fails."""

    endpoint: Endpoint

    def kill(self, name: str) -> bool | None:
        """Send SIGKILL. True if it was sent, False if the container does not run, None if there is no such container.

        Docker resumes a paused container for this. In a frozen one the signal is pending and comes before any other instruction.
        """
        status, _ = self._ask("POST", f"/containers/{quote(name)}/kill?signal=SIGKILL", {_GONE, _CONFLICT})
        return None if status == _GONE else status != _CONFLICT

    def inspect(self, name: str) -> Seen | None:
        """The state of a container; None if there is no such container."""
        status, body = self._ask("GET", f"/containers/{quote(name)}/json", {_GONE})
        if status == _GONE:
            return None
        answer = _json(body)
        try:
            state = answer["State"]
            begun = str(state.get("Status")) not in {"created", "configured", "initialized"}
            return Seen(str(answer["Id"]), bool(state["Running"]), begun, int(state.get("Pid") or 0))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise EngineFailed(f"not an answer of an engine: {error!r}") from error

    def wait(self, name: str, seconds: float) -> None:
        """Return when the container no longer runs, at the latest after `seconds`."""
        try:
            self._ask("POST", f"/containers/{quote(name)}/wait", {_GONE}, seconds)
        except TimeoutError:
            return

    def containers_of(self, owner: str) -> list[str]:
        """Ids of the containers, running or not, with exactly this owner label."""
        _, body = self._ask("GET", f"/containers/json?all=1&filters={_filter(owner)}")
        return [str(item["Id"]) for item in _list(_json(body))]

    def volumes_of(self, owner: str) -> list[str]:
        _, body = self._ask("GET", f"/volumes?filters={_filter(owner)}")
        answer = _json(body)
        return [
            str(item["Name"]) for item in _list(answer.get("Volumes") if isinstance(answer, dict) else None)
        ]

    def remove_container(self, container: str) -> None:
        """Kill and remove. A container that is gone or is being removed already is no error."""
        self._ask("DELETE", f"/containers/{quote(container)}?force=1", {_GONE, _CONFLICT})

    def remove_volume(self, volume: str) -> None:
        self._ask("DELETE", f"/volumes/{quote(volume)}?force=1", {_GONE, _CONFLICT})

    def _ask(
        self, method: str, path: str, allowed: set[int] | None = None, timeout: float = _TIMEOUT_S
    ) -> tuple[int, bytes]:
        line = f"{method} /v{self.endpoint.api}{path} HTTP/1.0\r\nHost: engine\r\nContent-Length: 0\r\n\r\n"
        answer = bytearray()
        with closing(self.endpoint.connect(timeout)) as connection:
            connection.sendall(line.encode())
            while block := connection.recv(1 << 16):
                answer += block
                if len(answer) > _LONGEST_ANSWER:
                    raise EngineFailed("the engine's answer has no end")
        head, _, body = bytes(answer).partition(b"\r\n\r\n")
        words = head.split(b" ", 2)
        if len(words) < 2 or not words[1].isdigit():
            raise EngineFailed("the engine hung up")
        status = int(words[1])
        if status >= 400 and status not in (allowed or ()):
            raise EngineFailed(f"the engine answered {status}")
        return status, body


def _filter(owner: str) -> str:
    return quote(json.dumps({"label": [f"dev.autoresearch.owner={owner}"]}))


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError as error:  # cut off
        raise EngineFailed("the engine hung up") from error


def _list(found: object) -> list[dict[str, Any]]:
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []
