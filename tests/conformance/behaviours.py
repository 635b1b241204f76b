"""One set of behaviours, and an engine to try them on."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sandbox.engine import BuildContext, Engine
from sandbox.outcome import Outcome
from sandbox.spec import MIB, Job, Lease, Limits, Output, Role

PYTHON = "/opt/venv/bin/python"


@dataclass(frozen=True)
class Candidate:
    """One behaviour twice: as a program for a real engine, and as a function that does to the destination what
    the program does to /out (and may answer with a Script)."""

    program: str
    pretend: Callable[[Path], object]


@dataclass
class Bench:
    engine: Engine
    image: str
    folder: Path
    dockerfile: str
    python: str = PYTHON
    name: str = field(default_factory=lambda: f"conform-{secrets.token_hex(4)}")
    playing: Candidate | None = None

    def job(self, candidate: Candidate, **changes: Any) -> Job:
        self.playing = candidate
        destination = self.folder / secrets.token_hex(4)
        destination.mkdir()
        options: dict[str, Any] = {
            "run": self.name,
            "experiment": "1",
            "attempt": 1,
            "role": Role.TRAIN,
            "image": self.image,
            "command": (self.python, "-I", "-B", "-u", "-c", candidate.program),
            "limits": Limits(wall_clock_s=20, memory_bytes=128 * MIB, pids=32, out_bytes=8 * MIB),
            "lease": Lease(cpus=(min(os.sched_getaffinity(0)),)),
            "destination": destination,
            "outputs": (Output("a", 1000), Output("b", 1000)),
        }
        return Job(**{**options, **changes})

    def run(self, candidate: Candidate, **changes: Any) -> Outcome:
        return self.engine.run(self.job(candidate, **changes))

    def build(self, **changes: Any) -> BuildContext:
        options: dict[str, Any] = {
            "dockerfile": self.dockerfile,
            "files": {"note": b"hello"},
            "labels": {"dev.autoresearch.test": self.name},
            "tags": (f"autoresearch/test-{self.name}:1",),
        }
        return BuildContext(**{**options, **changes})
