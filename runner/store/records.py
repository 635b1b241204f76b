"""What the ledger holds, as frozen values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from runner.parsing.facts import Facts
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
    early_stop: str
    """Why it was ended early or, where it was not, would have been but for the sample; else empty."""
    started_at: float
    order: int
    """In which attempts of all experiments were begun, whatever the clock did."""
    read_log: Callable[[], str] = field(repr=False, compare=False)

    @property
    def log_tail(self) -> str:
        """The end of what it printed, read from the ledger now."""
        return self.read_log()


@dataclass(frozen=True, slots=True)
class Experiment:
    """One row of the experiments table. `status`: open, keep, discard, stopped_early, failed, rejected
    or proposer_failed."""

    run: str
    number: int
    parent: int | None
    title: str
    hypothesis: str
    category: str
    source_sha256: str
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
    author: str
    expected_gain: float | None
    risk: str
    constants_only: int
    read_source: Callable[[], str] = field(repr=False, compare=False)
    read_facts: Callable[[], Facts] = field(repr=False, compare=False)
    attempts: tuple[Attempt, ...] = ()

    @property
    def source(self) -> str:
        """Its script, read from the ledger now."""
        return self.read_source()

    @property
    def facts(self) -> Facts:
        """What its script is, as the parser found it, read once; UNREAD in a ledger that was written before facts were stored."""
        return self.read_facts()

    @property
    def counted(self) -> tuple[Attempt, ...]:
        """The attempts that count: judged, and not while another process used the GPU."""
        return tuple(a for a in self.attempts if a.outcome == "ok" and not a.contended)


class Line(NamedTuple):
    """What a list shows of an experiment."""

    number: int
    status: str
    val_bpb: float | None
    delta: float | None
    attempts: int
    title: str
    reason: str | None


@dataclass(frozen=True, slots=True)
class Run:
    id: str
    created_at: float
    finished_at: float | None
    stop_reason: str | None
    seed: int
    settings: Mapping[str, Any]
    spent_s: float
