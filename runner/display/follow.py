"""Follow a run from another process: its events, read from the ledger as they are written there. Nothing is changed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from runner.errors import NotRunning, UsageError
from runner.protocols import Event
from runner.store.ledger import Ledger
from runner.store.workspace import Workspace
from runner.store.workspace_lock import Holder, at_work, holder

_POLL_S = 0.5
_NOBODY = (
    "no runner is at work in {}; `autoresearch resume` goes on, `autoresearch status` shows how it stands"
)


@dataclass(frozen=True, slots=True)
class Watched:
    """A live runner. `ledger` is open for reading; `launch` is the event with which its session began."""

    ledger: Ledger
    run: str
    launch: Event
    after: int
    """The id of `launch` in the table of events."""


def find(workspace: Workspace, *, sleep: Callable[[float], None] = time.sleep) -> Watched:
    """The runner that is at work, as soon as it has begun. Raises NotRunning when none is, or it ended before it began."""
    runner = at_work(workspace.state)
    while runner is not None and runner.verb == "run" and holder(workspace.state) == runner:
        if (found := _launched(workspace, runner)) is not None:
            return found
        sleep(_POLL_S)
    raise NotRunning(_NOBODY.format(workspace.folder))


def follow(
    workspace: Workspace, watched: Watched, *, sleep: Callable[[float], None] = time.sleep
) -> Iterator[Event]:
    """Every event of the session, from its launch to its end. Raises NotRunning when the runner dies without a last event."""
    last, event = watched.after - 1, watched.launch
    owner = watched.launch.data["owner"]
    while True:
        runner = holder(workspace.state)
        over = runner is None or str(runner.owner) != owner  # asked first, so that what it wrote last is read
        for number, news in watched.ledger.events_after(watched.run, last):
            last, event = number, news
            yield event
        if over and event.kind == "done":
            return
        if over:
            raise NotRunning("the runner died without a reason in the ledger; `autoresearch resume` goes on")
        sleep(_POLL_S)


def _launched(workspace: Workspace, runner: Holder) -> Watched | None:
    try:
        ledger = Ledger(workspace.ledger, read_only=True)
    except UsageError:  # there is none yet
        return None
    try:
        run = ledger.run().id
        for number, event in reversed(ledger.events_after(run, 0)):
            if event.kind == "launch" and event.data.get("owner") == str(runner.owner):
                return Watched(ledger, run, event, number)
    except UsageError:  # no run yet
        pass
    ledger.close()
    return None
