"""Leases of CPUs and GPUs of a shared machine, enforced among our processes by kernel locks.

One advisory lock (flock) per host CPU or GPU UUID, in a folder that all users share. The kernel releases it when its holder dies. A
process that gets no lease waits or gives up; it touches no process of others and changes no setting.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from sandbox.courtesy import Courtesy
from sandbox.engine import SandboxError
from sandbox.gpu import GpuProbe
from sandbox.lock_files import try_lock
from sandbox.spec import GIB, Lease

_POLL_S = 1.0
_USED_BYTES = GIB
"""Of a GPU's memory that may be in use on a free one, by a display server for instance (canhazgpu's threshold, too)."""
_SETTLING_LOOKS, _SETTLING_S = 4, 0.5
_CPUS = "cpu"
"""What is marked and offered: all CPUs together."""
_SHARED = Path("/var/lock/autoresearch")


class LeaseUnavailable(SandboxError):
    """Nothing became free in time."""


class Leases(Protocol):
    """Leases compute: CPUs, or a GPU with CPUs."""

    def acquire(self) -> AbstractContextManager[Lease]:
        """Wait for compute and hold it inside the `with`. Raises LeaseUnavailable."""
        ...

    def available(self) -> bool:
        """Whether `acquire` would have something to hand out at this moment. Where not, others see that it is waited for."""
        ...

    def stop_waiting(self) -> None:
        """Others need not offer anything any more."""
        ...

    def with_contention(self, lease: Lease) -> Lease:
        """The lease, marked `contended` if another process is seen on it. Call it inside the `with`, after the own container is dead:
        a process found there then is somebody else's."""
        ...

    def quarantine(self, lease: Lease, why: str) -> None:
        """Never lease this compute again until a person has removed the note: a container on it survived SIGKILL."""
        ...

    def leave_out(self, uuid: str) -> int:
        """Lease this GPU no more in this process; returns how many are left."""
        ...


def default_folder() -> Path:
    """The folder of the locks: shared by all users if possible, so that their leases see each other, else this user's own."""
    try:
        _SHARED.mkdir(mode=0o1777, parents=True, exist_ok=True)
        if _SHARED.stat().st_uid == os.getuid():
            _SHARED.chmod(0o1777)  # mkdir's mode is cut by the umask
    except OSError:
        pass
    if os.access(_SHARED, os.W_OK | os.X_OK):
        return _SHARED
    private = Path(os.environ.get("XDG_RUNTIME_DIR", "/tmp")) / f"autoresearch-{os.getuid()}"
    private.mkdir(mode=0o700, parents=True, exist_ok=True)
    if private.is_symlink() or private.stat().st_uid != os.getuid():
        raise SandboxError(f"{private} belongs to somebody else; set XDG_RUNTIME_DIR to a folder of yours")
    return private


class CpuLeases:
    """Disjoint sets of `count` CPUs out of those this process may use (its affinity mask)."""

    def __init__(
        self,
        count: int,
        *,
        folder: Path | None = None,
        available: Sequence[int] | None = None,
        patience_s: float = 3600.0,
        sleep: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
        waiting: Callable[[str], None] = lambda _: None,
        may_share: bool = False,
        courtesy: bool = False,
    ) -> None:
        """`waiting` is told once, in a sentence, when a lease has to be waited for; `courtesy` offers what is given back to others who
        wait (`sandbox.courtesy`). With `may_share` nothing is waited for: what is
        missing is taken from the CPUs that others hold. That is for trainings on GPUs, whose score does not depend on CPUs."""
        self._may_share = may_share
        self._available = sorted(os.sched_getaffinity(0) if available is None else available)
        if not 1 <= count <= len(self._available):
            raise SandboxError(
                f"a lease of {count} CPUs cannot be had: this process may use {len(self._available)}"
            )
        self._count = count
        self._folder = folder or default_folder()
        self._patience_s, self._sleep, self._monotonic = patience_s, sleep, monotonic
        self._waiting = waiting
        self._courtesy = Courtesy(self._folder, offers=courtesy, monotonic=monotonic)

    @contextmanager
    def acquire(self) -> Iterator[Lease]:
        until, told = self._monotonic() + self._patience_s, False
        while True:
            with ExitStack() as held:
                cpus = self._take(held)
                if self._may_share:
                    cpus += [cpu for cpu in self._available if cpu not in cpus][: self._count - len(cpus)]
                if len(cpus) == self._count:
                    try:
                        yield Lease(cpus=tuple(cpus))
                    finally:
                        self._courtesy.given_back(_CPUS)
                    return
            if self._monotonic() >= until:
                self._courtesy.wait_no_more()
                raise LeaseUnavailable(
                    f"no {self._count} CPUs became free within {self._patience_s:g} s; another run holds them"
                )
            if not told:
                self._waiting(
                    f"waiting for {self._count} of {len(self._available)} CPUs: another training of autoresearch holds them"
                )
                told = True
            self._sleep(_POLL_S)

    def _take(self, held: ExitStack) -> list[int]:
        """Lock as many CPUs as are wanted, or fewer; the caller releases them if they are too few. Only one process does this at a
        time, so that two do not each hold half of what both need."""
        if self._may_share:
            return self._lock(held)
        if self._courtesy.may_take(_CPUS):
            cpus = self._lock(held)
            if len(cpus) == self._count:
                self._courtesy.taken(_CPUS)
                self._courtesy.wait_no_more()
                return cpus
            self._courtesy.taken_by_others(_CPUS)
        self._courtesy.wait_for([_CPUS])
        return []

    def _lock(self, held: ExitStack) -> list[int]:
        with ExitStack() as taking:
            if (door := _try_lock(self._folder / "cpu.door")) is None:
                return []
            taking.callback(os.close, door)
            cpus: list[int] = []
            for cpu in self._available:
                if len(cpus) == self._count:
                    break
                if (lock := _try_lock(self._folder / f"cpu-{cpu}.lock")) is not None:
                    held.callback(os.close, lock)
                    cpus.append(cpu)
            return cpus

    def available(self) -> bool:
        with ExitStack() as held:
            return self._may_share or len(self._take(held)) == self._count

    def stop_waiting(self) -> None:
        self._courtesy.wait_no_more()

    def with_contention(self, lease: Lease) -> Lease:
        return lease

    def quarantine(self, lease: Lease, why: str) -> None:
        for cpu in lease.cpus:
            _quarantine(self._folder / f"cpu-{cpu}.lock", why)

    def leave_out(self, uuid: str) -> int:
        raise AssertionError(f"{uuid} is no CPU")


class GpuLeases:
    """One whole GPU out of `uuids`, with CPUs. Waits while other processes use the GPUs."""

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
        waiting: Callable[[str], None] = lambda _: None,
        courtesy: bool = False,
    ) -> None:
        """`waiting` is told once, in a sentence, when a lease has to be waited for; `courtesy` offers what is given back to others who
        wait (`sandbox.courtesy`)."""
        if not uuids:
            raise SandboxError("no GPU to lease; `nvidia-smi -L` lists their UUIDs")
        if unknown := sorted(set(uuids) - {gpu.uuid for gpu in probe.gpus()}):
            raise SandboxError(f"the driver knows no GPU {', '.join(unknown)}; `nvidia-smi -L` lists UUIDs")
        self._uuids, self._probe, self._cpus = list(uuids), probe, cpus
        self._left_out = set[str]()
        self._folder = folder or default_folder()
        self._patience_s, self._sleep, self._monotonic = patience_s, sleep, monotonic
        self._waiting = waiting
        self._courtesy = Courtesy(self._folder, offers=courtesy, monotonic=monotonic)

    @contextmanager
    def acquire(self) -> Iterator[Lease]:
        until, told = self._monotonic() + self._patience_s, False
        while True:
            with ExitStack() as held:
                if (uuid := self._take(held)) is not None:
                    with self._cpus.acquire() as lease:
                        try:
                            yield replace(lease, gpu_uuid=uuid)
                        finally:
                            self._courtesy.given_back(f"gpu-{uuid}")
                        return
            if not set(self._uuids) - self._left_out:
                raise LeaseUnavailable("no GPU is left: each has failed several times in this run")
            if self._monotonic() >= until:
                self._courtesy.wait_no_more()
                raise LeaseUnavailable(
                    f"no GPU became free within {self._patience_s:g} s; others are using them"
                )
            if not told:
                self._waiting(
                    f"waiting for a GPU: none of the {len(self._uuids)} that may be used is free (`nvidia-smi` shows what is on them)"
                )
                told = True
            self._sleep(_POLL_S)

    def available(self) -> bool:
        with ExitStack() as held:
            return self._take(held) is not None

    def _take(self, held: ExitStack) -> str | None:
        """A free GPU, locked until `held` is closed."""
        for uuid in self._turns():
            if not self._courtesy.may_take(f"gpu-{uuid}"):
                continue
            if (lock := _try_lock(self._folder / f"gpu-{uuid}.lock")) is None:
                self._courtesy.taken_by_others(f"gpu-{uuid}")
                continue
            if self._is_free(uuid):
                held.callback(os.close, lock)
                self._courtesy.taken(f"gpu-{uuid}")
                self._courtesy.wait_no_more()
                return uuid
            os.close(lock)
        self._courtesy.wait_for(f"gpu-{uuid}" for uuid in self._uuids)
        return None

    def _is_free(self, uuid: str) -> bool:
        """Nobody computes on it and nobody has memory of it. One that the driver cannot tell about is not free."""
        try:
            return not self._probe.processes(uuid) and self._probe.state(uuid).used_bytes < _USED_BYTES
        except SandboxError:
            return False

    def _turns(self) -> list[str]:
        """All GPUs that are not left out, another one first each time, so that one that hands out nothing but errors does not get every training."""
        turns = self._uuids
        self._uuids = [*turns[1:], turns[0]]
        return [uuid for uuid in turns if uuid not in self._left_out]

    def stop_waiting(self) -> None:
        self._courtesy.wait_no_more()

    def with_contention(self, lease: Lease) -> Lease:
        if lease.gpu_uuid is None:
            return lease
        for _ in range(_SETTLING_LOOKS):  # the driver may list our own dead processes for a moment
            try:
                if not self._probe.processes(lease.gpu_uuid):
                    return lease
            except SandboxError:  # it fell off the bus: `sandbox.gpu_check` says so
                return lease
            self._sleep(_SETTLING_S)
        return replace(lease, contended=True)

    def quarantine(self, lease: Lease, why: str) -> None:
        self._cpus.quarantine(lease, why)
        if lease.gpu_uuid is not None:
            _quarantine(self._folder / f"gpu-{lease.gpu_uuid}.lock", why)

    def leave_out(self, uuid: str) -> int:
        self._left_out.add(uuid)
        return len(set(self._uuids) - self._left_out)


def quarantined(folder: Path | None = None) -> list[Path]:
    """The notes of compute that must not be used. A person removes them."""
    return sorted((folder or default_folder()).glob("*.quarantined"))


def _quarantine(lock: Path, why: str) -> None:
    lock.with_suffix(".quarantined").write_text(why + "\n")


def _try_lock(path: Path) -> int | None:
    """An open descriptor that holds the lock; None if another process holds it or it is quarantined."""
    return None if path.with_suffix(".quarantined").exists() else try_lock(path)
