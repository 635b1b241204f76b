"""A GPU that cannot be had is nobody's fault; a script that fails on its own is at fault, whatever it prints."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.simulated_run import OneLease, WrittenScore
from judge.verdict import Reason, Verdict
from runner.evaluation.pipeline import Ids, Pipeline
from runner.protocols import Evaluation
from sandbox.engine import BuildContext
from sandbox.fake_engine import FakeEngine, Script
from sandbox.gpu_check import answer, is_check
from sandbox.outcome import Ending, Outcome
from sandbox.spec import Job, Lease, Limits, Role

LEASE = Lease(cpus=(0,), gpu_uuid="GPU-a")
NO_CUDA = "RuntimeError: Unable to initialize backend 'cuda': no CUDA-capable device is detected\n"


class Machine:
    """One GPU. `answers` are what the checks print, then all is well; `judging` what the judge says, then it is well."""

    def __init__(self, folder: Path, script: Script | None = None) -> None:
        self.answers: list[str] = []
        self.judging: list[Verdict] = []
        self.script = script
        self.engine = FakeEngine(self.train)
        self.engine.gpu_answer = lambda job: self.answers.pop(0) if self.answers else answer("GPU-a")
        image = self.engine.build(BuildContext("FROM scratch", {}))
        (folder / "data").mkdir()
        self._folder = folder
        self.pipeline = Pipeline(self.engine, image.id, self, OneLease(LEASE), folder / "data", Limits(60.0))

    def train(self, job: Job) -> Script:
        if self.script is not None:
            return self.script
        (job.destination / "model.stablehlo").write_text("model")
        (job.destination / "params.safetensors").write_text("1.5 1.5")
        return Script()

    def score(self, artifact: Path, split: str, **options: object) -> Verdict:
        return self.judging.pop(0) if self.judging else WrittenScore().score(artifact, split)

    def evaluate(self) -> Evaluation:
        return self.pipeline.evaluate(b"pass", Ids("run", "1", 1), seed=1, folder=self._folder / "attempt")

    def roles(self) -> Iterator[str]:
        return ("check" if is_check(job) else str(job.role) for job in self.engine.jobs)


def test_a_gpu_is_looked_at_before_each_training(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    assert machine.evaluate().outcome == "ok"
    assert list(machine.roles()) == ["check", "train"]
    check = machine.engine.jobs[0]
    assert (check.lease, check.mounts, check.outputs) == (LEASE, (), ()), (
        "the candidate's lease, none of its files"
    )


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (answer(nvml="Unknown Error"), r"saw no GPU where GPU-a was leased for it \(Unknown Error\)"),
        (answer("GPU-a", "GPU-b"), "saw GPU-a, GPU-b where GPU-a alone was leased"),
        (answer("GPU-b"), "saw GPU-b where GPU-a alone was leased"),
        (answer("GPU-a", cuda=802), "start nvidia-fabricmanager"),
        (answer("GPU-a", cuda=999), r"error 999\): run nvidia-smi"),
        ("", "could not look for its GPU"),
        ('{"gpus": 1}', "could not look for its GPU"),
    ],
)
def test_a_container_without_exactly_its_gpu_is_nobodys_fault_and_nothing_is_trained(
    tmp_path: Path, said: str, why: str
) -> None:
    machine = Machine(tmp_path)
    machine.answers = [said]
    found = machine.evaluate()
    assert found.outcome == "infrastructure"
    assert re.search(why, found.detail), found.detail
    assert list(machine.roles()) == ["check"]


def test_an_engine_that_does_not_know_the_toolkit_yet_has_to_be_restarted(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    refused = Outcome(Ending.ENGINE_FAILED, None, 0.0, detail='could not select device driver "nvidia"')
    machine.engine.gpu_answer = lambda _: refused
    assert "restart the engine" in machine.evaluate().detail


@pytest.mark.parametrize("log", [NO_CUDA, answer(nvml="Unknown Error") + "\n", answer("GPU-b") + "\n"])
def test_nothing_that_a_script_prints_is_taken_for_a_fault_of_the_gpu(tmp_path: Path, log: str) -> None:
    machine = Machine(tmp_path, Script(exit_code=1, log=log))
    found = machine.evaluate()
    assert found.outcome == "crash"
    assert list(machine.roles()) == ["check", "train", "check"]


@pytest.mark.parametrize(
    "script", [Script(exit_code=1, log=NO_CUDA), Script(ending=Ending.TIMED_OUT), Script(exit_code=0)]
)
def test_a_script_that_failed_on_a_gpu_that_broke_is_not_blamed(tmp_path: Path, script: Script) -> None:
    machine = Machine(tmp_path, script)
    machine.answers = [answer("GPU-a"), answer("GPU-a", cuda=999)]
    found = machine.evaluate()
    assert (found.outcome, "error 999" in found.detail) == ("infrastructure", True)
    assert found.log_tail == script.log


def test_a_model_whose_judge_got_no_gpu_is_judged_once_more(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.judging = [Verdict(reason=Reason.CRASHED)]
    assert machine.evaluate().val_bpb == 1.5


def test_a_model_that_crashes_the_judge_is_invalid_and_not_judged_for_ever(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.judging = [Verdict(reason=Reason.CRASHED)] * 3
    assert machine.evaluate().outcome == "invalid_model"
    assert len(machine.judging) == 1


def test_a_model_is_not_blamed_for_a_gpu_that_broke_before_it_was_judged(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.judging = [Verdict(reason=Reason.CRASHED)] * 2
    machine.answers = [answer("GPU-a"), answer(nvml="GPU is lost")]
    found = machine.evaluate()
    assert (found.outcome, "GPU is lost" in found.detail) == ("infrastructure", True)


def test_on_cpus_nothing_is_looked_for_and_a_crash_of_the_judge_is_final(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.pipeline = replace(machine.pipeline, leases=OneLease(Lease(cpus=(0,))))
    machine.judging = [Verdict(reason=Reason.CRASHED)]
    assert machine.evaluate().outcome == "invalid_model"
    assert [job.role for job in machine.engine.jobs] == [Role.TRAIN]
