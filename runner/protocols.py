"""The few values and protocols that cross between the runner's packages.

A `Proposer` makes a `Proposal`; the `Pipeline` turns its source into an `Evaluation`; the `Decider` turns evaluations
into a `Decision`; the ledger records all of it. Everything is frozen and every enum is closed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:  # facts are made of what is defined here
    from runner.parsing.facts import Constant


class EvaluationOutcome(StrEnum):
    """The result of one script in the pipeline check -> train -> collect -> judge (`try`'s `outcome`)."""

    OK = "ok"
    CRASH = "crash"
    TIMEOUT_NO_ARTIFACT = "timeout_no_artifact"
    OOM = "oom"
    NO_ARTIFACT = "no_artifact"
    BAD_ARTIFACT = "bad_artifact"
    INVALID_MODEL = "invalid_model"
    TOO_SLOW = "too_slow"
    STOPPED_EARLY = "stopped_early"
    """Ended by the host while it trained, because its own reports were hopeless. It has no score."""
    REJECTED = "rejected"
    INFRASTRUCTURE = "infrastructure"


class State(StrEnum):
    """Where an experiment stands in the ledger. Written before the next step begins."""

    PROPOSED = "proposed"
    CHECKED = "checked"
    TRAINING = "training"
    TRAINED = "trained"
    COLLECTED = "collected"
    JUDGED = "judged"
    DECIDED = "decided"
    FAILED = "failed"


class Decision(StrEnum):
    KEEP = "keep"
    DISCARD = "discard"


REASON_SIMPLER = "as good and simpler"
"""Why a script was kept that is not better."""
REASON_NOISE_TOO_LARGE = "the noise is larger than the score: nothing can be told apart"
USED_UP = "the scripted proposals are used up"
NOTHING_TO_TUNE = "train.py has no constant with a `# tune:` comment (see docs/proposers.md)"
ALL_TRIED = "every change that came up was tried before"
PROPOSER_RAISED = "the proposer raised an error"
INVALID_PROPOSAL = "the proposer returned no valid proposal"
LLM_BUDGET_EXHAUSTED = "the money is gone: another call could cost more than what is left"
EXHAUSTED = frozenset({USED_UP, NOTHING_TO_TUNE, ALL_TRIED, LLM_BUDGET_EXHAUSTED})
"""Failures after which asking again is no use."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """Where a run's scripts are trained and judged, in addition to the container's limits. Unknown is 0 or empty."""

    variant: str = "cpu"
    cpus: int = 0
    """CPUs of one training: on another number XLA sums in another order."""
    cpu_model: str = ""
    device: str = ""
    """The GPU's name, or "cpu"."""
    judge_wall_clock_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Edit:
    """Whole lines that must occur exactly once, and their replacement."""

    search: str
    replace: str


@dataclass(frozen=True, slots=True)
class Notice:
    """Something a proposer wants written down as an event. `data` holds JSON values only."""

    kind: str
    data: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Proposal:
    """A new train.py and what its author says of it. `source` is None when the proposer failed; `failure`
    then says why, in one sentence."""

    source: str | None
    title: str
    hypothesis: str = ""
    category: str = "other"
    failure: str = ""
    author: str = ""
    """Who made it, when that is not the proposer's own name: a model, or the optimiser that stood in."""
    expected_gain: float | None = None
    """By how many bits per byte the author expects val_bpb to fall."""
    risk: str = ""
    parent: int | None = None
    """The experiment whose script was changed; None means the best one."""
    edits: Sequence[Edit] = ()
    """How `source` came from its parent, if by edits: they can be applied again to a newer best script."""
    notes: str | None = None
    """What NOTES.md is to become; None leaves it."""
    notices: Sequence[Notice] = ()


@dataclass(frozen=True, slots=True)
class PastExperiment:
    """One line of history as a proposer may see it: rounded score, values of closed enums, sanitised text."""

    number: int
    title: str
    category: str
    status: str
    """keep, discard, stopped_early, or an EvaluationOutcome other than ok, or "proposer_failed"."""
    val_bpb: float | None
    delta: float | None
    read_source: Callable[[], str] = field(repr=False, compare=False)
    parent: int | None
    reason: str | None = None
    read_log: Callable[[], str] = field(default=str, repr=False, compare=False)
    error: float | None = None
    """Standard error of `delta`."""
    author: str = ""
    fingerprint: str = ""
    read_constants: Callable[[], Sequence[Constant]] = field(default=tuple, repr=False, compare=False)

    @property
    def source(self) -> str:
        """The whole script."""
        return self.read_source()

    @property
    def log_tail(self) -> str:
        """Of a script that failed: the end of what it printed, sanitised. Else empty."""
        return self.read_log()

    @property
    def constants(self) -> Sequence[Constant]:
        """Its tunable constants."""
        return self.read_constants()


@dataclass(frozen=True, slots=True)
class Context:
    """Everything a proposer is given."""

    memo: str
    best_source: str
    best_val_bpb: float | None
    noise_sigma: float | None
    history: Sequence[PastExperiment] = ()
    time_limit_s: float = 0.0
    """For the host's own clock: how long a proposal may take. Not shown to an agent."""
    number: int = 0
    best_number: int = 0
    notes: str = ""
    """What the agent wrote down for itself in NOTES.md."""
    wall_clock_s: float = 0.0
    best_constants: Sequence[Constant] = ()
    """The tunable constants of `best_source`."""
    trainings_left: int = 0
    """Upper bound, computed from constants alone: the judge's measured time depends on the hidden text."""
    others_asked: int = 0
    """Proposals that are being made at the same time, for other slots: they are not in the history yet."""


class Proposer(Protocol):
    """Makes the next proposal. Must not raise for its own failures: that is `Proposal.failure`."""

    name: str

    def propose(self, context: Context) -> Proposal: ...


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One script, evaluated once. `folder` holds what was collected (host-owned copies):
    model.stablehlo, params.safetensors, telemetry.jsonl, document_nats.npy, log.txt, as far as it got."""

    outcome: EvaluationOutcome
    reason: str | None
    val_bpb: float | None
    seconds: float
    seed: int
    train_sha256: str
    params_sha256: str | None
    log_tail: str
    folder: Path
    memory_peak_bytes: int | None = None
    contended: bool = False
    """Others computed on its GPU or CPUs meanwhile: it does not count."""
    contention: str = ""
    """How much they did, or how much its GPU was slowed down."""
    beside_strangers: bool = False
    """Others computed on its GPU: it never counts, since the next training waits until they are gone."""
    detail: str = ""
    """For the operator (infrastructure messages); never shown to an agent."""
    timed_out: bool = False
    """The training was ended at its wall clock."""
    cpus: int = 0
    """How many CPUs were leased: XLA sums in another order on another number."""
    gpu: str = ""
    """UUID of the leased one."""
    early_stop: str = ""
    """Why the training was ended early or, where it was not, would have been but for the sample."""


Progress = Callable[[State], None]
"""Called by the pipeline at every state, before the next step begins."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened in a run; displays subscribe to these. `data` holds JSON values only."""

    kind: str
    at: float
    data: dict[str, object] = field(default_factory=dict)
