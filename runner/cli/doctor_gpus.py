"""What the verb doctor says of GPUs: of each one that a run would use, of the kernel's log, and of gVisor."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runner.cli.output import say
from runner.evaluation import canary
from runner.evaluation.device_selection import GPU, Devices
from runner.evaluation.setup import leases, refused_by_runtime
from sandbox.engine import SandboxError
from sandbox.gpu_host import xid_sentence
from sandbox.lease import LeaseUnavailable

if TYPE_CHECKING:
    from pathlib import Path

    from sandbox.docker_engine import DockerEngine
    from sandbox.gpu import GpuProbe

Finding = tuple[str, str, str]


def gpu_findings(
    engine: DockerEngine, devices: Devices, probe: GpuProbe, image: str, locks: Path | None = None
) -> list[Finding]:
    """Nothing where runs train on the CPU. `image` is the candidate image's content id, `locks` the folder of the leases."""
    if devices.kind != GPU:
        return []
    found: list[Finding] = []
    if why := xid_sentence():
        found.append(("gpu log", "warn", why))
    if why := refused_by_runtime(engine, devices, probe):
        found.append(("gvisor", "fail", why))
    for gpu in devices.gpus:
        name = f"gpu {gpu.index}" + ("" if gpu.part is None else f":{gpu.part}")
        say(f"trying {name} ({gpu.uuid})")
        try:
            with leases(devices, probe, folder=locks, patience_s=0.0, only=gpu.uuid).acquire() as lease:
                state = probe.state(gpu.uuid)
                said = canary.examine(engine, image, lease, gpu, state)
        except LeaseUnavailable:
            said = [
                ("warn", f"{gpu.uuid} is in use and was not tried; a run waits for it or uses another one")
            ]
        except SandboxError as error:
            said = [("fail", str(error))]
        found += [(name, level, sentence) for level, sentence in said]
    return found
