"""Remove what is ours and no longer wanted, and nothing else.

Ours is what carries `dev.autoresearch.owner` with our user id. It goes when its deadline has passed, when its owner
process is dead, or when the whole run is told to go. Independent of any runner: `autoresearch sandbox reap`.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from docker.errors import APIError, NotFound

from sandbox.engine import LABEL, Remnant
from sandbox.owner import parse_owner

_FILTER = {"label": f"{LABEL}.owner"}


def remnants(client: Any, uid: int, run: str | None = None) -> list[Remnant]:
    """Every labelled container and volume of user `uid`, containers first (a volume in use cannot go)."""
    found = [
        _remnant("container", item["Id"], item["Names"][0].lstrip("/"), item.get("Labels") or {})
        for item in client.containers(all=True, filters=_FILTER)
    ]
    found += [
        _remnant("volume", item["Name"], item["Name"], item.get("Labels") or {})
        for item in client.volumes(filters=_FILTER)["Volumes"] or []
    ]
    ours = [item for item in found if (owner := parse_owner(item.owner)) and owner.uid == uid]
    return [item for item in ours if run in {None, item.run}]


def reap(
    client: Any, uid: int, *, now: float, everything_of_run: str | None, dry_run: bool
) -> Sequence[Remnant]:
    reaped = []
    for item in remnants(client, uid):
        owner = parse_owner(item.owner)
        if everything_of_run is not None and item.run == everything_of_run:
            reason = "its run is over"
        elif item.deadline < now:
            reason = "past its deadline"
        elif owner is None or not owner.alive:
            reason = "its owner is dead"
        else:
            continue
        if not dry_run:
            (remove_container if item.kind == "container" else remove_volume)(client, item.id)
        reaped.append(replace(item, reason=reason))
    return reaped


def remove_container(client: Any, container: str) -> None:
    """Kill and remove; what is already gone is no error. An engine that is down leaves it to the next reap."""
    with contextlib.suppress(NotFound, APIError, OSError):
        client.remove_container(container, force=True, v=False)


def remove_volume(client: Any, volume: str) -> None:
    """The engine may need a moment after the last user of a volume is gone (409 until then)."""
    for pause in (0.05, 0.2, 1.0, None):
        try:
            client.remove_volume(volume, force=True)
        except NotFound:
            return
        except (APIError, OSError):
            if pause is None:
                return
            time.sleep(pause)
        else:
            return


def _remnant(kind: str, identifier: str, name: str, labels: Mapping[str, str]) -> Remnant:
    deadline = labels.get(f"{LABEL}.deadline", "")
    return Remnant(
        kind=kind,
        id=identifier,
        name=name,
        owner=labels.get(f"{LABEL}.owner", ""),
        deadline=float(deadline) if deadline.isdigit() else 0.0,
        run=labels.get(f"{LABEL}.run", ""),
        role=labels.get(f"{LABEL}.role", ""),
    )
