"""The compile check: two steps of a new script, before its training.

The same container under the same limits, with a shorter wall clock. AUTORESEARCH_COMPILE_CHECK makes the harness report the
end of the time budget with the second batch. So the check covers compilation, export, the first steps and writing the
weights, and measures their memory. A crash in the check counts as the script's crash. A check that ran out of time or
wrote no weights decides nothing: the real training does. A script is checked once in a session.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

from runner.evaluation.compile_report import REPORT
from runner.evaluation.pipeline import MODEL, Pipeline, artifact
from runner.protocols import EvaluationOutcome
from sandbox.outcome import Outcome
from sandbox.spec import Job

_CONCLUSIVE = frozenset(
    {
        EvaluationOutcome.CRASH,
        EvaluationOutcome.OOM,
        EvaluationOutcome.BAD_ARTIFACT,
        EvaluationOutcome.INFRASTRUCTURE,
    }
)
"""Outcomes of the check that end the attempt. No script that could have got a score may fail here."""
_MAX_TELEMETRY = 1 << 20


@dataclass(frozen=True, slots=True)
class CompileCheckedPipeline(Pipeline):
    """A pipeline that begins with a compile check of at most `check_s` seconds. `passed` holds the scripts' hashes."""

    check_s: float = 60.0
    passed: set[str] = field(default_factory=set, compare=False)

    @property
    def longest_training_s(self) -> float:
        return self.limits.wall_clock_s + self._limit_s

    @property
    def _limit_s(self) -> float:
        return min(self.check_s, self.limits.wall_clock_s)

    def _train(self, job: Job) -> Outcome:
        """The outcome of the check, if that ends the attempt, else that of the training."""
        digest = hashlib.sha256((job.destination / "train.py").read_bytes()).hexdigest()
        if digest not in self.passed:
            outcome = self._check(job)
            if artifact(outcome)[0] in _CONCLUSIVE:
                return replace(outcome, files={}, detail=outcome.detail or "in the compile check")
            self.passed.add(digest)
        return self.engine.run(job)

    def _check(self, job: Job) -> Outcome:
        folder = job.destination / "check"
        folder.mkdir(mode=0o755)
        try:
            outcome = self.engine.run(
                replace(
                    job,
                    destination=folder,
                    limits=replace(job.limits, wall_clock_s=self._limit_s),
                    environment={**job.environment, "AUTORESEARCH_COMPILE_CHECK": "1"},
                    monitor=None,
                )
            )
            found = artifact(outcome)[0]
            model = outcome.files.get(MODEL)
            report = {
                "outcome": str(found or EvaluationOutcome.OK),
                "seconds": round(outcome.seconds, 2),
                "memory_peak_bytes": outcome.memory_peak_bytes,
                "device_memory_bytes": _device_memory(folder / "telemetry.jsonl"),
                "model_bytes": model.bytes if model else None,
            }
            (job.destination / REPORT).write_text(json.dumps(report) + "\n")
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        return outcome


def checked(pipeline: Pipeline, check_s: float) -> CompileCheckedPipeline:
    """`pipeline` with a compile check of at most `check_s` seconds."""
    return CompileCheckedPipeline(
        **{item.name: getattr(pipeline, item.name) for item in fields(pipeline)}, check_s=check_s
    )


def _device_memory(telemetry: Path) -> int | None:
    """Peak bytes as the script's device counted them. The script wrote this: a number for people, never for decisions."""
    with contextlib.suppress(OSError, ValueError, RecursionError):
        for line in reversed(telemetry.read_bytes()[-_MAX_TELEMETRY:].splitlines()):
            entry = json.loads(line)
            value = entry.get("device_memory_bytes") if isinstance(entry, dict) else None
            if isinstance(value, int) and 0 <= value < 1 << 50:
                return value
    return None
