"""What the pretended engine adds to the promises of tests/conformance: faults, on purpose."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sandbox.engine import BuildContext, Remnant, SandboxError
from sandbox.fake_engine import Crash, FakeEngine, Point, Script
from sandbox.outcome import Ending, Fault, Outcome
from sandbox.owner import this_process
from sandbox.spec import Job, Lease, Limits, Output, Role


def writes(job: Job) -> Script:
    (job.destination / "a").write_bytes(b"x")
    return Script()


def job(engine: FakeEngine, folder: Path) -> Job:
    return Job(
        run="r",
        experiment="1",
        attempt=1,
        role=Role.TRAIN,
        image=engine.import_root(Path("/"), "base:1").id,
        command=("train",),
        limits=Limits(wall_clock_s=30),
        lease=Lease(cpus=(0,)),
        destination=folder,
        outputs=(Output("a", 10),),
    )


@pytest.mark.parametrize("point", [Point.START, Point.RUNNING, Point.COLLECT])
@pytest.mark.parametrize("ending", [Ending.ENGINE_FAILED, Ending.LOST, Ending.UNKILLABLE])
def test_an_injected_ending_comes_once_and_nothing_is_collected(
    point: Point, ending: Ending, tmp_path: Path
) -> None:
    engine = FakeEngine(writes)
    engine.inject(point, ending)
    outcome = engine.run(job(engine, tmp_path))
    assert (outcome.ending, outcome.fault, outcome.files) == (ending, Fault.INFRASTRUCTURE, {})
    assert list(tmp_path.iterdir()) == []
    assert engine.remnants() == []
    assert engine.run(job(engine, tmp_path)).ending is Ending.EXITED


def test_an_interrupt_leaves_nothing_and_a_crash_leaves_what_kill_9_leaves(tmp_path: Path) -> None:
    engine = FakeEngine(writes)
    engine.inject(Point.RUNNING, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        engine.run(job(engine, tmp_path))
    assert engine.remnants() == []
    (tmp_path / "a").unlink()
    engine.inject(Point.RUNNING, Crash())
    with pytest.raises(Crash):
        engine.run(job(engine, tmp_path))
    assert [item.kind for item in engine.remnants("r")] == ["container", "container", "volume"]
    assert engine.remnants("other") == []
    assert engine.reap(now=0.0) == []
    assert len(engine.reap(now=0.0, everything_of_run="r", dry_run=True)) == 3
    assert len(engine.reap(now=1e12)) == 3
    assert engine.remnants() == []


def test_another_users_remnant_is_not_seen() -> None:
    engine = FakeEngine()
    owner = f"{os.getuid() + 1}:boot:1:1"
    engine.add_remnant(Remnant("container", "x", "x", owner, 0.0, "r", "train"))
    assert engine.remnants() == []
    assert engine.reap(now=1e12, everything_of_run="r") == []


def test_what_a_dead_process_left_is_reaped() -> None:
    engine = FakeEngine()
    me = this_process()
    owner = f"{me.uid}:{me.boot_id}:{me.pid}:{me.start_time + 1}"
    engine.add_remnant(Remnant("volume", "x", "x", owner, 1e12, "r", "holder"))
    assert [item.reason for item in engine.reap(now=0.0)] == ["its owner is dead"]


@pytest.mark.parametrize("point", [Point.BUILD, Point.IMAGE, Point.REAP])
def test_an_injected_error_is_raised(point: Point) -> None:
    engine = FakeEngine()
    engine.inject(point, SandboxError("no space"))
    with pytest.raises(SandboxError, match="no space"):
        {
            Point.BUILD: lambda: engine.build(BuildContext("FROM scratch", {})),
            Point.IMAGE: lambda: engine.image("x"),
            Point.REAP: lambda: engine.reap(now=0.0),
        }[point]()
    with pytest.raises(ValueError):
        engine.inject(point, Ending.LOST)


def test_an_outcome_is_handed_on_as_it_is(tmp_path: Path) -> None:
    made = Outcome(Ending.EXITED, 7, 1.5, log_tail="x")
    engine = FakeEngine(lambda _: made)
    assert engine.run(job(engine, tmp_path)) is made


def test_what_was_asked_is_kept_in_order(tmp_path: Path) -> None:
    engine = FakeEngine(writes)
    asked = job(engine, tmp_path)
    engine.run(asked)
    context = BuildContext("FROM scratch", {}, labels={"a": "b"})
    engine.build(context)
    assert (engine.jobs, engine.builds) == ([asked], [context])
