"""Checks that a job is well-formed. Every engine calls this first, so that all refuse the same jobs."""

from __future__ import annotations

import os
import re
from pathlib import PurePosixPath

from sandbox.spec import Job

_IMAGE_ID = re.compile(r"sha256:[0-9a-f]{64}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_TAKEN = ("/out", "/log", "/tmp", "/proc", "/sys", "/dev", "/")


def refuse_malformed(job: Job) -> None:
    """Raises ValueError with one sentence for a malformed job."""
    if not _IMAGE_ID.fullmatch(job.image):
        raise ValueError(f"address images by content id (sha256:…), not {job.image!r}: a tag can move")
    if not job.command or not all(job.command):
        raise ValueError("a job needs a command")
    if not job.lease.cpus or len(set(job.lease.cpus)) != len(job.lease.cpus) or min(job.lease.cpus) < 0:
        raise ValueError("a job needs a lease of at least one CPU, each named once")
    limits = job.limits
    for name in ("wall_clock_s", "memory_bytes", "pids", "shm_bytes", "tmp_bytes", "tmp_inodes"):
        if not getattr(limits, name) > 0:
            raise ValueError(f"the limit {name} must be above zero: zero means unlimited to an engine")
    if min(limits.out_bytes, limits.out_inodes, limits.open_files, limits.log_bytes) <= 0:
        raise ValueError("the limits of /out, open files and log must be above zero")
    if job.monitor is not None and not _plain(job.monitor.name):
        raise ValueError("a monitor reads a plain file name in /out")
    names = [output.name for output in job.outputs]
    if len(set(names)) != len(names) or not all(_plain(name) for name in names):
        raise ValueError("outputs are plain file names in /out, each asked for once")
    for mount in job.mounts:
        target = PurePosixPath(mount.target)
        if not target.is_absolute() or ".." in target.parts or str(target) in _TAKEN:
            raise ValueError(f"{mount.target!r} is no place to mount something")
    for name, value in job.environment.items():
        if not _VARIABLE.fullmatch(name) or "\0" in value:
            raise ValueError(f"{name!r} is no environment variable")
    if not job.destination.is_dir():
        raise ValueError(f"{job.destination} must be an existing folder")
    if taken := [name for name in names if os.path.lexists(job.destination / name)]:
        raise ValueError(f"{job.destination} holds {taken[0]} already; collected files never replace any")


def _plain(name: str) -> bool:
    return (
        name.isprintable() and "/" not in name and name not in {"", ".", ".."} and len(name.encode()) <= 255
    )
