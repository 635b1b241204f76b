"""A container's cgroup as seen from the host, if the engine is on this machine and the files may be read.

Knows both cgroup versions and both of Docker's drivers; with anything else there is no answer.
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
_PF_EXITING, _SIGKILL_PENDING = 0x4, 1 << 8
_PEAK = ("memory.peak", "memory.max_usage_in_bytes")


def memory_peak(container: str, root: Path = ROOT) -> int | None:
    """The container's peak memory in bytes, if the kernel records it (v2: since Linux 5.19)."""
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
    """Number of processes in the container's cgroup and those below it; 0 if it is gone or not on this machine."""
    folder = _folder(container, root)
    if folder is None:
        return 0
    count = 0
    for path in [folder, *folder.rglob("*/")]:
        try:
            count += len((path / "cgroup.procs").read_text().split())
        except OSError:  # removed meanwhile
            continue
    return count


def being_killed(container: str, root: Path = ROOT, proc: Path = Path("/proc")) -> bool:
    """Whether no thread of the container will execute another instruction of its program: each is exiting or has SIGKILL pending
    (proc(5), /proc/PID/stat). False if that cannot be seen.

    Checked twice, because a thread that was alive at the first check may have created another one.
    """
    folder = _folder(container, root)
    if folder is None:
        return False
    threads = _threads(folder)
    return all(_is_dying(proc / str(thread) / "stat") for thread in threads) and _threads(folder) <= threads


def cpu_seconds(container: str, root: Path = ROOT) -> float | None:
    """CPU seconds of its processes, including the kernel's work for them: freeing memory counts, waiting for a device does not."""
    folder = _folder(container, root)
    if folder is None:
        return None
    inside = folder.relative_to(root)
    version_1 = root.joinpath("cpuacct", *inside.parts[1:]) / "cpuacct.usage"
    try:
        if inside.parts[0] == "memory":
            return int(version_1.read_text()) / 1e9
        return int((folder / "cpu.stat").read_text().split()[1]) / 1e6  # usage_usec comes first (cgroup v2)
    except (OSError, ValueError, IndexError):
        return None


def _threads(folder: Path) -> set[int]:
    found: set[int] = set()
    for path in [folder, *folder.rglob("*/")]:
        for name in ("cgroup.threads", "tasks"):
            try:
                found.update(int(word) for word in (path / name).read_text().split())
                break
            except OSError:  # the file of the other version, or removed meanwhile
                continue
    return found


def _is_dying(stat: Path) -> bool:
    try:
        fields = stat.read_text().rpartition(")")[2].split()  # from the third field on
    except OSError:
        return not stat.parent.exists()
    return bool(int(fields[6]) & _PF_EXITING or int(fields[28]) & _SIGKILL_PENDING)


def _folder(container: str, root: Path) -> Path | None:
    candidates = (root / place.format(id=container) for place in _PLACES)
    return next((folder for folder in candidates if folder.is_dir()), None)
