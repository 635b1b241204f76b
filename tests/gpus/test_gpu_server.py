"""The stand-in for a GPU server does what a real one does, so that a test on it means something."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from gpu_server import GpuServer
from private_engine import why_not

from runner.images.build import build_images, find_images
from sandbox.lease import default_folder
from sandbox.outcome import Ending, Outcome
from sandbox.spec import GIB, MIB, Job, Lease, Limits, Output, Role

ROOT = Path(__file__).parents[2]
PYTHON = "/opt/venv/bin/python"
LOOK = """
import ctypes, json, os, time
def look():
    try:
        nvml = ctypes.CDLL("libnvidia-ml.so.1")
    except OSError:
        return "no driver"
    count, uuids = ctypes.c_uint(), []
    if error := nvml.nvmlInit_v2() or nvml.nvmlDeviceGetCount_v2(ctypes.byref(count)):
        return f"error {error}"
    for i in range(count.value):
        gpu, text = ctypes.c_void_p(), ctypes.create_string_buffer(96)
        error = nvml.nvmlDeviceGetHandleByIndex_v2(i, ctypes.byref(gpu)) or nvml.nvmlDeviceGetUUID(gpu, text, 96)
        uuids.append(f"error {error}" if error else text.value.decode())
    return uuids
"""
ONCE = LOOK + "json.dump(look(), open('/out/a', 'w'))"
UNTIL_IT_FAILS = (
    LOOK + "while 'error' not in str(look()): time.sleep(0.1)\njson.dump(look(), open('/out/a', 'w'))"
)


def job(
    server: GpuServer,
    uuid: str | None,
    folder: Path,
    program: str = ONCE,
    experiment: str = "1",
    **variables: str,
) -> Job:
    (folder / experiment).mkdir()
    return Job(
        run="gpus",
        experiment=experiment,
        attempt=1,
        role=Role.TRAIN,
        image=find_images(server.engine(), "cuda13").candidate.id,
        command=(PYTHON, "-I", "-B", "-c", program),
        limits=Limits(wall_clock_s=30, memory_bytes=GIB, pids=64, out_bytes=MIB),
        lease=Lease(cpus=(min(os.sched_getaffinity(0)),), gpu_uuid=uuid),
        destination=folder / experiment,
        outputs=(Output("a", 4096),),
        environment=variables,
    )


def seen(outcome: Outcome) -> Any:
    assert outcome.files, (outcome, outcome.log_tail)
    return json.loads(outcome.files["a"].path.read_text())


def test_a_container_sees_the_gpu_that_was_leased_and_no_other(gpu_server: GpuServer, tmp_path: Path) -> None:
    uuid = gpu_server.uuids()[5]
    assert seen(gpu_server.engine().run(job(gpu_server, uuid, tmp_path))) == [uuid]
    (given,) = gpu_server.containers()
    assert (given.asked, given.given, given.alive) == ((uuid,), (uuid,), False)
    assert (given.run, given.experiment, given.attempt, given.role) == ("gpus", "1", "1", "train")
    assert gpu_server.most_at_once() == {uuid: 1}


def test_without_a_gpu_a_container_has_no_driver(gpu_server: GpuServer, tmp_path: Path) -> None:
    assert seen(gpu_server.engine().run(job(gpu_server, None, tmp_path))) == "no driver"
    assert gpu_server.containers() == []


def test_jax_has_the_platform_cuda_only_in_a_container_with_a_gpu(
    gpu_server: GpuServer, tmp_path: Path
) -> None:
    program = "import jax, json; json.dump(str(jax.numpy.ones(2).sum()), open('/out/a', 'w'))"
    engine, uuid = gpu_server.engine(), gpu_server.uuids()[0]
    gpu_server.break_toolkit("none", times=1)
    without = engine.run(job(gpu_server, uuid, tmp_path, program, JAX_PLATFORMS="cuda"))
    assert (without.exit_code, without.files) == (1, {}), without.log_tail
    assert seen(engine.run(job(gpu_server, uuid, tmp_path, program, "2", JAX_PLATFORMS="cuda"))) == "2.0"


def test_an_instance_of_a_gpu_that_is_split_is_given_alone(gpu_server: GpuServer, tmp_path: Path) -> None:
    part = gpu_server.split(2, parts=3)[1]
    assert gpu_server.uuids()[2:5][1] == part
    assert seen(gpu_server.engine().run(job(gpu_server, part, tmp_path))) == [gpu_server.world().gpus[2].uuid]
    assert gpu_server.containers()[0].given == (part,)


@pytest.mark.parametrize(("fault", "given"), [("none", ()), ("extra", (1, 0)), ("wrong", (0,))])
def test_a_toolkit_that_errs_once(
    gpu_server: GpuServer, tmp_path: Path, fault: str, given: tuple[int, ...]
) -> None:
    uuids, engine = gpu_server.uuids(), gpu_server.engine()
    gpu_server.break_toolkit(fault, times=1)
    wrong = seen(engine.run(job(gpu_server, uuids[1], tmp_path)))
    assert wrong == (sorted(uuids[index] for index in given) or "no driver")
    assert seen(engine.run(job(gpu_server, uuids[1], tmp_path, experiment="2"))) == [uuids[1]]
    assert [c.given for c in gpu_server.containers()] == [tuple(uuids[i] for i in given), (uuids[1],)]


def test_no_container_starts_with_a_gpu_that_is_lost_or_when_the_toolkit_refuses(
    gpu_server: GpuServer, tmp_path: Path
) -> None:
    engine, uuids = gpu_server.engine(), gpu_server.uuids()
    gpu_server.lose(0)
    lost = engine.run(job(gpu_server, uuids[0], tmp_path))
    assert (lost.ending, "unknown device" in lost.detail) == (Ending.ENGINE_FAILED, True), lost
    gpu_server.break_toolkit("refuse")
    refused = engine.run(job(gpu_server, uuids[1], tmp_path, experiment="2"))
    assert (refused.ending, "timed out" in refused.detail) == (Ending.ENGINE_FAILED, True), refused
    assert engine.remnants("gpus") == []


def running(server: GpuServer, jobs: list[Job]) -> tuple[list[Outcome], list[threading.Thread]]:
    """All at once, as soon as each has its GPU."""
    outcomes: list[Outcome] = []
    threads = [
        threading.Thread(target=lambda one=one: outcomes.append(server.engine().run(one))) for one in jobs
    ]  # type: ignore[misc]
    for thread in threads:
        thread.start()
    end = time.monotonic() + 20
    while len(server.containers()) < len(jobs) and time.monotonic() < end:
        time.sleep(0.05)
    return outcomes, threads


@pytest.mark.parametrize(("event", "answer"), [("lose", ["error 15"]), ("reload", "error 999")])
def test_what_happens_to_a_gpu_is_seen_by_the_container_that_has_it(
    gpu_server: GpuServer, tmp_path: Path, event: str, answer: Any
) -> None:
    uuid = gpu_server.uuids()[3]
    outcomes, (thread,) = running(gpu_server, [job(gpu_server, uuid, tmp_path, UNTIL_IT_FAILS)])
    assert [process.kind for process in gpu_server.world().gpus[3].processes] == ["container"]
    gpu_server.lose(3) if event == "lose" else gpu_server.reload_daemon()
    thread.join()
    assert seen(outcomes[0]) == answer


def test_two_containers_on_one_gpu_are_counted(gpu_server: GpuServer, tmp_path: Path) -> None:
    one, other = gpu_server.uuids()[:2]
    jobs = [
        job(gpu_server, uuid, tmp_path, UNTIL_IT_FAILS, name)
        for name, uuid in (("1", one), ("2", other), ("3", one))
    ]
    _, threads = running(gpu_server, jobs)
    gpu_server.reload_daemon()
    for thread in threads:
        thread.join()
    assert gpu_server.most_at_once() == {one: 2, other: 1}


def test_the_driver_shows_strangers_and_what_becomes_of_the_gpus(gpu_server: GpuServer) -> None:
    def driver(program: str) -> Any:
        done = subprocess.run(
            [sys.executable, "-c", f"import json; from sandbox.nvml import NvmlProbe as P; uuids = [g.uuid for g in P().gpus()]; print(json.dumps({program}))"],
            env=gpu_server.environment(), cwd=ROOT, capture_output=True, text=True, check=True,
        )  # fmt: skip
        return json.loads(done.stdout)

    uuids = gpu_server.uuids()
    assert driver("uuids") == uuids
    pid = gpu_server.stranger_comes(2)
    on_each = "[P().processes(uuid) for uuid in uuids]"
    assert driver(on_each) == [[], [], [pid], *[[]] * 5]
    gpu_server.stranger_goes(2)
    assert driver(on_each) == [[]] * 8
    assert not Path(f"/proc/{pid}").exists()
    parts = gpu_server.split(2)
    assert driver("uuids") == [*uuids[:2], *parts, *uuids[3:]] == gpu_server.uuids()
    pid = gpu_server.stranger_comes(2)
    assert driver(f"[P().processes(uuid) for uuid in {parts}]") == [[pid], []]
    gpu_server.throttle(0)
    assert gpu_server.world().gpus[0].throttle
    for index in (0, 2):
        gpu_server.heal(index)
    assert gpu_server.uuids() == uuids
    assert gpu_server.world().gpus[0].throttle == 0


@pytest.mark.engine
def test_a_server_that_is_closed_leaves_nothing() -> None:
    if reason := why_not():
        pytest.skip(reason)
    server = GpuServer(Path(f"/tmp/ar-gpus-{secrets.token_hex(3)}"), devices=1)
    try:
        server.start(None)
        pid, (uuid,) = server.stranger_comes(0), server.uuids()
        lock = default_folder() / f"gpu-{uuid}.lock"
        lock.touch()
    finally:
        server.close()
    assert_nothing_left(server.folder, uuid)
    assert not Path(f"/proc/{pid}").exists()


def assert_nothing_left(folder: Path, uuid: str) -> None:
    assert not folder.exists()
    assert not (default_folder() / f"gpu-{uuid}.lock").exists()
    assert str(folder) not in Path("/proc/mounts").read_text()
    commands = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # a process that has just ended
            commands.append(file.read_bytes())
    assert not [command for command in commands if f"{folder}/".encode() in command]


KILLED = """
import os, pathlib, signal, sys
sys.path[:0] = sys.argv[2:]
from gpu_server import GpuServer
from sandbox.lease import default_folder
server = GpuServer(pathlib.Path(sys.argv[1]), devices=1)
server.start(None)
server.stranger_comes(0)
(default_folder() / f"gpu-{server.uuids()[0]}.lock").touch()
print(server.uuids()[0], flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.engine
def test_a_server_whose_test_was_killed_is_removed_by_the_next() -> None:
    if reason := why_not():
        pytest.skip(reason)
    folder = Path(f"/tmp/ar-gpus-{secrets.token_hex(3)}")
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(folder), *map(str, (ROOT, ROOT / "tests", ROOT / "tests/gpus"))],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert (done.returncode, folder.exists()) == (-signal.SIGKILL, True)
    GpuServer(folder.with_name(f"{folder.name}x"), devices=1).close()
    assert_nothing_left(folder, done.stdout.strip())


def test_the_stand_in_images_are_those_that_build_would_make(gpu_server: GpuServer) -> None:
    for variant in ("cuda12", "cuda13"):
        told: list[str] = []
        found = build_images(gpu_server.engine(), variant=variant, progress=told.append)
        assert told == [f"the {variant} images are up to date"]
        assert found == find_images(gpu_server.engine(), variant)


TINY = """
import os
import jax.numpy as jnp
from trainer_jax import harness

params = {"logits": jnp.zeros((harness.vocab_size,), jnp.float32)}
harness.export_model(lambda p, t: jnp.broadcast_to(p["logits"], (*t.shape, harness.vocab_size)), params)
harness.save_params(params)
"""


def test_a_script_is_trained_and_judged_on_one_gpu(
    gpu_server: GpuServer, dataset: Path, tmp_path: Path
) -> None:
    uuid = gpu_server.uuids()[4]
    (tmp_path / "w").mkdir()
    gpu_server.autoresearch("init", ".", cwd=tmp_path / "w")
    (tmp_path / "w" / "tiny.py").write_text(TINY)
    (tmp_path / "w" / "autoresearch.toml").write_text(
        f'data = "{dataset}"\nvariant = "cuda13"\ngpus = "{uuid}"\nwall_clock = "40s"\nmemory_gb = 2.0\n'
        "cpus = 1\ndisk_floor_gb = 0.0\n"
    )
    done = gpu_server.autoresearch("try", "tiny.py", "--json", cwd=tmp_path / "w")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["outcome"] == "ok", done.stdout
    roles = [container.role for container in gpu_server.containers()]
    assert roles[:2] == ["probe", "train"]
    assert set(roles[2:]) == {"judge-blind", "judge-score"}
    assert {container.given for container in gpu_server.containers()} == {(uuid,)}
    assert gpu_server.most_at_once() == {uuid: 1}
