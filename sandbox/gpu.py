"""What may be asked about GPUs, and GPUs for tests. `sandbox.nvml` asks the real driver. Nothing is ever set.

Asked on the host: in a container the driver's process lists are empty, because it does not know PID namespaces.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

_GIB = 1 << 30
GPU_USE = "gpu.json"
"""File in an attempt's folder with the `GpuUse` of its training."""


@dataclass(frozen=True, slots=True)
class Gpu:
    """A whole GPU, or one part (MIG instance) of a GPU that is split.

    `uuid` is "GPU-…" or "MIG-…"; `index` is the number of the whole GPU in nvidia-smi, `part` that of the part, `parent` the UUID of the
    GPU that is split.
    """

    uuid: str
    name: str = "Fake GPU 80GB"
    memory_bytes: int = 80 * _GIB
    compute_capability: tuple[int, int] = (9, 0)
    index: int = 0
    part: int | None = None
    parent: str = ""


@dataclass(frozen=True, slots=True)
class Driver:
    """The version of the NVIDIA driver, "580.65.06", and the newest CUDA it runs, (13, 0)."""

    version: str
    cuda: tuple[int, int]


@dataclass(frozen=True, slots=True)
class GpuState:
    """What a GPU does now; None where the driver does not say. Of a part of a split GPU clocks and temperature are those of the whole.

    `used_bytes` is without what the driver reserves; `slowed_by` are the reasons of lowered clocks that a measurement suffers from,
    in words; `utilisation` in [0, 1]; `ecc_errors` are uncorrected ones since the driver was loaded.
    """

    used_bytes: int = 0
    slowed_by: tuple[str, ...] = ()
    clock_mhz: int | None = None
    max_clock_mhz: int | None = None
    temperature_c: int | None = None
    utilisation: float | None = None
    ecc_errors: int | None = None


@dataclass(frozen=True, slots=True)
class GpuUse:
    """What a GPU did while a container had it (`sandbox.gpu_use` measures it). Shares are of the `samples`, in [0, 1]; what no sample could tell is None."""

    samples: int
    strangers_share: float = 0.0
    slowed_share: float = 0.0
    slowed_by: str = ""
    """The most frequent reason."""
    utilisation: float | None = None
    clock_share: float | None = None
    """Mean clock, of the highest one."""
    hottest_c: int | None = None
    memory_peak_bytes: int = 0


class GpuProbe(Protocol):
    """Every question may raise SandboxError with a sentence."""

    def driver(self) -> Driver | None:
        """None where there is no driver, and so no GPU."""
        ...

    def gpus(self) -> Sequence[Gpu]:
        """In the driver's order. A GPU that does not answer is left out."""
        ...

    def processes(self, uuid: str) -> Sequence[int]:
        """The host's numbers of the processes that compute on it."""
        ...

    def state(self, uuid: str) -> GpuState: ...


class FakeGpuProbe:
    """GPUs for a test: UUIDs, or values of `Gpu`. Set `busy` to simulate another user's process:
    {"GPU-a": [4711]}, and `states` for what a GPU does."""

    def __init__(
        self,
        gpus: Sequence[str | Gpu],
        busy: Mapping[str, Sequence[int]] | None = None,
        driver: Driver | None = Driver("580.65.06", (13, 0)),
    ) -> None:
        self._gpus = [
            gpu if isinstance(gpu, Gpu) else Gpu(gpu, index=index) for index, gpu in enumerate(gpus)
        ]
        self._driver = driver
        self.states: dict[str, GpuState] = {}
        self.busy: dict[str, list[int]] = {uuid: list(pids) for uuid, pids in (busy or {}).items()}

    def driver(self) -> Driver | None:
        return self._driver

    def gpus(self) -> Sequence[Gpu]:
        return list(self._gpus)

    def processes(self, uuid: str) -> Sequence[int]:
        return list(self.busy.get(uuid, ()))

    def state(self, uuid: str) -> GpuState:
        return self.states.get(uuid, GpuState())
