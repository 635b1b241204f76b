"""The engine, the disk, the images or an administrator spoil a run. It goes on, or stops with a sentence."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fault_proxy import FaultProxy
from real_run import BASELINE, BETTER, Runner, Search, write_workspace

pytestmark = pytest.mark.engine
Start = Callable[..., Runner]
SOCKET = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock").removeprefix("unix://")


def outcomes(search: Search) -> list[str | None]:
    """What became of the attempts of experiment 1, which is kept in the end."""
    experiments = search.check()
    assert [e.status for e in experiments] == ["keep", "keep"]
    return [a.outcome for a in experiments[1].attempts if a.confirmation is None and not a.contended]


@pytest.fixture
def proxy(tmp_path: Path) -> Iterator[FaultProxy]:
    if not Path(SOCKET).is_socket():
        pytest.skip("the engine is not behind a local socket, so nothing can be put in front of it")
    made = FaultProxy(tmp_path / "p.sock", SOCKET)
    yield made
    made.vanish()


def test_a_container_that_an_administrator_removes_is_run_again(search: Search, in_training: Start) -> None:
    runner = in_training()
    search.engine.client.remove_container(search.container("train"), force=True)
    assert runner.finish() == 0, runner.errors()
    assert outcomes(search) == ["infrastructure", "ok"]
    assert search.experiments()[1].attempts[0].reason == "lost"


def test_a_snapshot_that_was_pruned_is_built_again_on_resume(search: Search) -> None:
    baseline = search.experiments()[0]  # the next one may have been proposed already
    assert baseline.image is not None
    search.engine.remove_image(baseline.image)
    search.resume()
    assert outcomes(search) == ["ok"]


def test_images_or_devices_that_are_not_there_are_named_before_anything_starts(search: Search) -> None:
    """Where there is a GPU the images are missing, elsewhere the driver is."""
    text = (search.folder / "autoresearch.toml").read_text()
    (search.folder / "autoresearch.toml").write_text(text + 'variant = "cuda12"\n')
    runner = search.start("--budget", "1h")
    assert runner.finish(within=30) == 3
    assert "autoresearch build --variant cuda12" in runner.errors() or "NVIDIA driver" in runner.errors()


def test_two_runs_on_one_host_never_share_a_cpu(
    search: Search, in_training: Start, dataset: Path, tmp_path: Path
) -> None:
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("this machine gives us one CPU: a second run would wait for the first")
    long = BASELINE.replace("sleep(1.5)", "sleep(20)")
    assert long != BASELINE
    write_workspace(tmp_path / "other", dataset, long, [BETTER])
    other = Search(tmp_path / "other", search.engine)
    second = other.start("--budget", "1h")
    search.started.append(second)
    second.until(lambda event: event.get("state") == "training")
    first = in_training()
    inspect = search.engine.client.inspect_container
    used = [inspect(s.container("train"))["HostConfig"]["CpusetCpus"] for s in (search, other)]
    second.signal(15)
    assert second.finish(within=20) == 143
    assert first.finish() == 0, first.errors()
    assert len(set(used)) == 2, used
    assert outcomes(search) == ["ok"]
    other.check()


def test_a_socket_that_is_gone_for_a_while_costs_no_attempt(
    search: Search, in_training: Start, proxy: FaultProxy
) -> None:
    runner = in_training(DOCKER_HOST=proxy.host)
    proxy.vanish()
    time.sleep(1)
    proxy.come_back()
    assert runner.finish() == 0, runner.errors()
    assert outcomes(search) == ["ok"]


def test_a_socket_that_is_gone_before_a_resume_is_a_sentence(search: Search, proxy: FaultProxy) -> None:
    proxy.vanish()
    runner = search.start("--resume", "--budget", "1h", DOCKER_HOST=proxy.host)
    assert runner.finish(within=30) == 3
    assert "no container engine answers" in runner.errors()
    search.check()


def test_an_engine_that_answers_500_for_a_while_costs_no_attempt(
    search: Search, in_training: Start, proxy: FaultProxy
) -> None:
    runner = in_training(DOCKER_HOST=proxy.host)
    proxy.break_down(1)
    assert runner.finish() == 0, runner.errors()
    assert outcomes(search) == ["ok"]


def test_a_slow_engine_only_takes_longer(search: Search, proxy: FaultProxy) -> None:
    proxy.slow_s = 0.02
    search.resume(DOCKER_HOST=proxy.host)
    assert proxy.requests > 0
    assert outcomes(search) == ["ok"]


@pytest.fixture
def small_disk(search: Search, tmp_path: Path) -> Iterator[Path]:
    """The ledger and the artifacts on a file system of 16 MiB."""
    if os.geteuid() != 0:
        pytest.skip("a small disk of its own needs root to mount it")
    state, kept = search.folder / ".autoresearch", tmp_path / "state"
    state.rename(kept)
    state.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(state)], check=False)
    if mounted.returncode:
        pytest.skip("this machine does not let root mount a tmpfs (a container without CAP_SYS_ADMIN?)")
    subprocess.run(["cp", "-a", f"{kept}/.", str(state)], check=True)
    yield state
    subprocess.run(["umount", "--lazy", str(state)], check=True)
    state.rmdir()
    kept.rename(state)


def fill(folder: Path) -> Path:
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (1 << 20, 4096, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                continue
    return ballast


def test_a_full_disk_stops_the_run_with_a_sentence_and_it_goes_on_when_there_is_room(
    search: Search, in_training: Start, small_disk: Path
) -> None:
    runner = in_training()
    ballast = fill(small_disk)
    assert runner.finish() == 3, runner.errors()
    assert "disk of the workspace is full" in runner.errors()
    ballast.unlink()
    search.check()

    search.resume()

    assert outcomes(search)[-1] == "ok"
