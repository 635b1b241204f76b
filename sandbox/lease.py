"""Leases: who may use which CPUs or which GPU of a shared machine, settled by the kernel.

One advisory lock (flock) per host CPU or GPU UUID in a folder that all users share. The kernel releases it when its
holder dies, however it dies. We wait or give up; no foreign process is ever touched.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from sandbox.engine import SandboxError
from sandbox.spec import Lease

_POLL_S = 1.0


class LeaseUnavailable(SandboxError):
    """Nothing became free in time."""


class GpuProbe(Protocol):
    """What the driver says. `uuids` in driver order; `processes` are host process numbers computing on one GPU."""

    def uuids(self) -> Sequence[str]: ...

    def processes(self, uuid: str) -> Sequence[int]: ...


def default_folder() -> Path:
    """Shared by all users where possible, so that their leases see each other."""
    shared = Path("/var/lock/autoresearch")
    try:
        shared.mkdir(mode=0o1777, parents=True, exist_ok=True)
        if shared.stat().st_uid == os.getuid():
            shared.chmod(0o1777)
    except OSError:
        pass
    if os.access(shared, os.W_OK):
        return shared
    private = Path(os.environ.get("XDG_RUNTIME_DIR", "/tmp")) / f"autoresearch-{os.getuid()}"
    private.mkdir(mode=0o700, parents=True, exist_ok=True)
    return private


class CpuLeases:
    """Disjoint sets of `count` CPUs out of those this process may use."""

    def __init__(
        self,
        count: int,
        *,
        folder: Path | None = None,
        patience_s: float = 3600.0,
        sleep: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        available = sorted(os.sched_getaffinity(0))
        if not 1 <= count <= len(available):
            raise SandboxError(
                f"a lease of {count} CPUs cannot be had: this process may use {len(available)}"
            )
        self._count, self._available = count, available
        self._folder = folder or default_folder()
        self._patience_s, self._sleep, self._monotonic = patience_s, sleep, monotonic

    @contextmanager
    def acquire(self) -> Iterator[Lease]:
        """Wait for a free set and hold it. Raises LeaseUnavailable."""
        until = self._monotonic() + self._patience_s
        while True:
            with ExitStack() as held:
                cpus = []
                for cpu in self._available:
                    if held_lock := _try_lock(self._folder / f"cpu-{cpu}.lock"):
                        held.callback(os.close, held_lock)
                        cpus.append(cpu)
                        if len(cpus) == self._count:
                            yield Lease(cpus=tuple(cpus))
                            return
            if self._monotonic() >= until:
                raise LeaseUnavailable(
                    f"no {self._count} CPUs became free within {self._patience_s:g} s; another run holds them"
                )
            self._sleep(_POLL_S)


class GpuLeases:
    """One whole GPU out of `uuids`, with CPUs beside it. A GPU on which a foreign process computes is waited for."""

    def __init__(
        self,
        uuids: Sequence[str],
        probe: GpuProbe,
        cpus: CpuLeases,
        *,
        folder: Path | None = None,
        patience_s: float = 3600.0,
        sleep: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        if unknown := sorted(set(uuids) - set(probe.uuids())):
            raise SandboxError(f"the driver knows no GPU {', '.join(unknown)}; `nvidia-smi -L` lists UUIDs")
        self._uuids, self._probe, self._cpus = uuids, probe, cpus
        self._folder = folder or default_folder()
        self._patience_s, self._sleep, self._monotonic = patience_s, sleep, monotonic

    @contextmanager
    def acquire(self) -> Iterator[Lease]:
        until = self._monotonic() + self._patience_s
        while True:
            for uuid in self._uuids:
                lock = _try_lock(self._folder / f"gpu-{uuid}.lock")
                if lock is None:
                    continue
                try:
                    if not self._probe.processes(uuid):
                        with self._cpus.acquire() as lease:
                            yield replace(lease, gpu_uuid=uuid)
                            return
                finally:
                    os.close(lock)
            if self._monotonic() >= until:
                raise LeaseUnavailable(
                    f"no GPU became free within {self._patience_s:g} s; others are using them"
                )
            self._sleep(_POLL_S)


def _try_lock(path: Path) -> int | None:
    """An open descriptor that holds the lock, or None when somebody else does."""
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        return None
    return lock
