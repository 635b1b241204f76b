"""`autoresearch` on a GPU server, without an option: it uses GPUs that are ours and free, and says which."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from gpu_server import GpuServer
from test_gpu_server import TINY

from runner.data.manifest import Manifest

TUNABLE = TINY + "\nRATE = 0.1  # tune: float 0 1\n"


@pytest.fixture
def workspace(gpu_server: GpuServer, dataset: Path, tmp_path: Path) -> Path:
    """Data and short limits; nothing about devices."""
    folder = tmp_path / "w"
    folder.mkdir()
    gpu_server.autoresearch("init", ".", cwd=folder)
    (folder / "train.py").write_text(TUNABLE)
    (folder / "autoresearch.toml").write_text(
        f'data = "{dataset}"\nwall_clock = "40s"\ndisk_floor_gb = 0.0\nbaseline_repeats = 2\nretests = 0\n'
        "memory_gb = 2.0\n"
    )
    return folder


def used(server: GpuServer) -> set[str]:
    return {uuid for container in server.containers() for uuid in container.given}


def test_a_script_is_tried_on_a_free_gpu_without_an_option(gpu_server: GpuServer, workspace: Path) -> None:
    uuids = gpu_server.uuids()
    for index in (0, 1, 3):
        gpu_server.stranger_comes(index)
    done = gpu_server.autoresearch("try", "train.py", "--json", cwd=workspace)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["outcome"] == "ok", done.stdout
    assert "8 GPUs (NVIDIA H100 80GB HBM3), driver 580.65.06 with CUDA 13.0" in done.stderr
    assert len(used(gpu_server)) == 1
    assert used(gpu_server) <= set(uuids) - {uuids[0], uuids[1], uuids[3]}


def test_a_schedulers_choice_is_obeyed(gpu_server: GpuServer, workspace: Path) -> None:
    gpu_server.autoresearch("try", "train.py", cwd=workspace, CUDA_VISIBLE_DEVICES="5,99,1")
    assert used(gpu_server) == {gpu_server.uuids()[5]}
    refused = gpu_server.autoresearch(
        "try", "train.py", "--gpus", "1,", cwd=workspace, CUDA_VISIBLE_DEVICES="5"
    )
    assert refused.returncode == 2
    assert "--gpus names 1, but CUDA_VISIBLE_DEVICES=5 permits 1 of 8" in refused.stderr
    assert used(gpu_server) == {gpu_server.uuids()[5]}


def test_without_a_driver_it_says_so_and_data_for_gpus_are_refused(
    gpu_server: GpuServer, workspace: Path, tmp_path: Path
) -> None:
    data = tmp_path / "for-gpus"
    (data / "train").mkdir(parents=True)
    Manifest("default", "default", "r", 8192, 2048, 0, "p", {}, {}, {}).write(data)
    words = ("try", "train.py", "--data", str(data))
    done = gpu_server.autoresearch(*words, cwd=workspace, FAKE_NVML_STATE="/nowhere")
    assert "on the CPU: there is no NVIDIA driver" in done.stderr
    assert done.returncode == 3
    assert "`autoresearch data prepare --dataset default --variant cpu`" in done.stderr
    assert gpu_server.containers() == []


def test_a_run_finds_its_gpus_and_one_that_is_lost_does_not_matter(
    gpu_server: GpuServer, workspace: Path
) -> None:
    uuids = gpu_server.uuids()
    gpu_server.lose(0)
    gpu_server.stranger_comes(1)
    done = gpu_server.autoresearch(
        "run", "--budget", "10m", "--max-experiments", "1", "--json", cwd=workspace
    )
    assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert events[0]["devices"].startswith("7 GPUs (NVIDIA H100 80GB HBM3)")
    assert [e["outcome"] for e in events if e["event"] == "judged"] == ["ok"] * 3
    assert used(gpu_server)
    assert not used(gpu_server) & {uuids[0], uuids[1]}
    assert set(gpu_server.most_at_once().values()) == {1}


@pytest.mark.parametrize("verb", ["build", "data prepare"])
def test_what_is_made_without_an_option_is_for_the_gpus(
    gpu_server: GpuServer, workspace: Path, tmp_path: Path, verb: str
) -> None:
    text = tmp_path / "text"
    text.mkdir()
    words = verb.split() if verb == "build" else [*verb.split(), "--dataset", str(text)]
    done = gpu_server.autoresearch(*words, cwd=workspace)
    assert "the cuda13 variant, for" in done.stderr
    if verb == "build":
        assert "the cuda13 images are up to date" in done.stderr


def test_doctor_tries_every_gpu_that_a_run_would_use_and_says_what_it_found(
    gpu_server: GpuServer, workspace: Path
) -> None:
    uuids = gpu_server.uuids()
    gpu_server.stranger_comes(5)
    gpu_server.change_gpu(2, ecc_errors=3)
    done = gpu_server.autoresearch("doctor", "--json", cwd=workspace, CUDA_VISIBLE_DEVICES="2,5")
    findings = json.loads(done.stdout.splitlines()[0])["findings"]
    of = {
        index: [(f["level"], f["sentence"]) for f in findings if f["name"] == f"gpu {index}"]
        for index in (2, 5)
    }
    assert [level for level, _ in of[5]] == ["warn"], "it has somebody's process"
    assert "is in use and was not tried" in of[5][0][1]
    said = "\n".join(sentence for _, sentence in of[2])
    for what in (
        "3 uncorrected memory errors",
        "matrix product",
        "attention with windows",
        "from the formula",
    ):
        assert what in said, done.stderr
    assert "JAX sees 1 devices of cpu where there is one GPU" in said, "the stand-in for CUDA is the CPU"
    assert used(gpu_server) == {uuids[2]}
    assert done.returncode == 3


def test_what_gvisor_cannot_hand_out_is_refused_before_anything_trains(
    gpu_server: GpuServer, workspace: Path
) -> None:
    words = ("try", "train.py", "--json", "--runtime", "runsc")
    gpu_server.change(lambda world: replace(world, driver="595.10"))
    refused = gpu_server.autoresearch(*words, cwd=workspace)
    assert refused.returncode == 3
    assert "gVisor here does not know driver 595.10 (its newest is 580.65.06)" in refused.stderr
    gpu_server.change(lambda world: replace(world, driver="580.65.06"))
    gpu_server.split(0)
    refused = gpu_server.autoresearch(*words, "--gpus", "0,", cwd=workspace)
    assert refused.returncode == 3
    assert "no part of a GPU that is split (MIG)" in refused.stderr
    assert used(gpu_server) == set()
