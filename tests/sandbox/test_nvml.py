"""What is asked of the driver's library, and what its answers mean."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from sandbox.engine import SandboxError
from sandbox.gpu import Driver
from sandbox.nvml import NvmlProbe

GIB = 1 << 30


class Nvml:
    """The driver's library, as far as the probe uses it: GPU 0 whole, GPU 1 lost, GPU 2 split in two with an empty slot."""

    NVML_ERROR_LIBRARY_NOT_FOUND, NVML_ERROR_DRIVER_NOT_LOADED, NVML_DEVICE_MIG_ENABLE = 12, 9, 1

    class NVMLError(Exception):
        def __init__(self, value: int) -> None:
            super().__init__(f"error {value}")
            self.value = value

    class NVMLLibraryMismatchError(Exception):
        pass

    def __init__(self, broken: int | None = None) -> None:
        self.broken = broken

    def nvmlInit(self) -> None:
        if self.broken is not None:
            raise self.NVMLError(self.broken)

    def nvmlSystemGetDriverVersion(self) -> bytes:
        return b"580.65.06"

    def nvmlSystemGetCudaDriverVersion(self) -> int:
        return 13010

    def nvmlDeviceGetCount(self) -> int:
        return 3

    def nvmlDeviceGetHandleByIndex(self, index: int) -> str:
        if index == 1:
            raise self.NVMLError(15)  # it is lost
        return f"GPU-{index}"

    def nvmlDeviceGetMigMode(self, handle: str) -> tuple[int, int]:
        if handle == "GPU-0":
            raise self.NVMLError(3)  # not supported
        return 1, 1

    def nvmlDeviceGetMaxMigDeviceCount(self, handle: str) -> int:
        return 3

    def nvmlDeviceGetMigDeviceHandleByIndex(self, handle: str, index: int) -> str:
        if index == 1:
            raise self.NVMLError(6)
        return f"MIG-{index}"

    def nvmlDeviceGetUUID(self, handle: str) -> str:
        return handle

    def nvmlDeviceGetName(self, handle: str) -> bytes:
        return b"NVIDIA H100"

    def nvmlDeviceGetMemoryInfo(self, handle: str) -> Any:
        return SimpleNamespace(total=(80 if handle.startswith("GPU") else 20) * GIB)

    def nvmlDeviceGetCudaComputeCapability(self, handle: str) -> tuple[int, int]:
        if handle.startswith("MIG"):
            raise self.NVMLError(3)
        return 9, 0

    def nvmlDeviceGetComputeRunningProcesses(self, handle: str) -> list[Any]:
        return [SimpleNamespace(pid=4711)] if handle == "MIG-2" else []

    def nvmlDeviceGetMPSComputeRunningProcesses(self, handle: str) -> list[Any]:
        if handle == "MIG-2":
            raise self.NVMLLibraryMismatchError  # an older driver
        return [SimpleNamespace(pid=4712)] if handle == "GPU-0" else []


def test_a_split_gpu_is_offered_in_its_parts_only() -> None:
    probe = NvmlProbe(Nvml())
    whole, first, second = probe.gpus()
    assert [gpu.uuid for gpu in (whole, first, second)] == ["GPU-0", "MIG-0", "MIG-2"]
    assert (second.index, second.part, second.parent) == (2, 2, "GPU-2")
    assert (second.memory_bytes, second.compute_capability) == (20 * GIB, (9, 0))
    assert (whole.index, whole.part, whole.name) == (0, None, "NVIDIA H100")


def test_processes_are_those_of_cuda_and_of_mps() -> None:
    probe = NvmlProbe(Nvml())
    assert probe.processes("MIG-2") == [4711]
    assert probe.processes("GPU-0") == [4712]


def test_the_driver_says_its_version_and_its_cuda() -> None:
    assert NvmlProbe(Nvml()).driver() == Driver("580.65.06", (13, 1))


def test_no_driver_is_no_gpu_and_a_broken_one_is_an_error() -> None:
    assert NvmlProbe(Nvml(broken=12)).gpus() == []
    assert NvmlProbe(Nvml(broken=9)).driver() is None
    with pytest.raises(SandboxError, match="nvidia-smi"):
        NvmlProbe(Nvml(broken=18)).gpus()


def test_a_gpu_that_fell_off_the_bus_hides_no_other_one_and_is_an_error_in_a_sentence() -> None:
    probe = NvmlProbe(Nvml())
    assert len(probe.gpus()) == 3
    with pytest.raises(SandboxError, match="GPU-1"):
        probe.processes("GPU-1")
