"""What an engine takes of the machine while something runs: memory and CPU time of dockerd, containerd and the shims.

They run as root and outside every limit, so whatever a candidate can make them take is taken from everybody. This
process, which holds the runner's half, is measured beside them.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

MIB = 1 << 20
_TICK = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_LOOK_S = 0.05


@dataclass
class Use:
    """Of one process: resident bytes when first seen and at most, seconds of CPU since it was first seen. A process
    that began meanwhile was first seen with nothing."""

    name: str
    first_bytes: int = 0
    most_bytes: int = 0
    first_cpu_s: float = 0.0
    last_cpu_s: float = 0.0

    @property
    def more_bytes(self) -> int:
        return self.most_bytes - self.first_bytes

    @property
    def cpu_s(self) -> float:
        return self.last_cpu_s - self.first_cpu_s


@dataclass
class Meter:
    """Looks at the processes of the engine behind `socket_path` every 50 ms until the `with` ends. `containers` says
    which shims are meant."""

    socket_path: str
    containers: Callable[[], list[str]]
    used: dict[int, Use] = field(default_factory=dict)

    @contextlib.contextmanager
    def measuring(self) -> Iterator[Meter]:
        done = threading.Event()
        daemon = engine_process(self.socket_path)
        lasting = {os.getpid(): "runner"}
        if daemon:
            lasting |= {daemon: "dockerd", **dict.fromkeys(_containerds(daemon), "containerd")}
        for pid, name in lasting.items():
            size, cpu_s = _look(pid)
            self.used[pid] = Use(name, size, size, cpu_s, cpu_s)
        thread = threading.Thread(target=self._watch, args=(done,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            done.set()
            thread.join()
            self._sample()

    def _watch(self, done: threading.Event) -> None:
        while not done.wait(_LOOK_S):
            self._sample()

    def _sample(self) -> None:
        for pid in _shims(self.containers()):
            self.used.setdefault(pid, Use("shim"))
        for pid, use in self.used.items():
            with contextlib.suppress(OSError, IndexError, ValueError):  # it has ended
                size, use.last_cpu_s = _look(pid)
                use.most_bytes = max(use.most_bytes, size)

    def more_bytes(self, name: str) -> int:
        """The most that one process of this name grew by."""
        return max((use.more_bytes for use in self.used.values() if use.name == name), default=0)

    def cpu_s(self, *names: str) -> float:
        """CPU seconds of all processes of these names together."""
        return sum(use.cpu_s for use in self.used.values() if use.name in names)


def engine_process(socket_path: str) -> int | None:
    """The process that listens there, if it is a dockerd (with socket activation it is the init system)."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.connect(socket_path)
        pid, _, _ = struct.unpack("3i", probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    if _name(pid) == "dockerd":
        return int(pid)
    found = [int(path.name) for path in Path("/proc").glob("[0-9]*") if _name(int(path.name)) == "dockerd"]
    return found[0] if len(found) == 1 else None


def _containerds(daemon: int) -> list[int]:
    """The engine's own, which is its child, or the machine's."""
    every = {int(path.name) for path in Path("/proc").glob("[0-9]*") if _name(int(path.name)) == "containerd"}
    own = [pid for pid in every if _parent(pid) == daemon]
    return own or [pid for pid in every if _name(_parent(pid)) != "dockerd"]


def _shims(containers: list[str]) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (path / "cmdline").read_bytes().split(b"\0")
            if b"containerd-shim" in words[0] and any(name.encode() in words for name in containers):
                found.append(int(path.name))
    return found


def _look(pid: int) -> tuple[int, float]:
    """Resident bytes and CPU seconds."""
    size = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return size, (int(fields[11]) + int(fields[12])) / _TICK


def _name(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text().strip()
    return ""


def _parent(pid: int) -> int:
    with contextlib.suppress(OSError, IndexError, ValueError):
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()[1])
    return 0
