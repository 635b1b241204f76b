"""One broken GPU of several costs the run that GPU, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks.simulated_run import SimulatedRun, source
from runner.display.lines import sentence
from runner.errors import PrerequisiteMissing
from runner.protocols import Event
from runner.report import write_report
from runner.search.attempts import MAX_INFRASTRUCTURE_FAILURES
from sandbox.fake_engine import Script
from sandbox.gpu import GPU_USE, FakeGpuProbe
from sandbox.gpu_check import answer
from sandbox.lease import CpuLeases, GpuLeases
from sandbox.outcome import Ending, Outcome
from sandbox.spec import Job, Role

RUN = "simulated"


def on_gpus(folder: Path, names: str, slots: int, ideas: int = 24) -> SimulatedRun:
    """GPU-a, GPU-b, ..., of which `slots` train at once."""
    run = SimulatedRun(folder, [source(2.1, f"a = {n}\n") for n in range(ideas)], slots=slots)
    (folder / "locks").mkdir()
    run.leases = leases(run, folder / "locks", names)
    return run


def leases(run: SimulatedRun, locks: Path, names: str) -> Any:
    uuids, clock = [f"GPU-{name}" for name in names], run.clock
    free = CpuLeases(1, folder=locks, available=range(8), may_share=True)
    probe = FakeGpuProbe(uuids)
    return GpuLeases(uuids, probe, free, folder=locks, sleep=clock.sleep, monotonic=clock.monotonic)


def breaking(run: SimulatedRun, broken: Callable[[Job], bool]) -> None:
    """Containers of these jobs see no GPU."""
    run.engine.gpu_answer = lambda job: answer() if broken(job) else answer(str(job.lease.gpu_uuid))


def events(run: SimulatedRun, kind: str) -> list[dict[str, object]]:
    return [data for _, found, data in run.ledger.events(RUN) if found == kind]


def infrastructure(run: SimulatedRun) -> int:
    attempts = [a for e in run.ledger.experiments(RUN) for a in e.attempts]
    return sum(a.outcome == "infrastructure" for a in attempts)


def test_a_broken_gpu_of_four_costs_one_slot_and_is_named(tmp_path: Path) -> None:
    run = on_gpus(tmp_path, "abcd", slots=4)
    breaking(run, lambda job: job.lease.gpu_uuid == "GPU-b" and job.experiment != "0")
    run.loop(infrastructure_pause_s=1.0).go()
    (left_out,) = events(run, "gpu_left_out")
    assert (left_out["gpu"], left_out["left"]) == ("GPU-b", 3)
    assert [lost["left"] for lost in events(run, "slot_lost")] == [3]
    assert infrastructure(run) == MAX_INFRASTRUCTURE_FAILURES
    assert {e.status for e in run.ledger.experiments(RUN)[1:25]} == {"discard"}
    said = [sentence(event) for event in run.events if event.kind == "gpu_left_out"]
    assert said[0].startswith(
        "GPU-b failed three times in a row and is not used any more (a container saw no GPU"
    )


def test_one_that_fails_in_the_baseline_costs_its_slot_in_the_search(tmp_path: Path) -> None:
    run = on_gpus(tmp_path, "abc", slots=3, ideas=12)
    breaking(run, lambda job: job.lease.gpu_uuid == "GPU-b")
    run.loop(infrastructure_pause_s=1.0).go()
    assert [e["gpu"] for e in events(run, "gpu_left_out")] == ["GPU-b"]
    assert events(run, "waiting") == [], "no slot waits for what is gone"
    assert {e.status for e in run.ledger.experiments(RUN)[1:13]} == {"discard"}


def test_the_only_free_gpu_that_breaks_in_the_baseline_does_not_end_the_run(tmp_path: Path) -> None:
    """A stranger has the other one, and leaves when it is needed."""
    run = on_gpus(tmp_path, "ab", slots=2, ideas=4)
    breaking(run, lambda job: job.lease.gpu_uuid == "GPU-b")
    run.leases._probe.busy["GPU-a"] = [4711]  # type: ignore[attr-defined]

    def leaves(event: Event) -> None:
        if event.kind == "gpu_left_out":
            run.leases._probe.busy.clear()  # type: ignore[attr-defined]

    run.loop(infrastructure_pause_s=1.0, baseline_repeats=1, emit=leaves).go()
    assert [e["gpu"] for e in events(run, "gpu_left_out")] == ["GPU-b"]
    assert {e.status for e in run.ledger.experiments(RUN)[1:5]} == {"discard"}


def test_with_fewer_slots_than_gpus_no_slot_is_lost(tmp_path: Path) -> None:
    run = on_gpus(tmp_path, "abcd", slots=2)
    breaking(run, lambda job: job.lease.gpu_uuid in {"GPU-b", "GPU-c"} and job.experiment != "0")
    run.loop(infrastructure_pause_s=1.0).go()
    assert {e["gpu"] for e in events(run, "gpu_left_out")} == {"GPU-b", "GPU-c"}
    assert events(run, "slot_lost") == []
    assert infrastructure(run) == 2 * MAX_INFRASTRUCTURE_FAILURES


def test_several_broken_gpus_in_a_row_do_not_end_a_run_with_one_slot(tmp_path: Path) -> None:
    run = on_gpus(tmp_path, "abcde", slots=1, ideas=6)
    breaking(run, lambda job: job.lease.gpu_uuid in {"GPU-b", "GPU-c", "GPU-d"})
    run.loop(infrastructure_pause_s=1.0).go()
    assert {e["gpu"] for e in events(run, "gpu_left_out")} == {"GPU-b", "GPU-c", "GPU-d"}
    assert {e.status for e in run.ledger.experiments(RUN)[1:7]} == {"discard"}


def test_when_the_last_gpu_is_left_out_the_run_ends_with_a_sentence(tmp_path: Path) -> None:
    run = on_gpus(tmp_path, "ab", slots=2)
    breaking(run, lambda job: job.experiment != "0")
    with pytest.raises(
        PrerequisiteMissing, match=r"GPU-. failed 3 times in a row \(a container saw .*--resume"
    ):
        run.loop(infrastructure_pause_s=1.0).go()
    assert [e["left"] for e in events(run, "gpu_left_out")] == [1, 0]
    assert infrastructure(run) == 2 * MAX_INFRASTRUCTURE_FAILURES


def test_a_gpu_that_fails_now_and_then_stays(tmp_path: Path) -> None:
    run, asked = on_gpus(tmp_path, "ab", slots=2), {"GPU-a": 0, "GPU-b": 0}

    def every_third(job: Job) -> bool:
        uuid = str(job.lease.gpu_uuid)
        asked[uuid] += 1
        return uuid == "GPU-b" and asked[uuid] % 3 != 0

    breaking(run, every_third)
    run.loop(infrastructure_pause_s=1.0).go()
    assert infrastructure(run) > MAX_INFRASTRUCTURE_FAILURES
    assert events(run, "gpu_left_out") == []


def test_an_engine_that_fails_on_every_gpu_is_given_up_after_three_times_in_a_slot(tmp_path: Path) -> None:
    run = on_gpus(tmp_path, "abcdefgh", slots=1)
    behaviour = run.engine._behaviour

    def gone(job: Job) -> Script | Outcome:
        if job.role is Role.TRAIN and job.experiment != "0":
            return Script(ending=Ending.ENGINE_FAILED, detail="the engine is gone")
        return behaviour(job)

    run.engine._behaviour = gone
    with pytest.raises(PrerequisiteMissing, match="the engine failed 3 times in a row"):
        run.loop(infrastructure_pause_s=1.0).go()
    assert infrastructure(run) == MAX_INFRASTRUCTURE_FAILURES


def test_a_resumed_run_tries_it_again_and_the_report_names_it(tmp_path: Path) -> None:
    run = on_gpus(tmp_path, "ab", slots=2, ideas=8)
    breaking(run, lambda job: job.lease.gpu_uuid == "GPU-b" and job.experiment != "0")
    run.loop(infrastructure_pause_s=1.0, max_experiments=6).go()
    (folder, *_) = [a.folder for a in run.ledger.experiment(RUN, 1).attempts if a.outcome == "ok"]
    (folder / GPU_USE).write_text('{"utilisation": 0.9}')
    write_report.write(run.workspace, run.ledger, RUN)
    assert "GPU-b was left out: a container saw no GPU" in (tmp_path / "report.html").read_text()
    breaking(run, lambda _: False)
    before, run.leases = len(run.engine.jobs), leases(run, tmp_path / "locks", "ab")
    run.loop().go()
    assert {job.lease.gpu_uuid for job in run.engine.jobs[before:]} == {"GPU-a", "GPU-b"}
