"""The specification of a container: every limit, mount and output, in one frozen value.

Nothing here talks to an engine. `Job` is the sandbox's only input and
`sandbox.outcome.Outcome` its only output.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB


class Role(StrEnum):
    """Why a container runs. It becomes a label, shown by `sandbox ls`."""

    TRAIN = "train"
    JUDGE_BLIND = "judge-blind"
    JUDGE_SCORE = "judge-score"
    STAGE = "stage"
    """An untrusted stage of a task (`runner.tasks`)."""
    TASK_SCORE = "task-score"
    """A task's trusted scorer."""
    EXTRACT = "extract"
    PROBE = "probe"
    HOLDER = "holder"


@dataclass(frozen=True, slots=True)
class Limits:
    """Hard limits of one container. Sizes are bytes, times are seconds of the host's monotonic clock."""

    wall_clock_s: float
    memory_bytes: int = 6 * GIB
    """Memory and swap together: swap is never granted."""
    pids: int = 512
    shm_bytes: int = 256 * MIB
    tmp_bytes: int = 512 * MIB
    tmp_inodes: int = 4096
    out_bytes: int = 1 * GIB
    out_inodes: int = 64
    open_files: int = 4096
    log_bytes: int = 256 * KIB
    """Size of the log: the first quarter of it for the beginning of the output, the rest for the end. It counts as memory of the
    container."""


@dataclass(frozen=True, slots=True)
class Lease:
    """The compute that one container may use, held for its whole life.

    `cpus` are host CPU numbers (the cpuset); `gpu_uuid` is an NVML UUID ("GPU-…" or "MIG-…"), never an
    index. `contended` says that somebody else's process was seen on the GPU while it was held.
    """

    cpus: tuple[int, ...]
    gpu_uuid: str | None = None
    contended: bool = False


@dataclass(frozen=True, slots=True)
class Mount:
    """A host folder or file the container may read at `target` (absolute). Always read-only."""

    source: Path
    target: str


@dataclass(frozen=True, slots=True)
class Output:
    """A fixed name in /out that is copied out after every process in the container is dead."""

    name: str
    max_bytes: int


@dataclass(frozen=True, slots=True)
class Monitor:
    """A file in /out that is read every few seconds while the container runs, and a function that may end the container.

    `see` gets the bytes that were added since the last read. If it returns a sentence, the container ends; if it returns an empty text,
    the container continues. The candidate writes the file, so the bytes can be anything or missing. `see` must not raise for them, and
    nothing may be concluded from them to the candidate's advantage.
    """

    name: str
    see: Callable[[bytes], str]


@dataclass(frozen=True, slots=True)
class Job:
    """One container, start to end."""

    run: str
    experiment: str
    attempt: int
    role: Role
    image: str
    """The image's content id, "sha256:…". A tag is refused, because a tag can move."""
    command: tuple[str, ...]
    limits: Limits
    lease: Lease
    destination: Path
    """An existing, empty host folder: the collected copies are put there under the outputs' names."""
    mounts: tuple[Mount, ...] = ()
    outputs: tuple[Output, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    monitor: Monitor | None = field(default=None, compare=False)
