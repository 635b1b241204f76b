"""Trained by night alone, whatever the clock does; and a run that waits can be ended, killed and gone on with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from benchmarks.shared_clock import SharedClock
from benchmarks.simulated_run import Clock, OneLease, SeveralLeases, SimulatedRun, source
from runner.cli.status import status
from runner.errors import UsageError
from runner.nightly_window import NightlyWindow, TimeInside, parse_window
from runner.protocols import Context, Event, Proposal
from runner.search.endings import ASKED, TIME_BUDGET_EXHAUSTED
from sandbox.spec import Lease

RUN, NIGHT, TRAIN_S = "simulated", "20:00-22:00", 900.0
BERLIN = ZoneInfo("Europe/Berlin")


class Model:
    """Takes so many seconds for a proposal, and remembers when it was asked."""

    name = "model"

    def __init__(self, clock: Clock | SharedClock, seconds: float, *, early: bool) -> None:
        self._clock, self._seconds, self.can_be_prefetched = clock, seconds, early
        self.asked = list[float]()

    def propose(self, context: Context) -> Proposal:
        self.asked.append(self._clock.now)
        self._clock.sleep(self._seconds)
        return Proposal(source(2.1, f"idea{context.number} = 1\n"), f"idea {context.number}")


def night_run(folder: Path, ideas: int, slots: int = 1) -> SimulatedRun:
    """It begins at eight in the morning. A training takes a quarter of an hour."""
    run = SimulatedRun(folder, [source(2.1, f"a = {n}\n") for n in range(ideas)], slots=slots)
    run.train_s = TRAIN_S
    return run


def began(run: SimulatedRun) -> list[float]:
    """When each training began."""
    return [a.started_at for e in run.ledger.experiments(RUN) for a in e.attempts if a.outcome == "ok"]


def is_night(moment: float, left_s: float = 0.0) -> bool:
    until = parse_window(NIGHT, UTC).open_until(moment)
    return until is not None and until - moment >= left_s


def kinds(run: SimulatedRun) -> list[str]:
    return [kind for _, kind, _ in run.ledger.events(RUN)]


@pytest.mark.parametrize("slots", [1, 2])
def test_a_run_trains_by_night_alone_and_its_budget_is_of_nights(slots: int, tmp_path: Path) -> None:
    run = night_run(tmp_path, 0, slots)
    run.proposals = model = Model(run.clock, 60.0, early=True)
    start, held = run.clock.now, list[int]()

    def look(event: Event) -> None:
        if event.kind == "window_open" and slots > 1:
            held.append(run.leases._held)  # type: ignore[attr-defined]

    assert (
        run.loop(expected_s=910.0, budget_s=3 * 3600.0, between=NIGHT, emit=look).go()
        == TIME_BUDGET_EXHAUSTED
    )
    assert len(began(run)) >= 9 * slots
    assert all(is_night(moment, left_s=TRAIN_S) for moment in began(run))
    assert run.clock.now - start == pytest.approx(37 * 3600.0, abs=1000.0), (
        "one night of two hours and one of one"
    )
    assert run.ledger.run(RUN).spent_s == pytest.approx(3 * 3600.0, abs=1000.0)
    assert held == [0] * len(held), "nothing is leased while it waits"
    assert all(is_night(moment, left_s=TRAIN_S - 60.0) for moment in model.asked), "nor is anything asked for"
    assert kinds(run).count("window_closed") == kinds(run).count("window_open") == 2


def test_a_training_whose_device_is_free_too_late_is_not_begun(tmp_path: Path) -> None:
    run = night_run(tmp_path, 40)

    class Waited(OneLease):
        """Somebody has the CPU from ten past nine to ten past ten at night."""

        @contextmanager
        def acquire(self) -> Iterator[Lease]:
            if (late := run.clock.now % 86400.0 - 76200.0) > 0 and late < 3600.0:
                run.clock.sleep(3600.0 - late)
            leased.append(run.clock.now)
            yield Lease(cpus=(0,))

    leased: list[float] = []
    run.leases = Waited()
    run.loop(expected_s=910.0, budget_s=3 * 3600.0, between=NIGHT).go()
    trained = [e for e in run.ledger.events(RUN) if e[1] == "state" and e[2]["state"] == "training"]
    assert all(is_night(at, left_s=TRAIN_S) for at, _, _ in trained)
    assert not all(map(is_night, leased)), "else nothing was free too late"
    assert {e.status for e in run.ledger.experiments(RUN)[1:] if e.attempts} <= {"discard", "open"}


def test_by_day_no_device_is_looked_at_and_others_see_nobody_wait(tmp_path: Path) -> None:
    """Somebody has one of two CPUs, so that a slot waits for it when the night ends."""
    run = night_run(tmp_path, 40, slots=2)
    looks, waiting = list[float](), False

    class Watched(SeveralLeases):
        def available(self) -> bool:
            nonlocal waiting
            looks.append(run.clock.now)
            waiting = True
            return self._held == 0

        def stop_waiting(self) -> None:
            nonlocal waiting
            waiting = False

    def look(event: Event) -> None:
        if event.kind == "window_open":
            assert not waiting

    run.leases = Watched(2)
    run.loop(expected_s=910.0, budget_s=3 * 3600.0, between=NIGHT, emit=look).go()
    assert looks
    assert all(map(is_night, looks))


@pytest.mark.parametrize("slots", [1, 2])
@pytest.mark.parametrize("nth", [1, 2])
def test_a_waiting_run_ends_when_it_is_asked_to_and_goes_on_later(
    nth: int, slots: int, tmp_path: Path
) -> None:
    """Before its baseline, and in the morning after."""
    run = night_run(tmp_path, 40, slots)
    asked = False

    def ask(_: Event) -> None:
        nonlocal asked
        asked = kinds(run).count("window_closed") == nth

    reason = run.loop(
        expected_s=910.0, budget_s=1e5, between=NIGHT, emit=ask, asked_to_end=lambda: asked
    ).go()
    assert reason == ASKED
    assert run.clock.now % 86400.0 - (8 if nth == 1 else 22) * 3600.0 < TRAIN_S, "at once"
    left = len(run.ledger.index(RUN).open)
    run.loop(expected_s=910.0, budget_s=1e5, between=NIGHT, max_experiments=20).go()
    assert all(is_night(moment, left_s=TRAIN_S) for moment in began(run))
    assert left <= slots
    assert not run.ledger.index(RUN).open


class Killed(BaseException):
    """As kill -9: nothing after it runs."""


def test_a_run_that_is_killed_while_it_waits_has_lost_nothing(tmp_path: Path) -> None:
    run = night_run(tmp_path, 40)

    def die(event: Event) -> None:
        if event.kind == "window_closed" and began(run):
            raise Killed

    with pytest.raises(Killed):
        run.loop(expected_s=910.0, budget_s=1e5, between=NIGHT, emit=die).go()
    spent = run.ledger.run(RUN).spent_s
    run.loop(expected_s=910.0, budget_s=1e5, between=NIGHT, max_experiments=20).go()
    attempts = [a for e in run.ledger.experiments(RUN) for a in e.attempts]
    assert {a.outcome for a in attempts} == {"ok"}
    assert all(is_night(moment, left_s=TRAIN_S) for moment in began(run))
    assert spent <= 2 * 3600.0


class SetClock(Clock):
    """Somebody sets it by `jump_s` a minute after the tenth sleep."""

    jump_s, sleeps = 0.0, 0

    def time(self) -> float:
        return self.now + (self.jump_s if self.sleeps > 10000 else 0.0)

    def sleep(self, seconds: float) -> None:
        self.sleeps += 1
        super().sleep(seconds)


@pytest.mark.parametrize("jump_h", [-30.0, -3.0, -1.0, 1.0, 3.0, 30.0])
@pytest.mark.parametrize("after", [3, 8650, 8700])
def test_a_clock_that_is_set_is_followed(jump_h: float, after: int, tmp_path: Path) -> None:
    """While the run waits for the first night, and in it."""
    run = night_run(tmp_path, 40)
    run.clock = clock = SetClock()
    clock.sleeps, clock.jump_s = 10000 - after, jump_h * 3600.0
    run.engine._now, run.engine._sleep = clock.time, clock.sleep
    assert run.loop(expected_s=910.0, budget_s=4 * 3600.0, between=NIGHT).go() == TIME_BUDGET_EXHAUSTED
    assert all(is_night(moment, left_s=TRAIN_S) for moment in began(run))
    assert clock.now < 1_800_000_000.0 + 6 * 86400.0
    assert run.ledger.run(RUN).spent_s <= 4 * 3600.0


def test_a_budget_that_ends_with_the_night_does_not_wait_for_another(tmp_path: Path) -> None:
    """A proposal comes too late for this night, and the next has no time for a training."""
    run = night_run(tmp_path, 0)
    run.proposals = Model(run.clock, 280.0, early=False)
    assert (
        run.loop(expected_s=910.0, budget_s=2 * 3600.0 + 900.0, between=NIGHT).go() == TIME_BUDGET_EXHAUSTED
    )
    assert run.clock.now == pytest.approx(1_800_000_000.0 + 14 * 3600.0, abs=10.0)
    assert [e.status for e in run.ledger.experiments(RUN)[1:]] == ["discard"] * 3 + ["open"]


def test_trainings_that_take_more_than_half_of_the_night_begin_all_the_same(tmp_path: Path) -> None:
    run = night_run(tmp_path, 4)
    run.train_s = 7500.0
    run.loop(expected_s=910.0, budget_s=1e5, between=NIGHT, max_experiments=4).go()
    assert len(began(run)) >= 7
    assert all(is_night(moment, left_s=3600.0) for moment in began(run))


def test_status_says_until_when_it_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("runner.cli.status.is_running", lambda *_: True)
    (tmp_path / "autoresearch.toml").write_text("")
    run = SimulatedRun(tmp_path, [source(2.1)])
    seen: dict[str, str] = {}

    def look(event: Event) -> None:
        if event.kind in {"window_closed", "proposed"}:
            status()
            seen[event.kind] = capsys.readouterr().out.splitlines()[0]

    run.loop(between=NIGHT, emit=look).go()
    assert "  waiting for 20:00  " in seen["window_closed"]
    assert "  running  " in seen["proposed"]


def at(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def test_a_window_may_pass_midnight() -> None:
    night = parse_window("20:00-08:00", BERLIN)
    assert night.length_s == 12 * 3600.0
    for moment, until in {
        "2027-01-15T19:59:59+01:00": None,
        "2027-01-15T20:00:00+01:00": "2027-01-16T08:00+01:00",
        "2027-01-16T07:59:59+01:00": "2027-01-16T08:00+01:00",
        "2027-01-16T08:00:00+01:00": None,
    }.items():
        assert night.open_until(at(moment)) == (at(until) if until else None), moment
    assert night.opens_next(at("2027-01-16T08:00+01:00")) == at("2027-01-16T20:00+01:00")
    day = parse_window("9:30 - 17:00", BERLIN)
    assert day.open_until(at("2027-01-16T09:30+01:00")) == at("2027-01-16T17:00+01:00")
    assert day.open_until(at("2027-01-16T17:00+01:00")) is None
    assert day.said(day.opens_next(at("2027-01-16T17:00+01:00"))) == "09:30"


@pytest.mark.parametrize(
    ("window", "begin", "end"),
    [
        ("20:00-08:00", "2027-03-27T20:00+01:00", "2027-03-28T08:00+02:00"),
        ("20:00-08:00", "2027-10-30T20:00+02:00", "2027-10-31T08:00+01:00"),
        ("20:00-02:30", "2027-10-30T20:00+02:00", "2027-10-31T02:30+02:00"),
        ("02:30-08:00", "2027-10-31T02:30+02:00", "2027-10-31T08:00+01:00"),
        ("02:30-08:00", "2027-03-28T03:30+02:00", "2027-03-28T08:00+02:00"),
        ("20:00-02:30", "2027-03-27T20:00+01:00", "2027-03-28T03:30+02:00"),
    ],
)
def test_nights_in_which_daylight_saving_time_changes(window: str, begin: str, end: str) -> None:
    night = parse_window(window, BERLIN)
    assert night.opens_next(at(begin) - 60.0) == at(begin)
    assert night.open_until(at(begin) - 1.0) is None
    assert night.open_until(at(begin)) == night.open_until(at(end) - 1.0) == at(end)
    assert night.open_until(at(end)) is None
    assert night.open_s(at(begin) - 7200.0, at(end) + 7200.0) == at(end) - at(begin)


def test_a_window_that_does_not_exist_one_night_opens_in_the_next() -> None:
    night = parse_window("02:30-03:15", BERLIN)
    assert night.opens_next(at("2027-03-28T00:00+01:00")) == at("2027-03-29T02:30+02:00")


def test_a_window_must_hold_two_trainings() -> None:
    window = parse_window("23:55-00:05")
    assert window.too_short_for(300.0) == ""
    assert window.too_short_for(301.0).startswith("is too short: it must hold two trainings of 5m1s each")


@pytest.mark.parametrize("zone", [UTC, BERLIN, None])
def test_every_moment_of_a_year_is_inside_or_waits_for_a_later_one(zone: ZoneInfo | None) -> None:
    night, moment, inside = NightlyWindow(*_times(22, 6), zone), 1_800_000_000.0, 0.0
    clock = Clock()
    clock.now = moment
    budget = TimeInside(night, clock)
    for _ in range(365 * 24):
        assert night.open_until(moment) is None or night.open_until(moment) > moment  # type: ignore[operator]
        assert moment < night.opens_next(moment) <= moment + 25 * 3600.0
        inside += 3600.0 if night.open_until(moment) else 0.0
        moment += 3600.0
        clock.now = moment
        assert budget.monotonic() == pytest.approx(inside, abs=1.0)
    assert inside == pytest.approx(365 * 8 * 3600.0, abs=4000.0)


def _times(opens: int, closes: int):  # type: ignore[no-untyped-def]
    window = parse_window(f"{opens}:00-{closes}:00")
    return window.opens, window.closes


@pytest.mark.parametrize(
    "text",
    ["25:00-8", "8-20", "20:00", "20:00-08:60", "24:00-08:00", "20:00-08:00,21:00-22:00", "08:00-08:00", "-", "20:00–08:00", "٢٠:00-08:00", "20h-8h"],
)  # fmt: skip
def test_what_is_no_window_is_one_sentence(text: str) -> None:
    with pytest.raises(UsageError, match=r"for example 20:00-08:00") as refused:
        parse_window(text)
    assert "\n" not in str(refused.value)
