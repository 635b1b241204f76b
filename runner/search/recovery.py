"""What a run does first when it goes on: nothing of an earlier runner is left running, what it had begun is written off."""

from __future__ import annotations

from collections.abc import Callable

from runner.errors import PrerequisiteMissing
from runner.evaluation.pipeline import Pipeline, remove_all_but_log
from runner.results.garbage_collection import remove_unneeded_weights
from runner.results.promotion import Promotion
from runner.scoring.scores import missing_files
from runner.search.proposal_stage import ProposalStage
from runner.search.recorder import Recorder
from runner.search.time_budget import Budget
from runner.store.records import Experiment
from runner.store.workspace import Workspace


def recover(
    recorder: Recorder,
    workspace: Workspace,
    pipeline: Pipeline,
    budget: Budget,
    stage: ProposalStage,
    promotion: Promotion,
    keep: Callable[[Experiment], None],
) -> None:
    """`keep` promotes an experiment that a killed runner had no time for. Raises PrerequisiteMissing when files are gone that
    later experiments are compared with."""
    pipeline.engine.reap(now=recorder.clock.time(), everything_of_run=recorder.run_id)
    lost = recorder.ledger.lose_open_attempts(recorder.run_id, now=recorder.clock.time())
    if lost:  # nobody knows how long they ran, side by side: charge a whole one, so that the budget is never under-counted
        budget.charge(pipeline.longest_training_s)
    for number, attempt in lost:
        remove_all_but_log(workspace.attempts(recorder.run_id, number) / str(attempt))
        recorder.emit("recovered", number=number, attempt=attempt)
    for experiment in recorder.experiments():  # what a killed runner had no time for
        remove_unneeded_weights(experiment)
    stage.read_history()
    kept = recorder.index().kept  # in the order of decisions, as their commits are
    for experiment in [*kept[-1:], *(e for e in recorder.experiments() if e.status == "open")]:
        if gone := missing_files(experiment):
            raise PrerequisiteMissing(
                f"{gone[0]} is gone, and without it nothing can be compared with experiment {experiment.number}: put it "
                "back, or begin a new run without --resume"
            )
    for experiment in kept:
        if promotion.is_complete(experiment):
            continue
        if missing := promotion.missing_files(experiment):  # it can never be frozen; the run can go on
            recorder.emit("not_frozen", number=experiment.number, missing=missing)
        else:
            keep(experiment)
