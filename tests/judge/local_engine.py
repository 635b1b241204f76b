"""An engine without containers: the judge's own command, in this process or in another, on the mounted folders.

It satisfies as much of `sandbox.engine.Engine` as the judge uses. In this process is quicker (no import of jax);
in another, a limit can strike.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sandbox.outcome import CollectedFile, Ending, Outcome
from sandbox.spec import Job


@dataclass
class LocalEngine:
    """`tamper` may change what a job left behind before it is collected; `jobs` is what was asked, in order;
    `ending` replaces the ending of a role."""

    subprocesses: bool = False
    tamper: Callable[[Job, Path], None] = lambda job, out: None
    endings: Mapping[str, Outcome] = field(default_factory=dict)
    jobs: list[Job] = field(default_factory=list)
    questions: list[bytes] = field(default_factory=list)
    log: str = ""

    def run(self, job: Job) -> Outcome:
        self.jobs.append(job)
        mounts = {mount.target: mount.source for mount in job.mounts}
        self.questions.append((mounts["/judge"] / "rows.bin").read_bytes())
        if job.role in self.endings:
            return self.endings[job.role]
        out = Path(tempfile.mkdtemp(dir=job.destination.parent))
        started = time.monotonic()
        ending, code = self._serve(job, mounts, out)
        self.tamper(job, out)
        files = {}
        for output in job.outputs:
            found = out / output.name
            if found.is_file() and found.stat().st_size <= output.max_bytes:
                copy = job.destination / output.name
                shutil.copyfile(found, copy)
                files[output.name] = CollectedFile(copy, copy.stat().st_size, "")
        return Outcome(ending, code, time.monotonic() - started, self.log, files)

    def _serve(self, job: Job, mounts: Mapping[str, Path], out: Path) -> tuple[Ending, int | None]:
        if not self.subprocesses:
            from judge.inside.serve import serve

            serve(mounts["/judge"] / "request.json", mounts["/judge"] / "rows.bin", mounts["/art"], out)
            return Ending.EXITED, 0
        names = {"JUDGE": mounts["/judge"], "ART": mounts["/art"], "OUT": out}
        paths = {f"AUTORESEARCH_{name}": str(path) for name, path in names.items()}
        command = [sys.executable, *job.command[1:-1], str(mounts["/judge"] / "request.json")]
        try:
            result = subprocess.run(
                command,
                env={**os.environ, **job.environment, **paths},
                capture_output=True,
                text=True,
                timeout=job.limits.wall_clock_s,
            )
        except subprocess.TimeoutExpired:
            return Ending.TIMED_OUT, None
        self.log = result.stderr
        return Ending.EXITED, result.returncode
