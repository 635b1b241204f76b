"""The host half of the judge: what to ask the two containers, and what their answers are worth.

Container B gets the blind probe, a fresh container C the whole text. Neither ever runs a line of the candidate's Python,
and nothing they say is believed beyond an array of numbers of the exact size and range that was asked for.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from judge import probe
from judge.heldout import HeldOut
from judge.verdict import Reason, Verdict
from sandbox.engine import Engine
from sandbox.outcome import Ending, Fault, Outcome
from sandbox.spec import GIB, MIB, Job, Lease, Limits, Mount, Output, Role

JUDGE_VERSION = "1"
"""Raised by hand whenever a score or a refusal could come out differently."""
PYTHON = "/opt/venv/bin/python"
REQUEST_SCHEMA = "autoresearch/judge/1"


@dataclass(frozen=True, slots=True)
class ProgramLimits:
    """Caps on the artifact, checked before anything is compiled. Bytes, unless the name says otherwise."""

    model_bytes: int = 8 * MIB
    params_bytes: int = 2 * GIB
    ops: int = 200_000
    depth: int = 64
    constant_bytes: int = 1 * MIB
    tensor_bytes: int = 4 * GIB


@dataclass(frozen=True, slots=True)
class JudgeLimits:
    """`wall_clock_s` is for each of the two containers; `probes` is how many blind positions are asked."""

    wall_clock_s: float = 120.0
    memory_bytes: int = 6 * GIB
    probes: int = 512
    program: ProgramLimits = ProgramLimits()


class Judge:
    """Scores artifacts on held-out text. `rng` makes the secret probe plan anew for every verdict."""

    def __init__(
        self,
        engine: Engine,
        image: str,
        heldout: dict[str, HeldOut],
        *,
        eval_batch: int = 16,
        limits: JudgeLimits | None = None,
        rng: Callable[[], np.random.Generator] = np.random.default_rng,
    ) -> None:
        self._engine = engine
        self._image = image
        self._heldout = heldout
        self._batch = eval_batch
        self._limits = limits or JudgeLimits()
        self._rng = rng

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
    ) -> Verdict:
        """Judge the folder `artifact` (model.stablehlo, params.safetensors) on `split`. `scratch` is an empty folder
        for questions and answers. Raises KeyError for an unknown split; everything else is in the verdict."""
        started = time.monotonic()
        data = self._heldout[split]
        plan = probe.plan(data.rows, self._limits.probes, self._rng())

        def ask(
            role: Role, rows: NDArray[np.int32], cuts: NDArray[np.int64] | None
        ) -> NDArray[np.float32] | Verdict:
            return self._ask(artifact, data, rows, cuts, _Ids(run, experiment, attempt, lease, scratch, role))

        logits = ask(Role.JUDGE_BLIND, plan.inputs, plan.cut)
        if isinstance(logits, Verdict):
            return logits
        nats = ask(Role.JUDGE_SCORE, data.rows.tokens, None)
        if isinstance(nats, Verdict):
            return nats
        if not (np.isfinite(logits).all() and np.isfinite(nats).all() and (nats >= 0).all()):
            return Verdict(reason=Reason.NOT_FINITE)
        blind = probe.blind_nats(logits, plan.target)
        if not probe.agrees(blind, nats[plan.row, plan.cut].astype(np.float64)):
            return Verdict(reason=Reason.NOT_CAUSAL)
        scored = data.rows.scored
        sums = np.bincount(
            data.rows.document[scored],
            weights=nats[scored].astype(np.float64),
            minlength=len(data.document_bytes),
        )
        return Verdict(
            val_bpb=float(sums.sum() / np.log(2) / data.document_bytes.sum()),
            document_nats=np.asarray(sums, np.float64),
            document_bytes=data.document_bytes,
            seconds=time.monotonic() - started,
            judge_version=JUDGE_VERSION,
        )

    def _ask(
        self,
        artifact: Path,
        data: HeldOut,
        rows: NDArray[np.int32],
        cuts: NDArray[np.int64] | None,
        ids: _Ids,
    ) -> NDArray[np.float32] | Verdict:
        """Run one judge container. Its answer is float32[K, V] with cuts, float32[N, T] without."""
        count = len(rows)
        padded = _pad(rows, self._batch)
        question = ids.scratch / f"{ids.role}-question"
        answer = ids.scratch / f"{ids.role}-answer"
        question.mkdir(mode=0o755)
        answer.mkdir(mode=0o755)
        request = {
            "schema": REQUEST_SCHEMA,
            "mode": "score" if cuts is None else "blind",
            "rows": len(padded),
            "batch": self._batch,
            "seq_len": data.seq_len,
            "vocab_size": data.vocab_size,
            "limits": asdict(self._limits.program),
        }
        (question / "request.json").write_text(json.dumps(request))
        with (question / "rows.bin").open("wb") as file:
            file.write(padded.astype("<i4").tobytes())
            if cuts is not None:
                file.write(_pad(cuts[:, None], self._batch)[:, 0].astype("<i4").tobytes())
        name, width = ("nats.f32", data.seq_len) if cuts is None else ("logits.f32", data.vocab_size)
        size = len(padded) * width * 4
        outcome = self._engine.run(
            Job(
                run=ids.run,
                experiment=ids.experiment,
                attempt=ids.attempt,
                role=ids.role,
                image=self._image,
                command=(PYTHON, "-I", "-B", "-m", "judge.inside", "/judge/request.json"),
                limits=Limits(
                    wall_clock_s=self._limits.wall_clock_s,
                    memory_bytes=self._limits.memory_bytes,
                    pids=256,
                    out_bytes=size + 16 * MIB,
                    out_inodes=16,
                ),
                lease=ids.lease,
                destination=answer,
                mounts=(Mount(question, "/judge"), Mount(artifact, "/art")),
                outputs=(Output("result.json", 4096), Output(name, size)),
                environment={} if ids.lease.gpu_uuid else {"JAX_PLATFORMS": "cpu"},
            )
        )
        if verdict := _refused(outcome):
            return verdict
        found = outcome.files.get(name)
        if found is None or found.bytes != size:
            return Verdict(reason=Reason.CRASHED)
        array: NDArray[np.float32] = np.fromfile(found.path, "<f4").reshape(len(padded), width)[:count]
        for path in (found.path, question / "rows.bin"):
            path.unlink()
        return array


@dataclass(frozen=True, slots=True)
class _Ids:
    run: str
    experiment: str
    attempt: int
    lease: Lease
    scratch: Path
    role: Role


def _pad(rows: NDArray[np.int32] | NDArray[np.int64], batch: int) -> NDArray[np.int32]:
    """Whole batches: the last row is repeated; what it scores is thrown away."""
    missing = -len(rows) % batch
    return np.concatenate([rows, np.repeat(rows[-1:], missing, axis=0)]).astype(np.int32)


def _refused(outcome: Outcome) -> Verdict | None:
    """The verdict when the container gave no answer; None when it did."""
    if outcome.fault is Fault.INFRASTRUCTURE:
        return Verdict(infrastructure=outcome.detail or str(outcome.ending))
    if outcome.ending is Ending.TIMED_OUT:
        return Verdict(reason=Reason.TOO_SLOW)
    if outcome.ending is Ending.OUT_OF_MEMORY:
        return Verdict(reason=Reason.OUT_OF_MEMORY)
    result = outcome.files.get("result.json")
    try:
        word = json.loads(result.path.read_text())["reason"] if result else "crashed"
        return None if word is None else Verdict(reason=Reason(word))
    except (ValueError, KeyError, TypeError, OSError):
        return Verdict(reason=Reason.CRASHED)
