"""Others on a training's CPUs: what the host counts, when a training is made again, and how often."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.simulated_run import OneLease, SimulatedRun
from runner.display.lines import sentence
from runner.evaluation.contention import busy_machine, contention, cpu_budget
from runner.protocols import Event
from runner.report.write_report import write
from sandbox.cpu_use import CpuMeter, CpuUse
from sandbox.fake_engine import Script
from sandbox.gpu import GpuUse
from sandbox.outcome import Ending, Outcome
from sandbox.spec import Job, Lease

TWO = Lease(cpus=(0, 1))
BUDGET = 90.0


def outcome(own: float, others: float) -> Outcome:
    return Outcome(Ending.EXITED, 0, 60.0, cpu=CpuUse(own, others, 120.0))


@pytest.mark.parametrize(
    ("own", "others", "contended"),
    [
        (90.0, 3.0, False),  # it got its budget
        (60.0, 57.0, True),  # a busy loop on one of two CPUs
        (85.0, 11.0, True),  # cut short by the wall clock, and by as much as others had
        (40.0, 3.0, False),  # a script that sleeps
    ],
)
def test_what_others_had_of_the_cpus_decides(own: float, others: float, contended: bool) -> None:
    assert bool(contention(outcome(own, others), TWO, BUDGET)) is contended


def test_a_training_on_a_gpu_has_no_cpu_budget_and_is_not_judged_by_its_cpus() -> None:
    gpu = Lease(cpus=(0, 1), gpu_uuid="GPU-a")
    assert cpu_budget(gpu, 60.0) == 0.0
    assert contention(outcome(10.0, 100.0), gpu, 0.0) == ""


@pytest.mark.parametrize(
    ("use", "said"),
    [
        (GpuUse(150), ""),
        (GpuUse(150, strangers_share=0.04, slowed_share=0.09), ""),
        (GpuUse(150, strangers_share=0.05), "others computed on its GPU for 5% of the time"),
        (GpuUse(150, slowed_share=0.5, slowed_by="too hot"), "its GPU was slowed down for 50% of the time (too hot)"),
        (None, ""),
    ],
)  # fmt: skip
def test_what_happened_on_its_gpu_decides(use: GpuUse | None, said: str, tmp_path: Path) -> None:
    gpu = Lease(cpus=(0, 1), gpu_uuid="GPU-a")
    assert contention(Outcome(Ending.EXITED, 0, 300.0, gpu=use), gpu, 0.0) == said


def test_a_training_beside_strangers_on_its_gpu_is_made_again_and_what_was_seen_is_kept(
    tmp_path: Path,
) -> None:
    class Throttled(SimulatedRun):
        def train(self, job: Job) -> Script:
            found = super().train(job)
            slowed = 0.4 if len(self.ledger.experiment("simulated", 0).attempts) == 2 else 0.0
            use = GpuUse(150, slowed_share=slowed, slowed_by="too hot", utilisation=0.9, hottest_c=80)
            return replace(found, gpu=use)

    simulated = Throttled(tmp_path, [])
    loop = simulated.loop()
    loop.attempts.pipeline = replace(loop.attempts.pipeline, leases=OneLease(Lease((0,), "GPU-a")))
    loop.go()
    attempts = simulated.ledger.experiment("simulated", 0).attempts
    assert [a.contended for a in attempts] == [False, True, False, False]
    said = [sentence(e) for e in simulated.events if e.kind == "contended"]
    assert said == [
        "baseline: its GPU was slowed down for 40% of the time (too hot) (attempt 2); it does not count"
    ]
    kept = json.loads((Path(attempts[1].folder) / "gpu.json").read_text())
    assert (kept["samples"], kept["slowed_share"]) == (150, 0.4)
    page = write(simulated.workspace, simulated.ledger, "simulated")["report"].read_text()
    assert (
        "GPUs: 0.1 hours in 4 trainings, 90% of the time in use, at most 80 °C, 1 of them (0.0 hours) voided"
        in page
    )


def stat(*cpus: tuple[int, int]) -> str:
    """/proc/stat with ticks of user and idle time; 100 ticks are a second."""
    lines = [f"cpu{i} {user} 0 0 {idle} 0 0 0 0 0 0" for i, (user, idle) in enumerate(cpus)]
    return "\n".join(["cpu  1 2 3 4 5 6 7 8 0 0", *lines, "intr 1"]) + "\n"


def test_what_a_containers_own_threads_do_is_not_others_use(tmp_path: Path) -> None:
    file, own = tmp_path / "stat", iter([5.0, 17.0, None])
    meter = CpuMeter((0, 1), lambda: next(own), file)
    file.write_text(stat((0, 0), (0, 0), (0, 0)))
    meter.look()
    file.write_text(stat((1000, 0), (500, 500), (1000, 0)))  # the third CPU is not leased
    meter.look()
    file.write_text(stat((9000, 0), (9000, 0), (9000, 0)))
    meter.look()  # it is gone: what happens now is nobody's business
    assert meter.use == CpuUse(own_s=12.0, others_s=3.0, capacity_s=20.0)


def test_time_that_the_hypervisor_took_was_taken_by_others(tmp_path: Path) -> None:
    file, own = tmp_path / "stat", iter([0.0, 1.0])
    meter = CpuMeter((0,), lambda: next(own), file)
    for stolen in (0, 400):
        file.write_text(
            f"cpu0 0 0 0 0 0 0 0 {stolen} 0 0\n" if not stolen else "cpu0 100 0 0 500 0 0 0 400 0 0\n"
        )
        meter.look()
    assert meter.use == CpuUse(own_s=1.0, others_s=4.0, capacity_s=10.0)


class Beside(SimulatedRun):
    """Others compute beside the trainings whose numbers, counted from 1, are in `busy`."""

    busy: frozenset[int] = frozenset()
    trained = 0

    def train(self, job: Job) -> Script:
        script = super().train(job)
        self.trained += 1
        others = 50.0 if self.trained in self.busy else 1.0
        return Script(script.ending, script.exit_code, script.log, cpu=CpuUse(45.0, others, 120.0))


def test_a_contended_training_does_not_count_and_is_made_again(tmp_path: Path) -> None:
    simulated = Beside(tmp_path, [])
    simulated.busy = frozenset({2})
    simulated.loop().go()
    attempts = simulated.ledger.experiment("simulated", 0).attempts
    assert [a.contended for a in attempts] == [False, True, False, False]
    assert attempts[1].seed == attempts[2].seed, "the same measurement again"
    said = [sentence(e) for e in simulated.events if e.kind == "contended"]
    assert said == ["baseline: others had 42% of the time of its CPUs (attempt 2); it does not count"]


def test_on_a_machine_that_stays_busy_trainings_count_after_two_retries(tmp_path: Path) -> None:
    simulated = Beside(tmp_path, [])
    simulated.busy = frozenset(range(1, 100))
    simulated.loop(budget_s=1000.0).go()
    attempts = simulated.ledger.experiment("simulated", 0).attempts
    assert [a.contended for a in attempts] == [True, True, False, False, False]
    assert [e.data["counts"] for e in simulated.events if e.kind == "contended"] == [False] * 2 + [True] * 3


@pytest.mark.parametrize(
    ("use", "contended"),
    [
        (GpuUse(150, strangers_share=0.5), [True] * 4 + [False] * 3),
        (GpuUse(150, slowed_share=0.5, slowed_by="too hot"), [True] * 2 + [False] * 3),
    ],
)
def test_beside_strangers_on_its_gpu_no_training_ever_counts(
    tmp_path: Path, use: GpuUse, contended: list[bool]
) -> None:
    """A slow GPU stays slow, and strangers are waited for."""

    class Shared(SimulatedRun):
        def train(self, job: Job) -> Script:
            begun = len(self.ledger.experiment("simulated", 0).attempts)
            return replace(super().train(job), gpu=use if begun <= 4 else GpuUse(150))

    simulated = Shared(tmp_path, [])
    loop = simulated.loop()
    loop.attempts.pipeline = replace(loop.attempts.pipeline, leases=OneLease(Lease((0,), "GPU-a")))
    loop.go()
    assert [a.contended for a in simulated.ledger.experiment("simulated", 0).attempts] == contended


def test_a_busy_machine_is_said_before_the_first_training(tmp_path: Path) -> None:
    file, moments = tmp_path / "stat", iter([stat((600, 400)), stat((50, 950))])
    for wanted in ("others use 60% of the 1 CPUs", ""):
        file.write_text(stat((0, 0)))
        found = busy_machine(OneLease(), lambda _: file.write_text(next(moments)), file)
        assert wanted in found
        assert bool(found) is bool(wanted)
    assert sentence(Event("busy", 0.0, {"why": "this machine is busy"})) == "this machine is busy"
