"""Several trainings at once decide as one after the other would have: on all that is known by then, and nothing is lost."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from benchmarks.shared_clock import SharedClock
from benchmarks.simulated_run import OneLease, SeveralLeases, SimulatedRun, source
from runner.cli.status import status
from runner.errors import PrerequisiteMissing
from runner.protocols import Context, Event, Proposal
from runner.scoring.best_script import best
from runner.search.attempts import MAX_INFRASTRUCTURE_FAILURES
from runner.search.confirmer import Confirmer
from runner.search.slot_threads import InOrder, Slots, Turn
from runner.search.withdrawal import withdraw
from sandbox.fake_engine import Point, Script
from sandbox.lease import LeaseUnavailable
from sandbox.outcome import Ending, Outcome
from sandbox.spec import Job, Lease, Role

RUN = "simulated"


class SlowModel:
    """Takes `seconds` for a proposal, and never makes the same one twice."""

    name, can_be_prefetched = "model", True

    def __init__(self, clock: SharedClock, seconds: float) -> None:
        self._clock, self._seconds = clock, seconds
        self.numbers: list[int] = []
        self.in_flight: list[int] = []
        self.others: list[int] = []

    def propose(self, context: Context) -> Proposal:
        self.numbers.append(context.number)
        self.in_flight.append(sum(past.status == "open" for past in context.history))
        self.others.append(context.others_asked)
        self._clock.sleep(self._seconds)
        return Proposal(source(2.1, f"idea{context.number} = 1\n"), f"idea {context.number}")


def trained_seconds(run: SimulatedRun) -> float:
    return sum(a.seconds or 0.0 for e in run.ledger.experiments(RUN) for a in e.attempts)


def events(run: SimulatedRun, kind: str) -> list[dict[str, object]]:
    return [data for _, found, data in run.ledger.events(RUN) if found == kind]


def invariants(run: SimulatedRun) -> None:
    experiments = run.ledger.experiments(RUN)
    assert [e.number for e in experiments] == list(range(len(experiments))), "no number is left out"
    decisions = [e.decision for e in experiments if e.decision is not None]
    assert sorted(decisions) == list(range(1, len(decisions) + 1)), "each decision has a place of its own"
    assert all(a.outcome is not None for e in experiments for a in e.attempts)
    for kept in (e for e in experiments if e.kept):
        assert kept.image, f"experiment {kept.number} is kept and not frozen"
        assert run.engine.image(kept.image).id == kept.image
    for experiment in experiments:
        seeds = [a.seed for a in experiment.counted]
        assert len(set(seeds)) == len(seeds), f"experiment {experiment.number} ran twice under one seed"
    folders = [a.folder for e in experiments for a in e.attempts]
    assert len(set(folders)) == len(folders)


def test_sixteen_slots_are_busy_although_a_proposal_takes_a_minute(tmp_path: Path) -> None:
    run = SimulatedRun(tmp_path, [], slots=16)
    run.train_s = 300.0
    model = SlowModel(run.clock, 60.0)
    run.proposals = model
    began = run.clock.now
    run.loop(budget_s=3900.0, expected_s=300.0).go()
    begun = min(a.started_at for e in run.ledger.experiments(RUN)[1:] for a in e.attempts)
    ended = max(a.started_at + 300.0 for e in run.ledger.experiments(RUN)[1:] for a in e.attempts)
    searched = sum(300.0 for e in run.ledger.experiments(RUN)[1:] for a in e.attempts)
    assert run.leases.most_at_once == 16
    assert searched / (16 * (ended - begun)) > 0.95
    assert run.clock.now - began <= 3900.0
    assert len(set(model.numbers)) == len(model.numbers), "no two proposals were made for one experiment"
    assert max(model.in_flight) == 16, "a proposer is told what trains now"
    assert max(model.others) == 15, "and how many others are asked"
    invariants(run)


def test_it_is_decided_against_the_best_as_it_then_is(tmp_path: Path) -> None:
    """Both are better than the baseline. The second ends first and is adopted, so the first must be better than the second."""
    run = SimulatedRun(
        tmp_path,
        [source(1.9, "SECONDS = 200.0\n"), source(1.8, "SECONDS = 90.0\n")],
        slots=2,
        noise=lambda _: 0.0,
    )
    run.loop().go()
    _, first, second = run.ledger.experiments(RUN)[:3]
    assert (first.status, second.status) == ("discard", "keep")
    assert (second.decision, first.decision) == (2, 3)
    assert first.delta == pytest.approx(0.1, abs=1e-3)


def test_the_best_is_what_was_kept_last_and_not_what_has_the_highest_number(tmp_path: Path) -> None:
    run = SimulatedRun(
        tmp_path,
        [source(1.7, "SECONDS = 200.0\n"), source(1.8, "SECONDS = 90.0\n")],
        slots=2,
    )
    run.loop().go()
    _, first, second = run.ledger.experiments(RUN)[:3]
    assert (first.status, second.status) == ("keep", "keep")
    assert best(run.ledger.index(RUN).kept).number == 1
    assert run.ledger.last_decided(RUN, "keep").number == 1
    confirmed = [c for c in run.ledger.confirmations(RUN) if c.verdict == "confirmed"]
    assert confirmed[-1].candidate == 1
    log = (tmp_path / ".git" / "refs" / "heads" / "autoresearch" / RUN).read_text()
    assert log.strip() == first.git_commit, "commits follow the order of decisions"
    invariants(run)


@pytest.mark.parametrize("slots", [2, 3])
def test_as_many_trainings_as_were_asked_for_and_no_more(tmp_path: Path, slots: int) -> None:
    run = SimulatedRun(tmp_path, [source(2.1, f"a = {n}\n") for n in range(20)], slots=slots)
    reason = run.loop(max_experiments=7).go()
    assert reason == "all experiments done"
    assert run.ledger.index(RUN).trained == 7
    assert [e.status for e in run.ledger.experiments(RUN)[1:]] == ["discard"] * 7
    assert run.leases.most_at_once == slots
    invariants(run)


def test_a_budget_is_wall_clock_however_many_slots_there_are(tmp_path: Path) -> None:
    spent, trained = {}, {}
    for slots in (1, 4):
        run = SimulatedRun(
            tmp_path / f"{slots}", [source(2.1, f"a = {n}\n") for n in range(200)], slots=slots
        )
        began = run.clock.now
        run.loop(budget_s=3000.0).go()
        spent[slots] = run.ledger.run(RUN).spent_s
        trained[slots] = run.ledger.index(RUN).attempts
        assert run.clock.now - began <= 3000.0
        assert spent[slots] == pytest.approx(run.clock.now - began, abs=1.0)
    assert trained[4] > 3.5 * trained[1]


class Killed(BaseException):
    """As kill -9: nothing after it runs."""


@pytest.mark.parametrize("moment", range(0, 90, 2))
def test_killed_at_any_event_with_several_in_flight_it_goes_on(moment: int, tmp_path: Path) -> None:
    ideas = [
        source(2.0 - 0.02 * n if n % 3 == 0 else 2.1, f"a = {n}\nSECONDS = {60 + 37 * (n % 4)}\n")
        for n in range(8)
    ]
    run = SimulatedRun(tmp_path, [*ideas, "this is no python (\n", source(1.0, "CRASH = True\n")], slots=3)
    seen = 0

    def die(_: Event) -> None:
        nonlocal seen
        seen += 1
        if seen >= moment + 1:
            raise Killed

    try:
        run.loop(emit=die).go()
    except Killed:
        run.leases = type(run.leases)(3)  # the kernel frees them
        run.loop().go()
    else:
        assert seen <= moment, "the moment was never reached"
    experiments = run.ledger.experiments(RUN)
    scripts = [e for e in experiments if e.source and e.number > 0]
    assert len({e.source for e in scripts}) >= 10, "every idea was tried"
    assert [e.status for e in scripts if e.source.startswith("SCORE = 1.0")] == ["failed"]
    assert best(run.ledger.index(RUN).kept).val_bpb == pytest.approx(1.88, abs=2e-3)
    assert not run.ledger.index(RUN).open
    invariants(run)


def losing(run: SimulatedRun, cpus: set[tuple[int, ...]]) -> None:
    """From the first candidate on, whatever is trained on these CPUs is lost after five seconds."""
    behaviour = run.engine._behaviour

    def lost(job: Job) -> Script | Outcome:
        if job.role is Role.TRAIN and job.lease.cpus in cpus and job.experiment != "0":
            run.clock.sleep(5.0)
            return Script(ending=Ending.LOST, detail="the device is gone")
        return behaviour(job)

    run.engine._behaviour = lost


def test_an_engine_that_fails_in_one_slot_costs_the_run_one_slot(tmp_path: Path) -> None:
    """Although the others' trainings go well meanwhile."""
    run = SimulatedRun(tmp_path, [source(2.1, f"a = {n}\n") for n in range(60)], slots=3)
    run.train_s = 4.0
    losing(run, {(1,)})
    run.loop(infrastructure_pause_s=1.0).go()
    assert [data["left"] for data in events(run, "slot_lost")] == [2]
    lost = [a for e in run.ledger.experiments(RUN) for a in e.attempts if a.outcome == "infrastructure"]
    assert len(lost) == MAX_INFRASTRUCTURE_FAILURES
    assert {e.status for e in run.ledger.experiments(RUN)[1:61]} == {"discard"}, (
        "nothing is charged to an idea"
    )
    invariants(run)


def test_when_every_slot_fails_the_run_ends_with_a_sentence(tmp_path: Path) -> None:
    run = SimulatedRun(tmp_path, [source(2.1, f"a = {n}\n") for n in range(12)], slots=3)
    losing(run, {(0,), (1,), (2,)})
    with pytest.raises(PrerequisiteMissing, match="failed 3 times in a row"):
        run.loop().go()
    assert [data["left"] for data in events(run, "slot_lost")] == [2, 1]


class Taken(SeveralLeases):
    """Somebody else has one of them from second 150 to second 4000 of the run."""

    def __init__(self, count: int, clock: SharedClock) -> None:
        super().__init__(count)
        self._clock, self._began = clock, clock.now

    @property
    def taken(self) -> bool:
        return 150.0 <= self._clock.now - self._began < 4000.0

    def available(self) -> bool:
        return len(self._free) > self.taken


class NoticedTooLate(Taken):
    """It is free when it is asked for, and taken a moment later, for an hour and twice."""

    waits = 2

    @contextmanager
    def acquire(self) -> Iterator[Lease]:
        with super().acquire() as lease:
            if not self.taken or lease.cpus != (1,) or not self.waits:
                yield lease
                return
            self.waits -= 1
            self._clock.sleep(1000.0)
        raise LeaseUnavailable("no GPU became free within 1000 s; others are using them")

    def available(self) -> bool:
        return True


@pytest.mark.parametrize("leases", [Taken, NoticedTooLate])
def test_a_slot_whose_device_others_use_waits_while_another_works(
    tmp_path: Path, leases: type[Taken]
) -> None:
    run = SimulatedRun(tmp_path, [source(2.1, f"a = {n}\n") for n in range(120)], slots=2)
    run.leases = leases(2, run.clock)
    began = run.clock.now
    run.loop(max_experiments=120).go()
    assert len(events(run, "waiting")) == (1 if leases is Taken else 2)
    assert {e.status for e in run.ledger.experiments(RUN)[1:]} == {"discard"}
    at = [a.started_at - began for e in run.ledger.experiments(RUN) for a in e.attempts if a.outcome == "ok"]
    beside = [sum(abs(other - one) < 60.0 for other in at) - 1 for one in at]
    alone = [n for one, n in zip(at, beside, strict=True) if 300.0 < one < 1900.0]
    together = [n for one, n in zip(at, beside, strict=True) if one > 4200.0]
    assert set(alone) == {0}
    assert max(together) >= 1, "it trains again when the device is free"
    invariants(run)


def test_a_slot_that_waits_for_a_device_ends_with_the_run(tmp_path: Path) -> None:
    run = SimulatedRun(tmp_path, [source(2.1, f"a = {n}\n") for n in range(20)], slots=2)
    run.leases = Taken(2, run.clock)
    began = run.clock.now
    run.loop(budget_s=1000.0).go()
    assert run.clock.now - began <= 1000.0
    invariants(run)


def test_a_run_whose_devices_are_all_used_by_others_ends(tmp_path: Path) -> None:
    run = SimulatedRun(tmp_path, [source(2.1)])

    class Gone(OneLease):
        @contextmanager
        def acquire(self) -> Iterator[Lease]:
            if len(run.ledger.experiments(RUN)) > 1:
                assert not run.ledger.experiment(RUN, 1).attempts[:-1], "it was asked again"
                raise LeaseUnavailable("no GPU became free")
            yield Lease(cpus=(0,))

    run.leases = Gone()
    with pytest.raises(PrerequisiteMissing, match=r"no GPU became free; .*--resume"):
        run.loop().go()
    assert [a.reason for a in run.ledger.experiment(RUN, 1).attempts] == ["no_device"]


def test_an_engine_that_fails_under_the_baseline_ends_the_run(tmp_path: Path) -> None:
    run = SimulatedRun(tmp_path, [], slots=3)
    for _ in range(3 * MAX_INFRASTRUCTURE_FAILURES):
        run.engine.inject(Point.START, Ending.ENGINE_FAILED)
    with pytest.raises(PrerequisiteMissing, match="failed 3 times in a row"):
        run.loop().go()


def test_what_slots_wait_for_counts_towards_the_limit(tmp_path: Path) -> None:
    """Two slots ask for a proposal at the same time, and only one more is wanted."""
    run = SimulatedRun(tmp_path, [], slots=2)
    model = SlowModel(run.clock, 60.0)
    model.can_be_prefetched = True  # type: ignore[misc]
    run.proposals = model
    assert run.loop(max_experiments=1).go() == "all experiments done"
    assert model.numbers == [1]


def test_each_of_several_runs_of_one_script_is_its_own(tmp_path: Path) -> None:
    """The baseline's runs are made at once: one that is cut short is not taken for another."""
    run = SimulatedRun(tmp_path, [], slots=3)
    behaviour, seeds = run.engine._behaviour, set[str]()

    def late(job: Job) -> Script:
        seed = job.environment.get("AUTORESEARCH_SEED", "")
        if job.role is Role.TRAIN and len(seeds) == 1 and seed not in seeds:
            seeds.add(seed)
            return Script(ending=Ending.TIMED_OUT, seconds=60.0)
        seeds.add(seed)
        return behaviour(job)

    run.engine._behaviour = late
    run.loop().go()
    outcomes = [a.outcome for a in run.ledger.experiment(RUN, 0).attempts if a.confirmation is None]
    assert sorted(map(str, outcomes)) == ["ok", "ok", "ok", "timeout_no_artifact"]
    assert [data["left"] for data in events(run, "cut_short")] == [1]


def test_work_in_order_is_done_in_the_order_of_its_places() -> None:
    """Each takes its place in turn; the second would be ready first."""
    turn, second, done = Turn(), threading.Event(), list[int]()
    promotions = InOrder(turn)

    def work(number: int) -> None:
        with promotions.place():
            if number == 0:
                second.wait(0.3)  # as long as the second is kept waiting
            done.append(number)
            if number == 1:
                second.set()

    with turn:
        Slots(2, turn).at_once([lambda: work(0), lambda: work(1)])
    assert done == [0, 1]


def broken_and_another(ended: list[str], *, abandon: Callable[[], None] = lambda: None) -> None:
    """One of two slots fails after a second, while the other trains for ten."""
    clock, turn = SharedClock(), Turn()

    def fails() -> None:
        with turn.given_up():
            clock.sleep(1.0)
        raise ValueError("broken")

    def trains() -> None:
        with turn.given_up():
            clock.sleep(10.0)
            with turn:
                ended.append("progress")
        ended.append("trained")

    with turn, pytest.raises(ValueError, match="broken"):
        Slots(2, turn, start=clock.start, abandon=abandon).at_once([fails, trains])


def test_after_a_failure_no_other_slot_writes_anything() -> None:
    ended: list[str] = []
    broken_and_another(ended)
    assert ended == []


def test_a_failure_ends_what_the_other_slots_run() -> None:
    ended: list[str] = []
    broken_and_another(ended, abandon=lambda: ended.append("abandoned"))
    assert ended == ["abandoned"]


def test_status_shows_all_that_trains_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "autoresearch.toml").write_text("")
    run = SimulatedRun(tmp_path, [source(2.1, f"a = {n}\n") for n in range(4)], slots=3)
    seen: list[str] = []

    def look(event: Event) -> None:
        open_now = run.ledger.index(RUN).open
        if len(open_now) == 3 and all(e.number and e.attempts for e in open_now) and not seen:
            status()
            seen.append(capsys.readouterr().out)

    run.loop(emit=look).go()
    assert [line.split(",")[0] for line in seen[0].splitlines() if line.startswith("open experiment")] == [
        f"open experiment {number}" for number in (1, 2, 3)
    ]


@pytest.mark.parametrize("slot", [0, 1, 2])
def test_whichever_slot_fails_ends_the_run_at_once(tmp_path: Path, slot: int) -> None:
    """Not when the first slot has nothing more to do."""
    run = SimulatedRun(tmp_path, [source(2.1, f"a = {n}\n") for n in range(60)], slots=3)
    behaviour, began = run.engine._behaviour, run.clock.now

    def broken(job: Job) -> Script | Outcome:
        if job.role is Role.TRAIN and job.lease.cpus == (slot,) and run.clock.now - began > 240.0:
            raise ValueError("broken")
        return behaviour(job)

    run.engine._behaviour = broken
    with pytest.raises(ValueError, match="broken"):
        run.loop(budget_s=3000.0).go()
    assert run.clock.now - began < 400.0


def test_a_wait_for_a_device_says_nothing_of_how_long_trainings_take(tmp_path: Path) -> None:
    class Waited(SeveralLeases):
        """The second training waits for a thousand seconds."""

        asked = 0

        @contextmanager
        def acquire(self) -> Iterator[Lease]:
            self.asked += 1
            if self.asked == 2:
                run.clock.sleep(1000.0)
            with super().acquire() as lease:
                yield lease

    run = SimulatedRun(tmp_path, [source(2.1, f"a = {n}\n") for n in range(400)], slots=2)
    run.leases = Waited(2)
    began = run.clock.now
    run.loop(budget_s=7000.0).go()
    assert run.clock.now - began > 6800.0, "else it stopped as if a training took a thousand seconds"


def test_what_a_lost_slot_was_confirming_is_confirmed_by_another(tmp_path: Path) -> None:
    run = SimulatedRun(tmp_path, [source(1.9), *(source(2.1, f"a = {n}\n") for n in range(60))], slots=2)
    behaviour = run.engine._behaviour

    def lost(job: Job) -> Script | Outcome:
        made_for = [a for e in run.ledger.experiments(RUN) for a in e.attempts if a.confirmation is not None]
        if job.role is Role.TRAIN and len(made_for) in {1, 2, 3} and job.experiment in {"0", "1"}:
            return Script(ending=Ending.LOST, detail="the device is gone", seconds=1.0)
        return behaviour(job)

    run.engine._behaviour = lost
    loop = run.loop(infrastructure_pause_s=1.0)
    loop._confirmer.midway = functools.partial(begun_early, loop._confirmer, loop._confirmer.midway)  # type: ignore[method-assign]
    loop.go()
    assert len(events(run, "slot_lost")) == 1
    assert [c.verdict for c in run.ledger.confirmations(RUN)] == ["confirmed"]


def begun_early(confirmer: Confirmer, midway: Callable[[], None]) -> None:
    """A run must be long before it confirms something midway: here as soon as there is something."""
    if confirmer._open() is None and not confirmer._recorder.confirmations() and confirmer._pairs(6):
        confirmer._begin(2)
    midway()


def test_a_script_that_was_withdrawn_meanwhile_is_not_confirmed(tmp_path: Path) -> None:
    run = SimulatedRun(tmp_path, [source(1.9), source(2.1)], slots=2)
    loop = run.loop()

    def withdrawn(event: Event) -> None:
        if event.kind == "confirming":
            withdraw(loop.recorder, loop.recorder.experiment(1), "it failed 2 times when it ran again")

    loop = run.loop(emit=withdrawn)
    loop.go()
    assert [(c.verdict, c.reason) for c in run.ledger.confirmations(RUN)] == [
        ("not_confirmed", "experiment 1 was withdrawn")
    ]
    assert not run.ledger.experiment(RUN, 1).confirmed


def test_a_resumed_run_commits_in_the_order_of_decisions(tmp_path: Path) -> None:
    """As if it had been killed before either of two kept scripts was frozen."""
    run = SimulatedRun(tmp_path, [source(1.7, "SECONDS = 200.0\n"), source(1.8, "SECONDS = 90.0\n")], slots=2)
    run.loop().go()
    branch = tmp_path / ".git" / "refs" / "heads" / "autoresearch" / RUN
    branch.write_text(f"{run.ledger.experiment(RUN, 0).git_commit}\n")
    for number in (1, 2):
        run.ledger.set_experiment(RUN, number, image=None, tag=None, git_commit=None)
    run.loop().go()
    assert best(run.ledger.index(RUN).kept).number == 1
    assert branch.read_text().strip() == run.ledger.experiment(RUN, 1).git_commit
    invariants(run)
