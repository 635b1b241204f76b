"""The baseline: the workspace's train.py as it is, run as often as the noise floor needs before anything is proposed."""

from __future__ import annotations

from collections.abc import Callable

from runner.errors import NothingEvaluated
from runner.evaluation.failure_advice import unscored
from runner.parsing.client import Parser
from runner.parsing.static_check import check
from runner.protocols import Decision, EvaluationOutcome, State
from runner.scoring.scores import mean
from runner.search.attempts import AttemptRunner
from runner.search.proposal_stage import ProposalStage
from runner.search.recorder import Recorder
from runner.search.seeds import common_seed
from runner.search.slot_threads import Slots
from runner.store.records import Attempt, Experiment
from runner.store.workspace import Workspace, read_script

MAX_CUT_SHORT = 2
"""Trainings of the baseline that may end at the wall clock without weights, as on a machine that is busy for a while."""


class Baseline:
    """Of one run, whose seed is `seed`: experiment 0, `repeats` times under the first common seeds."""

    def __init__(
        self,
        *,
        recorder: Recorder,
        workspace: Workspace,
        attempts: AttemptRunner,
        stage: ProposalStage,
        slots: Slots,
        seed: int,
        repeats: int,
        parser: Parser,
    ) -> None:
        self._recorder, self._workspace, self._attempts, self._stage = recorder, workspace, attempts, stage
        self._slots, self._parser = slots, parser
        self._seeds = [common_seed(seed, place) for place in range(repeats)]

    def run(self, promote: Callable[[Experiment], None]) -> None:
        """Nothing, where it is decided already. `promote` freezes it. Raises NothingEvaluated where it cannot be scored."""
        if not len(self._recorder.index()):
            self._record()
        baseline = self._recorder.index()[0]
        while len(baseline.counted) < len(self._seeds) and baseline.status == "open":
            if self._attempts.budget.left() <= 0:
                raise NothingEvaluated(
                    f"the budget ended before the baseline had run {len(self._seeds)} times; "
                    "`autoresearch resume --budget` with a longer one goes on"
                )
            known = {a.seed for a in baseline.counted}
            missing = [seed for seed in self._seeds if seed not in known][: self._slots.count]
            made = self._attempts.run_at_once([(baseline, seed) for seed in missing])
            for attempt in made:
                self._look_at(attempt)
            baseline = self._recorder.index()[0]
        if baseline.status == "failed":  # now, or before a resume
            limit_s = self._attempts.pipeline.limits.wall_clock_s
            advice = unscored(str(baseline.reason), limit_s, look="autoresearch logs 0")
            raise NothingEvaluated(
                f"the baseline could not be scored ({baseline.reason}): {advice}; then begin a new run without --resume"
            )
        if baseline.status == "open":
            self._recorder.decide(
                0, status=Decision.KEEP, state=State.DECIDED, reason="baseline", val_bpb=mean(baseline)
            )
            promote(self._recorder.index()[0])

    def _record(self) -> None:
        source = read_script(self._workspace.script)
        checked = check(source, self._parser)
        if checked.rejection:
            why = f"{checked.rejection} ({checked.detail})"
            raise NothingEvaluated(f"train.py cannot be the baseline: {why}")
        self._stage.record(0, source, checked, title="baseline", category="baseline", parent=None)

    def _look_at(self, attempt: Attempt) -> None:
        """One that the wall clock cut short is made again; any other failure is the baseline's end."""
        baseline = self._recorder.index()[0]
        cut_short = sum(
            a.outcome == EvaluationOutcome.TIMEOUT_NO_ARTIFACT and a.order <= attempt.order
            for a in baseline.attempts
        )
        if attempt.outcome == EvaluationOutcome.TIMEOUT_NO_ARTIFACT and cut_short <= MAX_CUT_SHORT:
            self._recorder.emit("cut_short", number=0, left=MAX_CUT_SHORT - cut_short)
        elif attempt.outcome not in {"ok", "infrastructure"} and baseline.status == "open":
            self._recorder.set(0, status="failed", state=State.FAILED, reason=attempt.outcome)
