"""What the ledger holds, as frozen values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from runner.parsing.facts import Facts
from runner.protocols import Decision, State


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
    confirmation: int | None
    """The confirmation that it was made for; None: to decide on a candidate."""
    order: int
    """In which attempts of all experiments were begun, whatever the clock did."""
    read_log: Callable[[], str] = field(repr=False, compare=False)

    @property
    def counts(self) -> bool:
        """Whether its score says something of the script: judged, and not while another process used its CPUs or GPU."""
        return self.outcome == "ok" and not self.contended

    @property
    def lost(self) -> bool:
        """Through no fault of its script: it has no score, and another attempt is made in its place."""
        return self.outcome == "infrastructure"

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
    """Estimated true score minus that of the best script then (bits per byte), `delta_error` its standard error."""
    delta_error: float | None
    expected_delta: float | None
    """The same as believed under the prior for gains, with `expected_error` its standard deviation."""
    expected_error: float | None
    better: float | None
    """Probability that it is better than the best script then."""
    test_bpb: float | None
    image: str | None
    tag: str | None
    git_commit: str | None
    author: str
    expected_gain: float | None
    risk: str
    constants_only: int
    decision: int | None
    """The how-manyth decision of its run it was to keep or to discard it, from 1 (the baseline); None before it."""
    decided_after: int | None
    """`order` of the newest attempt that had been begun then."""
    confirmed: bool
    """Whether a confirmation found it better than what was confirmed before."""
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
    def kept(self) -> bool:
        """Whether it was adopted: the baseline, or what the search built on since."""
        return self.status == Decision.KEEP

    @property
    def counted(self) -> tuple[Attempt, ...]:
        """The attempts that count."""
        return tuple(a for a in self.attempts if a.counts)


@dataclass(frozen=True, slots=True)
class Confirmation:
    """A strict comparison of a kept script (`candidate`) with the last confirmed one (`reference`), on pairs of new runs under one
    seed. `delta` is the candidate's mean minus the reference's, `low` and `high` its 95 % interval, bits per byte."""

    id: int
    candidate: int
    reference: int
    first_seed: int
    """Index of the first pair's seed among the run's common seeds."""
    most_pairs: int
    verdict: str
    """open, confirmed or not_confirmed."""
    reason: str | None
    pairs: int
    reference_bpb: float | None
    candidate_bpb: float | None
    delta: float | None
    low: float | None
    high: float | None


class Line(NamedTuple):
    """What a list shows of an experiment."""

    number: int
    status: str
    val_bpb: float | None
    delta: float | None
    attempts: int
    title: str
    reason: str | None
    confirmed: bool


@dataclass(frozen=True, slots=True)
class Run:
    id: str
    created_at: float
    finished_at: float | None
    stop_reason: str | None
    seed: int
    settings: Mapping[str, Any]
    spent_s: float
