"""Connects engine, images, data, judge and leases to one pipeline. The only module that knows them all."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from runner.cache import default_data, searched_folder
from runner.durations import parse_duration
from runner.errors import PrerequisiteMissing
from runner.protocols import Conditions
from runner.store.config import Config
from sandbox.spec import GIB, Limits

if TYPE_CHECKING:
    from runner.evaluation.pipeline import Leases, Pipeline
    from runner.images.build import Images
    from sandbox.docker_engine import DockerEngine
    from sandbox.engine import Engine

CPU_VOCABULARY, CPU_SEQUENCE = 2048, 256
GPU_VOCABULARY, GPU_SEQUENCE = 8192, 2048
DEMO_VOCABULARY, DEMO_SEQUENCE, DEMO_HELD_OUT_BYTES = 512, 64, 100_000
"""Of a demonstration: about 20 held-out documents a split. The judge checks a model as strictly on them as on any other text."""


@dataclass(frozen=True, slots=True)
class Environment:
    """Everything a verb needs to evaluate a script."""

    engine: Engine
    images: Images
    data: Path
    pipeline: Pipeline
    unenforced_limits: Callable[[], str]
    """Tests the limits on the real engine (some seconds): which are not enforced, as a sentence; empty when all are."""
    conditions: Conditions = field(default_factory=Conditions)
    busy: Callable[[], str] = lambda: ""
    """Measures for some seconds; a sentence where others use the CPUs that a training gets, else empty."""
    require_unseen: Callable[[str], None] = lambda _: None
    """Raises DataError when held-out text lies in an image (a content id); done for the candidate's already."""


def connect(config: Config) -> DockerEngine:
    """Raises EngineUnavailable."""
    from sandbox.docker_engine import DockerEngine

    return DockerEngine.connect(runtime=config.runtime or None)


def set_up(
    config: Config,
    *,
    data: Path | None = None,
    wall_clock_s: float | None = None,
    progress: Callable[[str], None] = lambda _: None,
    waiting: Callable[[str], None] | None = None,
) -> Environment:
    """Raises SandboxError, PrerequisiteMissing or DataCorrupt, each with what to do. The data stay locked against being
    replaced as long as the environment is referenced. `waiting` (default `progress`) is called when a training has to wait for
    CPUs or a GPU."""
    from judge.heldout import load
    from judge.judge import Judge, JudgeLimits
    from runner.data.dataset_lock import DatasetLock
    from runner.data.leak_check import ImageLeakCheck
    from runner.evaluation.contention import busy_machine
    from runner.evaluation.pipeline import Pipeline
    from runner.images.build import find_images
    from runner.store.free_space import refuse_below_floor, written_folders
    from sandbox.prerequisites import unenforced_limits

    folder = data or (Path(config.data) if config.data else default_data(config.variant))
    dataset_lock = DatasetLock(folder)
    folder = dataset_lock.folder
    engine = connect(config)
    images = find_images(engine, config.variant)
    refuse_below_floor(config.disk_floor_gb, written_folders(engine))

    def require_unseen(image: str) -> None:
        ImageLeakCheck(engine, image, searched_folder(), progress).require_unseen(folder)

    require_unseen(images.candidate.id)
    memory = int(config.memory_gb * GIB)
    judge = Judge(
        engine,
        images.judge.id,
        {split: load(folder, split) for split in ("val", "test")},
        limits=JudgeLimits(wall_clock_s=parse_duration(config.judge_wall_clock), memory_bytes=memory),
    )
    limits = Limits(
        wall_clock_s=wall_clock_s or parse_duration(config.wall_clock), memory_bytes=memory, pids=config.pids
    )
    pipeline = Pipeline(
        engine=engine,
        image=images.candidate.id,
        judge=judge,
        leases=leases(config, waiting or progress),
        train_data=folder / "train",
        limits=limits,
        preset="gpu" if config.gpus else "cpu",
        require_ready=dataset_lock.require_unchanged,
    )
    if config.compile_check != "off":
        from runner.evaluation.compile_check import checked

        pipeline = checked(pipeline, parse_duration(config.compile_check))
    conditions = Conditions(
        variant=config.variant,
        cpus=config.cpus or len(os.sched_getaffinity(0)),
        cpu_model=cpu_model(),
        judge_wall_clock_s=parse_duration(config.judge_wall_clock),
    )
    return Environment(
        engine,
        images,
        folder,
        pipeline,
        lambda: unenforced_limits(engine, images.candidate.id),
        conditions,
        (lambda: "") if config.gpus else (lambda: busy_machine(pipeline.leases)),
        require_unseen,
    )


def cpu_model() -> str:
    """The CPU model, "" if unknown: XLA's code for another model may round differently."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return ""


def leases(config: Config, waiting: Callable[[str], None] = lambda _: None) -> Leases:
    """CPU sets, or whole GPUs when some are named; `waiting` is called with the reason when they are not free."""
    from sandbox.lease import CpuLeases, GpuLeases

    cpus = CpuLeases(config.cpus or len(os.sched_getaffinity(0)), waiting=waiting)
    if not config.gpus:
        return cpus
    from sandbox.gpu import NvmlProbe

    if config.variant == "cpu":
        raise PrerequisiteMissing(
            "gpus are named but the images are for CPUs: set variant to cuda12 or cuda13"
        )
    return GpuLeases([uuid.strip() for uuid in config.gpus.split(",")], NvmlProbe(), cpus, waiting=waiting)
