"""The one pipeline that evaluates every script: train -> collect -> judge. `try`, `run`, `calibrate` and `reproduce` use it."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from judge.verdict import Reason, Verdict
from runner.evaluation.contention import CPU_SHARE, beside_strangers, contention, cpu_budget
from runner.protocols import Evaluation, EvaluationOutcome, Progress, State
from runner.scoring.early_stopping import TrainingMonitor
from runner.scoring.learning_curve import TELEMETRY
from sandbox.engine import Engine
from sandbox.gpu import GPU_USE
from sandbox.gpu_check import check_gpu
from sandbox.mounts import make_folder
from sandbox.outcome import Ending, Fault, Outcome, Refusal
from sandbox.spec import GIB, MIB, Job, Lease, Limits, Monitor, Mount, Output, Role

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PYTHON = "/opt/venv/bin/python"
MODEL, PARAMS = "model.stablehlo", "params.safetensors"
GPU_XLA_FLAGS = "--xla_gpu_autotune_level=0 --xla_gpu_enable_triton_gemm=false"
"""What a training on a GPU compiles with, because compiling counts against its wall clock: XLA's autotuning took 3.5 of the five
minutes on an H100, and the step it found was 3 % faster (docs/performance.md). A script may set its own before it uses JAX."""
JUDGING_FOLDERS = ("judge-val", "judge-test", "artifact-val", "artifact-test")
"""Of an attempt, while it is judged; the last two are an older version's."""
POSITIONS = "position_nats.npy"
"""float32[N, T]: what every target of the validation rows cost. Read by the host alone."""
OUTPUTS = (
    Output(MODEL, 8 * MIB),
    Output(PARAMS, 2 * GIB),
    Output(TELEMETRY, 4 * MIB),
    Output("clock.f64", 16 * MIB),
)

_OF_A_LOST_GPU = frozenset(
    {EvaluationOutcome.CRASH, EvaluationOutcome.NO_ARTIFACT, EvaluationOutcome.TIMEOUT_NO_ARTIFACT}
)
"""Outcomes that a GPU that fails while a script trains may be the reason for."""


class Scores(Protocol):
    """What the pipeline needs of a judge (`judge.judge.Judge`)."""

    def score(
        self,
        artifact: Path,
        split: str,
        *,
        run: str,
        experiment: str,
        attempt: int,
        lease: Lease,
        scratch: Path,
        reference: NDArray[np.float32] | None = None,
    ) -> Verdict: ...


class Leases(Protocol):
    """What the pipeline needs of `sandbox.lease.Leases`."""

    def acquire(self) -> AbstractContextManager[Lease]: ...

    def available(self) -> bool: ...

    def stop_waiting(self) -> None: ...

    def with_contention(self, lease: Lease) -> Lease: ...

    def quarantine(self, lease: Lease, why: str) -> None: ...

    def leave_out(self, uuid: str) -> int: ...


@dataclass(frozen=True, slots=True)
class Ids:
    run: str
    experiment: str
    attempt: int


@dataclass(frozen=True, slots=True)
class Pipeline:
    """What one evaluation needs. `image` is the candidate image's content id, `train_data` the only data it sees."""

    engine: Engine
    image: str
    judge: Scores
    leases: Leases
    train_data: Path
    limits: Limits
    eval_batch: int = 16
    preset: str = "cpu"
    announced_wall_clock_s: float | None = None
    """The wall clock that the script is given. None: `limits.wall_clock_s`; a replay has a longer limit."""
    cpu_share: float = CPU_SHARE
    """Of the leased CPUs' time, what a training may have; 0 where the wall clock alone ends it."""
    covers: tuple[Mount, ...] = ()
    """Mounts that hide files of the image from the training."""
    require_ready: Callable[[], None] = lambda: None
    """Called before and after every training; raises RunnerError when the training data changed."""

    @property
    def longest_training_s(self) -> float:
        """Longest time of container A, in seconds."""
        return self.limits.wall_clock_s

    def evaluate(
        self,
        source: bytes,
        ids: Ids,
        *,
        seed: int,
        folder: Path,
        progress: Progress = lambda _: None,
        replay: Path | None = None,
        reference: Path | None = None,
        monitor: TrainingMonitor | None = None,
    ) -> Evaluation:
        """Train `source` in container A and judge what it hands over. `folder` must be new; it keeps the copies.

        `replay` is a tape of clock answers (clock.f64) to be played back, `reference` the POSITIONS file of the best script's
        attempt. `monitor` reads the telemetry while the script trains, and may end it. Raises nothing for a failure of the script, the engine or the judge: that is the outcome. Raises what
        `require_ready` raises.
        """
        self.require_ready()
        folder.mkdir(parents=True, mode=0o755)
        script = folder / "train.py"
        script.write_bytes(source)
        script.chmod(0o444)
        with self.leases.acquire() as lease:
            progress(State.TRAINING)
            job = self._job(ids, lease, seed=seed, folder=folder, replay=replay)
            if monitor is not None:
                job = replace(job, monitor=Monitor(TELEMETRY, monitor.see))
            outcome = self._on_its_gpu(job, ids)
            if outcome.ending is Ending.UNKILLABLE:
                self.leases.quarantine(lease, f"{ids.run} {ids.experiment}: {outcome.detail}")
            # others on the GPU or the CPUs slowed the training
            afterwards = self.leases.with_contention(lease)
            others = contention(outcome, lease, self._cpu_budget(lease))
            self.require_ready()  # the data must not have changed during the training
            progress(State.TRAINED)
            (folder / "log.txt").write_text(outcome.log_tail)
            if outcome.gpu is not None:
                (folder / GPU_USE).write_text(json.dumps(asdict(outcome.gpu)) + "\n")
            found, reason = artifact(outcome)
            verdict = None
            if found is None:
                progress(State.COLLECTED)
                verdict = self.judged(folder, ids, lease, reference=reference)
                progress(State.JUDGED)
        if verdict is not None:
            found, reason = _judged(verdict)
        weights = outcome.files.get(PARAMS)
        detail = "" if found is EvaluationOutcome.STOPPED_EARLY else outcome.detail  # it is the reason
        return Evaluation(
            outcome=found or EvaluationOutcome.OK,
            reason=reason,
            val_bpb=_bounded(verdict) if verdict else None,
            seconds=outcome.seconds,
            seed=seed,
            train_sha256=hashlib.sha256(source).hexdigest(),
            params_sha256=weights.sha256 if weights else None,
            log_tail=outcome.log_tail,
            folder=folder,
            memory_peak_bytes=outcome.memory_peak_bytes,
            contended=afterwards.contended or bool(others),
            contention=others,
            beside_strangers=afterwards.contended or beside_strangers(outcome.gpu),
            detail=detail or (verdict.infrastructure if verdict else ""),
            timed_out=outcome.ending is Ending.TIMED_OUT,
            cpus=len(lease.cpus),
            gpu=lease.gpu_uuid or "",
            early_stop=monitor.reason if monitor else "",
        )

    def _on_its_gpu(self, job: Job, ids: Ids) -> Outcome:
        """The training's outcome; nobody's fault where its GPU cannot be had before it, or after it failed.

        A script that prints that it saw no GPU is not believed: it would be made again as often as it likes.
        """
        if (broken := self._broken_gpu(ids, job.lease)) is not None:
            return broken
        outcome = self._train(job)
        if (
            artifact(outcome)[0] in _OF_A_LOST_GPU
            and (broken := self._broken_gpu(ids, job.lease)) is not None
        ):
            return replace(broken, log_tail=outcome.log_tail, seconds=outcome.seconds)
        return outcome

    def _broken_gpu(self, ids: Ids, lease: Lease) -> Outcome | None:
        if lease.gpu_uuid is None:
            return None
        return check_gpu(
            self.engine, self.image, lease, run=ids.run, experiment=ids.experiment, attempt=ids.attempt
        )

    def _train(self, job: Job) -> Outcome:
        return self.engine.run(job)

    def judged(
        self, folder: Path, ids: Ids, lease: Lease, split: str = "val", reference: Path | None = None
    ) -> Verdict:
        """Judge the artifact in `folder`; its losses stay there (val only): per document as document_nats.npy, per position
        as POSITIONS. `reference` is such a file of the best script so far, which need not be there."""
        import numpy as np

        verdict = self._verdict(folder, ids, lease, split, reference)
        if verdict.reason is Reason.CRASHED and lease.gpu_uuid is not None:
            # its container may have got no GPU; once more, whatever it says, and then the GPU is looked at
            verdict = self._verdict(folder, ids, lease, split, reference)
            if verdict.reason is Reason.CRASHED and (broken := self._broken_gpu(ids, lease)) is not None:
                return Verdict(infrastructure=broken.detail or str(broken.ending))
        if verdict.document_nats is not None and verdict.document_bytes is not None and split == "val":
            np.save(folder / "document_nats.npy", verdict.document_nats)
            np.save(folder / "document_bytes.npy", verdict.document_bytes)
            if verdict.position_nats is not None:
                (folder / POSITIONS).touch(mode=0o600)
                np.save(folder / POSITIONS, verdict.position_nats)
        return verdict

    def _verdict(self, folder: Path, ids: Ids, lease: Lease, split: str, reference: Path | None) -> Verdict:
        scratch = folder / f"judge-{split}"
        remove_judging_files(folder)  # of a runner that was killed here
        make_folder(scratch)
        try:
            return self.judge.score(
                folder,
                split,
                run=ids.run,
                experiment=ids.experiment,
                attempt=ids.attempt,
                lease=lease,
                scratch=scratch,
                reference=_losses(reference) if split == "val" else None,
            )
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    @property
    def _announced_s(self) -> float:
        return self.announced_wall_clock_s or self.limits.wall_clock_s

    def _cpu_budget(self, lease: Lease) -> float:
        return cpu_budget(lease, self._announced_s, self.cpu_share)

    def _job(self, ids: Ids, lease: Lease, *, seed: int, folder: Path, replay: Path | None) -> Job:
        environment = {
            "AUTORESEARCH_SEED": str(seed),
            "AUTORESEARCH_WALL_CLOCK": f"{self._announced_s:g}",
            "AUTORESEARCH_EVAL_BATCH": str(self.eval_batch),
            "AUTORESEARCH_PRESET": self.preset,
        }
        if budget := self._cpu_budget(lease):
            environment["AUTORESEARCH_CPU_SECONDS"] = f"{budget:g}"
        if lease.gpu_uuid is None:
            environment["JAX_PLATFORMS"] = "cpu"
        else:
            # a GPU that JAX cannot use is an error, not a slow training on the CPU
            environment["JAX_PLATFORMS"] = "cuda"
            environment["XLA_FLAGS"] = GPU_XLA_FLAGS
        mounts = [Mount(folder / "train.py", "/work/train.py"), Mount(self.train_data, "/data"), *self.covers]
        if replay is not None:
            environment["AUTORESEARCH_CLOCK_REPLAY"] = "/replay/clock.f64"
            mounts.append(Mount(replay, "/replay/clock.f64"))
        return Job(
            run=ids.run,
            experiment=ids.experiment,
            attempt=ids.attempt,
            role=Role.TRAIN,
            image=self.image,
            command=(PYTHON, "-I", "-B", "-u", "/work/train.py"),
            limits=self.limits,
            lease=lease,
            destination=folder,
            mounts=tuple(mounts),
            outputs=OUTPUTS,
            environment=environment,
        )


def _losses(file: Path | None) -> NDArray[np.float32] | None:
    """What the best script lost at every position; None where the host has not kept it."""
    import numpy as np

    if file is None or not file.is_file():
        return None
    return np.load(file, allow_pickle=False)  # type: ignore[no-any-return]


def remove_judging_files(folder: Path) -> None:
    """Remove what judging writes into an attempt's folder and a killed runner leaves there: hidden text among it."""
    for name in JUDGING_FOLDERS:
        shutil.rmtree(folder / name, ignore_errors=True)


def remove_all_but_log(folder: Path) -> None:
    """Remove all files of an unfinished attempt except its script and its log."""
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.name not in {"train.py", "log.txt"}:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def artifact(outcome: Outcome) -> tuple[EvaluationOutcome | None, str | None]:
    """None when there is an artifact to judge. With a valid artifact, neither a non-zero exit code nor a kill at the wall
    clock is a failure."""
    if outcome.fault is Fault.INFRASTRUCTURE:
        return EvaluationOutcome.INFRASTRUCTURE, str(outcome.ending)
    if outcome.ending is Ending.STOPPED_EARLY:
        return EvaluationOutcome.STOPPED_EARLY, outcome.detail
    wanted = (MODEL, PARAMS)
    bad = [
        outcome.refusals[name]
        for name in wanted
        if outcome.refusals.get(name, Refusal.MISSING) != Refusal.MISSING
    ]
    if bad:
        return EvaluationOutcome.BAD_ARTIFACT, str(bad[0])
    if all(name in outcome.files for name in wanted):
        return None, None
    missing = next(name for name in wanted if name not in outcome.files)
    if outcome.ending is Ending.OUT_OF_MEMORY:
        return EvaluationOutcome.OOM, None
    if outcome.ending is Ending.TIMED_OUT:
        return EvaluationOutcome.TIMEOUT_NO_ARTIFACT, f"no_{missing.partition('.')[0]}"
    if outcome.exit_code != 0:
        return EvaluationOutcome.CRASH, None
    return EvaluationOutcome.NO_ARTIFACT, f"no_{missing.partition('.')[0]}"


def _bounded(verdict: Verdict) -> float | None:
    """At most the score of a uniform model: an unbounded score could carry hidden text."""
    scores = [score for score in (verdict.val_bpb, verdict.uniform_bpb) if score is not None]
    return None if verdict.val_bpb is None else min(scores)


def _judged(verdict: Verdict) -> tuple[EvaluationOutcome, str | None]:
    if verdict.infrastructure:
        return EvaluationOutcome.INFRASTRUCTURE, "judge"
    if verdict.reason is Reason.TOO_SLOW:
        return EvaluationOutcome.TOO_SLOW, None
    if verdict.reason is not None:
        return EvaluationOutcome.INVALID_MODEL, str(verdict.reason)
    return EvaluationOutcome.OK, None
