"""The clock of a training on CPUs: CPU time, with the wall clock as its hard limit."""

from __future__ import annotations

from pathlib import Path

import pytest

from trainer_jax import cpu_time
from trainer_jax.wallclock import WallClock


@pytest.mark.parametrize(
    ("wall", "cpu", "progress", "left"),
    [
        (50.0, 75.0, 0.0, 0.0),  # the CPU budget was given and used faster than the wall clock: half of it
        (50.0, 30.0, 0.0, 0.0),  # a script that sleeps, or a busy machine: the wall clock rules
        (99.5, 30.0, 1.0, 0.0),  # in time before the kill
        (80.0, 149.0, 1.0, 0.0),
    ],
)
def test_what_is_used_up_first_ends_the_training(
    tmp_path: Path, wall: float, cpu: float, progress: float, left: float
) -> None:
    clock = WallClock(
        100.0, tape=tmp_path / "clock.f64", cpu_budget=150.0, age=lambda: wall, cpu_seconds=lambda: cpu
    )
    expected = progress or max(wall, cpu / 1.5) / 99.0
    assert clock.progress() == pytest.approx(expected)
    assert clock.seconds_left() == pytest.approx(max(99.0 - max(wall, cpu / 1.5), left))


def test_a_busy_machine_makes_a_training_longer_and_not_smaller(tmp_path: Path) -> None:
    """Half the CPUs: as much CPU time, in more wall time."""
    for share, seconds in ((0.9, 83), (0.8, 93)):
        now = [0.0]
        clock = WallClock(
            100.0,
            tape=tmp_path / f"{share}.f64",
            cpu_budget=150.0,
            age=lambda now=now: now[0],
            cpu_seconds=lambda now=now, share=share: 2 * share * now[0],
        )
        while clock.progress() < 1.0:
            now[0] += 1.0
        assert now[0] == seconds
        assert 2 * share * now[0] == pytest.approx(148.5, abs=2.0)


def test_answers_by_cpu_time_are_played_back(tmp_path: Path) -> None:
    tape = tmp_path / "clock.f64"
    recorded = WallClock(100.0, tape=tape, cpu_budget=150.0, age=lambda: 10.0, cpu_seconds=lambda: 75.0)
    answers = [recorded.progress(), recorded.seconds_left(), recorded.elapsed()]
    assert answers[2] == 50.0
    again = WallClock(100.0, tape=tmp_path / "again.f64", replay=str(tape), age=lambda: 99.0)
    assert [again.progress(), again.seconds_left(), again.elapsed()] == answers


@pytest.mark.parametrize(
    ("name", "content", "seconds"),
    [
        ("cpuacct/cpuacct.usage", "{ns}\n", True),
        ("cpu.stat", "usage_usec {us}\nuser_usec 1\n", True),
        ("cpuacct/cpuacct.usage", "9{ns}000\n", False),  # of the whole machine
    ],
)
def test_the_containers_own_cgroup_tells_its_cpu_time(
    tmp_path: Path, name: str, content: str, seconds: bool
) -> None:
    used = cpu_time.of_process() + 2.5
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text(content.format(ns=int(used * 1e9), us=int(used * 1e6)))
    found = cpu_time.source(age=used + 1.0, root=tmp_path)
    assert found() == pytest.approx(used if seconds else cpu_time.of_process(), abs=1.0)
