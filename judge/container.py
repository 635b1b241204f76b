"""Runs one judge container: writes its question, reads the one array it may return.

The answer was written by a process that ran an untrusted program. It is accepted only as numbers: of exactly the expected size,
finite and in range.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from judge.heldout import HeldOut
from judge.limits import JudgeLimits
from judge.verdict import Reason, Verdict
from sandbox.engine import Engine
from sandbox.mounts import make_folder, write_file
from sandbox.outcome import Ending, Fault, Outcome
from sandbox.spec import MIB, Job, Lease, Limits, Mount, Output, Role

PYTHON = "/opt/venv/bin/python"
REQUEST_SCHEMA = "autoresearch/judge/1"
RESULT_SCHEMA = "autoresearch/judge-result/1"
RESULT_BYTES = 4096
ARTIFACT = ("model.stablehlo", "params.safetensors")
# glibc keeps the memory of the logits between batches (mallopt(3)). If it returned it to the kernel, page faults would take a
# third of the time.
CPU_ENVIRONMENT = {
    "JAX_PLATFORMS": "cpu",
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": str(2**31 - 1),
    "MALLOC_TOP_PAD_": str(64 * MIB),
}
# All containers must run the same GPU kernels, or honest programs differ by more than rounding: no autotuning, and no kernel
# with an undefined order of sums (flags of XLA's debug_options_flags.cc).
GPU_ENVIRONMENT = {
    "JAX_PLATFORMS": "cuda",
    "XLA_FLAGS": "--xla_gpu_deterministic_ops=true --xla_gpu_autotune_level=0",
}


@dataclass(frozen=True, slots=True)
class Case:
    """The artifact to judge, the names for its containers' labels, the lease they run on and an empty folder for their files."""

    run: str
    experiment: str
    attempt: int
    lease: Lease
    artifact: Path
    scratch: Path


@dataclass(frozen=True, slots=True)
class JudgeContainer:
    """`image` is the judge image's content id, `batch` the B of the exported program."""

    engine: Engine
    image: str
    batch: int
    limits: JudgeLimits

    def blind(
        self,
        case: Case,
        data: HeldOut,
        inputs: NDArray[np.int32],
        cuts: NDArray[np.int64],
        question: str,
    ) -> NDArray[np.float32] | Verdict:
        """float32[M, V]: the logits of `inputs` (int32[M, T]) at `cuts` (int64[M]), or the verdict if there is no answer.
        `question` is the prefix of the folders in `case.scratch`."""
        content = inputs.astype("<i4").tobytes() + cuts.astype("<i4").tobytes()
        shape = (len(inputs), data.vocab_size)
        return self._ask(case, data, Role.JUDGE_BLIND, question, content, "logits.f32", shape)

    def score(self, case: Case, data: HeldOut) -> NDArray[np.float32] | Verdict:
        """float32[N, T]: the cross-entropy (nats) of every target of the split, or the verdict if there is no answer."""
        rows = data.rows.tokens
        filler = np.repeat(rows[:1], -len(rows) % self.batch, axis=0)  # completes the last batch; not counted
        padded = np.concatenate([rows, filler])
        shape = (len(padded), data.seq_len)
        content = padded.astype("<i4").tobytes()
        nats = self._ask(case, data, Role.JUDGE_SCORE, "score", content, "nats.f32", shape)
        if isinstance(nats, Verdict):
            return nats
        if (nats < 0).any():  # no normalised distribution has a negative cross-entropy
            return Verdict(reason=Reason.CRASHED)
        return nats[: len(rows)]

    def _ask(
        self,
        case: Case,
        data: HeldOut,
        role: Role,
        folder: str,
        rows: bytes,
        name: str,
        shape: tuple[int, int],
    ) -> NDArray[np.float32] | Verdict:
        question, answer, artifact = (
            case.scratch / f"{folder}-{part}" for part in ("question", "answer", "artifact")
        )
        for made in (question, answer, artifact):
            make_folder(made)
        _copy(case.artifact, artifact)
        request = {
            "schema": REQUEST_SCHEMA,
            "mode": "blind" if role is Role.JUDGE_BLIND else "score",
            "rows": shape[0],
            "batch": self.batch,
            "seq_len": data.seq_len,
            "vocab_size": data.vocab_size,
            "limits": asdict(self.limits.program),
        }
        write_file(question / "request.json", json.dumps(request).encode())
        write_file(question / "rows.bin", rows)
        size = shape[0] * shape[1] * 4
        try:
            outcome = self.engine.run(self._job(case, role, question, artifact, answer, Output(name, size)))
            return _refused(outcome) or _array(outcome, name, shape)
        finally:
            (question / "rows.bin").unlink(missing_ok=True)
            shutil.rmtree(artifact, ignore_errors=True)

    def _job(
        self, case: Case, role: Role, question: Path, artifact: Path, answer: Path, output: Output
    ) -> Job:
        return Job(
            run=case.run,
            experiment=case.experiment,
            attempt=case.attempt,
            role=role,
            image=self.image,
            command=(PYTHON, "-I", "-B", "-m", "judge.inside", "/judge/request.json"),
            limits=Limits(
                wall_clock_s=self.limits.wall_clock_s,
                memory_bytes=self.limits.memory_bytes,
                pids=256,
                out_bytes=output.max_bytes + 16 * MIB,
                out_inodes=16,
            ),
            lease=case.lease,
            destination=answer,
            mounts=(Mount(question, "/judge"), Mount(artifact, "/art")),
            outputs=(Output("result.json", RESULT_BYTES), output),
            environment=GPU_ENVIRONMENT if case.lease.gpu_uuid else CPU_ENVIRONMENT,
        )


def _copy(artifact: Path, folder: Path) -> None:
    """Copy both files of the artifact. Through a shared inode (page cache, locks, times) a program that broke out in one container
    could pass data to the next."""
    for name in ARTIFACT:
        shutil.copyfile(artifact / name, folder / name)
        (folder / name).chmod(0o444)


def _refused(outcome: Outcome) -> Verdict | None:
    """The verdict of a container that gave no answer; None if it reports one."""
    if outcome.fault is Fault.INFRASTRUCTURE:
        return Verdict(infrastructure=outcome.detail or str(outcome.ending))
    if outcome.ending is Ending.TIMED_OUT:
        return Verdict(reason=Reason.TOO_SLOW)
    if outcome.ending is Ending.OUT_OF_MEMORY:
        return Verdict(reason=Reason.OUT_OF_MEMORY)
    result = outcome.files.get("result.json")
    if result is None or result.bytes > RESULT_BYTES:
        return Verdict(reason=Reason.CRASHED)
    try:
        answer = json.loads(result.path.read_bytes())
        if set(answer) == {"schema", "reason"} and answer["schema"] == RESULT_SCHEMA:
            return None if answer["reason"] is None else Verdict(reason=Reason(answer["reason"]))
    except (ValueError, TypeError, RecursionError):
        pass
    return Verdict(reason=Reason.CRASHED)


def _array(outcome: Outcome, name: str, shape: tuple[int, int]) -> NDArray[np.float32] | Verdict:
    found = outcome.files.get(name)
    if found is None or found.bytes != shape[0] * shape[1] * 4:
        return Verdict(reason=Reason.CRASHED)
    array: NDArray[np.float32] = np.fromfile(found.path, "<f4").reshape(shape)
    found.path.unlink()
    return array if np.isfinite(array).all() else Verdict(reason=Reason.NOT_FINITE)
