"""What is asked of the driver's library, and what its answers mean."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from sandbox.engine import SandboxError
from sandbox.gpu import Driver, GpuState
from sandbox.nvml import NvmlProbe

GIB = 1 << 30


class Nvml:
    """The driver's library, as far as the probe uses it: GPU 0 whole, GPU 1 lost, GPU 2 split in two with an empty slot."""

    NVML_CLOCK_SM, NVML_TEMPERATURE_GPU, NVML_MEMORY_ERROR_TYPE_UNCORRECTED, NVML_VOLATILE_ECC = 1, 0, 1, 0
    nvmlMemory_v2 = 2
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

    def nvmlDeviceGetMemoryInfo(self, handle: str, version: int = 1) -> Any:
        """Version 1 counts what the driver reserves as used."""
        total = (80 if handle.startswith("GPU") else 20) * GIB
        return SimpleNamespace(total=total, used=3 * GIB if version == 1 else 2 * GIB)

    def nvmlDeviceGetDeviceHandleFromMigDeviceHandle(self, handle: str) -> str:
        if not handle.startswith("MIG"):
            raise self.NVMLError(2)
        return "GPU-2"

    def nvmlDeviceGetCurrentClocksEventReasons(self, handle: str) -> int:
        return self._of_a_whole(handle, 0x4 | 0x8 | 0x40)

    def nvmlDeviceGetClockInfo(self, handle: str, kind: int) -> int:
        return self._of_a_whole(handle, 990)

    def nvmlDeviceGetMaxClockInfo(self, handle: str, kind: int) -> int:
        return self._of_a_whole(handle, 1980)

    def nvmlDeviceGetTemperature(self, handle: str, sensor: int) -> int:
        return self._of_a_whole(handle, 91)

    def nvmlDeviceGetUtilizationRates(self, handle: str) -> Any:
        return SimpleNamespace(gpu=self._of_a_whole(handle, 97))

    def nvmlDeviceGetTotalEccErrors(self, handle: str, kind: int, counter: int) -> int:
        raise self.NVMLError(3)  # a GPU without ECC

    def _of_a_whole(self, handle: str, value: int) -> int:
        if handle.startswith("MIG"):
            raise self.NVMLError(3)
        return value

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


def test_the_state_of_a_gpu_names_what_a_measurement_suffers_from() -> None:
    state = NvmlProbe(Nvml()).state("GPU-0")
    assert state.slowed_by == ("by the hardware", "by the hardware, too hot"), "a power cap is no harm"
    assert state.used_bytes == 2 * GIB, "what the driver reserves is nobody's"
    assert (state.clock_mhz, state.max_clock_mhz, state.temperature_c) == (990, 1980, 91)
    assert (state.utilisation, state.ecc_errors) == (0.97, None)


def test_a_part_has_the_clocks_and_the_heat_of_the_whole() -> None:
    state = NvmlProbe(Nvml()).state("MIG-2")
    assert state == GpuState(
        2 * GIB, ("by the hardware", "by the hardware, too hot"), 990, 1980, 91, None, None
    )


def test_a_driver_that_knows_older_names_only_is_understood() -> None:
    class Older(Nvml):
        def nvmlDeviceGetCurrentClocksEventReasons(self, handle: str) -> int:
            raise self.NVMLError(13)

        def nvmlDeviceGetCurrentClocksThrottleReasons(self, handle: str) -> int:
            return 0x20

    assert NvmlProbe(Older()).state("GPU-0").slowed_by == ("by the driver, too hot",)
