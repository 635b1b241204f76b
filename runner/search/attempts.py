"""One evaluation of an experiment's script, recorded as an attempt before its result is used."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from runner.errors import PrerequisiteMissing
from runner.evaluation.pipeline import POSITIONS, Ids, Pipeline, remove_all_but_log
from runner.protocols import Evaluation, EvaluationOutcome, State
from runner.results.garbage_collection import remove_unneeded_weights
from runner.scoring.best_script import best
from runner.search.endings import TIME_BUDGET_EXHAUSTED
from runner.search.finished_trainings import FinishedTrainings
from runner.search.recorder import Recorder
from runner.search.slot_threads import Slots
from runner.search.time_budget import Budget
from runner.search.window_gate import EndedWhileClosed, WindowGate
from runner.store.records import Attempt, Experiment
from runner.store.workspace import Workspace
from sandbox.lease import LeaseUnavailable
from sandbox.outcome import Ending

MAX_INFRASTRUCTURE_FAILURES = 3
"""In a row, in one slot or on one GPU."""
MAX_CONTENDED = 2
"""Trainings in a row that are made again because others had their CPUs, or because their GPU was slowed down. The next one counts: on
a machine that stays busy a run goes on, and a script has no more retries than that."""

_MADE_AGAIN = frozenset(
    {EvaluationOutcome.OK, EvaluationOutcome.TIMEOUT_NO_ARTIFACT, EvaluationOutcome.STOPPED_EARLY}
)
"""What a busy machine can be the reason for; a crash is the script's."""


class EngineFails(PrerequisiteMissing):
    """A slot's trainings fail again and again, and not through their scripts."""


class NoDevice(EngineFails):
    """Others held every device of this slot for as long as a training waits."""


class FewerGpus(EngineFails):
    """A GPU is left out, and there are fewer than slots now."""


class _ClosedMeanwhile(Exception):
    """The nightly window closed while a device was waited for."""

    def __str__(self) -> str:
        return "the nightly window closed before a device was free"


@dataclass
class _InARow:
    """Of one slot."""

    failures: int = 0
    contended: int = 0


class AttemptRunner:
    """Of one run. `require_space` raises RunnerError when the disk budget is used up. `pause_s` is
    waited after an infrastructure failure, longer after each in a row. The turn is given up while a script is evaluated."""

    def __init__(
        self,
        *,
        recorder: Recorder,
        pipeline: Pipeline,
        workspace: Workspace,
        budget: Budget,
        require_space: Callable[[], None],
        pause_s: float,
        stopping: FinishedTrainings | None = None,
        slots: Slots,
        gate: WindowGate,
    ) -> None:
        """`stopping` ends hopeless trainings; None: every training runs to its end."""
        self.recorder, self.pipeline, self.workspace, self.budget = recorder, pipeline, workspace, budget
        self.require_space, self._pause_s = require_space, pause_s
        self._stopping, self._slots, self._turn = stopping, slots, slots.turn
        self._gate = gate
        self.most_at_once = slots.count
        """Trainings, with the GPUs that are left."""
        self._failures_on: dict[str, int] = {}
        """In a row, by the UUID of a GPU."""
        self._in_a_row = [_InARow() for _ in range(slots.count)]

    def run(self, experiment: Experiment, seed: int, *, confirmation: int | None = None) -> Attempt:
        """With this training seed. `confirmation` is the one it is made for. Waits for the nightly window. Raises EngineFails, NoDevice,
        EndedWhileClosed."""
        while True:
            self._gate.wait()
            self.require_space()
            attempt = self._run_once(experiment, seed, confirmation)
            if attempt is not None:
                return attempt

    def _run_once(self, experiment: Experiment, seed: int, confirmation: int | None) -> Attempt | None:
        """None where the window closed while it waited for a device."""
        run, ledger, clock = self.recorder.run_id, self.recorder.ledger, self.recorder.clock
        number, leased = experiment.number, clock.monotonic()
        home = self.workspace.attempts(run, number)
        attempt = ledger.start_attempt(
            run, number, seed=seed, folder=home, now=clock.time(), confirmation=confirmation
        )
        folder = home / str(attempt)
        shutil.rmtree(folder, ignore_errors=True)  # of a row that was never written

        def progress(state: State) -> None:
            nonlocal leased
            if state is State.TRAINING:
                leased = clock.monotonic()
                if not self._gate.admits_training():
                    raise _ClosedMeanwhile
            with self._turn:
                if experiment.status == "open":
                    self.recorder.set(number, state=state)
                self.recorder.emit("state", number=number, attempt=attempt, state=str(state))

        source, reference = experiment.source.encode("utf-8", errors="replace"), self._reference()
        monitor = self._stopping.monitor(experiment, self.recorder.index()) if self._stopping else None
        try:
            with self._turn.given_up():
                evaluation = self.pipeline.evaluate(
                    source,
                    Ids(run, str(number), attempt),
                    seed=seed,
                    folder=folder,
                    progress=progress,
                    reference=reference,
                    monitor=monitor,
                )
        except (LeaseUnavailable, _ClosedMeanwhile) as error:
            self.budget.charge()
            untrained = _untrained(source, seed, folder, str(error))
            ledger.finish_attempt(run, number, attempt, untrained, now=clock.time())
            if isinstance(error, _ClosedMeanwhile) or not self._gate.admits_training():
                return None
            raise NoDevice(f"{error}; `autoresearch run --resume` goes on") from error
        evaluation, note = self._allow_contention(evaluation)
        spent = clock.monotonic() - leased  # a wait for a device says nothing of the next training
        # first: a runner that dies between the two is charged twice for it rather than not at all
        self.budget.charge()
        self.budget.learn(spent)
        ledger.finish_attempt(run, number, attempt, evaluation, now=clock.time())
        self.recorder.emit(
            "judged",
            number=number,
            attempt=attempt,
            outcome=str(evaluation.outcome),
            reason=evaluation.reason,
            val_bpb=evaluation.val_bpb,
            seconds=round(evaluation.seconds, 2),
            detail=evaluation.detail,
        )
        if note:
            self.recorder.emit(
                "contended", number=number, attempt=attempt, counts=not evaluation.contended, why=note
            )
        if evaluation.outcome is EvaluationOutcome.INFRASTRUCTURE:
            remove_all_but_log(folder)
        remove_unneeded_weights(self.recorder.experiment(number))
        self._count_infrastructure(evaluation)
        return next(a for a in self.recorder.experiment(number).attempts if a.attempt == attempt)

    def run_at_once(
        self, wanted: Sequence[tuple[Experiment, int]], *, confirmation: int | None = None
    ) -> list[Attempt]:
        """`run` for each experiment and seed, at most as many as there are slots. What a slot could not train is left out; raises what the
        first raised where none could, unless it may be tried again on another GPU."""
        errors: list[EngineFails | EndedWhileClosed] = []

        def run(experiment: Experiment, seed: int) -> Attempt | None:
            try:
                return self.run(experiment, seed, confirmation=confirmation)
            except FewerGpus:  # the caller goes on with those that are left
                return None
            except (EngineFails, EndedWhileClosed) as error:
                errors.append(error)
                return None

        found = self._slots.at_once([partial(run, experiment, seed) for experiment, seed in wanted])
        made = [attempt for attempt in found if attempt is not None]
        if errors and not made:
            if confirmation is not None and all(map(_has_no_time, errors)):
                return []  # it is decided by the pairs it has
            raise errors[0]
        return made

    def _reference(self) -> Path | None:
        """The best script's loss at every position, once there is a best script."""
        kept = self.recorder.index().kept
        return best(kept).counted[0].folder / POSITIONS if kept else None

    def _allow_contention(self, evaluation: Evaluation) -> tuple[Evaluation, str]:
        """The evaluation, which counts after all when too many in a row were contended, but never beside strangers on its GPU; and what
        others did."""
        if evaluation.outcome not in _MADE_AGAIN:
            return evaluation, ""
        mine = self._in_a_row[self._slots.mine]
        if not evaluation.contention:
            mine.contended = 0
            return evaluation, ""
        mine.contended += 1
        if mine.contended > MAX_CONTENDED and not evaluation.beside_strangers:
            evaluation = replace(evaluation, contended=False)
        return evaluation, evaluation.contention

    def _count_infrastructure(self, evaluation: Evaluation) -> None:
        """A GPU on which nothing goes well is left out; where another reason is possible, or there is no GPU, the slot is given up."""
        mine, gpu, detail = self._in_a_row[self._slots.mine], evaluation.gpu, evaluation.detail
        if evaluation.outcome is not EvaluationOutcome.INFRASTRUCTURE:
            mine.failures = 0
            self._failures_on.pop(gpu, None)
            return
        if gpu:
            self._failures_on[gpu] = self._failures_on.get(gpu, 0) + 1
        if not gpu or evaluation.reason == Ending.ENGINE_FAILED:
            mine.failures += 1
        if gpu and self._failures_on[gpu] >= MAX_INFRASTRUCTURE_FAILURES:
            mine.failures = 0
            self._leave_out(gpu, detail)
        if mine.failures >= MAX_INFRASTRUCTURE_FAILURES:
            raise EngineFails(
                f"the engine failed {mine.failures} times in a row ({detail}); repair it, then "
                "`autoresearch run --resume` goes on"
            )
        with self._turn.given_up():
            self.recorder.clock.sleep(self._pause_s * max(mine.failures, 1))

    def _leave_out(self, gpu: str, why: str) -> None:
        """Until the run is resumed. Raises EngineFails where it was the last one, FewerGpus where there are more slots than GPUs now."""
        left = self.pipeline.leases.leave_out(gpu)
        self.most_at_once = min(self.most_at_once, left)
        self.recorder.emit("gpu_left_out", gpu=gpu, left=left, why=why)
        if left < self._slots.count:
            raise (FewerGpus if left else EngineFails)(
                f"{gpu} failed {MAX_INFRASTRUCTURE_FAILURES} times in a row ({why}); repair it, then "
                "`autoresearch run --resume` goes on"
            )


def _has_no_time(error: Exception) -> bool:
    return isinstance(error, EndedWhileClosed) and error.reason == TIME_BUDGET_EXHAUSTED


def _untrained(source: bytes, seed: int, folder: Path, why: str) -> Evaluation:
    return Evaluation(
        EvaluationOutcome.INFRASTRUCTURE,
        "no_device",
        None,
        seconds=0.0,
        seed=seed,
        train_sha256=hashlib.sha256(source).hexdigest(),
        params_sha256=None,
        log_tail="",
        folder=folder,
        detail=why,
    )
