"""Which GPUs there are and which processes use them, from the NVIDIA driver. Nothing is ever set.

Asked on the host: in a container the driver's process lists are empty, because it does not know PID namespaces.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from sandbox.engine import SandboxError


class GpuProbe(Protocol):
    """`uuids` in the driver's order ("GPU-…", or "MIG-…" of a GPU that is split); `processes` are the host's numbers of the
    processes that use one of them."""

    def uuids(self) -> Sequence[str]: ...

    def processes(self, uuid: str) -> Sequence[int]: ...


class NvmlProbe:
    """The real GPUs, through NVML. Without a driver there are none; raises SandboxError if the driver fails."""

    def __init__(self) -> None:
        import pynvml

        self._nvml: Any = pynvml
        self._present = True
        try:
            pynvml.nvmlInit()
        except pynvml.NVMLError as error:
            absent = (pynvml.NVML_ERROR_LIBRARY_NOT_FOUND, pynvml.NVML_ERROR_DRIVER_NOT_LOADED)
            if error.value not in absent:
                raise SandboxError(f"the NVIDIA driver does not answer ({error}); run nvidia-smi") from error
            self._present = False

    def uuids(self) -> Sequence[str]:
        if not self._present:
            return []
        try:
            handles = [
                self._nvml.nvmlDeviceGetHandleByIndex(index)
                for index in range(self._nvml.nvmlDeviceGetCount())
            ]
            return [self._uuid(part) for handle in handles for part in self._parts(handle)]
        except self._nvml.NVMLError as error:
            raise SandboxError(f"the NVIDIA driver does not list its GPUs ({error})") from error

    def processes(self, uuid: str) -> Sequence[int]:
        try:
            handle = self._nvml.nvmlDeviceGetHandleByUUID(uuid.encode())
            return [process.pid for process in self._nvml.nvmlDeviceGetComputeRunningProcesses(handle)]
        except self._nvml.NVMLError as error:
            raise SandboxError(f"the NVIDIA driver does not answer about {uuid} ({error})") from error

    def _parts(self, handle: Any) -> list[Any]:
        """The GPU itself, or its MIG instances if it is split: then the whole GPU cannot be leased."""
        try:
            split, _ = self._nvml.nvmlDeviceGetMigMode(handle)
        except self._nvml.NVMLError:  # a GPU that cannot be split
            return [handle]
        if split != self._nvml.NVML_DEVICE_MIG_ENABLE:
            return [handle]
        parts = []
        for index in range(self._nvml.nvmlDeviceGetMaxMigDeviceCount(handle)):
            try:
                parts.append(self._nvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, index))
            except self._nvml.NVMLError:  # an empty slot
                continue
        return parts

    def _uuid(self, handle: Any) -> str:
        uuid = self._nvml.nvmlDeviceGetUUID(handle)
        return uuid.decode() if isinstance(uuid, bytes) else str(uuid)


class FakeGpuProbe:
    """GPUs for a test. Set `busy` to simulate another user's process: {"GPU-a": [4711]}."""

    def __init__(self, uuids: Sequence[str], busy: Mapping[str, Sequence[int]] | None = None) -> None:
        self._uuids = list(uuids)
        self.busy: dict[str, list[int]] = {uuid: list(pids) for uuid, pids in (busy or {}).items()}

    def uuids(self) -> Sequence[str]:
        return list(self._uuids)

    def processes(self, uuid: str) -> Sequence[int]:
        return list(self.busy.get(uuid, ()))


def permitted(uuids: Sequence[str], environment: Mapping[str, str]) -> list[str]:
    """Those of `uuids` that CUDA_VISIBLE_DEVICES allows, as set by SLURM or by the user. It has UUIDs, prefixes of them, or positions in
    the driver's order.

    An engine's containers are outside of SLURM's device cgroup, so the variable must be obeyed here."""
    allowed = environment.get("CUDA_VISIBLE_DEVICES")
    if allowed is None:
        return list(uuids)
    found: list[str] = []
    for word in (part.strip() for part in allowed.split(",")):
        if word.isdigit():
            found += uuids[int(word) : int(word) + 1]
        elif word:
            found += [uuid for uuid in uuids if uuid.startswith(word)]
    return found
