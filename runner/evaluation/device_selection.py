"""What a training runs on: GPUs that the driver shows, the engine can hand out and the environment permits, else the CPU.

`resolve` decides from values alone; `host_of` reads them from this machine.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runner.errors import PrerequisiteMissing, UsageError
from runner.store.config import CONFIG, Config
from runner.store.gpu_request import GpuRequest, Mode, parse_gpu_request
from sandbox.gpu import Driver, Gpu, GpuProbe
from sandbox.permitted_gpus import Permission, matching_uuid, permitted, slurm_runs_here
from sandbox.spec import GIB, MIB

if TYPE_CHECKING:
    from sandbox.docker_engine import DockerEngine

CPU, GPU = "cpu", "gpu"
MOST_CPUS, MOST_BYTES = 8, 32 * GIB
"""What a training on a GPU gets of a large host: compiling and packing rows use no more."""
CPU_BYTES, LEAST_BYTES = 6 * GIB, 4 * GIB
_OF_THE_HOST = 0.75
"""Share of the host's memory that all trainings together may have."""
_SMALLEST_GPU, _OLDEST = 16 * GIB, (8, 0)
"""What `auto` uses: train.py's GPU preset needs bfloat16 and cuDNN's attention with windows (Ampere and newer), and memory."""


@dataclass(frozen=True, slots=True)
class Devices:
    """`kind` is "cpu" or "gpu", `model` the GPU's name or "cpu": only scores of one model compare. `gpus` are those of which a training
    leases one, at most `slots` at once; the other numbers are those of one training."""

    kind: str
    model: str
    variant: str
    cpus: int
    memory_bytes: int
    shm_bytes: int
    sentence: str
    """Which devices, and why: for the line that a run begins with."""
    gpus: tuple[Gpu, ...] = ()
    slots: int = 1

    @property
    def uuids(self) -> tuple[str, ...]:
        return tuple(gpu.uuid for gpu in self.gpus)


@dataclass(frozen=True, slots=True)
class Host:
    """What decides. `gpu_driver` is how the engine hands out GPUs (`sandbox.dialect`), None if it cannot; `cpus` is how many CPUs this
    process may use."""

    probe: GpuProbe
    environment: Mapping[str, str]
    gpu_driver: str | None
    memory_bytes: int
    cpus: int
    engine_is_local: bool = True
    slurm_rules_here: Callable[[], bool] = lambda: False


def host_of(engine: DockerEngine, probe: GpuProbe) -> Host:
    return Host(
        probe,
        os.environ,
        engine.dialect.gpu_driver,
        host_memory(),
        len(os.sched_getaffinity(0)),
        engine.dialect.local,
        slurm_runs_here,
    )


def host_memory() -> int:
    """Bytes."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def resolve(config: Config, host: Host) -> Devices:
    """Raises UsageError for GPUs that are not there or not ours, PrerequisiteMissing where what was asked for cannot be had, SandboxError
    where the driver fails."""
    _refuse_more_than_there_is(config, host)
    request = parse_gpu_request(config.gpus)
    needed = request.mode in {Mode.ALL, Mode.COUNT, Mode.LISTED} or config.variant not in {"auto", "cpu"}
    if request.mode is Mode.NONE:
        return _cpu(config, host, "the CPU: no GPU is asked for")
    if config.variant == "cpu":
        if needed:
            raise PrerequisiteMissing(
                "gpus are named but the images are for CPUs: set variant to auto, cuda12 or cuda13"
            )
        return _cpu(config, host, "the CPU: variant is cpu")
    driver = host.probe.driver()
    found = list(host.probe.gpus()) if driver else []
    why = _unavailable(driver, found, host)
    permission = permitted(found, host.environment, host.slurm_rules_here) if not why else Permission(())
    why = why or ("" if permission.gpus else permission.why)
    chosen, remark = ([], why) if why else _chosen(request, found, permission)
    if not chosen or driver is None:
        if needed:
            raise PrerequisiteMissing(f"{remark}; --gpus none trains on the CPU")
        return _cpu(config, host, f"the CPU: {remark}")
    return _gpu(config, host, request, driver, chosen, [permission.why, remark])


def _refuse_more_than_there_is(config: Config, host: Host) -> None:
    """A limit above what the machine has would hold nobody back."""
    if config.cpus > host.cpus:
        raise UsageError(f"{CONFIG}: cpus: {config.cpus} are more than this process may use, {host.cpus}")
    if host.engine_is_local and int(config.memory_gb * GIB) > host.memory_bytes:
        raise UsageError(
            f"{CONFIG}: memory_gb: {config.memory_gb:g} is more than this machine has, {host.memory_bytes / GIB:.1f} GiB"
        )


def _unavailable(driver: Driver | None, found: Sequence[Gpu], host: Host) -> str:
    """Why no GPU at all can be used; else empty."""
    if driver is None:
        return "there is no NVIDIA driver"
    if not found:
        return "the driver shows no GPU"
    if not host.engine_is_local:
        return "the engine is on another machine, whose GPUs cannot be seen from here"
    if host.gpu_driver is None:
        return "the engine cannot hand out a GPU; install nvidia-container-toolkit"
    if driver.cuda < (12, 0):
        return f"driver {driver.version} runs CUDA up to {_dotted(driver.cuda)} only; update it to one for CUDA 12 or newer"
    return ""


def _chosen(request: GpuRequest, found: Sequence[Gpu], permission: Permission) -> tuple[list[Gpu], str]:
    """GPUs of one model, and what to say of those that are left out."""
    gpus = list(permission.gpus)
    if request.mode is Mode.LISTED:
        gpus = _listed(request.entries, found, permission)
    if request.mode is Mode.AUTO:
        gpus = [gpu for gpu in gpus if not _too_small(gpu)]
        if not gpus:
            small = permission.gpus[0]
            return [], f"{small.name} {_too_small(small)}; --gpus all uses it all the same"
    models = list(dict.fromkeys(gpu.name for gpu in gpus))
    if len(models) == 1:
        return gpus, ""
    if request.mode in {Mode.LISTED, Mode.ALL}:
        raise UsageError(
            f"--gpus means GPUs of several kinds ({', '.join(models)}), whose scores do not compare: name those of one kind"
        )
    best = max(models, key=lambda name: sum(gpu.memory_bytes for gpu in gpus if gpu.name == name))
    left = ", ".join(name for name in models if name != best)
    return [gpu for gpu in gpus if gpu.name == best], f"{left} left alone, since scores would not compare"


def _listed(entries: Sequence[str], found: Sequence[Gpu], permission: Permission) -> list[Gpu]:
    """Each must name one GPU that is there and permitted; the number of a GPU that is split means all its parts."""
    gpus: list[Gpu] = []
    for entry in entries:
        if entry.startswith(("GPU-", "MIG-")):
            matching = matching_uuid(entry, found)
            if len(matching) > 1:
                raise UsageError(f"--gpus {entry} means {len(matching)} GPUs: give more of the UUID")
            named = matching[0] if matching else []
        else:
            number, _, part = entry.partition(":")
            named = [g for g in found if g.index == int(number) and (not part or g.part == int(part))]
        if not named:
            there = ", ".join(f"{gpu.index} ({gpu.uuid})" for gpu in found)
            raise UsageError(f"--gpus names {entry}, which the driver does not show; there is {there}")
        if any(gpu not in permission.gpus for gpu in named):
            raise UsageError(f"--gpus names {entry}, but {permission.why}")
        gpus += [gpu for gpu in named if gpu not in gpus]
    return gpus


def _too_small(gpu: Gpu) -> str:
    if gpu.compute_capability < _OLDEST:
        return f"has compute capability {_dotted(gpu.compute_capability)}, and train.py's GPU preset needs {_dotted(_OLDEST)}"
    if gpu.memory_bytes < _SMALLEST_GPU:
        return f"has {gpu.memory_bytes / GIB:.0f} GiB, and train.py's GPU preset needs {_SMALLEST_GPU // GIB}"
    return ""


def _gpu(
    config: Config, host: Host, request: GpuRequest, driver: Driver, gpus: list[Gpu], remarks: Sequence[str]
) -> Devices:
    if request.mode is Mode.COUNT and request.count > len(gpus):
        raise UsageError(
            f"--gpus {request.count}: only {len(gpus)} may be used here" + _said(remarks) + "; ask for fewer"
        )
    asked = request.count if request.mode is Mode.COUNT else len(gpus)
    asked = min(asked, config.parallel or asked)
    memory, memory_of_all = int(config.memory_gb * GIB), int(_OF_THE_HOST * host.memory_bytes)
    slots = max(1, min(asked, memory_of_all // (memory or LEAST_BYTES)))
    if slots < asked:
        said = f"{slots} at a time, because this machine has {host.memory_bytes / GIB:.0f} GiB of memory"
        remarks = [*remarks, said]
    number = f"{slots} of {len(gpus)} GPUs" if slots < len(gpus) else f"{len(gpus)} GPU{'s'[: len(gpus) > 1]}"
    cuda = _dotted(driver.cuda)
    return Devices(
        kind=GPU,
        model=gpus[0].name,
        variant=_variant(config.variant, driver, gpus[0]),
        cpus=config.cpus or max(1, min(MOST_CPUS, host.cpus // slots)),
        memory_bytes=memory or min(MOST_BYTES, memory_of_all // slots),
        shm_bytes=GIB,
        sentence=f"{number} ({gpus[0].name}), driver {driver.version} with CUDA {cuda}" + _said(remarks),
        gpus=tuple(gpus),
        slots=slots,
    )


def _cpu(config: Config, host: Host, sentence: str) -> Devices:
    slots = config.parallel or 1
    cpus = config.cpus or host.cpus // slots
    if slots * max(cpus, 1) > host.cpus:
        each = f" with {cpus} CPUs each" if config.cpus else ""
        raise UsageError(
            f"--parallel {slots}: that many trainings{each} do not fit on the {host.cpus} CPUs that may be used here"
        )
    memory = int(config.memory_gb * GIB) or min(CPU_BYTES, int(_OF_THE_HOST * host.memory_bytes) // slots)
    if slots > 1:
        sentence += f"; {slots} trainings at once, with {cpus} CPU{'s'[: cpus > 1]} each"
    return Devices(
        kind=CPU,
        model=CPU,
        variant="cpu",
        cpus=cpus,
        memory_bytes=memory,
        shm_bytes=256 * MIB,
        sentence=sentence,
        slots=slots,
    )


def _variant(asked: str, driver: Driver, gpu: Gpu) -> str:
    """JAX's builds: CUDA 13 needs such a driver and Turing or newer (https://docs.jax.dev/en/latest/installation.html)."""
    newest = "cuda13" if driver.cuda >= (13, 0) and gpu.compute_capability >= (7, 5) else "cuda12"
    if asked == "cuda13" and newest != asked:
        raise PrerequisiteMissing(
            f"variant is cuda13, but driver {driver.version} runs CUDA up to {_dotted(driver.cuda)}: set variant to auto, or update it"
        )
    return newest if asked == "auto" else asked


def _said(remarks: Sequence[str]) -> str:
    return "".join(f"; {remark}" for remark in remarks if remark)


def _dotted(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"
