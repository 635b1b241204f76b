"""`autoresearch run` without an option on a GPU server: every free GPU trains, and none that is somebody's."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest
from gpu_server import GpuServer
from test_gpu_server import TINY


@pytest.fixture
def workspace(gpu_server: GpuServer, dataset: Path, tmp_path: Path) -> Path:
    """Scripts that train for three seconds; nothing about devices."""
    folder = tmp_path / "w"
    folder.mkdir()
    gpu_server.autoresearch("init", ".", cwd=folder)
    script = "import time\n" + TINY + "\ntime.sleep(3)\n"
    (folder / "train.py").write_text(script)
    (folder / "ideas").mkdir()
    for number in range(6):
        (folder / "ideas" / f"{number}.py").write_text(f"{script}idea = {number}\n")
    (folder / "autoresearch.toml").write_text(
        f'data = "{dataset}"\nproposer = "scripted:{folder / "ideas"}"\nwall_clock = "60s"\ndisk_floor_gb = 0.0\n'
        "baseline_repeats = 2\nretests = 0\nmemory_gb = 2.0\n"
    )
    return folder


def test_a_run_uses_every_free_gpu_and_none_of_somebody_elses(gpu_server: GpuServer, workspace: Path) -> None:
    uuids = gpu_server.uuids()
    for index in (0, 2, 4, 5, 7):
        gpu_server.stranger_comes(index)
    free = {uuids[1], uuids[3], uuids[6]}
    done = gpu_server.autoresearch(
        "run", "--budget", "20m", "--max-experiments", "6", "--json", cwd=workspace, timeout=500
    )
    assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [e["outcome"] for e in events if e["event"] == "judged"].count("ok") >= 8
    trained = {uuid for given in gpu_server.containers() if given.role == "train" for uuid in given.given}
    assert trained == free
    assert set(gpu_server.most_at_once().values()) == {1}, "never two jobs on a GPU"
    at_once, most = set[tuple[int, int]](), 0
    for event in events:
        if event["event"] == "state":
            here = (event["number"], event["attempt"])
            (at_once.add if event["state"] == "training" else at_once.discard)(here)
            most = max(most, len(at_once))
    assert most == 3, "all three train at once"


def test_kill_9_on_a_gpu_server_frees_every_gpu(gpu_server: GpuServer, workspace: Path) -> None:
    for index in (0, 2, 4, 5, 6, 7):
        gpu_server.stranger_comes(index)
    command = [sys.executable, "-m", "runner.cli", "run", "--budget", "20m", "--json"]
    with (workspace / "events").open("wb") as events:
        runner = subprocess.Popen(command, cwd=workspace, env=gpu_server.environment(), stdout=events)
    engine = gpu_server.engine()

    def training() -> list[str]:
        return [item.id for item in engine.remnants() if item.kind == "container" and item.role == "train"]

    try:
        end = time.monotonic() + 240.0
        while len(training()) < 2:
            assert runner.poll() is None
            assert time.monotonic() < end, "two never trained at once"
            time.sleep(0.1)
    finally:
        runner.send_signal(signal.SIGKILL)
        runner.wait()
    end = time.monotonic() + 10.0
    while training():
        assert time.monotonic() < end, "a container runs ten seconds later"
        time.sleep(0.1)
    done = gpu_server.autoresearch("try", "train.py", "--json", cwd=workspace)
    assert json.loads(done.stdout)["outcome"] == "ok", "a GPU can be leased again"


def test_two_courteous_runs_take_turns_on_one_gpu(
    gpu_server: GpuServer, workspace: Path, tmp_path: Path
) -> None:
    """Without courtesy, see tests/sandbox/test_courtesy.py."""
    for index in range(1, 8):
        gpu_server.stranger_comes(index)
    other = tmp_path / "other"
    shutil.copytree(workspace, other)
    words = ["run", "--budget", "20m", "--max-experiments", "2", "--json", "--courtesy"]
    runs = []
    for folder in (workspace, other):
        with (folder / "events").open("wb") as events, (folder / "errors").open("wb") as errors:
            command = [sys.executable, "-m", "runner.cli", *words]
            environment = gpu_server.environment()
            runs.append(subprocess.Popen(command, cwd=folder, env=environment, stdout=events, stderr=errors))
    codes = [run.wait(timeout=400) for run in runs]
    assert codes == [0, 0], [(folder / "errors").read_text() for folder in (workspace, other)]
    trained = [given.run for given in gpu_server.containers() if given.role == "train"]
    changes = sum(before != after for before, after in pairwise(trained))
    assert set(gpu_server.most_at_once().values()) == {1}
    assert changes >= 5
    for folder in (workspace, other):
        kinds = [json.loads(line) for line in (folder / "events").read_text().splitlines()]
        assert [e["decision"] for e in kinds if e["event"] == "decided"] == ["discard"] * 2


def test_a_gpu_that_no_container_sees_is_left_out_and_the_run_goes_on(
    gpu_server: GpuServer, workspace: Path
) -> None:
    uuids = gpu_server.uuids()
    for index in (0, 2, 4, 5, 6, 7):
        gpu_server.stranger_comes(index)
    gpu_server.break_toolkit("none", only=uuids[3])
    done = gpu_server.autoresearch(
        "run", "--budget", "20m", "--max-experiments", "6", "--json", cwd=workspace, timeout=500
    )
    assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [e["gpu"] for e in events if e["event"] == "gpu_left_out"] == [uuids[3]]
    outcomes = [e["outcome"] for e in events if e["event"] == "judged"]
    assert outcomes.count("infrastructure") == 3
    assert set(outcomes) == {"ok", "infrastructure"}
    assert [e["decision"] for e in events if e["event"] == "decided"] == ["discard"] * 6
    trained = {uuid for given in gpu_server.containers() if given.role == "train" for uuid in given.given}
    assert trained == {uuids[1]}
    assert f"{uuids[3]} was left out: a container saw no GPU" in (workspace / "report.html").read_text()
