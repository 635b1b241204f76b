"""Is the engine on this host what it should be? Asked by `autoresearch doctor`; the canaries test by effect.

Limits can be asked for and silently ignored (rootless podman on cgroup v1), so a small container tries to exceed each.
"""

from __future__ import annotations

import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sandbox.docker_engine import DockerEngine
from sandbox.engine import Engine
from sandbox.outcome import Ending
from sandbox.spec import MIB, Job, Lease, Limits, Role

PYTHON = "/opt/venv/bin/python"
# CVE-2024-21626 (<1.1.12), CVE-2025-31133, -52565, -52881 (<1.2.8, <1.3.3)
_RUNC_FIXED: dict[tuple[int, ...], tuple[int, ...]] = {
    (1, 2): (1, 2, 8),
    (1, 3): (1, 3, 3),
    (1, 4): (1, 4, 0),
}


@dataclass(frozen=True, slots=True)
class Finding:
    name: str
    level: Literal["ok", "warn", "fail"]
    sentence: str


def versions(engine: Engine) -> list[Finding]:
    """Engine and runtime versions against known escapes. Distributions backport fixes, so an old number only warns."""
    if not isinstance(engine, DockerEngine):
        return []
    answer, info = engine.client.version(), engine.client.info()
    findings = [Finding("engine", "ok", f"{answer.get('Version')} (API {answer.get('ApiVersion')})")]
    cgroup = str(info.get("CgroupVersion") or "1")
    findings.append(Finding("cgroup", "ok" if cgroup == "2" else "warn", f"version {cgroup}"))
    for component in answer.get("Components") or []:
        if component.get("Name") == "runc":
            return [*findings, _runc(str(component.get("Version")))]
    return findings


def _runc(version: str) -> Finding:
    found = tuple(int(part) for part in re.findall(r"\d+", version)[:3])
    fixed = _RUNC_FIXED.get(found[:2], (1, 2, 8))
    if found >= fixed:
        return Finding("runc", "ok", version)
    wanted = ".".join(map(str, fixed))
    return Finding(
        "runc",
        "warn",
        f"{version} is older than {wanted}, which fixed known escapes; check your vendor's patches",
    )


_CANARIES = {
    "pids": "import os,sys,time\nfor _ in range(200):\n try: pid = os.fork()\n except OSError: sys.exit(0)\n"
    " if pid == 0: time.sleep(5); os._exit(0)\nsys.exit(9)",
    "tmp": "import sys\ntry:\n open('/tmp/x','wb').write(b'x' * (8 << 20))\nexcept OSError: sys.exit(0)\nsys.exit(9)",
    "output": "import sys\ntry:\n open('/out/x','wb').write(b'x' * (8 << 20))\nexcept OSError: sys.exit(0)\nsys.exit(9)",
    "root": "import sys\ntry:\n open('/opt/x','w')\nexcept OSError: sys.exit(0)\nsys.exit(9)",
    "network": "import os,sys\nsys.exit(0 if os.listdir('/sys/class/net') == ['lo'] else 9)",
    "capabilities": "import sys\nsys.exit(0 if 'CapEff:\\t0000000000000000' in open('/proc/self/status').read() else 9)",
}


def canaries(engine: Engine, image: str) -> list[Finding]:
    """Small attacks on this very host; each must be held."""
    findings = []
    for name, program in _CANARIES.items():
        outcome = engine.run(_canary(image, program))
        held = outcome.ending is Ending.EXITED and outcome.exit_code == 0
        detail = outcome.detail or outcome.log_tail[-200:] or f"exit {outcome.exit_code}"
        findings.append(
            Finding(f"canary {name}", "ok" if held else "fail", "held" if held else f"not held ({detail})")
        )
    outcome = engine.run(_canary(image, "x = [bytearray(b'x' * (16 << 20)) for _ in range(64)]"))
    held = outcome.ending is Ending.OUT_OF_MEMORY
    findings.append(
        Finding("canary memory", "ok" if held else "fail", "held" if held else f"not held ({outcome.ending})")
    )
    outcome = engine.run(_canary(image, "import time; time.sleep(60)", wall_clock_s=1.0))
    held = outcome.ending is Ending.TIMED_OUT
    findings.append(
        Finding("canary deadline", "ok" if held else "fail", f"ended after {outcome.seconds:.2f} s of 1 s")
    )
    return findings


def _canary(image: str, program: str, wall_clock_s: float = 15.0) -> Job:
    limits = Limits(
        wall_clock_s, memory_bytes=128 * MIB, pids=32, tmp_bytes=MIB, out_bytes=MIB, shm_bytes=MIB
    )
    return Job(
        run="doctor",
        experiment="canary",
        attempt=1,
        role=Role.CANARY,
        image=image,
        command=(PYTHON, "-I", "-B", "-c", program),
        limits=limits,
        lease=Lease(cpus=(min(os.sched_getaffinity(0)),)),
        destination=Path(tempfile.gettempdir()),
    )
