"""Schedulers, containers and users say in the environment which GPUs are ours."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox.gpu import Gpu
from sandbox.permitted_gpus import permitted, slurm_runs_here

TWO = [Gpu("GPU-aa", index=0), Gpu("GPU-ab", index=1)]
SPLIT = [*TWO, Gpu("MIG-c", index=2, part=0, parent="GPU-b"), Gpu("MIG-d", index=2, part=1, parent="GPU-b")]


def uuids(environment: dict[str, str], gpus: list[Gpu] = SPLIT) -> list[str]:
    return [gpu.uuid for gpu in permitted(gpus, environment).gpus]


@pytest.mark.parametrize(
    ("variable", "left"),
    [
        ("", []),
        ("1", ["GPU-ab"]),
        ("1, 0", ["GPU-ab", "GPU-aa"]),
        ("0,0", ["GPU-aa"]),
        ("GPU-ab", ["GPU-ab"]),
        ("GPU-a", []),  # two begin so
        ("2", ["MIG-c"]),  # CUDA shows the first part
        ("GPU-b", ["MIG-c"]),
        ("MIG-d", ["MIG-d"]),
        ("0,7,1", ["GPU-aa"]),  # what follows an invalid entry is not seen
        ("0,-1,1", ["GPU-aa"]),
        ("-1", []),
        ("NoDevFiles", []),
    ],
)
def test_cuda_visible_devices_means_what_it_means_to_cuda(variable: str, left: list[str]) -> None:
    assert uuids({"CUDA_VISIBLE_DEVICES": variable}) == left


@pytest.mark.parametrize(
    ("variable", "left"),
    [
        ("all", ["GPU-aa", "GPU-ab"]),
        ("void", ["GPU-aa", "GPU-ab"]),  # in a container that got its GPUs through CDI
        ("none", []),
        ("1", ["GPU-ab"]),
        ("GPU-ab", ["GPU-ab"]),
        ("4,5", ["GPU-aa", "GPU-ab"]),  # numbers of the host, in a container that shows just these
    ],
)
def test_a_containers_variable_is_obeyed(variable: str, left: list[str]) -> None:
    assert uuids({"NVIDIA_VISIBLE_DEVICES": variable}, TWO) == left


def test_a_user_may_narrow_what_a_container_has() -> None:
    assert uuids({"NVIDIA_VISIBLE_DEVICES": "1,2", "CUDA_VISIBLE_DEVICES": "0"}) == ["GPU-ab"]


@pytest.mark.parametrize(
    ("environment", "left"),
    [
        ({"SLURM_JOB_GPUS": "1"}, ["GPU-ab"]),
        ({"SLURM_JOB_GPUS": "0,1", "SLURM_STEP_GPUS": "1"}, ["GPU-ab"]),
        ({"SLURM_JOB_GPUS": "6,7"}, ["GPU-aa", "GPU-ab"]),  # Slurm's cgroup shows just these
        ({"SLURM_JOB_GPUS": "0,1", "CUDA_VISIBLE_DEVICES": "0"}, ["GPU-aa"]),
        ({"SLURM_JOB_ID": "7"}, []),
    ],
)
def test_a_slurm_job_gets_its_own_gpus(environment: dict[str, str], left: list[str]) -> None:
    assert uuids({"SLURM_JOB_ID": "7", **environment}, TWO) == left


def test_on_a_node_of_slurm_nothing_is_taken_outside_of_an_allocation() -> None:
    refused = permitted(TWO, {}, lambda: True)
    assert refused.gpus == ()
    assert "salloc" in refused.why
    assert permitted(TWO, {"CUDA_VISIBLE_DEVICES": "0"}, lambda: True).gpus == (TWO[0],), "somebody chose"
    assert permitted(TWO, {}, lambda: False).gpus == tuple(TWO)


def test_slurms_daemon_is_found_by_its_name(tmp_path: Path) -> None:
    for pid, name in (("1", "init"), ("self", "slurmd"), ("40", "python")):
        (tmp_path / pid).mkdir()
        (tmp_path / pid / "comm").write_text(name + "\n")
    assert not slurm_runs_here(tmp_path)
    (tmp_path / "40" / "comm").write_text("slurmd\n")
    assert slurm_runs_here(tmp_path)


def test_what_permits_fewer_is_said() -> None:
    assert permitted(TWO, {"CUDA_VISIBLE_DEVICES": "1"}).why == "CUDA_VISIBLE_DEVICES=1 permits 1 of 2"
    assert permitted(TWO, {"CUDA_VISIBLE_DEVICES": "0,1"}).why == ""
