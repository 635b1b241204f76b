"""Schedulers, containers and users say in the environment which GPUs are ours."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox.gpu import Gpu
from sandbox.permitted_gpus import Permission, permitted, slurm_runs_here

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
    assert permitted(TWO, {"NVIDIA_VISIBLE_DEVICES": "1"}).why == "NVIDIA_VISIBLE_DEVICES=1 permits 1 of 2"
    assert (
        permitted(TWO, {"NVIDIA_VISIBLE_DEVICES": "none"}).why
        == "NVIDIA_VISIBLE_DEVICES=none permits none of 2"
    )
    both = {"NVIDIA_VISIBLE_DEVICES": "0,2", "CUDA_VISIBLE_DEVICES": "1"}
    assert permitted([*TWO, Gpu("GPU-c", index=2)], both) == Permission(
        (Gpu("GPU-c", index=2),),
        "NVIDIA_VISIBLE_DEVICES=0,2 permits 2 of 3; CUDA_VISIBLE_DEVICES=1 permits 1 of 2",
    )


MIXED = [Gpu("GPU-a", "A100"), Gpu("GPU-h", "H100", index=1), Gpu("GPU-i", "H100", index=2)]


@pytest.mark.parametrize("order", [None, "FASTEST_FIRST", "pci_bus_id"])
@pytest.mark.parametrize("entries", ["0", "1,2", "GPU-a,1"])
def test_positions_among_several_kinds_of_gpus_are_refused_without_the_order_of_the_bus(
    entries: str, order: str | None
) -> None:
    """CUDA's order is its own there: its GPU 0 is the fastest one, an H100, and nvidia-smi's is the A100."""
    environment = {"CUDA_VISIBLE_DEVICES": entries, **({"CUDA_DEVICE_ORDER": order} if order else {})}
    refused = permitted(MIXED, environment)
    assert refused.gpus == ()
    assert f"CUDA_VISIBLE_DEVICES={entries} may mean other GPUs" in refused.why
    assert "set CUDA_DEVICE_ORDER=PCI_BUS_ID or use UUIDs" in refused.why
    assert permitted(MIXED, {**environment, "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}).gpus


@pytest.mark.parametrize(
    ("entries", "left"),
    [("GPU-h", ["GPU-h"]), ("", []), ("-1", []), ("2,1,0", ["GPU-i", "GPU-h", "GPU-a"]), ("GPU-i,GPU-a", ["GPU-i", "GPU-a"])],
)  # fmt: skip
def test_uuids_none_and_all_are_safe_in_any_order(entries: str, left: list[str]) -> None:
    assert uuids({"CUDA_VISIBLE_DEVICES": entries}, MIXED) == left


def test_a_split_gpu_is_of_the_kind_of_its_whole() -> None:
    parts = [Gpu("MIG-c", "H100 MIG 3g.40gb", index=1, part=0, parent="GPU-h")]
    assert uuids({"CUDA_VISIBLE_DEVICES": "0"}, [Gpu("GPU-g", "H100"), *parts]) == ["GPU-g"]
