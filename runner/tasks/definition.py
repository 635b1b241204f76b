"""What task.toml says, as frozen values: the metric, the files that may change, the stages and the scorer's limits.

`read_task` checks the folder as a whole. Nothing of it is run or imported.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from sandbox.spec import Limits, Output

DEFINITION, MEMO, PREPARE, EVALUATE = "task.toml", "program.md", "prepare.py", "evaluate.py"
START, FIXED, CALIBRATION, SOURCE = "start", "fixed", "calibration", "source"
"""Folders: the files that a candidate may rewrite, files of its stages that it may not (optional), known submissions, and what
prepare.py reads (optional)."""


class Direction(StrEnum):
    MINIMIZE = "minimize"
    MAXIMIZE = "maximize"


@dataclass(frozen=True, slots=True)
class Metric:
    """`worst` is the worst score that is ever recorded: a number without a bound could carry hidden data."""

    name: str
    direction: Direction
    unit: str
    worst: float

    def better(self, score: float, other: float) -> bool:
        """Whether `score` is strictly better than `other`."""
        return score < other if self.direction is Direction.MINIMIZE else score > other

    def bounded(self, score: float) -> float:
        """The score, or `worst` where it is worse than that."""
        return self.worst if self.better(self.worst, score) else score

    def worse_by(self, score: float, other: float) -> float:
        """By how much `score` is worse than `other`, in the metric's unit; negative where it is better."""
        return score - other if self.direction is Direction.MINIMIZE else other - score


@dataclass(frozen=True, slots=True)
class StageInput:
    """An output of an earlier stage."""

    stage: str
    name: str


@dataclass(frozen=True, slots=True)
class Stage:
    """One untrusted container. It sees the candidate's files, fixed/ and what is named here, and nothing else."""

    name: str
    run: str
    """The file that is started, of the editable or the fixed ones."""
    arguments: tuple[str, ...]
    public: bool
    """Whether it sees public/."""
    hidden: tuple[str, ...]
    """Names in private/inputs/ that it sees."""
    inputs: tuple[StageInput, ...]
    outputs: tuple[Output, ...]
    limits: Limits


@dataclass(frozen=True, slots=True)
class Scorer:
    """The trusted last stage. `reasons` are the words by which it may call outputs invalid, `details` what the agent may be told
    besides the score."""

    limits: Limits
    reasons: tuple[str, ...]
    details: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Task:
    """A task's folder, read and checked."""

    folder: Path
    name: str
    summary: str
    files: tuple[str, ...]
    """Paths in start/ that a candidate may rewrite."""
    fixed: tuple[str, ...]
    """Paths in fixed/."""
    metric: Metric
    stages: tuple[Stage, ...]
    scorer: Scorer
    cpus: int
    calibration: tuple[str, ...]
    """Folders of calibration/, and "start", from the worst score to the best."""

    @property
    def secret_stages(self) -> frozenset[str]:
        """Stages that see hidden inputs, or something made from them: what they print is told to nobody but the operator."""
        secret: set[str] = set()
        for stage in self.stages:
            if stage.hidden or any(item.stage in secret for item in stage.inputs):
                secret.add(stage.name)
        return frozenset(secret)

    def start(self) -> dict[str, bytes]:
        """The editable files as they begin."""
        return {name: (self.folder / START / name).read_bytes() for name in self.files}

    def submission(self, name: str) -> dict[str, bytes]:
        """The editable files of a calibration submission; a file that it does not have is that of start/."""
        files = self.start()
        if name != START:
            folder = self.folder / CALIBRATION / name
            files |= {each: (folder / each).read_bytes() for each in self.files if (folder / each).is_file()}
        return files
