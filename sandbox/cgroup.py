"""A container's cgroup as seen from the host, where the engine is on this machine and the files may be read.

Both cgroup versions and both of Docker's drivers are known; anything else simply gives no answer.
"""

from __future__ import annotations

from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
_PLACES = (
    "memory/docker/{id}",  # v1, cgroupfs driver
    "memory/system.slice/docker-{id}.scope",  # v1, systemd driver
    "docker/{id}",  # v2, cgroupfs driver
    "system.slice/docker-{id}.scope",  # v2, systemd driver
    "memory/libpod_parent/libpod-{id}",  # podman as root: v1, cgroupfs
    "memory/machine.slice/libpod-{id}.scope",  # v1, systemd
    "libpod_parent/libpod-{id}",  # v2, cgroupfs
    "machine.slice/libpod-{id}.scope",  # v2, systemd
)
_PEAK = ("memory.peak", "memory.max_usage_in_bytes")


def memory_peak(container: str, root: Path = ROOT) -> int | None:
    """The most bytes the container ever held at once, as far as the kernel tells (v2: Linux 5.19)."""
    folder = _folder(container, root)
    if folder is None:
        return None
    for name in _PEAK:
        try:
            return int((folder / name).read_text())
        except (OSError, ValueError):
            continue
    return None


def processes(container: str, root: Path = ROOT) -> int:
    """How many processes are still in the container's cgroup and those below it; 0 when it is gone or not here."""
    folder = _folder(container, root)
    if folder is None:
        return 0
    count = 0
    for path in [folder, *folder.rglob("*/")]:
        try:
            count += len((path / "cgroup.procs").read_text().split())
        except OSError:  # it went away while we looked
            continue
    return count


def _folder(container: str, root: Path) -> Path | None:
    candidates = (root / place.format(id=container) for place in _PLACES)
    return next((folder for folder in candidates if folder.is_dir()), None)
