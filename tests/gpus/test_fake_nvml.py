"""The real pynvml reads the stand-in for the driver's library as it would read the driver's, whatever the state file says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from gpu_server import NoCompiler, compile_library, machine
from nvml_state import (
    GIB,
    GPU_IS_LOST,
    HW_THERMAL_SLOWDOWN,
    LIBRARY_MISMATCH,
    UNKNOWN_ERROR,
    Mig,
    Process,
    World,
    read,
    text,
    write,
)

ASK = """
import json, sys
import pynvml as n
def ask(name, *arguments):
    try:
        found = getattr(n, "nvmlDeviceGet" + name)(*arguments)
    except n.NVMLError as error:
        return f"{type(error).__name__}: {error}"
    if isinstance(found, list):
        return [getattr(item, "pid", item) for item in found]
    return found
def about(gpu):
    memory = n.nvmlDeviceGetMemoryInfo(gpu)
    newer = n.nvmlDeviceGetMemoryInfo(gpu, n.nvmlMemory_v2)
    assert (newer.total, newer.used, newer.free) == (memory.total, memory.used, memory.free)
    return dict(uuid=ask("UUID", gpu), name=ask("Name", gpu), index=ask("Index", gpu), minor=ask("MinorNumber", gpu),
        memory=[memory.total, memory.used, memory.free], compute=ask("ComputeRunningProcesses", gpu),
        graphics=ask("GraphicsRunningProcesses", gpu), mig=ask("MigMode", gpu), slots=ask("MaxMigDeviceCount", gpu),
        part=n.nvmlDeviceIsMigDeviceHandle(gpu), throttle=ask("CurrentClocksEventReasons", gpu),
        older=ask("CurrentClocksThrottleReasons", gpu), supported=ask("SupportedClocksEventReasons", gpu),
        temperature=[ask("Temperature", gpu, 0), ask("TemperatureV", gpu, 0), ask("TemperatureThreshold", gpu, 1)],
        clock=[ask("ClockInfo", gpu, 1), ask("MaxClockInfo", gpu, 1)], power=ask("PowerUsage", gpu),
        capability=ask("CudaComputeCapability", gpu), ecc=ask("EccMode", gpu), errors=ask("TotalEccErrors", gpu, 1, 0),
        mode=ask("ComputeMode", gpu), persistence=ask("PersistenceMode", gpu))
def handle(index):
    try:
        return n.nvmlDeviceGetHandleByIndex(index)
    except n.NVMLError as error:
        return f"{type(error).__name__}: {error}"
n.nvmlInit()
gpus = [handle(index) for index in range(n.nvmlDeviceGetCount())]
print(json.dumps(eval(sys.stdin.read()), default=lambda number: number.value))
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    try:
        return compile_library(tmp_path_factory.mktemp("nvml") / "lib")
    except NoCompiler as error:
        pytest.fail(str(error))


@pytest.fixture
def asked(library: Path, tmp_path: Path) -> Callable[[World | None, str], Any]:
    """The value of an expression in a process that has loaded pynvml and looked at this world; its error as a text."""

    def ask(world: World | None, expression: str) -> Any:
        state = tmp_path / "state"
        if world is not None:
            write(state, text(world))
            assert read(state) == world
        environment = {**os.environ, "LD_LIBRARY_PATH": str(library), "FAKE_NVML_STATE": str(state)}
        done = subprocess.run(
            [sys.executable, "-c", ASK], input=expression, env=environment, capture_output=True, text=True
        )
        return json.loads(done.stdout) if done.returncode == 0 else done.stderr.splitlines()[-1]

    return ask


def test_eight_healthy_gpus(asked: Callable[[World | None, str], Any]) -> None:
    world = machine(8)
    found = asked(world, "[about(gpu) for gpu in gpus]")
    assert [gpu["uuid"] for gpu in found] == world.uuids()
    assert [(gpu["index"], gpu["minor"]) for gpu in found] == [(i, i) for i in range(8)]
    assert found[7] == {
        **found[0], "uuid": world.uuids()[7], "index": 7, "minor": 7, "name": "NVIDIA H100 80GB HBM3",
        "memory": [80 * GIB, 0, 80 * GIB], "compute": [], "graphics": [], "mig": [0, 0], "slots": 7, "part": 0,
        "throttle": 0, "older": 0, "supported": 0x1FF, "temperature": [45, 45, 87], "clock": [1980, 1980],
        "power": 70_000, "capability": [9, 0], "ecc": [1, 1], "errors": 0, "mode": 0, "persistence": 1,
    }  # fmt: skip
    assert asked(world, "[n.nvmlSystemGetDriverVersion(), n.nvmlSystemGetCudaDriverVersion()]") == [
        "580.65.06",
        13000,
    ]


def test_processes_and_the_memory_they_use(asked: Callable[[World | None, str], Any]) -> None:
    mine, dead = os.getpid(), subprocess.Popen(["true"])
    dead.wait()
    processes = (
        Process(4711, 2 * GIB),
        Process(4712, GIB, "graphics"),
        Process(mine, GIB, "container"),
        Process(dead.pid, GIB, "container"),
    )
    world = machine(2).with_gpu(1, lambda gpu: replace(gpu, processes=processes, other_memory=3 * GIB))
    found = asked(world, "about(gpus[1])")
    assert found["compute"] == [4711, mine]
    assert found["graphics"] == [4712]
    assert found["memory"] == [80 * GIB, 7 * GIB, 73 * GIB]
    assert asked(world, "about(gpus[0])")["compute"] == []
    many = machine(1).with_gpu(0, lambda gpu: replace(gpu, processes=tuple(map(Process, range(1, 41)))))
    assert asked(many, "about(gpus[0])")["compute"] == list(range(1, 41))


def test_a_throttled_gpu(asked: Callable[[World | None, str], Any]) -> None:
    world = machine(2).with_gpu(0, lambda gpu: replace(gpu, throttle=HW_THERMAL_SLOWDOWN, clock=1200))
    hot, cool = asked(world, "[about(gpu) for gpu in gpus]")
    assert (hot["throttle"], hot["older"], hot["clock"]) == (0x40, 0x40, [1200, 1980])
    assert (cool["throttle"], cool["older"], cool["clock"]) == (0, 0, [1980, 1980])


def test_a_gpu_that_fell_off_the_bus_raises_and_hides_those_behind_it_by_uuid(
    asked: Callable[[World | None, str], Any],
) -> None:
    world = machine(3).with_gpu(1, lambda gpu: replace(gpu, error=GPU_IS_LOST))
    assert asked(world, "len(gpus)") == 3
    assert asked(world, "gpus[1]") == "NVMLError_GpuIsLost: GPU is lost"
    assert asked(world, "about(gpus[2])")["index"] == 2
    assert asked(world, f"ask('Index', ask('HandleByUUID', {world.uuids()[0]!r}))") == 0
    assert asked(world, f"ask('HandleByUUID', {world.uuids()[2]!r})") == "NVMLError_GpuIsLost: GPU is lost"
    unknown = machine(1).with_gpu(0, lambda gpu: replace(gpu, error=UNKNOWN_ERROR))
    assert asked(unknown, "gpus[0]") == "NVMLError_Unknown: Unknown Error"


def test_a_gpu_that_is_split_and_its_instances(asked: Callable[[World | None, str], Any]) -> None:
    parts = (
        Mig("MIG-a", 10 * GIB, slot=0),
        Mig("MIG-c", 20 * GIB, slot=2, processes=(Process(4711, GIB),)),
    )
    world = machine(2).with_gpu(1, lambda gpu: replace(gpu, split=True, mig=parts))
    assert world.uuids() == [world.gpus[0].uuid, "MIG-a", "MIG-c"]
    slots = asked(
        world, "[type(ask('MigDeviceHandleByIndex', gpus[1], i)).__name__ == 'str' for i in range(3)]"
    )
    assert slots == [False, True, False]
    part = asked(world, "about(ask('MigDeviceHandleByIndex', gpus[1], 2))")
    assert (part["uuid"], part["name"], part["part"]) == ("MIG-c", "NVIDIA H100 80GB HBM3 MIG", 1)
    assert (part["memory"], part["compute"]) == ([20 * GIB, GIB, 19 * GIB], [4711])
    assert part["throttle"] == "NVMLError_NotSupported: Not Supported"
    assert asked(world, "about(ask('HandleByUUID', 'MIG-c'))") == part
    assert asked(
        world, "about(ask('DeviceHandleFromMigDeviceHandle', ask('HandleByUUID', 'MIG-c')))"
    ) == asked(world, "about(gpus[1])")
    whole = asked(world, "about(gpus[1])")
    assert (whole["mig"], whole["compute"], whole["part"]) == ([1, 1], [4711], 0)
    assert asked(world, "ask('MigDeviceHandleByIndex', gpus[0], 0)") == "NVMLError_NotFound: Not Found"


def test_a_driver_that_is_missing_or_broken_as_a_whole(asked: Callable[[World | None, str], Any]) -> None:
    assert asked(None, "1") == "pynvml.NVMLError_DriverNotLoaded: Driver Not Loaded"
    broken = replace(machine(1), error=LIBRARY_MISMATCH)
    assert (
        asked(broken, "1")
        == "pynvml.NVMLError_LibRmVersionMismatch: RM has detected an NVML/RM version mismatch."
    )


def test_without_a_compiler_it_is_said_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(NoCompiler, match="script/bootstrap --tests as root, or apt-get install gcc"):
        compile_library(tmp_path, path=str(tmp_path))


def test_the_world_changes_under_a_program_that_looks(library: Path, tmp_path: Path) -> None:
    state, world = tmp_path / "state", machine(1)
    write(state, text(world))
    program = """
import pynvml as n
n.nvmlInit()
gpu = n.nvmlDeviceGetHandleByIndex(0)
while True:
    input()
    try:
        print(len(n.nvmlDeviceGetComputeRunningProcesses(gpu)), flush=True)
    except n.NVMLError as error:
        print(error, flush=True)
"""
    environment = {**os.environ, "LD_LIBRARY_PATH": str(library), "FAKE_NVML_STATE": str(state)}
    looking = subprocess.Popen(
        [sys.executable, "-c", program], env=environment,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert looking.stdin is not None
    assert looking.stdout is not None
    try:
        looking.stdin.write("\n")
        looking.stdin.flush()
        assert looking.stdout.readline() == "0\n"  # it has its handle
        for change, seen in (
            ({"processes": (Process(4711),)}, "1"),
            ({"processes": ()}, "0"),
            ({"error": GPU_IS_LOST}, "GPU is lost"),
            ({"error": 0}, "0"),
        ):
            write(state, text(world.with_gpu(0, lambda gpu, change=change: replace(gpu, **change))))  # type: ignore[misc]
            looking.stdin.write("\n")
            looking.stdin.flush()
            assert looking.stdout.readline().strip() == seen
    finally:
        looking.kill()
        looking.communicate()
