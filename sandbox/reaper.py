"""Removes our containers and volumes that are no longer needed, and nothing else.

Ours are those whose label `dev.autoresearch.owner` has our user id. They are removed when their deadline has passed, when their owner
process is dead, or when the whole run is to be removed. No runner is needed: any process of the same user can do it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import requests
from docker.errors import APIError, NotFound

from sandbox.engine import LABEL, Remnant
from sandbox.owner import parse_owner

_FILTER = {"label": f"{LABEL}.owner"}
_PAUSES_S = (0.05, 0.2, 1.0)


@dataclass(frozen=True, slots=True)
class Reaper:
    """Removes for user `uid`. If the engine is not `local`, an owner on another machine counts as alive."""

    client: Any
    uid: int
    local: bool = True

    def remnants(self, run: str | None = None) -> list[Remnant]:
        """Every labelled container and volume of the user, containers first (a volume in use cannot be removed)."""
        found = [
            _remnant("container", item["Id"], (item.get("Names") or [""])[0], item.get("Labels") or {})
            for item in self.client.containers(all=True, filters=_FILTER)
        ]
        found += [
            _remnant("volume", item["Name"], item["Name"], item.get("Labels") or {})
            for item in self.client.volumes(filters=_FILTER)["Volumes"] or []
        ]
        ours = [item for item in found if (owner := parse_owner(item.owner)) and owner.uid == self.uid]
        return [item for item in ours if run in {None, item.run}]

    def reap(self, *, now: float, everything_of_run: str | None, dry_run: bool) -> Sequence[Remnant]:
        reaped = []
        for item in self.remnants():
            reason = self._why(item, now, everything_of_run)
            if reason is None:
                continue
            if not dry_run:
                (remove_container if item.kind == "container" else remove_volume)(self.client, item.id)
            reaped.append(replace(item, reason=reason))
        return reaped

    def _why(self, item: Remnant, now: float, everything_of_run: str | None) -> str | None:
        if everything_of_run is not None and item.run == everything_of_run:
            return "its run is over"
        if item.deadline < now:
            return "past its deadline"
        owner = parse_owner(item.owner)
        if owner is not None and owner.dead(engine_is_local=self.local):
            return "its owner is dead"
        return None


def remove_container(client: Any, container: str) -> bool:
    """Kill and remove. Whether it is gone. One that was gone already is no error; if the engine is down, it remains for later."""
    return _retried(lambda: client.remove_container(container, force=True, v=False))


def remove_volume(client: Any, volume: str) -> bool:
    """The same for a volume. The engine may need a moment after the last user is gone (409 until then)."""
    return _retried(lambda: client.remove_volume(volume, force=True))


def _retried(remove: Callable[[], object]) -> bool:
    for pause in (*_PAUSES_S, None):
        try:
            remove()
        except NotFound:
            return True
        except APIError:  # a kind of RequestException in docker-py, so it comes first
            if pause is not None:
                time.sleep(pause)
        except requests.exceptions.RequestException:
            return False
        else:
            return True
    return False


def _remnant(kind: str, identifier: str, name: str, labels: Mapping[str, str]) -> Remnant:
    deadline = labels.get(f"{LABEL}.deadline", "")
    return Remnant(
        kind=kind,
        id=identifier,
        name=name.lstrip("/"),
        owner=labels.get(f"{LABEL}.owner", ""),
        deadline=float(deadline) if deadline.isascii() and deadline.isdigit() else 0.0,
        run=labels.get(f"{LABEL}.run", ""),
        role=labels.get(f"{LABEL}.role", ""),
    )
