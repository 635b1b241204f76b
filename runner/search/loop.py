"""The search: baseline, then propose, check, train, judge, decide, record, until the budget is used up.

The ledger is the only state: an experiment is advanced from its row, so a resume after a crash runs the same code as an
uninterrupted run. An attempt that a dead runner left open counts as an infrastructure failure.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from runner.clock import Clock
from runner.evaluation.pipeline import Pipeline
from runner.nightly_window import NightlyWindow
from runner.parsing.client import Parser, shared
from runner.protocols import (
    EXHAUSTED,
    LLM_BUDGET_EXHAUSTED,
    Decision,
    EvaluationOutcome,
    Proposer,
    State,
)
from runner.results.promotion import Promotion
from runner.scoring.adopt_or_rerun import Choice, Step
from runner.scoring.best_script import best
from runner.scoring.comparability import comparable_runs
from runner.scoring.repeat_noise import Noise, RememberedNoise, repeated_runs
from runner.scoring.scores import mean, scores
from runner.search.attempts import AttemptRunner, EngineFails, FewerGpus, NoDevice
from runner.search.background import Start, in_thread
from runner.search.baseline import Baseline
from runner.search.confirmer import Confirmer
from runner.search.decider import Decider
from runner.search.endings import (
    ALL_DONE,
    ASKED,
    MAX_UNTRAINED_IN_A_ROW,
    NOTHING_MORE,
    TIME_BUDGET_EXHAUSTED,
    untrainable,
)
from runner.search.finished_trainings import FinishedTrainings
from runner.search.proposal_stage import ProposalStage
from runner.search.recorder import Recorder, Subscriber
from runner.search.recovery import recover
from runner.search.slot_threads import InOrder, Slots, Turn
from runner.search.time_budget import Budget
from runner.search.window_gate import EndedWhileClosed, WindowGate
from runner.search.withdrawal import MAX_FAILURES, failures, withdraw
from runner.store.ledger import Ledger
from runner.store.records import Experiment
from runner.store.workspace import Workspace

_LOOK_S = 5.0
"""How often a slot without a device looks for one."""
STOPPED_EARLY = str(EvaluationOutcome.STOPPED_EARLY)


@dataclass(frozen=True, slots=True)
class Settings:
    """`max_experiments` counts proposals that were trained; the baseline is not one."""

    baseline_repeats: int = 3
    retests: int = 4
    max_experiments: int | None = None
    infrastructure_pause_s: float = 5.0
    early_stopping: bool = True
    """End hopeless trainings early (runner/scoring/early_stopping.py)."""
    courtesy: bool = False
    """A device may be with another run: it is waited for as long as the budget lasts."""


class Loop:
    """One run, from its first baseline or from wherever it was left."""

    def __init__(
        self,
        *,
        run: str,
        seed: int,
        workspace: Workspace,
        ledger: Ledger,
        pipeline: Pipeline,
        proposer: Proposer,
        promotion: Promotion,
        budget: Budget,
        settings: Settings,
        clock: Clock,
        emit: Subscriber,
        start: Start = in_thread,
        asked_to_end: Callable[[], bool] = lambda: False,
        require_space: Callable[[], None] = lambda: None,
        parser: Parser | None = None,
        slots: int = 1,
        abandon: Callable[[], None] = lambda: None,
        window: NightlyWindow | None = None,
    ) -> None:
        """`slots` trainings run at once; `abandon` ends the run's containers when one slot's failure, or a signal, ends the run;
        outside of `window` nothing is trained."""
        self._parser = parser or shared()
        self.recorder = Recorder(run, ledger, clock, emit)
        self.workspace, self.promotion, self.budget = workspace, promotion, budget
        self.settings, self._asked_to_end = settings, asked_to_end
        self._turn = Turn()
        self._slots = Slots(slots, self._turn, start=start, abandon=abandon)
        self._promotions = InOrder(self._turn)
        self._gate = WindowGate(window, self.recorder, self._turn, budget, asked_to_end)
        self._claimed: set[int] = set()
        """Experiments that a slot is at work on."""
        self._working, self._nothing_more = 0, ""
        self._without_device: set[int] = set()
        """Slots whose devices others use."""
        self._untrained: list[Experiment] = []
        """In a row."""
        self.attempts = AttemptRunner(
            recorder=self.recorder,
            pipeline=pipeline,
            workspace=workspace,
            budget=budget,
            require_space=require_space,
            pause_s=settings.infrastructure_pause_s,
            stopping=FinishedTrainings(
                seed,
                pipeline.limits.wall_clock_s,
                pipeline.train_data,
                lambda: comparable_runs(ledger, run),
            )
            if settings.early_stopping
            else None,
            slots=self._slots,
            gate=self._gate,
        )
        self._seed, self._noise = seed, RememberedNoise()
        earlier = repeated_runs(comparable_runs(ledger, run))
        self._decider = Decider(seed, settings.retests, earlier)
        self._confirmer = Confirmer(self.recorder, self.attempts, budget, seed, earlier, slots=self._slots)
        self._stage = ProposalStage(
            recorder=self.recorder,
            workspace=workspace,
            proposer=proposer,
            budget=budget,
            wall_clock_s=pipeline.limits.wall_clock_s,
            max_experiments=settings.max_experiments,
            parser=self._parser,
            start=start,
            asked_to_end=asked_to_end,
            turn=self._turn,
            slots=slots,
        )
        self._baseline = Baseline(
            recorder=self.recorder,
            workspace=workspace,
            attempts=self.attempts,
            stage=self._stage,
            slots=self._slots,
            seed=seed,
            repeats=settings.baseline_repeats,
            parser=self._parser,
        )

    def go(self) -> str:
        """Search until something ends it; returns the reason. Raises NothingEvaluated when not even the baseline could
        be scored, PrerequisiteMissing when the engine keeps failing or `require_space` (called before each step) finds no free space."""
        with self._turn:
            try:
                return self._go()
            except EndedWhileClosed as ended:
                return ended.reason

    def _go(self) -> str:
        recover(
            self.recorder,
            self.workspace,
            self.attempts.pipeline,
            self.budget,
            self._stage,
            self.promotion,
            self._promote,
        )
        self._baseline.run(self._promote)
        self._confirmer.resume()
        for experiment in self.recorder.index().open:  # a killed runner had no time to decide it
            if scores(experiment):
                with suppress(FewerGpus):  # the search goes on with it
                    self._advance(experiment)
        while True:
            reason = self._search()
            if reason == ASKED or not self._confirmer.at_the_end():
                return reason
            if reason != TIME_BUDGET_EXHAUSTED or not self._time_for_another():
                return reason  # else fewer pairs did, and what was kept for more is free again

    def _search(self) -> str:
        """Experiment after experiment in every slot; returns why there is no other."""
        self._untrained, self._nothing_more = [], ""
        self._working = count = max(self.attempts.most_at_once, 1)
        self._without_device.clear()
        reasons = self._slots.at_once([self._in_one_slot] * count)
        reason = self._nothing_more or next(reason for reason in reversed(reasons) if reason)
        for experiment in self.recorder.index().open:
            self.recorder.emit("left_open", number=experiment.number, asked=reason == ASKED)
        return reason

    def _in_one_slot(self) -> str:
        """Why this slot has nothing more to do; empty for one that is given up. While there is another, a slot that can train nothing is
        given up, and one whose device others use goes on waiting for it."""
        mine, told = self._slots.mine, False
        while not (reason := self._nothing_more or self.over()):
            may_wait = self._slots.count > 1 or self.settings.courtesy
            leases = self.attempts.pipeline.leases
            try:
                if not self._gate.admits_training():
                    leases.stop_waiting()
                if not self._gate.passed():  # nothing is asked for that may not train
                    continue
                if may_wait and not leases.available():
                    if not told:
                        why = f"slot {mine + 1} waits for a device: others use it"
                        self.recorder.emit("waiting", why=why)
                    told = True
                    with self._turn.given_up():
                        self.recorder.clock.sleep(_LOOK_S)
                    continue
                told = False
                self._one_experiment()
                self._without_device.discard(mine)
            except EndedWhileClosed as ended:
                return ended.reason
            except NoDevice as error:
                self._without_device.add(mine)
                if len(self._without_device) >= self._working:
                    raise
                self.recorder.emit("waiting", why=str(error))
            except EngineFails as error:
                self._without_device.discard(mine)
                self._working -= 1
                if not self._working:
                    raise
                self.recorder.emit("slot_lost", left=self._working, why=str(error))
                return ""
        return reason

    def _one_experiment(self) -> None:
        """The oldest that is open, or else a new one."""
        self.attempts.require_space()
        experiment = next(iter(self._waiting()), None) or self._stage.propose()
        self._claimed.add(experiment.number)
        try:
            self._stage.ask_early(experiment)
            finished = self._advance(experiment)
        finally:
            self._claimed.discard(experiment.number)
        if finished.status == "open":
            self._nothing_more = TIME_BUDGET_EXHAUSTED
            return
        self._confirmer.midway()
        self._untrained = [] if finished.attempts else [*self._untrained, finished]
        if finished.status == "proposer_failed" and finished.reason in EXHAUSTED:
            budget_gone = finished.reason == LLM_BUDGET_EXHAUSTED
            self._nothing_more = LLM_BUDGET_EXHAUSTED if budget_gone else NOTHING_MORE
        elif len(self._untrained) >= MAX_UNTRAINED_IN_A_ROW:
            self._nothing_more = untrainable(self._untrained)

    def _waiting(self) -> list[Experiment]:
        """Experiments that are open and that no slot is at work on."""
        return [e for e in self.recorder.index().open if e.number not in self._claimed]

    # -- one experiment ----------------------------------------------------------------------------------------
    def _advance(self, experiment: Experiment) -> Experiment:
        """Train and run again until it is decided; where the budget allows no other run it is decided by those it had, and one
        that had none stays open."""
        while experiment.status == "open":
            index = self.recorder.index()
            last = experiment.attempts[-1] if experiment.attempts else None
            trainings_left = self._trainings_left()
            if last is not None and last.outcome == STOPPED_EARLY and not last.contended:
                self.recorder.set(
                    experiment.number, status=STOPPED_EARLY, state=State.DECIDED, reason=last.reason
                )
                self.recorder.emit(STOPPED_EARLY, number=experiment.number, reason=last.reason)
            elif (
                last is not None
                and last.outcome not in {"ok", "infrastructure", STOPPED_EARLY}
                and not (last.contended and last.outcome == EvaluationOutcome.TIMEOUT_NO_ARTIFACT)
            ):
                self.recorder.set(experiment.number, status="failed", state=State.FAILED, reason=last.outcome)
                self.recorder.emit(
                    "failed", number=experiment.number, status=last.outcome, reason=last.reason
                )
            elif not scores(experiment):
                if not trainings_left:
                    return experiment
                self.attempts.run(experiment, self._decider.first_seed(index))
            else:
                choice = self._decider.choose(experiment, index, trainings_left=trainings_left)
                if choice.seed is not None and choice.step is Step.RUN_CANDIDATE:
                    self.attempts.run(experiment, choice.seed)
                elif choice.seed is not None:
                    best = self.best()
                    self.attempts.run(best, choice.seed)
                    self._withdraw_if_failing(self.recorder.experiment(best.number))
                else:
                    self._decide(experiment, choice)
            experiment = self.recorder.experiment(experiment.number)
        return experiment

    def _decide(self, experiment: Experiment, choice: Choice) -> None:
        number, estimate, reason = experiment.number, choice.estimate, choice.reason
        decision = Decision.KEEP if choice.step is Step.ADOPT else Decision.DISCARD
        found = {
            "val_bpb": mean(experiment),
            "delta": estimate.difference,
            "delta_error": estimate.error,
            "expected_delta": estimate.mean,
            "better": estimate.better,
        }
        self.recorder.decide(
            number,
            status=str(decision),
            state=State.DECIDED,
            reason=reason,
            expected_error=math.sqrt(estimate.variance),
            **found,
        )
        self.recorder.emit("decided", number=number, decision=str(decision), reason=reason, **found)
        if decision is Decision.KEEP:
            self._promote(self.recorder.experiment(number))

    def _withdraw_if_failing(self, best: Experiment) -> None:
        if best.kept and failures(best) >= MAX_FAILURES:
            withdraw(self.recorder, best, f"it failed {failures(best)} times when it ran again")

    def _promote(self, experiment: Experiment) -> None:
        gain = self._confirmer.expected_gain(experiment)
        noise = self.noise() or Noise(0.0, 1)
        with self._promotions.place():
            columns = self.promotion.promote(experiment, noise, gain)
        self.recorder.set(experiment.number, **columns)
        self.recorder.emit("kept", number=experiment.number, val_bpb=experiment.val_bpb, tag=columns["tag"])

    # -- what the ledger says ------------------------------------------------------------------------------------
    def best(self) -> Experiment:
        return best(self.recorder.index().kept)

    def noise(self) -> Noise | None:
        return self._noise.floor(self.recorder.index().repeated)

    def over(self) -> str | None:
        """Why the search is over; None while it goes on."""
        most, index = self.settings.max_experiments, self.recorder.index()
        left = any(e.number > 0 for e in self._waiting())
        if most is not None and not left and index.trained + self._stage.waiting >= most:
            return ALL_DONE
        if not left and self._asked_to_end():
            return ASKED
        return None if self._time_for_another() else TIME_BUDGET_EXHAUSTED

    def _time_for_another(self) -> bool:
        """Whether another training ends in time for the confirmation at the end."""
        return self._trainings_left() > 0

    def _trainings_left(self) -> int:
        """How many trainings end in time for the confirmation at the end."""
        return self.budget.more_trainings(after=self._confirmer.reserve())
