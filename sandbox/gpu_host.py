"""What else on this machine says something of its GPUs: the kernel's log, and what gVisor knows of the driver."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

Command = Callable[[list[str]], str | None]
_XID = re.compile(r"NVRM: Xid \(PCI:([0-9a-fA-F:.]+)\): (\d+)")
_SERIOUS = {
    48: "a memory error that could not be corrected",
    62: "an internal micro-controller halt",
    63: "memory being remapped",
    64: "a failure to remap memory",
    74: "an NVLink error",
    79: "the GPU has fallen off the bus",
    94: "a contained memory error",
    95: "an uncontained memory error",
    119: "a time-out of the GPU's system processor",
}
"""Of https://docs.nvidia.com/deploy/xid-errors/: those that are the hardware's. Others, such as 13, 31 and 43, are a program's own faults."""


def output_of(command: list[str]) -> str | None:
    """What a command prints; None where it cannot be run or fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def xid_sentence(run: Command = output_of) -> str:
    """What the kernel's log says of failed GPUs since the boot; empty where it says nothing or may not be read."""
    found = _XID.findall(run(["dmesg"]) or "")
    serious = {(bus, int(number)) for bus, number in found if int(number) in _SERIOUS}
    said = ", ".join(f"{_SERIOUS[number]} on {bus} (Xid {number})" for bus, number in sorted(serious))
    return (
        f"the kernel's log has {said}: have an administrator look at the GPU before anything trains on it"
        if said
        else ""
    )


def refused_by_gvisor(
    version: str, runtimes: Mapping[str, Any], runtime: str, *, split: bool = False, run: Command = output_of
) -> str:
    """Why containers of this gVisor runtime will get no GPU with this driver, or no part of one that is split; empty where they will, where
    nobody can tell, or for another runtime. `runtimes` is what the engine knows (`docker info`). gVisor has no /dev/nvidia-caps, which MIG
    needs (https://gvisor.dev/docs/user_guide/gpu/)."""
    program = str((runtimes.get(runtime) or {}).get("path") or runtime)
    if not Path(program).name.startswith("runsc"):
        return ""
    if split:
        return "gVisor gives containers no part of a GPU that is split (MIG): name whole GPUs with --gpus, or leave out --runtime"
    listed = run([program, "nvproxy", "list-supported-drivers"])
    known = re.findall(r"\d{1,6}\.\d{1,6}(?:\.\d{1,6})?", listed or "")
    if not known or version in known:
        return ""
    newest = max(known, key=lambda number: [int(part) for part in number.split(".")])
    return (
        f"gVisor here does not know driver {version} (its newest is {newest}), so its containers get no GPU: update runsc, install a "
        f"driver of `{program} nvproxy list-supported-drivers`, or leave out --runtime"
    )
