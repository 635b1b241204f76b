"""What NVIDIA's driver says of its GPUs, asked on the host: inside a container the process lists are empty."""

from __future__ import annotations

from collections.abc import Sequence

from sandbox.engine import SandboxError


class NvmlProbe:
    """`sandbox.lease.GpuProbe` over NVML. Raises SandboxError where there is no driver. Nothing is ever set."""

    def __init__(self) -> None:
        import pynvml

        try:
            pynvml.nvmlInit()
        except pynvml.NVMLError as error:
            raise SandboxError(
                f"no NVIDIA driver answers ({error}); leave `gpus` empty to use CPUs"
            ) from error
        self._nvml = pynvml

    def uuids(self) -> Sequence[str]:
        count = self._nvml.nvmlDeviceGetCount()
        return [
            self._nvml.nvmlDeviceGetUUID(self._nvml.nvmlDeviceGetHandleByIndex(index))
            for index in range(count)
        ]

    def processes(self, uuid: str) -> Sequence[int]:
        handle = self._nvml.nvmlDeviceGetHandleByUUID(uuid)
        return [process.pid for process in self._nvml.nvmlDeviceGetComputeRunningProcesses(handle)]


class FakeGpuProbe:
    """For tests: `busy` maps a UUID to the processes that are on it."""

    def __init__(self, uuids: Sequence[str], busy: dict[str, list[int]] | None = None) -> None:
        self._uuids = list(uuids)
        self.busy = busy or {}

    def uuids(self) -> Sequence[str]:
        return self._uuids

    def processes(self, uuid: str) -> Sequence[int]:
        return self.busy.get(uuid, [])
