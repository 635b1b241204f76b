"""Checks what the engine and this machine must or should provide: the sandbox's half of `autoresearch doctor`.

The minimum versions are those in which known container escapes are fixed. Distributions backport fixes without changing the number, so
an old number is a warning. A limit without effect is a failure.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import requests
from docker.errors import DockerException

from sandbox.docker_engine import DockerEngine
from sandbox.enforcement_check import check_limits
from sandbox.engine import ImageMissing, SandboxError
from sandbox.lease import default_folder, quarantined
from sandbox.sanitise import one_line
from sandbox.spec import GIB, Lease

_OLDEST_API = (1, 41)
_FREE_BYTES = 10 * GIB
_OF_LINUX = frozenset(
    "no_new_privileges seccomp root io_uring namespace sync inotify huge_pages message_queues".split()
)
"""Tests of Linux itself. A kernel in user space (gVisor) answers them differently, but isolates as well."""


class Level(StrEnum):
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the doctor's report. `sentence` says what was found and, if that is not good, what to do."""

    name: str
    level: Level
    sentence: str


def check(
    engine: DockerEngine,
    image: str | None = None,
    *,
    toolkit_version: Callable[[], str | None] | None = None,
) -> list[Finding]:
    """All checks that take at most a second and, if an image's content id is given, the tests of the limits (some seconds).

    `toolkit_version` returns the version of the NVIDIA container toolkit on this machine; None if there is none that can be asked.
    """
    try:
        version, info = engine.client.version(), engine.client.info()
    except (DockerException, requests.exceptions.RequestException, OSError) as error:
        return [
            Finding("engine", Level.FAIL, f"the container engine does not answer: {one_line(str(error))}")
        ]
    found = [
        _api(version),
        _runc(version),
        *_limits(info),
        _cgroup(info),
        _seccomp(info),
        _rootless(info),
        *_gpu(engine, toolkit_version or installed_toolkit),
        *_storage(info, local=engine.dialect.local),
        *_locks(),
    ]
    if image is None:
        return [
            *found,
            Finding("enforcement", Level.WARN, "the limits were not tried: build the images first"),
        ]
    return found + enforcement(engine, image)


def enforcement(engine: DockerEngine, image: str) -> list[Finding]:
    """Tests the effect of the limits. `image` is a content id. A limit without effect is a failure."""
    try:
        engine.image(image)
        tried = check_limits(engine, image, engine.python, Lease(cpus=(min(os.sched_getaffinity(0)),)))
    except (ImageMissing, SandboxError) as error:
        return [Finding("enforcement", Level.FAIL, str(error))]
    broken = [check for check in tried if not check.held]
    own_kernel = (engine.dialect.runtime or "").startswith("runsc")
    foreign = [check for check in broken if own_kernel and check.name in _OF_LINUX]
    broken = [check for check in broken if check not in foreign]
    found = []
    if not broken:
        found.append(Finding("enforcement", Level.OK, f"{len(tried) - len(foreign)} limits hold when tried"))
    if foreign:
        names = ", ".join(check.name for check in foreign)
        found.append(
            Finding(
                "enforcement by the kernel",
                Level.WARN,
                f"gVisor's own kernel does not show {names} as Linux does",
            )
        )
    return found + [
        Finding(
            f"limit {check.name}",
            Level.FAIL,
            f"the engine does not enforce this limit (seen: {one_line(check.seen)}); do not run candidates on it",
        )
        for check in broken
    ]


def unenforced_limits(engine: DockerEngine, image: str) -> str:
    """The limits that this engine does not enforce, in one sentence; empty when all passed their test.

    `image` is a content id. Needs some seconds: it tests every limit.
    """
    broken = [finding for finding in enforcement(engine, image) if finding.level is Level.FAIL]
    if not broken:
        return ""
    names = ", ".join(finding.name.removeprefix("limit ") for finding in broken)
    return f"this engine does not enforce what it was asked ({names}); `autoresearch doctor` says more"


def _api(version: Mapping[str, Any]) -> Finding:
    number, api = str(version.get("Version")), str(version.get("ApiVersion"))
    if _numbers(api) < _OLDEST_API:
        return Finding(
            "engine",
            Level.FAIL,
            f"the engine speaks API {api}; 1.41 (Docker 20.10) is the oldest known to work",
        )
    podman = "podman" in str(version.get("Components")).lower()
    if missing := [] if podman else _engine_holes(number):
        return Finding(
            "engine",
            Level.WARN,
            f"engine {number}, API {api}: works, but is older than the fixes of {', '.join(missing)}; update it, unless "
            "your distribution has backported them",
        )
    if _numbers(number) < (28,) and not podman:
        return Finding(
            "engine",
            Level.WARN,
            f"engine {number}, API {api}: works, but Docker 28 or newer gets security fixes",
        )
    return Finding("engine", Level.OK, f"engine {number}, API {api}")


def _engine_holes(number: str) -> list[str]:
    """Known escapes that are not fixed in this upstream version, by moby's advisories: CVE-2024-23652 (BuildKit; fixed in 24.0.9, 25.0.2)
    and CVE-2024-41110 (requests that plugins should refuse; fixed in 23.0.15, 25.0.6, 26.1.5, 27.1.1)."""
    version = _numbers(number)
    found = []
    if version < (24, 0, 9) or (25,) <= version < (25, 0, 2):
        found.append("CVE-2024-23652")
    patched = {23: (23, 0, 15), 25: (25, 0, 6), 26: (26, 1, 5), 27: (27, 1, 1)}
    if version < patched.get(version[0] if version else 0, (27, 1, 1)):
        found.append("CVE-2024-41110")
    return found


def _runc(version: Mapping[str, Any]) -> Finding:
    """CVE-2025-31133, -52565 and -52881 (November 2025) are fixed in 1.2.8, 1.3.3 and 1.4.0."""
    parts = {str(part.get("Name")): str(part.get("Version")) for part in version.get("Components") or []}
    number = parts.get("runc")
    if number is None:
        return Finding(
            "runc", Level.WARN, "the engine does not say which runtime it uses; runc should be 1.2.8 or newer"
        )
    if runc_is_patched(number):
        return Finding("runc", Level.OK, f"runc {number}")
    why = "CVE-2024-21626 and " if _numbers(number) < (1, 1, 12) else ""
    return Finding(
        "runc",
        Level.WARN,
        f"runc {number} is older than the fixes of {why}CVE-2025-31133 (1.2.8, 1.3.3, 1.4.0): update it, unless "
        "your distribution has backported them",
    )


def runc_is_patched(number: str) -> bool:
    """Whether this upstream version has the fixes of November 2025."""
    version = _numbers(number)
    if version[:2] == (1, 2):
        return version >= (1, 2, 8)
    if version[:2] == (1, 3):
        return version >= (1, 3, 3)
    return version >= (1, 4, 0)


def _limits(info: Mapping[str, Any]) -> list[Finding]:
    wanted = {"MemoryLimit": "memory", "SwapLimit": "swap", "PidsLimit": "process count", "CPUSet": "CPU set"}
    missing = [word for key, word in wanted.items() if info.get(key) is False]
    if missing:
        cure = "delegate the cgroup controllers to the engine, or boot with swapaccount=1 for swap"
        return [
            Finding(
                "limits", Level.FAIL, f"this kernel gives the engine no limit of {', '.join(missing)}: {cure}"
            )
        ]
    return [Finding("limits", Level.OK, "memory, swap, process and CPU limits are available")]


def _cgroup(info: Mapping[str, Any]) -> Finding:
    version = str(info.get("CgroupVersion") or "1")
    if version == "2":
        return Finding("cgroup", Level.OK, "cgroup v2")
    return Finding(
        "cgroup", Level.WARN, "cgroup v1 works, but kernels and engines are dropping it: prefer v2"
    )


def _seccomp(info: Mapping[str, Any]) -> Finding:
    options = " ".join(str(option) for option in info.get("SecurityOptions") or [])
    if "seccomp" not in options:
        return Finding(
            "seccomp", Level.FAIL, "the engine cannot filter system calls: use a kernel with seccomp"
        )
    extra = [name for name in ("apparmor", "selinux") if name in options]
    return Finding(
        "seccomp", Level.OK, "system calls are filtered" + (f", in addition to {extra[0]}" if extra else "")
    )


def _rootless(info: Mapping[str, Any]) -> Finding:
    options = " ".join(str(option) for option in info.get("SecurityOptions") or [])
    if "rootless" in options or "userns" in options:
        return Finding("user namespace", Level.OK, "root in a container is nobody on the host")
    return Finding(
        "user namespace",
        Level.WARN,
        "the engine runs as root without userns-remap: whoever may talk to it is root on this machine",
    )


def _gpu(engine: DockerEngine, toolkit_version: Callable[[], str | None]) -> list[Finding]:
    driver = engine.dialect.gpu_driver
    if driver is None:
        return [
            Finding(
                "gpu",
                Level.OK,
                "the engine hands out no GPU; install nvidia-container-toolkit if there is one",
            )
        ]
    found = [Finding("gpu", Level.OK, f"the engine hands out GPUs through {driver}")]
    if not engine.dialect.local:
        return found
    number = toolkit_version()
    if number is None:
        cure = "nvidia-ctk is not here to say its version; nvidia-container-toolkit should be 1.17.8 or newer"
        return [*found, Finding("nvidia toolkit", Level.WARN, cure)]
    return [*found, _toolkit(number)]


def _toolkit(number: str) -> Finding:
    """Container escapes, by NVIDIA's security bulletins: CVE-2024-0132 (fixed in 1.16.2), -0135 to -0137 (1.17.1), CVE-2025-23359
    (1.17.4), CVE-2025-23266 and -23267 (1.17.8)."""
    fixes = {
        (1, 16, 2): "CVE-2024-0132",
        (1, 17, 1): "CVE-2024-0135",
        (1, 17, 4): "CVE-2025-23359",
        (1, 17, 8): "CVE-2025-23266",
    }
    missing = [name for since, name in fixes.items() if _numbers(number) < since]
    if not missing:
        return Finding("nvidia toolkit", Level.OK, f"nvidia-container-toolkit {number}")
    return Finding(
        "nvidia toolkit",
        Level.FAIL,
        f"nvidia-container-toolkit {number} lets a container out ({', '.join(missing)}): update it to 1.17.8 or newer",
    )


def installed_toolkit() -> str | None:
    """The version that `nvidia-ctk --version` prints, or None."""
    try:
        answer = subprocess.run(
            ["nvidia-ctk", "--version"], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r"version v?(\d+(?:\.\d+)+)", answer.stdout)
    return found.group(1) if found else None


def _storage(info: Mapping[str, Any], *, local: bool) -> list[Finding]:
    driver = str(info.get("Driver"))
    slow = driver in {"vfs", "devicemapper", "aufs"}
    level = Level.WARN if slow else Level.OK
    found = [Finding("storage", level, f"storage driver {driver}" + (": overlay2 is faster" if slow else ""))]
    root = str(info.get("DockerRootDir") or "")
    if local and root and Path(root).is_dir():
        free = shutil.disk_usage(root).free
        if free < _FREE_BYTES:
            found.append(
                Finding(
                    "engine disk",
                    Level.WARN,
                    f"{free / GIB:.1f} GiB left in {root}: the snapshots of an overnight run may need 10",
                )
            )
        else:
            found.append(Finding("engine disk", Level.OK, f"{free / GIB:.0f} GiB left in {root}"))
    return found


def _locks() -> list[Finding]:
    folder = default_folder()
    found = [Finding("leases", Level.OK, f"locks are in {folder}")]
    if "autoresearch-" in folder.name:
        found = [
            Finding(
                "leases",
                Level.WARN,
                f"locks are in {folder}, which other users cannot see: have an administrator create "
                "/var/lock/autoresearch with mode 1777",
            )
        ]
    for note in quarantined(folder):
        found.append(
            Finding(
                "leases",
                Level.WARN,
                f"{note.stem} is not handed out: look why ({note}), then remove the note",
            )
        )
    return found


def _numbers(version: str) -> tuple[int, ...]:
    """The leading numbers of a version: "1.1.5+ds1" is (1, 1, 5)."""
    head = re.match(r"v?(\d+(?:\.\d+)*)", version)
    return tuple(int(part) for part in head.group(1).split(".")) if head else ()
