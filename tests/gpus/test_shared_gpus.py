"""What others, heat and a lost GPU do to a training on a server that is shared."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from gpu_server import GpuServer
from test_gpu_server import TINY

SLOW = TINY + "\nimport time\ntime.sleep(9)\n"


def tried(
    server: GpuServer, folder: Path, meanwhile: Callable[[int], object], dataset: Path, script: str = SLOW
) -> Any:
    """What `try` says of a training of about 12 s, during which this is done to its GPU, given by its number."""
    (folder / "train.py").write_text(script)
    command = [sys.executable, "-m", "runner.cli", "try", "train.py", "--json", "--data", str(dataset)]
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=server.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    end = time.monotonic() + 60
    while not (trained := [c for c in server.containers() if c.role == "train"]):
        if process.poll() is not None or time.monotonic() > end:
            process.kill()
            pytest.fail(f"nothing was trained: {process.communicate()[1]}")
        time.sleep(0.1)
    (uuid,) = trained[0].given
    meanwhile(server.uuids().index(uuid))
    out, errors = process.communicate(timeout=120)
    return json.loads(out), errors


def test_a_training_alone_on_a_cool_gpu_counts(gpu_server: GpuServer, tmp_path: Path, dataset: Path) -> None:
    found, errors = tried(gpu_server, tmp_path, lambda _: None, dataset)
    assert (found["outcome"], found["contention"]) == ("ok", ""), errors


@pytest.mark.parametrize(
    ("event", "said"),
    [
        (lambda server, index: server.stranger_comes(index), "others computed on its GPU for"),
        (lambda server, index: server.throttle(index), "of the time (by the hardware, too hot)"),
    ],
    ids=["a stranger comes", "it gets too hot"],
)
def test_a_training_beside_a_stranger_or_on_a_slowed_gpu_is_contended(
    gpu_server: GpuServer,
    tmp_path: Path,
    dataset: Path,
    event: Callable[[GpuServer, int], object],
    said: str,
) -> None:
    found, errors = tried(gpu_server, tmp_path, lambda index: event(gpu_server, index), dataset)
    assert found["outcome"] == "ok", errors
    assert said in found["contention"]


def test_a_script_whose_gpu_is_lost_is_not_blamed(
    gpu_server: GpuServer, tmp_path: Path, dataset: Path
) -> None:
    crash = "import time\ntime.sleep(6)\nraise RuntimeError('CUDA_ERROR_ECC_UNCORRECTABLE')\n"
    found, errors = tried(gpu_server, tmp_path, gpu_server.lose, dataset, crash)
    assert found["outcome"] == "infrastructure", errors
