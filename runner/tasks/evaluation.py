"""One candidate of a task, evaluated once: check, every stage in turn, the scorer. The one pipeline for `try`, `check` and a search."""

from __future__ import annotations

import hashlib
import shutil
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from runner.parsing.client import Parser, shared
from runner.parsing.facts import Rejection
from runner.parsing.static_check import IMAGE_PACKAGES, check
from runner.protocols import EvaluationOutcome
from runner.tasks.definition import Metric, Stage, Task
from runner.tasks.facts import StageFacts, facts_of
from runner.tasks.preparation import PreparedData
from runner.tasks.read_task import LARGEST_FILE
from runner.tasks.scoring_stage import TaskFault, run_scorer
from runner.tasks.stages import Case, run_stage
from sandbox.engine import Engine
from sandbox.mounts import make_folder
from sandbox.outcome import Ending, Fault, Outcome, Refusal
from sandbox.spec import Lease

NOT_SHOWN = "this stage sees hidden data, so what it printed is not shown"


class Leases(Protocol):
    """What the pipeline needs of `sandbox.lease.Leases`."""

    def acquire(self) -> AbstractContextManager[Lease]: ...

    def quarantine(self, lease: Lease, why: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Ids:
    """Names for the containers' labels."""

    run: str
    experiment: str
    attempt: int


@dataclass(frozen=True, slots=True)
class TaskEvaluation:
    """`score` is None unless the outcome is ok; then it is at most as bad as `metric.worst`. `log_tail` may be shown to an agent,
    `detail` to the operator alone. `folder` keeps the outputs and logs of all stages."""

    outcome: EvaluationOutcome
    reason: str | None
    metric: Metric
    score: float | None
    seed: int
    sha256: Mapping[str, str]
    """Of each editable file, hex."""
    folder: Path
    items: tuple[float, ...] = ()
    details: Mapping[str, float | str] = field(default_factory=dict)
    facts: tuple[StageFacts, ...] = ()
    log_tail: str = ""
    detail: str = ""

    @property
    def seconds(self) -> float:
        """Of all untrusted stages, as the host measured them."""
        return sum(each.seconds for each in self.facts)


@dataclass(frozen=True, slots=True)
class TaskPipeline:
    """What an evaluation needs. The images are content ids."""

    engine: Engine
    candidate_image: str
    judge_image: str
    leases: Leases
    task: Task
    data: PreparedData
    parser: Parser = field(default_factory=shared)

    def evaluate(
        self,
        files: Mapping[str, bytes],
        ids: Ids,
        *,
        seed: int,
        folder: Path,
        progress: Callable[[str], None] = lambda _: None,
    ) -> TaskEvaluation:
        """`files` are all editable files, `folder` must be new. Nothing that the candidate, the engine or the scorer does is raised: it
        is the outcome. Raises PrerequisiteMissing where the task's data were changed."""
        self.data.require_unchanged()
        begun = TaskEvaluation(
            outcome=EvaluationOutcome.OK,
            reason=None,
            metric=self.task.metric,
            score=None,
            seed=seed,
            sha256={name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
            folder=folder,
        )
        if rejected := self._rejected(files):
            reason, sentence = rejected
            return replace(begun, outcome=EvaluationOutcome.REJECTED, reason=reason, log_tail=sentence)
        folder.mkdir(parents=True, mode=0o755)
        make_folder(folder / "outputs")
        with self.leases.acquire() as lease:
            case = Case(ids.run, ids.experiment, ids.attempt, lease, seed, files, folder)
            for stage in self.task.stages:
                progress(stage.name)
                outcome = self._stage(stage, case)
                begun = replace(begun, facts=(*begun.facts, facts_of(stage.name, outcome)))
                if failure := stage_failure(stage, outcome):
                    shown = NOT_SHOWN if stage.name in self.task.secret_stages else outcome.log_tail
                    kind, reason = failure
                    return replace(begun, outcome=kind, reason=reason, log_tail=shown, detail=outcome.detail)
            progress("score")
            return self._scored(case, begun)

    def _stage(self, stage: Stage, case: Case) -> Outcome:
        outcome = run_stage(self.engine, self.candidate_image, self.task, self.data, stage, case)
        if outcome.ending is Ending.UNKILLABLE:
            self.leases.quarantine(case.lease, f"{case.run} {case.experiment}: {outcome.detail}")
        (case.folder / f"{stage.name}.log").write_text(outcome.log_tail)
        return outcome

    def _scored(self, case: Case, begun: TaskEvaluation) -> TaskEvaluation:
        try:
            score = run_scorer(self.engine, self.judge_image, self.task, self.data, case, begun.facts)
        except TaskFault as fault:
            return replace(
                begun, outcome=EvaluationOutcome.INFRASTRUCTURE, reason="scorer", detail=str(fault)
            )
        finally:
            shutil.rmtree(case.folder / "scorer", ignore_errors=True)
        if score.score is None:
            return replace(begun, outcome=EvaluationOutcome.INVALID_MODEL, reason=score.invalid)
        bounded = self.task.metric.bounded(score.score)
        return replace(begun, score=bounded, items=score.items, details=score.details)

    def _rejected(self, files: Mapping[str, bytes]) -> tuple[str, str] | None:
        """Why the files are not worth a container, and the sentence for their author."""
        own = {name.partition("/")[0].removesuffix(".py") for name in (*self.task.files, *self.task.fixed)}
        for name in self.task.files:
            content = files.get(name, b"")
            if len(content) > LARGEST_FILE:
                return str(Rejection.TOO_LARGE), f"{name}: {len(content)} bytes; at most {LARGEST_FILE}"
            if name.endswith(".py") and content.strip():
                checked = check(content, self.parser)
                unknown = set(checked.facts.imports) - own - IMAGE_PACKAGES - set(sys.stdlib_module_names)
                if checked.rejection is Rejection.UNKNOWN_IMPORT and not unknown:
                    continue
                if checked.rejection is not None:
                    return str(checked.rejection), f"{name}: {checked.detail}"
        return None


def stage_failure(stage: Stage, outcome: Outcome) -> tuple[EvaluationOutcome, str] | None:
    """None for a stage that ended by itself with exit code 0 and left all of its outputs."""
    if outcome.fault is Fault.INFRASTRUCTURE:
        return EvaluationOutcome.INFRASTRUCTURE, f"{stage.name}: {outcome.ending}"
    if outcome.ending is Ending.OUT_OF_MEMORY:
        return EvaluationOutcome.OOM, stage.name
    if outcome.ending is Ending.TIMED_OUT:
        return EvaluationOutcome.TIMEOUT_NO_ARTIFACT, stage.name
    if outcome.exit_code != 0:
        return EvaluationOutcome.CRASH, stage.name
    for name, refusal in outcome.refusals.items():
        kind = EvaluationOutcome.NO_ARTIFACT if refusal is Refusal.MISSING else EvaluationOutcome.BAD_ARTIFACT
        return kind, f"{stage.name}: {refusal} {name}"
    return None
