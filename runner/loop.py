"""The search: baseline, then propose, check, train, judge, decide, record, until the budget is gone.

Everything is driven by the ledger: an experiment is advanced from whatever the ledger says has been done, so going
on after a crash is the same code as going on. What a dead runner left open counts as an infrastructure failure.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner.ahead import Start, in_thread
from runner.budget import Budget
from runner.check import check
from runner.clearing import clear_attempts
from runner.clock import Clock
from runner.decide import Judgement, Noise, decide
from runner.errors import NothingEvaluated, PrerequisiteMissing
from runner.keeping import Keeper
from runner.ledger import Attempt, Experiment, Ledger
from runner.measured import beside, best, lost, mean, measured, noise_floor
from runner.proposing import ProposalStage
from runner.protocols import (
    EXHAUSTED,
    MONEY_GONE,
    Decision,
    Event,
    Proposer,
    State,
    TripOutcome,
)
from runner.reader.process import Reader, shared
from runner.road import POSITIONS, Ids, Road, clear_lost
from runner.unscored import unscored
from runner.workspace import Workspace, read_script

BUDGET_GONE, ALL_DONE = "budget", "all experiments done"
ASKED = "asked to end after the present experiment"
NOTHING_MORE = "the proposer has nothing more to propose"
MAX_INFRASTRUCTURE_FAILURES = 3
MAX_UNTRAINED_IN_A_ROW = 10
UNTRAINABLE = "proposals in a row could not be trained"
Subscriber = Callable[[Event], None]


@dataclass(frozen=True, slots=True)
class Settings:
    """`max_experiments` counts proposals that were trained; the baseline is not one."""

    baseline_repeats: int = 3
    retests: int = 2
    max_experiments: int | None = None
    infrastructure_pause_s: float = 5.0


class Loop:
    """One run, from its first baseline or from wherever it was left."""

    def __init__(
        self,
        *,
        run: str,
        seed: int,
        workspace: Workspace,
        ledger: Ledger,
        road: Road,
        proposer: Proposer,
        keeper: Keeper,
        budget: Budget,
        settings: Settings,
        clock: Clock,
        emit: Subscriber,
        start: Start = in_thread,
        asked_to_end: Callable[[], bool] = lambda: False,
        room: Callable[[], None] = lambda: None,
        reader: Reader | None = None,
    ) -> None:
        self._reader = reader or shared()
        self.run_id, self.seed, self.workspace, self.ledger = run, seed, workspace, ledger
        self.road, self.keeper, self.budget = road, keeper, budget
        self.settings, self.clock, self._emit = settings, clock, emit
        self._infrastructure_failures = 0
        self._asked_to_end, self.room = asked_to_end, room
        self._stage = ProposalStage(
            run=run,
            workspace=workspace,
            ledger=ledger,
            proposer=proposer,
            budget=budget,
            clock=clock,
            emit=self.emit,
            wall_clock_s=road.limits.wall_clock_s,
            max_experiments=settings.max_experiments,
            reader=self._reader,
            start=start,
            asked_to_end=asked_to_end,
        )

    def go(self) -> str:
        """Search until something ends it; returns the reason. Raises NothingEvaluated when not even the baseline could
        be scored, PrerequisiteMissing when the engine keeps failing or `room` (asked before anything begins) finds none."""
        self._recover()
        self._baseline()
        untrained = 0
        while (reason := self.over()) is None:
            self.room()
            experiment = next((e for e in self._all() if e.status == "open"), None) or self._stage.propose()
            self._stage.ask_early(experiment)
            finished = self._advance(experiment)
            if finished.status == "open":
                return BUDGET_GONE
            untrained = 0 if finished.attempts else untrained + 1
            if finished.status == "proposer_failed" and finished.reason in EXHAUSTED:
                return finished.reason if finished.reason == MONEY_GONE else NOTHING_MORE
            if untrained >= MAX_UNTRAINED_IN_A_ROW:
                return f"{untrained} {UNTRAINABLE}"
        return reason

    # -- before the first proposal -----------------------------------------------------------------------------
    def _recover(self) -> None:
        """Nothing of an earlier runner of this run is left running, and what it had begun is written off."""
        self.road.engine.reap(now=self.clock.time(), everything_of_run=self.run_id)
        for number, attempt in self.ledger.lose_open_attempts(self.run_id, now=self.clock.time()):
            clear_lost(self.workspace.attempts(self.run_id, number) / str(attempt))
            # nobody knows how long it ran: charge a whole attempt, so that the budget is never under-counted
            self.budget.charge(self.road.longest_training_s)
            self.emit("recovered", number=number, attempt=attempt)
        for experiment in self._all():  # what a killed runner had no time for
            clear_attempts(experiment)
        self._stage.read_history()
        kept = [e for e in self._all() if e.status == "keep"]
        for experiment in [*kept[-1:], *(e for e in self._all() if e.status == "open")]:
            if gone := lost(experiment):
                raise PrerequisiteMissing(
                    f"{gone[0]} is gone, and without it nothing can be compared with experiment {experiment.number}: put it "
                    "back, or begin a new run without --resume"
                )
        for experiment in kept:
            if self.keeper.complete(experiment):
                continue
            if gone := self.keeper.gone(experiment):  # it can never be frozen; the run can go on
                self.emit("not_frozen", number=experiment.number, missing=gone)
            else:
                self._keep(experiment)

    def _baseline(self) -> None:
        if not self._all():
            source = read_script(self.workspace.script)
            checked = check(source, self._reader)
            if checked.rejection:
                why = f"{checked.rejection} ({checked.detail})"
                raise NothingEvaluated(f"train.py cannot be the baseline: {why}")
            self._stage.record(0, source, checked, title="baseline", category="baseline", parent=None)
        baseline = self._all()[0]
        while len(baseline.measured) < self.settings.baseline_repeats and baseline.status == "open":
            if self.budget.left() <= 0:
                raise NothingEvaluated(
                    f"the budget ended before the baseline had run {self.settings.baseline_repeats} times; "
                    "`autoresearch resume --budget` with a longer one goes on"
                )
            attempt = self._attempt(baseline)
            if attempt.outcome not in {"ok", "infrastructure"}:
                self._set(0, status="failed", state=State.FAILED, reason=attempt.outcome)
            baseline = self._all()[0]
        if baseline.status == "failed":  # now, or before a resume
            limit_s = self.road.limits.wall_clock_s
            advice = unscored(str(baseline.reason), limit_s, look="autoresearch logs 0")
            raise NothingEvaluated(
                f"the baseline could not be scored ({baseline.reason}): {advice}; then begin a new run without --resume"
            )
        if baseline.status == "open":
            self._set(0, status="keep", state=State.DECIDED, reason="baseline", val_bpb=mean(baseline))
            self._keep(self._all()[0])

    # -- one experiment ----------------------------------------------------------------------------------------
    def _advance(self, experiment: Experiment) -> Experiment:
        """Train and retest until it is decided, or the budget allows no more."""
        while experiment.status == "open":
            last = experiment.attempts[-1] if experiment.attempts else None
            judgement = self._judge(experiment) if experiment.measured else None
            if last is not None and last.outcome not in {"ok", "infrastructure"}:
                self._set(experiment.number, status="failed", state=State.FAILED, reason=last.outcome)
                self.emit("failed", number=experiment.number, status=last.outcome, reason=last.reason)
            elif judgement is not None and self._is_clear(experiment, judgement.decision):
                self._decide(experiment, judgement)
            elif not self.budget.allows_another():
                return experiment
            else:
                rival = judgement is not None and judgement.decision is Decision.KEEP
                self._attempt(self.best() if rival else experiment)
            experiment = self.ledger.experiment(self.run_id, experiment.number)
        return experiment

    def _is_clear(self, experiment: Experiment, decision: Decision) -> bool:
        """What would be kept must be better than the best script as it scores now: noise that drifts is no gain."""
        if decision is Decision.KEEP:
            return not self.settings.retests or beside(self.best(), experiment)
        return decision is not Decision.RETEST

    def _attempt(self, experiment: Experiment) -> Attempt:
        self.room()
        number, started = experiment.number, self.clock.monotonic()
        measurement = len(experiment.measured)
        seed = _seed(self.seed, number, measurement)
        home = self.workspace.attempts(self.run_id, number)
        attempt = self.ledger.start_attempt(
            self.run_id, number, seed=seed, folder=home, now=self.clock.time()
        )
        folder = home / str(attempt)
        shutil.rmtree(folder, ignore_errors=True)  # of a row that was never written

        def progress(state: State) -> None:
            if experiment.status == "open":
                self._set(number, state=state)
            self.emit("state", number=number, attempt=attempt, state=str(state))

        trip = self.road.travel(
            experiment.source.encode("utf-8", errors="replace"),
            Ids(self.run_id, str(number), attempt),
            seed=seed,
            folder=folder,
            progress=progress,
            reference=self._reference(),
        )
        spent = self.clock.monotonic() - started
        # first: a runner that dies between the two is charged twice for it rather than not at all
        self.budget.charge(spent)
        self.budget.learn(spent)
        self.ledger.finish_attempt(self.run_id, number, attempt, trip, now=self.clock.time())
        self.emit(
            "judged",
            number=number,
            attempt=attempt,
            outcome=str(trip.outcome),
            reason=trip.reason,
            val_bpb=trip.val_bpb,
            seconds=round(trip.seconds, 2),
            detail=trip.detail,
        )
        if trip.outcome is TripOutcome.INFRASTRUCTURE:
            clear_lost(folder)
        clear_attempts(self.ledger.experiment(self.run_id, number))
        self._count_infrastructure(trip.outcome, trip.detail)
        return self.ledger.experiment(self.run_id, number).attempts[-1]

    def _reference(self) -> Path | None:
        """What the best script lost at every position, once there is a best script."""
        kept = [e for e in self._all() if e.status == "keep" and e.measured]
        return kept[-1].measured[0].folder / POSITIONS if kept else None

    def _count_infrastructure(self, outcome: TripOutcome, detail: str) -> None:
        if outcome is not TripOutcome.INFRASTRUCTURE:
            self._infrastructure_failures = 0
            return
        self._infrastructure_failures += 1
        if self._infrastructure_failures >= MAX_INFRASTRUCTURE_FAILURES:
            raise PrerequisiteMissing(
                f"the engine failed {self._infrastructure_failures} times in a row ({detail}); mend it, then "
                "`autoresearch run --resume` goes on"
            )
        self.clock.sleep(self.settings.infrastructure_pause_s * self._infrastructure_failures)

    def _judge(self, experiment: Experiment) -> Judgement:
        import numpy as np

        incumbent = self.best()
        noise = self.noise()
        assert noise is not None, "the baseline has at least two repeats"
        document_bytes = np.load(incumbent.measured[0].folder / "document_bytes.npy")
        left = self.settings.retests - (len(experiment.measured) - 1)
        return decide(measured(experiment), measured(incumbent), noise, document_bytes, retests_left=left)

    def _decide(self, experiment: Experiment, judgement: Judgement) -> None:
        number = experiment.number
        self._set(
            number,
            status=str(judgement.decision),
            state=State.DECIDED,
            reason=judgement.reason,
            val_bpb=mean(experiment),
            delta=judgement.delta,
            margin=judgement.margin,
        )
        self.emit(
            "decided",
            number=number,
            decision=str(judgement.decision),
            reason=judgement.reason,
            val_bpb=mean(experiment),
            delta=judgement.delta,
            margin=judgement.margin,
        )
        if judgement.decision is Decision.KEEP:
            self._keep(self.ledger.experiment(self.run_id, number))

    def _keep(self, experiment: Experiment) -> None:
        columns = self.keeper.keep(experiment, self.noise() or Noise(0.0, 1))
        self._set(experiment.number, **columns)
        self.emit("kept", number=experiment.number, val_bpb=experiment.val_bpb, tag=columns["tag"])

    # -- what the ledger says ------------------------------------------------------------------------------------
    def best(self) -> Experiment:
        return best(self._all())

    def noise(self) -> Noise | None:
        return noise_floor(self._all())

    def over(self) -> str | None:
        """Why nothing more is to be tried; None while something is."""
        proposals = [e for e in self._all() if e.number > 0]
        most, busy = self.settings.max_experiments, any(e.status == "open" for e in proposals)
        if most is not None and not busy and sum(bool(e.attempts) for e in proposals) >= most:
            return ALL_DONE
        if not busy and self._asked_to_end():
            return ASKED
        return None if self.budget.allows_another() else BUDGET_GONE

    def _all(self) -> list[Experiment]:
        return self.ledger.experiments(self.run_id)

    def _set(self, number: int, **columns: Any) -> None:
        self.ledger.set_experiment(self.run_id, number, **columns)
        if "status" in columns:
            clear_attempts(self.ledger.experiment(self.run_id, number))

    def emit(self, kind: str, **data: Any) -> None:
        """Write the event down, then tell the displays."""
        now = self.clock.time()
        self.ledger.add_event(self.run_id, kind, data, now=now)
        self._emit(Event(kind, now, data))


def _seed(run_seed: int, number: int, measurement: int) -> int:
    """The seed is the host's to choose, never the candidate's; the nth measurement of a script has always the same."""
    digest = hashlib.sha256(f"{run_seed}/{number}/{measurement}".encode()).digest()
    return int.from_bytes(digest[:4], "little") & 0x7FFFFFFF
