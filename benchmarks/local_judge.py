"""The judge's verdict on an artifact without a container engine: its own code, its jobs as plain processes of this machine.

For artifacts of our own train.py alone: nothing is confined.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from judge import heldout
from judge.judge import Judge
from judge.verdict import Verdict
from sandbox.outcome import CollectedFile, Ending, Outcome
from sandbox.spec import Job, Lease

ROOT = Path(__file__).resolve().parents[1]


class ProcessEngine:
    """As much of `sandbox.engine.Engine` as the judge uses; all jobs together have `limit_s` seconds. `seconds` is how long each took."""

    def __init__(self, limit_s: float) -> None:
        self.deadline = time.monotonic() + limit_s
        self.seconds: dict[str, float] = {}
        self.log = ""

    def run(self, job: Job) -> Outcome:
        question, artifact = (
            next(mount.source for mount in job.mounts if mount.target == at) for at in ("/judge", "/art")
        )
        folders = {"JUDGE": question, "ART": artifact, "OUT": job.destination}
        environment = {
            **os.environ,
            **job.environment,
            **{f"AUTORESEARCH_{name}": str(folder) for name, folder in folders.items()},
            "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]),
        }
        command = [sys.executable, "-B", "-m", "judge.inside", str(question / "request.json")]
        started, ending, code = time.monotonic(), Ending.EXITED, None
        try:
            done = subprocess.run(
                command,
                env=environment,
                capture_output=True,
                text=True,
                timeout=max(1.0, min(job.limits.wall_clock_s, self.deadline - started)),
                check=False,
            )
            code, self.log = done.returncode, done.stderr
        except subprocess.TimeoutExpired:
            ending = Ending.TIMED_OUT
        seconds = time.monotonic() - started
        role = f"{job.role} {len(self.seconds) + 1}"
        self.seconds[role] = seconds
        found = {output.name: job.destination / output.name for output in job.outputs}
        files = {
            name: CollectedFile(path, path.stat().st_size, "")
            for name, path in found.items()
            if path.is_file()
        }
        return Outcome(ending, code, seconds, self.log, files)


def score(
    data: Path, artifact: Path, gpu_uuid: str | None, limit_s: float
) -> tuple[Verdict, dict[str, float], str]:
    """The verdict on the validation text, the seconds of each job, and the end of the last one's log. Raises judge.heldout.DataCorrupt.
    `gpu_uuid` only says that there is a GPU; all jobs together have `limit_s` seconds."""
    engine = ProcessEngine(limit_s)
    judge = Judge(engine, "none", {"val": heldout.load(data, "val")})  # type: ignore[arg-type]
    with tempfile.TemporaryDirectory() as scratch:
        verdict = judge.score(
            artifact,
            "val",
            run="benchmark",
            experiment="1",
            attempt=1,
            lease=Lease((0,), gpu_uuid),
            scratch=Path(scratch),
        )
    return verdict, engine.seconds, engine.log[-400:]
