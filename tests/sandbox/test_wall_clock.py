"""The wall clock against a scripted engine and a clock that only moves when somebody waits."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import requests
from docker.errors import APIError, NotFound

from sandbox.deadline import Death, Watch
from sandbox.exit_cause import ending
from sandbox.outcome import Ending
from sandbox.watchdog.api import Api, Seen
from sandbox.watchdog.client import Record
from sandbox.watchdog.endpoint import Endpoint
from sandbox.watchdog.kill_at_deadline import Container


class Engine:
    """A container that dies at `dies_at`, an engine that is away during `away`, a kill that may not work."""

    def __init__(
        self,
        *,
        dies_at: float = 1e9,
        killable: bool = True,
        away: tuple[float, float] = (1e9, 1e9),
        restart_kills: bool = False,
        removed_at: float = 1e9,
        kill_hangs: bool = False,
    ) -> None:
        self.now = 0.0
        self.dies_at, self.killable, self.away = dies_at, killable, away
        self.restart_kills, self.removed_at, self.kill_hangs = restart_kills, removed_at, kill_hangs
        self.kills: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def _answer(self) -> None:
        if self.away[0] <= self.now < self.away[1]:
            raise requests.exceptions.ConnectionError("Connection refused")
        if self.now >= self.removed_at:
            raise NotFound("no such container")
        if self.restart_kills and self.now >= self.away[1]:
            self.dies_at = min(self.dies_at, self.away[0])

    def wait(self, _: str, timeout: float) -> None:
        self._answer()
        until = min(self.dies_at, self.away[0] if self.now < self.away[0] else 1e9, self.removed_at)
        if until > self.now + timeout:
            self.now += timeout
            raise requests.exceptions.ConnectionError("UnixHTTPConnectionPool: Read timed out.")
        self.now = max(self.now, until)
        self._answer()

    def inspect_container(self, _: str) -> dict[str, Any]:
        self._answer()
        return {"State": {"Running": self.now < self.dies_at}}

    def kill(self, _: str, signal: str) -> None:
        assert signal == "SIGKILL"
        self._answer()
        self.kills.append(self.now)
        if self.kill_hangs:
            self.now += 60
            raise requests.exceptions.ReadTimeout("Read timed out.")
        if self.now >= self.dies_at:
            raise APIError("409: is not running")
        if self.killable:
            self.dies_at = self.now

    def stats(self, _: str, **options: Any) -> dict[str, Any]:
        self._answer()
        return {"memory_stats": {"usage": int(self.now * 10)}}


def watched(engine: Engine, deadline: float = 300.0) -> Death:
    return Watch(engine, "c", engine.monotonic, engine.sleep, local=False).until_dead(deadline)


def test_a_container_that_ends_in_time_is_not_killed() -> None:
    engine = Engine(dies_at=42)
    death = watched(engine)
    assert (death.dead, death.killed, engine.kills) == (True, False, [])
    assert engine.now == pytest.approx(42, abs=0.1)


def test_a_container_is_killed_at_the_deadline_and_not_before_or_after() -> None:
    engine = Engine()
    death = watched(engine)
    assert (death.dead, death.killed, death.memory_peak_bytes) == (True, True, 2977)
    assert death.killed_at == 300.0
    assert not death.late(300.0)
    assert engine.kills == [300.0]


def stopped(engine: Engine, *, at: float) -> Death:
    """Watched by somebody who has a reason to stop it from second `at` on."""
    return Watch(
        engine,
        "c",
        engine.monotonic,
        engine.sleep,
        local=False,
        reason_to_stop=lambda: "hopeless" if engine.now >= at else "",
    ).until_dead(300.0)


STATE = {"ExitCode": 137, "OOMKilled": False}


def test_a_container_that_there_is_a_reason_to_stop_is_killed_at_the_next_look() -> None:
    engine = Engine()
    death = stopped(engine, at=60)
    assert (death.dead, death.killed, death.stopped) == (True, True, "hopeless")
    assert 60 <= engine.kills[0] <= 66
    assert ending(None, "c", STATE, death, 300.0) == (Ending.STOPPED_EARLY, "hopeless")


def test_a_container_that_ends_before_the_kill_reaches_it_ended_by_itself() -> None:
    engine = Engine(dies_at=61)
    death = replace(stopped(engine, at=200), stopped="hopeless")
    assert ending(None, "c", {**STATE, "ExitCode": 0}, death, 300.0)[0] is Ending.EXITED


def test_a_container_that_is_to_be_stopped_and_survives_sigkill_is_reported() -> None:
    engine = Engine(killable=False)
    death = stopped(engine, at=60)
    assert (death.dead, death.killed) == (False, True)


def test_a_container_that_survives_sigkill_is_reported_and_was_killed_again_and_again() -> None:
    engine = Engine(killable=False)
    death = watched(engine)
    assert (death.dead, death.killed) == (False, True)
    assert len(engine.kills) > 3
    assert engine.now < 340


def test_an_engine_that_hangs_on_the_kill_does_not_hang_us() -> None:
    engine = Engine(killable=False, kill_hangs=True)
    assert not watched(engine).dead
    assert engine.now < 500


def test_a_container_that_dies_at_the_last_moment_was_not_killed_by_us() -> None:
    engine = Engine(dies_at=300.0)
    death = watched(engine)
    assert (death.dead, death.killed) == (True, False)


def test_an_engine_restart_that_kills_the_container_is_noticed() -> None:
    engine = Engine(away=(10, 15), restart_kills=True)
    death = watched(engine)
    assert (death.dead, death.interrupted, death.killed) == (True, True, False)
    assert engine.now < 20


def test_a_container_that_lives_through_an_engine_restart_keeps_its_deadline() -> None:
    engine = Engine(away=(10, 15))
    death = watched(engine)
    assert (death.dead, death.interrupted, death.killed) == (True, False, True)
    assert engine.kills == [300.0]


def test_an_engine_that_is_away_at_the_deadline_kills_when_it_is_back() -> None:
    engine = Engine(away=(299, 310))
    death = watched(engine)
    assert (death.dead, death.killed) == (True, True)
    assert 310 <= engine.kills[0] < 312


@pytest.mark.parametrize("since", [10.0, 300.0])
def test_an_engine_that_does_not_come_back_is_an_error(since: float) -> None:
    engine = Engine(away=(since, 1e9))
    with pytest.raises(requests.exceptions.ConnectionError):
        watched(engine)
    assert engine.now < since + 60


@pytest.mark.parametrize("moment", [10.0, 300.0])
def test_a_container_that_somebody_removed_is_not_called_unkillable(moment: float) -> None:
    with pytest.raises(NotFound):
        watched(Engine(removed_at=moment))


def test_processes_left_in_the_cgroup_count_as_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = iter([3, 1, 0])
    looks: list[int] = []

    def processes(_: str) -> int:
        looks.append(next(counts))
        return looks[-1]

    monkeypatch.setattr("sandbox.cgroup.processes", processes)
    monkeypatch.setattr("sandbox.cgroup.memory_peak", lambda _: 5)
    engine = Engine(dies_at=1)
    death = Watch(engine, "c", engine.monotonic, engine.sleep, local=True).until_dead(300)
    assert death.dead
    assert looks == [3, 1, 0]


@pytest.mark.parametrize("code", [0, 1, 137])
def test_a_death_while_the_engine_was_away_is_nobodys_fault(code: int) -> None:
    """Whatever code a restart left behind: it is not the candidate's word."""
    state = {"ExitCode": code, "OOMKilled": False}
    assert ending(None, "c", state, Death(dead=True, interrupted=True), 300.0)[0] is Ending.LOST


def test_the_stub_can_tell_time() -> None:
    """The tests above mean nothing with a clock that stands still."""
    engine = Engine()
    step: Callable[[float], None] = engine.sleep
    step(2.0)
    assert engine.monotonic() == 2.0


KILLED = Death(dead=True, killed=True, killed_at=309.0, died_at=309.1)
SLEPT = Death(dead=True, died_at=900.0)


def test_when_it_was_killed_and_died_is_what_watchdog_or_runner_saw_first() -> None:
    """The runner slept over the deadline; the watchdog did not."""
    known = SLEPT.with_record(Record(killed_at=300.1, died_at=303.5))
    assert ending(None, "c", STATE, known, 300.0)[0] is Ending.TIMED_OUT
    assert known.died_at == 303.5
    assert KILLED.with_record(Record()) == KILLED


def test_a_container_that_was_killed_in_time_may_take_its_time_to_die() -> None:
    slow = Death(dead=True, killed=True, killed_at=300.2, died_at=315.0)
    assert ending(None, "c", STATE, slow, 300.0)[0] is Ending.TIMED_OUT


@pytest.mark.parametrize("death", [KILLED, SLEPT, Death(dead=True)])
@pytest.mark.parametrize("code", [0, 137])
def test_a_container_that_nobody_ended_in_time_is_late_whatever_it_says(death: Death, code: int) -> None:
    assert ending(None, "c", {**STATE, "ExitCode": code}, death, 300.0)[0] is Ending.LATE


@dataclass(frozen=True)
class StartsLate(Api):
    """An engine of which the container is started only after its deadline: the first kills find nothing that runs."""

    kills: list[str] = field(default_factory=list)

    def kill(self, name: str) -> bool | None:
        self.kills.append(name)
        return len(self.kills) > 3

    def inspect(self, name: str) -> Seen | None:
        return Seen("c", running=len(self.kills) == 3, begun=len(self.kills) >= 3, pid=0)

    def wait(self, name: str, seconds: float) -> None:
        pass


def test_a_container_that_is_started_after_its_deadline_is_killed_all_the_same() -> None:
    """The runner was stopped between telling the watchdog of it and starting it."""
    engine = StartsLate(Endpoint("1.41", unix="/nowhere"))
    kept = Container(engine, "c", time.monotonic() - 1)
    end = time.monotonic() + 20
    while kept.alive and time.monotonic() < end:
        time.sleep(0.05)
    assert (kept.alive, len(engine.kills)) == (False, 4)
    assert kept.killed_at is not None
