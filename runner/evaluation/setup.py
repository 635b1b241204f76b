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
from runner.evaluation.device_selection import CPU, GPU, Devices, Host, host_memory, host_of, resolve
from runner.protocols import Conditions
from runner.store.config import Config
from sandbox.engine import ImageMissing, SandboxError
from sandbox.gpu import GpuProbe
from sandbox.gpu_host import refused_by_gvisor
from sandbox.nvml import NvmlProbe
from sandbox.spec import Limits

if TYPE_CHECKING:
    from runner.data.dataset_lock import DatasetLock
    from runner.evaluation.pipeline import Leases, Pipeline
    from runner.images.build import Images
    from sandbox.docker_engine import DockerEngine
    from sandbox.engine import Engine

CPU_VOCABULARY, CPU_SEQUENCE = 2048, 256
GPU_VOCABULARY, GPU_SEQUENCE = 8192, 2048
DEMO_VOCABULARY, DEMO_SEQUENCE, DEMO_HELD_OUT_BYTES = 512, 64, 100_000
"""Of a demonstration: about 20 held-out documents a split. The judge checks a model as strictly on them as on any other text."""
_COURTEOUS_PATIENCE_S = 86400.0
"""A run that has given its device to another one waits for it as long as a run may last."""


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
    devices: Devices = field(default_factory=lambda: Devices(CPU, CPU, "cpu", 1, 0, 0, "the CPU"))


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
    from runner.data.leak_check import ImageLeakCheck
    from runner.evaluation.contention import busy_machine
    from runner.evaluation.pipeline import Pipeline
    from runner.store.disk_floor import refuse_below_floor, written_folders
    from sandbox.prerequisites import unenforced_limits

    named = data or (Path(config.data) if config.data else None)
    dataset_lock = _locked(named) if named else None
    engine, probe = connect(config), NvmlProbe()
    engine.gpus = probe
    devices = resolve(config, host_of(engine, probe))
    if why := refused_by_runtime(engine, devices, probe):
        raise PrerequisiteMissing(f"{why}; --gpus none trains on the CPU")
    progress(f"on {devices.sentence}")
    images = images_for(engine, devices)
    dataset_lock = dataset_lock or default_data_for(devices)
    folder = dataset_lock.folder
    require_preset(folder, devices.kind, devices.variant)
    refuse_below_floor(config.disk_floor_gb, written_folders(engine))

    def require_unseen(image: str) -> None:
        ImageLeakCheck(engine, image, searched_folder(), progress).require_unseen(folder)

    require_unseen(images.candidate.id)
    judge = Judge(
        engine,
        images.judge.id,
        {split: load(folder, split) for split in ("val", "test")},
        limits=JudgeLimits(
            wall_clock_s=parse_duration(config.judge_wall_clock), memory_bytes=devices.memory_bytes
        ),
    )
    limits = Limits(
        wall_clock_s=wall_clock_s or parse_duration(config.wall_clock),
        memory_bytes=devices.memory_bytes,
        shm_bytes=devices.shm_bytes,
        pids=config.pids,
    )
    pipeline = Pipeline(
        engine=engine,
        image=images.candidate.id,
        judge=judge,
        leases=leases(devices, probe, waiting or progress, courtesy=config.courtesy),
        train_data=folder / "train",
        limits=limits,
        preset=devices.kind,
        require_ready=dataset_lock.require_unchanged,
    )
    if config.compile_check != "off":
        from runner.evaluation.compile_check import checked

        pipeline = checked(pipeline, parse_duration(config.compile_check))
    conditions = Conditions(
        variant=devices.variant,
        cpus=devices.cpus,
        cpu_model=cpu_model(),
        device=devices.model,
        judge_wall_clock_s=parse_duration(config.judge_wall_clock),
    )
    return Environment(
        engine,
        images,
        folder,
        pipeline,
        lambda: unenforced_limits(engine, images.candidate.id),
        conditions,
        (lambda: "") if devices.kind == GPU else (lambda: busy_machine(pipeline.leases)),
        require_unseen,
        devices,
    )


def refused_by_runtime(engine: DockerEngine, devices: Devices, probe: GpuProbe) -> str:
    """Why the engine's OCI runtime gives containers none of these GPUs; empty where it does, or none is used."""
    driver = probe.driver()
    if devices.kind != GPU or driver is None:
        return ""
    info = engine.client.info()
    runtime = engine.dialect.runtime or str(info.get("DefaultRuntime") or "")
    split = any(gpu.part is not None for gpu in devices.gpus)
    return refused_by_gvisor(driver.version, info.get("Runtimes") or {}, runtime, split=split)


def automatic_variant(progress: Callable[[str], None] = lambda _: None) -> str:
    """The images and data that this machine needs. Raises SandboxError; without an engine its GPUs decide."""
    probe = NvmlProbe()
    try:
        host = host_of(connect(Config()), probe)
    except SandboxError:
        host = Host(probe, os.environ, "unknown", host_memory(), len(os.sched_getaffinity(0)))
    devices = resolve(Config(), host)
    progress(f"the {devices.variant} variant, for {devices.sentence}")
    return devices.variant


def require_preset(folder: Path, kind: str, variant: str) -> None:
    """Raises PrerequisiteMissing for data that were made in the usual sizes of the other kind of device."""
    from runner.data.manifest import load_manifest

    sizes = {CPU: (CPU_VOCABULARY, CPU_SEQUENCE), GPU: (GPU_VOCABULARY, GPU_SEQUENCE)}
    manifest = load_manifest(folder)
    vocabulary, length = manifest.vocab_size, manifest.seq_len
    if (vocabulary, length) != sizes[GPU if kind == CPU else CPU]:
        return
    there, here = ("CPUs", "GPUs") if kind == GPU else ("GPUs", "CPUs")
    name = manifest.name if manifest.name in {"default", "climbmix"} else "PATH"
    raise PrerequisiteMissing(
        f"the data in {folder} are for {there} (vocabulary {vocabulary}, rows of {length}), and scripts train on {here} here: "
        f"`autoresearch data prepare --dataset {name} --variant {variant}` makes them for {here}"
    )


def _locked(folder: Path) -> DatasetLock:
    from runner.data.dataset_lock import DatasetLock

    return DatasetLock(folder)


def default_data_for(devices: Devices) -> DatasetLock:
    """The default data of these devices. Raises PrerequisiteMissing."""
    folder = default_data(devices.variant)
    if devices.kind == GPU and not folder.is_dir():
        raise PrerequisiteMissing(
            f"there is no prepared data for GPUs in {folder}: `autoresearch data prepare --variant {devices.variant}` makes the default "
            "data, with --dataset PATH your own; --gpus none trains on the CPU"
        )
    return _locked(folder)


def images_for(engine: Engine, devices: Devices) -> Images:
    """Raises PrerequisiteMissing."""
    from runner.images.build import find_images

    try:
        return find_images(engine, devices.variant)
    except ImageMissing as error:
        raise PrerequisiteMissing(
            f"there is {devices.sentence}, but no images for {devices.variant}: `autoresearch build --variant {devices.variant}` makes them"
        ) from error


def cpu_model() -> str:
    """The CPU model, "" if unknown: XLA's code for another model may round differently."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return ""


def leases(
    devices: Devices,
    probe: GpuProbe,
    waiting: Callable[[str], None] = lambda _: None,
    folder: Path | None = None,
    *,
    only: str | None = None,
    patience_s: float = 3600.0,
    courtesy: bool = False,
) -> Leases:
    """CPU sets, or whole GPUs; `waiting` is called with the reason when they are not free. `folder` is that of the locks, `only` the UUID
    of the one GPU that is meant, `patience_s` how long it is waited for;
    with `courtesy` they are offered to others who wait, and waited for longer."""
    from sandbox.lease import CpuLeases, GpuLeases

    patience_s = max(patience_s, _COURTEOUS_PATIENCE_S) if courtesy else patience_s
    if devices.kind == CPU:
        return CpuLeases(
            devices.cpus, waiting=waiting, folder=folder, patience_s=patience_s, courtesy=courtesy
        )
    cpus = CpuLeases(devices.cpus, folder=folder, patience_s=patience_s, may_share=True)
    uuids = devices.uuids if only is None else (only,)
    return GpuLeases(
        uuids, probe, cpus, waiting=waiting, folder=folder, patience_s=patience_s, courtesy=courtesy
    )
