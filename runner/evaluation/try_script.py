"""One script, once, without a run: what `autoresearch try` does."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from pathlib import Path

from runner.evaluation.pipeline import Ids
from runner.evaluation.setup import set_up
from runner.parsing.client import shared
from runner.parsing.static_check import check
from runner.protocols import Evaluation, EvaluationOutcome, State
from runner.store.config import Config


def attempt(
    source: bytes,
    config: Config,
    *,
    seed: int,
    folder: Path,
    progress: Callable[[str], None] = lambda _: None,
) -> Evaluation:
    """Check, train, collect, judge. Raises SandboxError or PrerequisiteMissing when there is nothing to do it with."""
    checked = check(source, shared())
    if checked.rejection is not None:
        return Evaluation(
            outcome=EvaluationOutcome.REJECTED,
            reason=str(checked.rejection),
            val_bpb=None,
            seconds=0.0,
            seed=seed,
            train_sha256=hashlib.sha256(source).hexdigest(),
            params_sha256=None,
            log_tail=checked.detail,
            folder=folder,
        )
    environment = set_up(config, progress=progress)

    def say(state: State) -> None:
        progress(str(state))

    ids = Ids(f"try-{secrets.token_hex(4)}", "0", 1)
    return environment.pipeline.evaluate(source, ids, seed=seed, folder=folder, progress=say)
