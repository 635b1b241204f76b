"""What a container sees of its GPU, asked of the stand-in for the driver's library, and what becomes of a run where it is wrong."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from gpu_server import GpuServer, compile_library, machine
from nvml_state import LIBRARY_MISMATCH, Gpu, Mig, World, text, write
from test_gpu_server import TINY

from sandbox.gpu_check import PROGRAM

TUNABLE = TINY + "\nRATE = 0.1  # tune: float 0 1\n"


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_library(tmp_path_factory.mktemp("nvml") / "lib")


def seen(library: Path | None, state: Path, world: World | None = None) -> Any:
    """What the program prints where the driver's library shows this world."""
    if world is not None:
        write(state, text(world))
    environment = {"FAKE_NVML_STATE": str(state)} | ({"LD_LIBRARY_PATH": str(library)} if library else {})
    command = [sys.executable, "-I", "-B", "-c", PROGRAM]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_the_gpus_are_listed_with_name_memory_and_driver(library: Path, tmp_path: Path) -> None:
    world = machine(2)
    found = seen(library, tmp_path / "state", world)
    assert found["gpus"][1] == {
        "uuid": world.uuids()[1],
        "name": "NVIDIA H100 80GB HBM3",
        "memory_bytes": 80 << 30,
    }
    assert (len(found["gpus"]), found["driver"], found["nvml"]) == (2, "580.65.06", "")


def test_of_a_split_gpu_the_part_is_listed(library: Path, tmp_path: Path) -> None:
    gpu = Gpu("GPU-whole", split=True, mig=(Mig("MIG-1", slot=0), Mig("MIG-2", slot=1)))
    found = seen(library, tmp_path / "state", World((gpu,)).only(["MIG-2"]))
    assert [gpu["uuid"] for gpu in found["gpus"]] == ["MIG-2"]


@pytest.mark.parametrize(("error", "said"), [(999, "Unknown Error"), (LIBRARY_MISMATCH, "mismatch")])
def test_what_the_driver_says_is_handed_on(library: Path, tmp_path: Path, error: int, said: str) -> None:
    found = seen(library, tmp_path / "state", World(machine(1).gpus, error=error))
    assert (found["gpus"], said in found["nvml"]) == ([], True)


def test_without_the_library_nothing_is_seen(tmp_path: Path) -> None:
    assert seen(None, tmp_path / "nowhere")["gpus"] == []


@pytest.mark.parametrize("fault", ["none", "extra", "wrong"])
def test_a_toolkit_that_errs_once_costs_no_idea_its_attempt(
    gpu_server: GpuServer, dataset: Path, tmp_path: Path, fault: str
) -> None:
    folder = tmp_path / "w"
    folder.mkdir()
    gpu_server.autoresearch("init", ".", cwd=folder)
    (folder / "train.py").write_text(TUNABLE)
    (folder / "autoresearch.toml").write_text(
        f'data = "{dataset}"\nwall_clock = "40s"\ndisk_floor_gb = 0.0\nbaseline_repeats = 2\nretests = 0\nmemory_gb = 2.0\n'
    )
    gpu_server.break_toolkit(fault, times=1)
    done = gpu_server.autoresearch("run", "--budget", "10m", "--max-experiments", "1", "--json", cwd=folder)
    assert done.returncode == 0, done.stderr
    judged = [e for line in done.stdout.splitlines() if (e := json.loads(line))["event"] == "judged"]
    assert [e["outcome"] for e in judged] == ["infrastructure", "ok", "ok", "ok"]
    assert "a container saw" in judged[0]["detail"]
    given = gpu_server.containers()
    assert [c.role for c in given[:3]] == ["probe", "probe", "train"]
    assert all(c.given == c.asked for c in given[1:])


def test_a_broken_toolkit_ends_a_run_with_what_to_do(
    gpu_server: GpuServer, dataset: Path, tmp_path: Path
) -> None:
    (tmp_path / "train.py").write_text(TINY)
    gpu_server.break_toolkit("none")
    words = ("try", "train.py", "--data", str(dataset))
    done = gpu_server.autoresearch(*words, cwd=tmp_path)
    assert done.returncode == 3
    assert "a container saw no GPU where" in done.stderr
    assert {container.role for container in gpu_server.containers()} == {"probe"}
