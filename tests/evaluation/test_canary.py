"""What doctor says of a GPU, from what the canary and the driver say. The canary itself is tested in tests/trainer/test_canary.py."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from runner.evaluation.canary import canary_findings, driver_findings, examine, run_canary
from runner.evaluation.gpu_peak_rates import PEAKS, peak_tflops
from sandbox.engine import BuildContext
from sandbox.fake_engine import FakeEngine, Script
from sandbox.gpu import Gpu, GpuState
from sandbox.gpu_check import answer
from sandbox.gpu_host import refused_by_gvisor, xid_sentence
from sandbox.outcome import Ending
from sandbox.spec import GIB, Job, Lease

H100 = Gpu("GPU-a", "NVIDIA H100 80GB HBM3")
GOOD: dict[str, Any] = {
    "platform": "gpu",
    "devices": 1,
    "matmul_tflops": 790.0,
    "attention": {"forward_ms": 0.31, "backward_ms": 0.9, "error": 0.008},
}
LEASE = Lease((0,), "GPU-a")


def levels(found: list[tuple[str, str]]) -> list[str]:
    return [level for level, _ in found]


def test_a_gpu_that_does_what_is_asked_is_good() -> None:
    found = canary_findings(H100, GOOD)
    assert levels(found) == ["ok", "ok"]
    assert found[0][1] == "matrix product 790 TFLOP/s, 80% of the datasheet's 989"
    assert (
        found[1][1] == "attention with windows 0.31 ms forward, 0.90 ms with gradients, 0.8% from the formula"
    )


@pytest.mark.parametrize(
    ("said", "level", "why"),
    [
        ({"platform": "cpu"}, "fail", "JAX sees 1 devices of cpu where there is one GPU"),
        ({"devices": 8}, "fail", "JAX sees 8 devices of gpu"),
        ({"matmul_tflops": 400.0}, "warn", "40% of the datasheet's 989: look at power limit and clocks"),
        ({"matmul_tflops": None, "matmul_tflops_failed": "XlaRuntimeError: no memory"}, "fail", "no memory"),
        ({"attention": None, "attention_failed": "CUDNN_STATUS_NOT_SUPPORTED"}, "fail", 'TRAIN_ATTENTION = "chunks"'),
        ({"attention": {"forward_ms": 1, "backward_ms": 1, "error": 0.3}}, "fail", "wrong by 30.0%: do not train"),
        ({"attention": {"forward_ms": 1, "backward_ms": 1, "error": float("nan")}}, "fail", "do not train"),
        ({"attention": {"forward_ms": "x"}}, "fail", "failed (no answer)"),
    ],
)  # fmt: skip
def test_every_red_line_says_what_to_do(said: dict[str, Any], level: str, why: str) -> None:
    found = canary_findings(H100, {**GOOD, **said})
    assert [sentence for found_level, sentence in found if found_level == level and why in sentence]
    assert levels(found).count("ok") == len(found) - 1


def test_a_gpu_that_is_not_in_the_table_is_not_judged_by_it() -> None:
    found = canary_findings(Gpu("GPU-a", "NVIDIA X9000"), {**GOOD, "matmul_tflops": 1.0})
    assert levels(found) == ["ok", "ok"]


@pytest.mark.parametrize(
    ("name", "peak"),
    [
        ("NVIDIA H100 80GB HBM3", 989.4),
        ("NVIDIA H100 PCIe", 756.0),
        ("NVIDIA H100 NVL", 835.5),
        ("NVIDIA H200", 989.4),
        ("NVIDIA A100-SXM4-80GB", 312.0),
        ("NVIDIA A10G", 70.0),
        ("NVIDIA L4", 121.0),
        ("NVIDIA L40S", 362.0),
        ("NVIDIA GeForce RTX 4090", 165.2),
        ("NVIDIA GeForce RTX 4090 Ti", 165.2),
        ("NVIDIA H100 80GB HBM3 MIG 1g.10gb", None),
        ("NVIDIA A1000", None),
    ],
)
def test_the_datasheet_is_found_by_the_devices_name(name: str, peak: float | None) -> None:
    assert peak_tflops(name) == peak
    assert all(source for _, _, source in PEAKS)


@pytest.mark.parametrize(
    ("state", "level", "why"),
    [
        (GpuState(), "ok", "compute capability 9.0, 80 of 80 GiB free"),
        (GpuState(used_bytes=20 * GIB), "warn", "20 GiB are in use by others"),
        (GpuState(ecc_errors=3), "fail", "3 uncorrected memory errors"),
        (GpuState(slowed_by=("too hot", "by the hardware")), "warn", "slowed down too hot and by the hardware"),
    ],
)  # fmt: skip
def test_what_the_driver_knows_is_said(state: GpuState, level: str, why: str) -> None:
    found = driver_findings(H100, state)
    assert found[-1][0] == level
    assert why in found[-1][1]


def engine(log: str, **ending: Any) -> tuple[FakeEngine, str, list[Job]]:
    jobs: list[Job] = []

    def behave(job: Job) -> Script:
        jobs.append(job)
        return Script(log=log, **ending)

    made = FakeEngine(behave)
    return made, made.build(BuildContext("FROM scratch", {})).id, jobs


def test_a_gpu_is_examined_in_the_candidates_image() -> None:
    made, image, jobs = engine("a warning of XLA\n" + json.dumps(GOOD))
    assert levels(examine(made, image, LEASE, H100, GpuState())) == ["ok"] * 3
    assert [(job.lease, job.environment["JAX_PLATFORMS"]) for job in jobs] == [(LEASE, "cuda")]


def test_a_gpu_that_no_container_gets_is_not_tried_further() -> None:
    made, image, jobs = engine(json.dumps(GOOD))
    made.gpu_answer = lambda _: answer("GPU-b")
    assert "saw GPU-b" in examine(made, image, LEASE, H100, GpuState())[-1][1]
    assert jobs == []


@pytest.mark.parametrize(
    ("log", "ending", "why"),
    [
        ("No module named trainer_jax.canary", {"exit_code": 1}, "older than the canary: run `autoresearch build`"),
        ("RuntimeError: Unable to initialize backend 'cuda'", {"exit_code": 1}, "Unable to initialize"),
        ("", {"ending": Ending.TIMED_OUT}, "did not end within 300 s"),
        ("", {"ending": Ending.REFUSED, "detail": "there is no image"}, "there is no image"),
        ("[1]", {}, "failed: [1]"),
    ],
)  # fmt: skip
def test_a_canary_that_says_nothing_is_a_sentence(log: str, ending: dict[str, Any], why: str) -> None:
    made, image, _ = engine(log, **ending)
    said = run_canary(made, image, LEASE)
    assert isinstance(said, str)
    assert why in said


LOG = """[ 1.0] NVRM: Xid (PCI:0000:65:00): 31, pid=4711, name=python, Ch 00000010
[ 2.0] NVRM: Xid (PCI:0000:ca:00): 79, pid='<unknown>', name=<unknown>, GPU has fallen off the bus.
"""


def test_failures_of_the_hardware_are_read_from_the_kernels_log_and_those_of_programs_are_not() -> None:
    assert "the GPU has fallen off the bus on 0000:ca:00 (Xid 79)" in xid_sentence(lambda _: LOG)
    assert "0000:65:00" not in xid_sentence(lambda _: LOG)
    assert xid_sentence(lambda _: None) == "", "it may not be read"


def test_a_driver_that_gvisor_does_not_know_is_said(tmp_path: Path) -> None:
    runtimes = {"runsc": {"path": "/usr/bin/runsc"}, "crun": {"path": "/usr/bin/crun"}}
    listed = "535.183.01\n550.90.12\n580.105.08\n"
    why = refused_by_gvisor("595.10", runtimes, "runsc", run=lambda _: listed)
    assert "does not know driver 595.10 (its newest is 580.105.08)" in why
    assert refused_by_gvisor("550.90.12", runtimes, "runsc", run=lambda _: listed) == ""
    assert refused_by_gvisor("595.10", runtimes, "runsc", run=lambda _: None) == "", (
        "an older runsc does not say"
    )
    assert refused_by_gvisor("595.10", runtimes, "crun", run=lambda _: listed) == ""
    assert "no part of a GPU that is split (MIG): name whole" in refused_by_gvisor(
        "550.90.12", runtimes, "runsc", split=True
    )
    assert refused_by_gvisor("550.90.12", runtimes, "crun", split=True) == ""
