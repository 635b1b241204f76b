"""One script, once, without a run: what `autoresearch try` does."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from pathlib import Path

from runner.assemble import assemble
from runner.check import check
from runner.protocols import State, Trip, TripOutcome
from runner.reader.process import shared
from runner.road import Ids
from runner.workspace import Config


def attempt(
    source: bytes,
    config: Config,
    *,
    seed: int,
    folder: Path,
    progress: Callable[[str], None] = lambda _: None,
) -> Trip:
    """Check, train, collect, judge. Raises SandboxError or PrerequisiteMissing when there is nothing to do it with."""
    checked = check(source, shared())
    if checked.rejection is not None:
        return Trip(
            outcome=TripOutcome.REJECTED,
            reason=str(checked.rejection),
            val_bpb=None,
            seconds=0.0,
            seed=seed,
            train_sha256=hashlib.sha256(source).hexdigest(),
            params_sha256=None,
            log_tail=checked.detail,
            folder=folder,
        )
    rooms = assemble(config, progress=progress)

    def say(state: State) -> None:
        progress(str(state))

    ids = Ids(f"try-{secrets.token_hex(4)}", "0", 1)
    return rooms.road.travel(source, ids, seed=seed, folder=folder, progress=say)
