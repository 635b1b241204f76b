"""The real GPUs, through the driver's library NVML (https://docs.nvidia.com/deploy/nvml-api/). Only questions, no settings.

The library is loaded at the first question, so that a program that asks nothing does not pay for it.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from typing import Any

from sandbox.engine import SandboxError
from sandbox.gpu import Driver, Gpu, GpuState

_HARMFUL = {
    0x8: "by the hardware",
    0x20: "by the driver, too hot",
    0x40: "by the hardware, too hot",
    0x80: "by the power supply",
}
"""Bits of nvmlClocksEventReasons that a measurement suffers from. The power cap (0x4) is how every training runs at full load."""


class NvmlProbe:
    """See `sandbox.gpu.GpuProbe`. Without a driver there are no GPUs; a driver that fails is a SandboxError."""

    def __init__(self, library: Any = None) -> None:
        """`library` is pynvml if not said."""
        self._library = library

    @cached_property
    def _nvml(self) -> Any:
        """The library, ready to be asked; None without a driver."""
        nvml = self._library or importlib.import_module("pynvml")
        try:
            nvml.nvmlInit()
        except nvml.NVMLError as error:
            if error.value not in {nvml.NVML_ERROR_LIBRARY_NOT_FOUND, nvml.NVML_ERROR_DRIVER_NOT_LOADED}:
                raise SandboxError(f"the NVIDIA driver does not answer ({error}); run nvidia-smi") from error
            return None
        return nvml

    def driver(self) -> Driver | None:
        nvml = self._nvml
        if nvml is None:
            return None
        with self._asking("does not say its version"):
            cuda = int(nvml.nvmlSystemGetCudaDriverVersion())
            return Driver(_text(nvml.nvmlSystemGetDriverVersion()), (cuda // 1000, cuda % 1000 // 10))

    def gpus(self) -> Sequence[Gpu]:
        return [gpu for gpu, _ in self._found()]

    def processes(self, uuid: str) -> Sequence[int]:
        handle = self._handle(uuid)
        with self._asking(f"does not answer about {uuid}"):
            found = list(self._nvml.nvmlDeviceGetComputeRunningProcesses(handle))
        with suppress(*self._errors):  # clients of MPS have a list of their own
            found += self._nvml.nvmlDeviceGetMPSComputeRunningProcesses(handle)
        return sorted({process.pid for process in found})

    def state(self, uuid: str) -> GpuState:
        nvml, handle = self._nvml, self._handle(uuid)
        with self._asking(f"does not answer about {uuid}"):
            memory = nvml.nvmlDeviceGetMemoryInfo(handle)
        used = (
            self._told("MemoryInfo", handle, nvml.nvmlMemory_v2) or memory
        )  # version 2 leaves out what is reserved
        whole = self._told("DeviceHandleFromMigDeviceHandle", handle) or handle
        reasons = self._told("CurrentClocksEventReasons", whole)
        if reasons is None:  # a driver before 535
            reasons = self._told("CurrentClocksThrottleReasons", whole)
        rates = self._told("UtilizationRates", handle)
        return GpuState(
            used_bytes=int(used.used),
            slowed_by=tuple(words for bit, words in _HARMFUL.items() if (reasons or 0) & bit),
            clock_mhz=self._told("ClockInfo", whole, nvml.NVML_CLOCK_SM),
            max_clock_mhz=self._told("MaxClockInfo", whole, nvml.NVML_CLOCK_SM),
            temperature_c=self._told("Temperature", whole, nvml.NVML_TEMPERATURE_GPU),
            utilisation=None if rates is None else rates.gpu / 100,
            ecc_errors=self._told(
                "TotalEccErrors", whole, nvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED, nvml.NVML_VOLATILE_ECC
            ),
        )

    def _told(self, what: str, *arguments: Any) -> Any:
        """None where this GPU or driver does not say."""
        with suppress(*self._errors):
            return getattr(self._nvml, f"nvmlDeviceGet{what}")(*arguments)
        return None

    def _handle(self, uuid: str) -> Any:
        """By the position, not nvmlDeviceGetHandleByUUID: a GPU that fell off the bus hides those behind it from that."""
        for gpu, handle in self._found():
            if gpu.uuid == uuid:
                return handle
        raise SandboxError(
            f"the NVIDIA driver does not answer about {uuid} (it is not listed); run nvidia-smi"
        )

    def _found(self) -> Iterator[tuple[Gpu, Any]]:
        nvml = self._nvml
        if nvml is None:
            return
        with self._asking("does not list its GPUs"):
            count = nvml.nvmlDeviceGetCount()
        for index in range(count):
            try:
                handle = nvml.nvmlDeviceGetHandleByIndex(index)
                whole = self._described(handle, index)
                parts = self._parts(handle)
                for part, part_handle in parts or ():
                    yield self._described(part_handle, index, part=part, whole=whole), part_handle
            except nvml.NVMLError:  # it fell off the bus: the others are still there
                continue
            if parts is None:
                yield whole, handle

    def _described(self, handle: Any, index: int, part: int | None = None, whole: Gpu | None = None) -> Gpu:
        nvml = self._nvml
        return Gpu(
            uuid=_text(nvml.nvmlDeviceGetUUID(handle)),
            name=_text(nvml.nvmlDeviceGetName(handle)),
            memory_bytes=int(nvml.nvmlDeviceGetMemoryInfo(handle).total),
            compute_capability=whole.compute_capability if whole else self._capability(handle),
            index=index,
            part=part,
            parent=whole.uuid if whole else "",
        )

    def _capability(self, handle: Any) -> tuple[int, int]:
        major, minor = self._nvml.nvmlDeviceGetCudaComputeCapability(handle)
        return int(major), int(minor)

    def _parts(self, handle: Any) -> list[tuple[int, Any]] | None:
        """The MIG instances of a GPU that is split, by their slots; None for a whole one. A GPU that is split cannot be leased whole."""
        nvml = self._nvml
        try:
            split, _ = nvml.nvmlDeviceGetMigMode(handle)
        except nvml.NVMLError:  # a GPU that cannot be split
            return None
        if split != nvml.NVML_DEVICE_MIG_ENABLE:
            return None
        found = []
        for slot in range(nvml.nvmlDeviceGetMaxMigDeviceCount(handle)):
            with suppress(nvml.NVMLError):  # an empty slot
                found.append((slot, nvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, slot)))
        return found

    @contextmanager
    def _asking(self, failed: str) -> Iterator[None]:
        try:
            yield
        except self._errors as error:
            raise SandboxError(f"the NVIDIA driver {failed} ({error})") from error

    @property
    def _errors(self) -> tuple[type[Exception], ...]:
        """The second is for a driver that is older than pynvml."""
        return self._nvml.NVMLError, self._nvml.NVMLLibraryMismatchError


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
