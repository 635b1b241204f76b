"""A GPU server without a GPU: real dockerd, real containers, real pynvml, and a stand-in for the driver's library and toolkit.

server = GpuServer(folder, devices=8)
server.start(engine)                        # `engine` has the CPU images; the stand-ins for cuda12 and cuda13 come from them
subprocess.run([...], env=server.environment(CUDA_VISIBLE_DEVICES="0,1"))
pid = server.stranger_comes(3)              # and server.stranger_goes(3)
server.throttle(2); server.lose(5); server.split(6); server.heal(2)
server.containers(), server.most_at_once()  # what every container was given, how many were on one GPU at once
server.close()
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import container_hook
import nvml_state
from nvml_state import GPU_IS_LOST, HW_THERMAL_SLOWDOWN, UNKNOWN_ERROR, Gpu, Mig, Process, World
from private_engine import PrivateDockerd, unmount_below, why_not
from stand_in_images import put_images

from sandbox.docker_engine import DockerEngine
from sandbox.engine import LABEL
from sandbox.lease import default_folder

HERE = Path(__file__).parent
GVISOR_KNOWS = "535.183.01 580.65.06"
"""Drivers that the stand-in for gVisor lists. It runs containers as runc does."""
HOOK = "nvidia-container-runtime-hook"  # Docker has the device driver "nvidia" if this is on dockerd's PATH when it starts


class NoCompiler(Exception):
    """There is no C compiler; the message says what to do."""


def compile_library(folder: Path, *, path: str | None = None) -> Path:
    """The folder with the stand-in for libnvidia-ml.so.1, for LD_LIBRARY_PATH. The compiler is looked for in `path` (default $PATH).
    Raises NoCompiler."""
    compiler = shutil.which("gcc", path=path) or shutil.which("cc", path=path)
    if compiler is None:
        raise NoCompiler(
            "there is no C compiler for the stand-in of the NVIDIA driver's library: run script/bootstrap --tests as root, "
            "or apt-get install gcc libc6-dev"
        )
    folder.mkdir(parents=True, exist_ok=True)
    command = [compiler, "-std=c99", "-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]
    subprocess.run(
        [*command, "-o", str(folder / container_hook.LIBRARY), str(HERE / "fake_nvml.c")], check=True
    )
    return folder


def machine(devices: int, *, mark: str = "00000000") -> World:
    """A world of equal GPUs. `mark` (8 hex digits) keeps the UUIDs of two servers apart, and so their locks."""
    return World(tuple(Gpu(f"GPU-{mark}-0000-4000-8000-{index:012d}", index) for index in range(devices)))


def remove_orphans(parent: Path) -> None:
    """Remove what is left of servers in `parent` whose test process was killed, so that nobody closed them."""
    for file in parent.glob("*/owner"):
        folder = file.parent
        if not (folder / "lib" / container_hook.LIBRARY).exists() or container_hook.alive(
            int(file.read_text())
        ):
            continue
        for number in (signal.SIGTERM, signal.SIGKILL):  # dockerd ends its containers when it gets SIGTERM
            end = time.monotonic() + 20
            for pid in (left := _naming(folder)):
                with suppress(ProcessLookupError):
                    os.kill(pid, number)
            while any(map(container_hook.alive, left)) and time.monotonic() < end:
                time.sleep(0.05)
        _remove_locks(nvml_state.read(folder / "state"))
        unmount_below(folder)
        shutil.rmtree(folder, ignore_errors=True)


def _naming(folder: Path) -> list[int]:
    """Processes with the folder in their command line: dockerd, containerd, its shims."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if f"{folder}/".encode() in file.read_bytes():
                found.append(int(file.parent.name))
    return found


def _remove_locks(world: World) -> None:
    for gpu in world.gpus:
        for lock in default_folder().glob(f"gpu-*-{gpu.uuid.split('-')[1]}-*"):
            lock.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class Given:
    """A container that asked for GPUs, and what it was given. `beside`: other containers that ran on one of them then."""

    container: str
    asked: tuple[str, ...]
    given: tuple[str, ...]
    beside: Mapping[str, list[str]]
    run: str
    experiment: str
    attempt: str
    role: str
    alive: bool


class GpuServer:
    """`folder` must have a short path (sockets are in it); it is removed at the end. It needs root, dockerd and a C compiler."""

    def __init__(self, folder: Path, *, devices: int = 8) -> None:
        self.folder, self._devices = folder, devices
        remove_orphans(folder.parent)
        folder.mkdir(parents=True)
        folder.chmod(0o755)
        (folder / "owner").write_text(str(os.getpid()))
        compile_library(folder / "lib")
        hook = folder / "bin" / HOOK
        hook.parent.mkdir()
        hook.write_text(
            f'#!/bin/sh\nexec "{sys.executable}" -I -S "{HERE / "container_hook.py"}" "{folder}"\n'
        )
        hook.chmod(0o755)
        gvisor = folder / "bin" / "runsc"
        gvisor.write_text(f'#!/bin/sh\n[ "$1" = nvproxy ] && exec echo {GVISOR_KNOWS}\nexec runc "$@"\n')
        gvisor.chmod(0o755)
        self._strangers: dict[int, list[subprocess.Popen[bytes]]] = {}
        self._cut_off: set[str] = set()
        self.dockerd: PrivateDockerd | None = None
        self.reset()

    def start(self, images_of: DockerEngine | None) -> None:
        """Start dockerd, and copy the images of another engine to it, if one is given."""
        if reason := why_not():
            raise RuntimeError(reason)
        (self.folder / "d").mkdir()
        # in memory: writing and removing the images on a disk takes a minute
        mount = ["mount", "-t", "tmpfs", "-o", "size=4g,mode=0755", "ar-gpus", str(self.folder / "d")]
        subprocess.run(mount, check=True)
        self.dockerd = PrivateDockerd(
            self.folder / "d",
            runtimes={"nvidia": {"path": "runc"}, "runsc": {"path": str(self.folder / "bin" / "runsc")}},
            environment={
                "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}",
                "FAKE_GPU_DOCKER_DATA": str(self.folder / "d" / "data"),
            },
        )
        self.dockerd.start()
        if images_of is not None:
            put_images(images_of, self.engine())

    def engine(self, **options: Any) -> DockerEngine:
        assert self.dockerd is not None, "start the server first"
        return DockerEngine.connect(self.dockerd.host, **options)

    def environment(self, **more: str) -> dict[str, str]:
        """The environment of a user of this server. `more` is added, for example CUDA_VISIBLE_DEVICES."""
        own = {
            "LD_LIBRARY_PATH": str(self.folder / "lib"),
            "FAKE_NVML_STATE": str(self.folder / "state"),
        }
        if self.dockerd is not None:
            own["DOCKER_HOST"] = self.dockerd.host
        not_ours = {"DOCKER_CONTEXT", "CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES"}
        return {**{name: value for name, value in os.environ.items() if name not in not_ours}, **own, **more}

    def autoresearch(
        self, *words: str, cwd: Path, timeout: float = 300, **more: str
    ) -> subprocess.CompletedProcess[str]:
        """`autoresearch WORDS` as a user of this server."""
        return subprocess.run(
            [sys.executable, "-m", "runner.cli", *words],
            cwd=cwd,
            env=self.environment(**more),
            capture_output=True,
            text=True,
            timeout=timeout,
        )

    # the world

    def world(self) -> World:
        return nvml_state.read(self.folder / "state")

    def uuids(self) -> list[str]:
        """What can be leased: GPUs, and the instances of those that are split."""
        return self.world().uuids()

    def change(self, change: Callable[[World], World]) -> None:
        """Make another world of the present one, for the host and for the containers that run."""
        with nvml_state.locked(self.folder):
            world = change(self.world())
            nvml_state.write(self.folder / "state", nvml_state.text(world))
            for entry in self._running():
                seen = replace(world, error=UNKNOWN_ERROR) if entry["container"] in self._cut_off else world
                with suppress(OSError):  # it has just ended
                    container_hook.put_state(Path(entry["root"]), seen, entry["given"])

    def change_gpu(self, index: int, **fields: Any) -> None:
        """Set fields of `Gpu`."""
        self.change(lambda world: world.with_gpu(index, lambda gpu: replace(gpu, **fields)))

    def stranger_comes(self, index: int, *, memory: int = nvml_state.GIB) -> int:
        """Somebody's process on a GPU (on its first instance, if it is split): its number. It is a real process."""
        command = [
            "tail",
            "-f",
            str(self.folder / "owner"),
        ]  # does nothing, and is found by the folder's name
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        self._strangers.setdefault(index, []).append(process)
        gpu = self.world().gpus[index]
        where = gpu.mig[0].uuid if gpu.split else gpu.uuid
        self.change(lambda world: world.with_process(where, Process(process.pid, memory)))
        return process.pid

    def stranger_goes(self, index: int) -> None:
        """All of them."""
        gone = self._strangers.pop(index, [])
        for process in gone:
            process.kill()
            process.wait()
        pids = {process.pid for process in gone}

        def without(processes: tuple[Process, ...]) -> tuple[Process, ...]:
            return tuple(process for process in processes if process.pid not in pids)

        self.change(
            lambda world: world.with_gpu(
                index,
                lambda gpu: replace(
                    gpu,
                    processes=without(gpu.processes),
                    mig=tuple(replace(part, processes=without(part.processes)) for part in gpu.mig),
                ),
            )
        )

    def throttle(self, index: int, reasons: int = HW_THERMAL_SLOWDOWN, *, clock: int = 1200) -> None:
        self.change_gpu(index, throttle=reasons, clock=clock, temperature=89)

    def lose(self, index: int, error: int = GPU_IS_LOST) -> None:
        """The GPU falls off the bus, or answers with another error (UNKNOWN_ERROR)."""
        self.change_gpu(index, error=error)

    def heal(self, index: int) -> None:
        """No error, no throttling, whole."""
        self.change(
            lambda world: world.with_gpu(index, lambda gpu: Gpu(gpu.uuid, gpu.index, processes=gpu.processes))
        )

    def split(self, index: int, parts: int = 2) -> list[str]:
        """Split a GPU into MIG instances; their UUIDs."""
        uuid = self.world().gpus[index].uuid.replace("GPU-", "MIG-")
        made = tuple(Mig(uuid.replace("-8000-", f"-900{slot}-"), slot=slot) for slot in range(parts))
        self.change_gpu(index, split=True, mig=made)
        return [part.uuid for part in made]

    def reload_daemon(self) -> None:
        """What `systemctl daemon-reload` does to running containers: their NVML answers "Unknown Error" from now on. The host's
        does not (https://github.com/NVIDIA/nvidia-container-toolkit/issues/48)."""
        self._cut_off |= {entry["container"] for entry in self._running()}
        self.change(lambda world: world)

    def break_toolkit(self, fault: str, *, times: int = 0, only: str = "-") -> None:
        """Give the next containers no GPU ("none"), one too many ("extra"), another ("wrong"), or "refuse" to start them; `times`
        containers, or all (0) until `mend_toolkit`; `only` those for this GPU."""
        assert fault in {"none", "extra", "wrong", "refuse"}
        nvml_state.write(self.folder / "fault", f"{fault} {times} {only}")

    def mend_toolkit(self) -> None:
        (self.folder / "fault").unlink(missing_ok=True)

    def reset(self) -> None:
        """New GPUs, with other UUIDs, no stranger and no fault, and nothing given yet: as for a new test."""
        for index in list(self._strangers):
            self.stranger_goes(index)
        self.mend_toolkit()
        self._cut_off.clear()
        (self.folder / "given.jsonl").unlink(missing_ok=True)
        if (self.folder / "state").exists():
            _remove_locks(self.world())
        world = machine(self._devices, mark=secrets.token_hex(4))
        with nvml_state.locked(self.folder):
            nvml_state.write(self.folder / "state", nvml_state.text(world))

    # what happened

    def containers(self) -> list[Given]:
        """Every container that asked for a GPU since the last `reset`, in the order of their starts."""
        return [
            Given(
                container=entry["container"],
                asked=tuple(entry["asked"]),
                given=tuple(entry["given"]),
                beside=entry["beside"],
                run=entry["labels"].get(f"{LABEL}.run", ""),
                experiment=entry["labels"].get(f"{LABEL}.experiment", ""),
                attempt=entry["labels"].get(f"{LABEL}.attempt", ""),
                role=entry["labels"].get(f"{LABEL}.role", ""),
                alive=container_hook.alive(entry["pid"]),
            )
            for entry in container_hook.given(self.folder)
        ]

    def most_at_once(self) -> dict[str, int]:
        """For every GPU that a container was given: how many containers were on it at once, at most."""
        most: dict[str, int] = {}
        for container in self.containers():
            for uuid, beside in container.beside.items():
                most[uuid] = max(most.get(uuid, 0), 1 + len(beside))
        return most

    def _running(self) -> list[dict[str, Any]]:
        return [entry for entry in container_hook.given(self.folder) if container_hook.alive(entry["pid"])]

    def close(self) -> None:
        """Nothing is left: no process, no mount, no file, no lock of a GPU that never was."""
        for processes in self._strangers.values():
            for process in processes:
                process.kill()
                process.wait()
        if self.dockerd is not None:
            self.dockerd.close()
        subprocess.run(["umount", str(self.folder / "d")], check=False, capture_output=True)
        _remove_locks(self.world())
        shutil.rmtree(self.folder)
