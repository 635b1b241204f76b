"""A container that was killed in time and takes long to die: it frees much memory, or many page tables. That is nobody's
late clock and no process that cannot be killed, and a script must not be able to make it look like either."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from test_wall_clock import Engine

from sandbox import cgroup
from sandbox.deadline import Death, Watch
from sandbox.outcome import Ending
from sandbox.spec import GIB
from sandbox.watchdog.api import Api, Seen
from sandbox.watchdog.endpoint import Endpoint
from sandbox.watchdog.kill_at_deadline import Container

FORKS = (
    "import ctypes, mmap, os, time\n"
    "open('/out/report', 'w').write('saved')\n"
    "ctypes.CDLL(None).prctl(41, 1, 0, 0, 0)\n"  # PR_SET_THP_DISABLE: small pages, so many entries
    "size = 1 << 30\n"
    "memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)\n"
    "for at in range(0, size, 4096): memory[at] = 1\n"
    "for _ in range(60):\n"
    "    if os.fork() == 0: time.sleep(100)\n"
    "time.sleep(100)"
)


@pytest.mark.engine
def test_a_script_that_makes_its_death_long_has_timed_out_and_is_no_fault_of_the_machine(
    sandboxed: Any,
) -> None:
    outcome = sandboxed(FORKS, wall_clock_s=12, memory_bytes=2 * GIB, pids=100)
    assert outcome.ending is Ending.TIMED_OUT, outcome.detail
    assert outcome.files["report"].path.read_text() == "saved"


class DiesSlowly(Engine):
    """Its death takes 90 s after SIGKILL."""

    def kill(self, _: str, signal: str) -> None:
        self.kills.append(self.now)
        self.dies_at = min(self.dies_at, self.now + 90)


def watched(monkeypatch: pytest.MonkeyPatch, *, computes: bool) -> Death:
    engine = DiesSlowly()
    monkeypatch.setattr("sandbox.cgroup.processes", lambda _: 0)
    monkeypatch.setattr("sandbox.cgroup.memory_peak", lambda _: 5)
    monkeypatch.setattr("sandbox.cgroup.cpu_seconds", lambda _: engine.now if computes else 300.0)
    return Watch(engine, "c", engine.monotonic, engine.sleep, local=True).until_dead(300)


def test_what_is_on_its_way_out_is_waited_for_and_what_stands_still_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert watched(monkeypatch, computes=True).died_at == pytest.approx(390, abs=1)
    assert not watched(monkeypatch, computes=False).dead


@dataclass(frozen=True)
class AnswersWhenItIsDead(Api):
    """As Docker does: POST /kill waits for the death."""

    dead: threading.Event = field(default_factory=threading.Event)

    def kill(self, name: str) -> bool | None:
        return self.dead.wait(20)

    def inspect(self, name: str) -> Seen | None:
        return Seen("c", running=not self.dead.is_set(), begun=True, pid=0)

    def wait(self, name: str, seconds: float) -> None:
        pass


def test_it_was_killed_when_the_signal_had_reached_all_of_it_and_not_when_the_engine_answered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looked = threading.Event()

    def doomed(_: str) -> bool:
        looked.set()
        return True

    monkeypatch.setattr("sandbox.cgroup.being_killed", doomed)
    engine = AnswersWhenItIsDead(Endpoint("1.41", unix="/nowhere"))
    kept = Container(engine, "c", time.monotonic() - 1)
    assert looked.wait(20)
    time.sleep(0.5)
    answered = time.monotonic()
    engine.dead.set()
    end = time.monotonic() + 20
    while kept.alive and time.monotonic() < end:
        time.sleep(0.05)
    assert kept.killed_at is not None
    assert kept.killed_at < answered


def stat(state: str, flags: int, pending: int) -> str:
    """As in proc(5), with a name that tries to be more than one field."""
    return " ".join(["1 (a ) b)", state, *["0"] * 5, str(flags), *["0"] * 21, str(pending), *["0"] * 5])


@pytest.mark.parametrize("tasks", ["tasks", "cgroup.threads"])
def test_all_of_it_is_doomed_only_when_every_thread_is(tasks: str, tmp_path: Path) -> None:
    root, proc = tmp_path / "cgroup", tmp_path / "proc"
    folder = root / ("memory/docker/c" if tasks == "tasks" else "docker/c")
    folder.mkdir(parents=True)

    def doomed(**threads: tuple[str, int, int]) -> bool:
        for number, (state, flags, pending) in threads.items():
            (proc / number[1:]).mkdir(parents=True, exist_ok=True)
            (proc / number[1:] / "stat").write_text(stat(state, flags, pending))
        (folder / tasks).write_text("\n".join(number[1:] for number in threads))
        return cgroup.being_killed("c", root, proc)

    assert doomed(t1=("Z", 0x4, 0), t2=("R", 0x404, 0), t3=("D", 0x400, 1 << 8))
    assert not doomed(t1=("Z", 0x4, 0), t2=("R", 0x400, 0))
    assert not doomed(t1=("D", 0x400, 1 << 14)), "SIGTERM"
    assert not cgroup.being_killed("elsewhere", root, proc)


@pytest.mark.parametrize(
    ("folder", "name", "text"),
    [
        ("memory/docker/c", "cpuacct/docker/c/cpuacct.usage", "2500000000\n"),
        ("docker/c", "docker/c/cpu.stat", "usage_usec 2500000\nuser_usec 1\n"),
    ],
)
def test_what_it_computes_is_known_with_both_versions(
    folder: str, name: str, text: str, tmp_path: Path
) -> None:
    (tmp_path / folder).mkdir(parents=True)
    assert cgroup.cpu_seconds("c", tmp_path) is None
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text(text)
    assert cgroup.cpu_seconds("c", tmp_path) == 2.5
