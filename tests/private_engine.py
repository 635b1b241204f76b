"""Engines of our own: a second dockerd with its own containerd, data and sockets, no bridge, no firewall rules.

It can be stopped, killed and started again without anybody noticing. containerd is a process beside it, as where
systemd starts both, so that kill -9 of dockerd leaves the containers running. It needs root.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

from sandbox.docker_engine import DockerEngine
from sandbox.engine import EngineUnavailable, ImageMissing


def why_not() -> str:
    """Why this machine cannot have one; empty when it can."""
    if os.geteuid() != 0:
        return "a private dockerd needs root"
    missing = [name for name in ("dockerd", "containerd") if shutil.which(name) is None]
    return f"there is no {missing[0]} on this machine's PATH" if missing else ""


def why_no_podman() -> str:
    if os.geteuid() != 0:
        return "a podman service with cgroups of its own needs root"
    return "" if shutil.which("podman") else "there is no podman on this machine's PATH"


def base_image(engine: DockerEngine) -> tuple[str, str]:
    """The smallest image here that has Python, and where it has it."""
    try:
        return engine.image("autoresearch/base:bookworm").id, "/usr/bin/python3"
    except ImageMissing:
        return engine.image("autoresearch/candidate:cpu").id, "/opt/venv/bin/python"


class PrivatePodman:
    """podman's Docker-compatible API on a socket and a storage folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        self._podman = [
            *(
                "podman",
                "--root",
                f"{folder}/root",
                "--runroot",
                f"{folder}/run",
                "--storage-driver",
                "overlay",
            ),
            *("--cgroup-manager", "cgroupfs", "--events-backend", "file"),
            # crun refuses a machine where both versions of cgroups are mounted
            *("--runtime", "runc" if Path("/sys/fs/cgroup/unified").is_dir() else "crun"),
        ]

    @property
    def host(self) -> str:
        return f"unix://{self.folder}/p.sock"

    def start(self) -> None:
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*self._podman, "system", "service", "--time=0", self.host],
                stdout=log,
                stderr=log,
                start_new_session=True,
                cwd=self.folder,  # conmon leaves a file "oom" where it was started
            )
        end = time.monotonic() + 30
        while True:
            try:
                DockerEngine.connect(self.host)
                return
            except EngineUnavailable:
                if self._process.poll() is not None or time.monotonic() > end:
                    raise RuntimeError((self.folder / "log").read_text()[-1500:]) from None
                time.sleep(0.1)

    def load_from(self, engine: DockerEngine, image: str) -> None:
        """Copy an image from another engine."""
        DockerEngine.connect(self.host).client.load_image(engine.client.get_image(image))

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(30)
        subprocess.run([*self._podman, "rm", "--force", "--all"], check=False, capture_output=True)
        for _ in range(6):  # what podman starts after a container's end makes the folder again
            unmount_below(self.folder)
            shutil.rmtree(self.folder, ignore_errors=True)
            time.sleep(0.5)


def unmount_below(folder: Path) -> None:
    for line in reversed(Path("/proc/mounts").read_text().splitlines()):
        if (place := line.split()[1]).startswith(f"{folder}/"):
            subprocess.run(["umount", "--lazy", place], check=False, capture_output=True)


_REMAPPED = 'mount --bind "$1" /etc/subuid && mount --bind "$1" /etc/subgid && shift && exec "$@"'


class PrivateDockerd:
    """`settings` go into its daemon.json, `environment` into its environment. `remap` is a user of this machine whose
    containers' users are to begin at `FIRST_USER`: in mounts of its own, so that /etc/subuid stays as it is (its containerd
    is then its child)."""

    FIRST_USER = 1_000_000

    def __init__(
        self,
        folder: Path,
        *,
        runtimes: dict[str, Any] | None = None,
        live_restore: bool = False,
        settings: dict[str, Any] | None = None,
        remap: str | None = None,
        environment: dict[str, str] | None = None,
    ):
        self.folder, self._remap = folder, remap
        self._environment = {**os.environ, **(environment or {})}
        self.process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)
        whole = {"runtimes": runtimes or {}, "live-restore": live_restore, **(settings or {})}
        (folder / "daemon.json").write_text(json.dumps(whole))
        (folder / "subordinate").write_text(f"{remap}:{self.FIRST_USER}:65536\n")
        (folder / "containerd.toml").write_text(
            f'version = 2\nroot = "{folder}/cd"\nstate = "{folder}/cds"\n[grpc]\naddress = "{folder}/c.sock"\n'
            'disabled_plugins = ["io.containerd.grpc.v1.cri"]\n'
        )
        self._containerd: subprocess.Popen[bytes] | None = None
        if remap is None:
            self._containerd = self._spawn("containerd", "--config", str(folder / "containerd.toml"))

    @property
    def host(self) -> str:
        return f"unix://{self.folder}/d.sock"

    def start(self) -> None:
        command = [
            *("dockerd", "--bridge=none", "--iptables=false", "--ip6tables=false", "--ip-forward=false"),
            *("--storage-driver", os.environ.get("AUTORESEARCH_TEST_STORAGE", "overlay2")),
            *("--config-file", str(self.folder / "daemon.json"), "--host", self.host),
            *("--data-root", str(self.folder / "data"), "--exec-root", str(self.folder / "exec")),
            *("--pidfile", str(self.folder / "d.pid")),
        ]
        if self._remap is None:
            command += ["--containerd", str(self.folder / "c.sock")]
        else:
            in_mounts = ["unshare", "--mount", "sh", "-c", _REMAPPED, "sh", str(self.folder / "subordinate")]
            command = [*in_mounts, *command, "--userns-remap", self._remap]
        self.process = self._spawn(*command)
        end = time.monotonic() + 60
        while True:
            try:
                DockerEngine.connect(self.host)
                return
            except EngineUnavailable:
                if self.process.poll() is not None or time.monotonic() > end:
                    log_tail = (self.folder / "dockerd.log").read_text()[-1500:]
                    raise RuntimeError(f"the private dockerd does not start: {log_tail}") from None
                time.sleep(0.1)

    def _spawn(self, *command: str) -> subprocess.Popen[bytes]:
        with (self.folder / "dockerd.log").open("ab") as log:
            return subprocess.Popen(
                command, stdout=log, stderr=log, start_new_session=True, env=self._environment
            )

    def stop(self, number: int = signal.SIGTERM) -> None:
        """SIGTERM ends its containers, too; SIGKILL leaves them running without an engine."""
        if self.process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)
        self.process.wait(60)
        self.process = None

    def close(self) -> None:
        """Stop it for good, and its containerd, and unmount what a killed one left."""
        self.stop()
        if self._containerd is not None:
            self._containerd.terminate()
            self._containerd.wait(20)
        unmount_below(self.folder)
        shutil.rmtree(self.folder, ignore_errors=True)

    def load_from(self, engine: DockerEngine, image: str) -> None:
        """Copy an image from another engine."""
        DockerEngine.connect(self.host).client.load_image(engine.client.get_image(image))
