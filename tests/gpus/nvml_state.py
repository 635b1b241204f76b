"""The GPUs that fake_nvml.c shows: frozen values, and the text file they are written to.

A file has a line "driver VERSION CUDA", a line "driver_error NUMBER", and for every GPU a line "gpu UUID" with what belongs to it below:
"name …", "NUMBER VALUE" for every number of `Gpu`, "process PID BYTES KIND", and "mig SLOT UUID BYTES" with the instance's
processes below. Standard library only: the container hook imports it.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Literal

GIB = 1 << 30
GPU_IS_LOST, LIBRARY_MISMATCH, UNKNOWN_ERROR = 15, 18, 999  # nvmlReturn_t
HW_SLOWDOWN, SW_THERMAL_SLOWDOWN, HW_THERMAL_SLOWDOWN, SW_POWER_CAP = 0x8, 0x20, 0x40, 0x4


@dataclass(frozen=True, slots=True)
class Process:
    """A process on a GPU. The kind "container" is listed only as long as the process lives."""

    pid: int
    memory: int = GIB
    kind: Literal["compute", "graphics", "container"] = "compute"


@dataclass(frozen=True, slots=True)
class Mig:
    """An instance of a GPU that is split."""

    uuid: str
    memory: int = 10 * GIB
    slot: int = 0
    processes: tuple[Process, ...] = ()


@dataclass(frozen=True, slots=True)
class Gpu:
    """Memory in bytes, clocks in MHz, temperature in °C, power in mW."""

    uuid: str
    index: int = 0
    name: str = "NVIDIA H100 80GB HBM3"
    error: int = 0
    """What the driver answers to every question about it: GPU_IS_LOST when it has fallen off the bus."""
    memory: int = 80 * GIB
    other_memory: int = 0
    """Memory in use that belongs to no process the driver lists."""
    processes: tuple[Process, ...] = ()
    throttle: int = 0
    """Bits of why its clocks are lowered, for example HW_THERMAL_SLOWDOWN."""
    temperature: int = 45
    clock: int = 1980
    max_clock: int = 1980
    utilization: int = 0
    power: int = 70_000
    major: int = 9
    minor: int = 0
    ecc: bool = True
    ecc_errors: int = 0
    compute_mode: int = 0
    persistence: bool = True
    split: bool = False
    mig: tuple[Mig, ...] = ()


@dataclass(frozen=True, slots=True)
class World:
    gpus: tuple[Gpu, ...] = ()
    driver: str = "580.65.06"
    cuda: int = 13000
    error: int = 0
    """What the driver answers to every question at all."""

    def uuids(self) -> list[str]:
        """What can be leased, in the driver's order: whole GPUs, and the instances of those that are split."""
        return [
            uuid for gpu in self.gpus for uuid in ([m.uuid for m in gpu.mig] if gpu.split else [gpu.uuid])
        ]

    def with_gpu(self, index: int, change: Callable[[Gpu], Gpu]) -> World:
        return replace(self, gpus=tuple(change(gpu) if gpu.index == index else gpu for gpu in self.gpus))

    def only(self, uuids: list[str]) -> World:
        """What a container sees that was given `uuids`: no process, since it knows no process numbers of the host."""
        seen = []
        for gpu in self.gpus:
            parts = tuple(replace(m, processes=()) for m in gpu.mig if m.uuid in uuids)
            if gpu.uuid in uuids or parts:
                seen.append(replace(gpu, processes=(), mig=parts))
        return replace(self, gpus=tuple(seen))

    def with_process(self, uuid: str, process: Process) -> World:
        """One more process on the GPU or instance."""

        def on(gpu: Gpu) -> Gpu:
            if gpu.uuid == uuid:
                return replace(gpu, processes=(*gpu.processes, process))
            parts = tuple(
                replace(m, processes=(*m.processes, process)) if m.uuid == uuid else m for m in gpu.mig
            )
            return replace(gpu, mig=parts)

        return replace(self, gpus=tuple(map(on, self.gpus)))


_NUMBERS = [f.name for f in fields(Gpu) if f.type in {"int", "bool"}]  # annotations are texts here


def text(world: World) -> str:
    lines = [f"driver {world.driver} {world.cuda}", f"driver_error {world.error}"]
    for gpu in world.gpus:
        lines += [f"gpu {gpu.uuid}", f"name {gpu.name}"]
        lines += [f"{number} {int(getattr(gpu, number))}" for number in _NUMBERS]
        lines += map(_line, gpu.processes)
        for part in gpu.mig:
            lines += [f"mig {part.slot} {part.uuid} {part.memory}", *map(_line, part.processes)]
    return "\n".join(lines) + "\n"


def _line(process: Process) -> str:
    return f"process {process.pid} {process.memory} {process.kind}"


def read(path: Path) -> World:
    world = World()
    for line in path.read_text().splitlines():
        key, _, rest = line.partition(" ")
        if key == "driver":
            driver, cuda = rest.split()
            world = replace(world, driver=driver, cuda=int(cuda))
        elif key == "driver_error":
            world = replace(world, error=int(rest))
        elif key == "gpu":
            world = replace(world, gpus=(*world.gpus, Gpu(rest)))
        else:
            world = replace(world, gpus=(*world.gpus[:-1], _with(world.gpus[-1], key, rest)))
    return world


def _with(gpu: Gpu, key: str, rest: str) -> Gpu:
    match key, rest.split():
        case "name", _:
            return replace(gpu, name=rest)
        case "mig", [slot, uuid, memory]:
            return replace(gpu, mig=(*gpu.mig, Mig(uuid, int(memory), int(slot))))
        case "process", [pid, memory, kind]:
            found = Process(int(pid), int(memory), kind)  # type: ignore[arg-type]
            if not gpu.mig:
                return replace(gpu, processes=(*gpu.processes, found))
            last = replace(gpu.mig[-1], processes=(*gpu.mig[-1].processes, found))
            return replace(gpu, mig=(*gpu.mig[:-1], last))
        case _:
            return replace(gpu, **{key: int(rest)})  # type: ignore[arg-type]


def write(path: Path, content: str) -> None:
    """By renaming, so that a reader sees all of it or what was there before."""
    new = path.with_name(f"{path.name}.{os.getpid()}")
    new.write_text(content)
    new.chmod(0o644)
    new.replace(path)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Nobody else changes what is in the folder meanwhile."""
    with (folder / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
