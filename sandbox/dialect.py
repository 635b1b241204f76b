"""What differs between engines: Docker or podman, on this machine or another, and how a GPU is passed to a container."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_CDI_PREFIX = "nvidia.com/gpu="


@dataclass(frozen=True, slots=True)
class Dialect:
    """Read once, when connecting. The defaults are those of a Docker engine on this machine."""

    podman: bool = False
    cgroup_v1: bool = False
    local: bool = True
    """Whether the engine shares this machine's process numbers and cgroup tree."""
    gpu_driver: str | None = None
    """ "cdi", "nvidia" (the container toolkit's older hook), or None when the engine knows of no GPU."""
    runtime: str | None = None
    """An OCI runtime other than the engine's default, for example "runsc"."""
    few_users: bool = False
    """Whether the engine's containers have only 65,536 users, because it remaps them or runs without root."""
    first_user: int = 0
    """The host's number of the containers' user 0, if the engine mounts volumes outside their user namespace."""


def _hook_is_here() -> bool:
    """Docker hands out GPUs if this program is on its PATH when it starts, and its `info` does not say so
    (moby, daemon/nvidia_linux.go)."""
    path = os.pathsep.join(
        [os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin"]
    )
    return shutil.which("nvidia-container-runtime-hook", path=path) is not None


def detect(
    version: Mapping[str, Any],
    info: Mapping[str, Any],
    *,
    base_url: str,
    runtime: str | None,
    hook: Callable[[], bool] = _hook_is_here,
) -> Dialect:
    """Read the engine's own `version` and `info` answers. `hook` says whether this machine has the container toolkit's hook."""
    local = base_url.startswith(("http+docker", "unix://", "npipe://")) and "ssh" not in base_url
    podman = any("podman" in str(part.get("Name", "")).lower() for part in version.get("Components") or [])
    gpu_driver = _gpu_driver(info)
    if gpu_driver is None and local and not podman and hook():
        gpu_driver = "nvidia"
    options = [str(option).partition(",")[0] for option in info.get("SecurityOptions") or []]
    return Dialect(
        podman=podman,
        cgroup_v1=str(info.get("CgroupVersion") or "1") == "1",
        local=local,
        gpu_driver=gpu_driver,
        runtime=runtime,
        few_users=any(name in options for name in ("name=userns", "name=rootless")),
        first_user=_first_user(info) if "name=userns" in options else 0,
    )


def _first_user(info: Mapping[str, Any]) -> int:
    """With userns-remap the root folder is named after the first user and group (/var/lib/docker/100000.100000)."""
    first, _, _ = Path(str(info.get("DockerRootDir"))).name.partition(".")
    return int(first) if first.isdecimal() else 0


def _gpu_driver(info: Mapping[str, Any]) -> str | None:
    """CDI when the engine names NVIDIA devices (API 1.50) or has a specification of them, else the older hook."""
    devices = [str(device.get("ID", "")) for device in info.get("DiscoveredDevices") or []]
    if any(device.startswith(_CDI_PREFIX) for device in devices):
        return "cdi"
    if any(_names_nvidia(Path(folder)) for folder in info.get("CDISpecDirs") or []):
        return "cdi"
    return "nvidia" if "nvidia" in (info.get("Runtimes") or {}) else None


def _names_nvidia(folder: Path) -> bool:
    try:
        files = [path for path in folder.iterdir() if path.suffix in {".json", ".yaml"}]
        return any(_kind(path) == "nvidia.com/gpu" for path in files)
    except OSError:
        return False


def _kind(path: Path) -> str:
    """The `kind` of a CDI specification (https://github.com/cncf-tags/container-device-interface)."""
    text = path.read_text(errors="replace")
    if path.suffix == ".json":
        try:
            found = json.loads(text)
        except ValueError:
            return ""
        return str(found.get("kind", "")) if isinstance(found, dict) else ""
    kinds = [line.partition(":")[2].strip(" \"'") for line in text.splitlines() if line.startswith("kind:")]
    return kinds[0] if kinds else ""
