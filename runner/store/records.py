"""What the ledger holds, as frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner.parsing.facts import UNREAD, Facts
from runner.protocols import State


@dataclass(frozen=True, slots=True)
class Attempt:
    """One evaluation of an experiment. `outcome` is None while it is under way (or was, when the runner died). `folder` is
    written down from the workspace on, so that a workspace may be moved."""

    attempt: int
    seed: int
    folder: Path
    outcome: str | None
    reason: str | None
    val_bpb: float | None
    seconds: float | None
    params_sha256: str | None
    memory_bytes: int | None
    contended: bool
    log_tail: str
    started_at: float
    order: int
    """In which attempts of all experiments were begun, whatever the clock did."""


@dataclass(frozen=True, slots=True)
class Experiment:
    """One row of the story. `status`: open, keep, discard, failed, rejected or proposer_failed."""

    run: str
    number: int
    parent: int | None
    title: str
    hypothesis: str
    category: str
    source: str
    fingerprint: str
    nodes: int
    state: State
    status: str
    reason: str | None
    val_bpb: float | None
    delta: float | None
    margin: float | None
    test_bpb: float | None
    image: str | None
    tag: str | None
    git_commit: str | None
    author: str = ""
    expected_gain: float | None = None
    risk: str = ""
    constants_only: int = 0
    facts: Facts = UNREAD
    """What its script is, as the reader found it; UNREAD in a ledger that was written before facts were stored."""
    attempts: tuple[Attempt, ...] = ()

    @property
    def measured(self) -> tuple[Attempt, ...]:
        """The attempts that count: judged, and not beside somebody else's work."""
        return tuple(a for a in self.attempts if a.outcome == "ok" and not a.contended)


@dataclass(frozen=True, slots=True)
class Run:
    id: str
    created_at: float
    finished_at: float | None
    stop_reason: str | None
    seed: int
    settings: Mapping[str, Any]
    spent_s: float
