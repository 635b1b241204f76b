"""The doctor's half: it sees an old runtime, a missing limit, and limits that are there only on paper."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sandbox import enforcement_check, prerequisites
from sandbox.dialect import Dialect
from sandbox.docker_engine import DockerEngine
from sandbox.fake_engine import FakeEngine, Script
from sandbox.outcome import Ending
from sandbox.prerequisites import Level, runc_is_patched
from sandbox.spec import MIB, Lease

GOOD_VERSION = {
    "Version": "29.7.1",
    "ApiVersion": "1.52",
    "Components": [{"Name": "runc", "Version": "1.3.3"}],
}
GOOD_INFO = {
    "MemoryLimit": True,
    "SwapLimit": True,
    "PidsLimit": True,
    "CPUSet": True,
    "CgroupVersion": "2",
    "SecurityOptions": ["name=seccomp,profile=builtin", "name=apparmor", "name=rootless"],
    "Driver": "overlay2",
}


class Client:
    def __init__(self, version: dict[str, Any], info: dict[str, Any]) -> None:
        self._version, self._info = version, info

    def version(self) -> dict[str, Any]:
        return self._version

    def info(self) -> dict[str, Any]:
        return self._info


def levels(version: dict[str, Any] | None = None, info: dict[str, Any] | None = None) -> dict[str, Level]:
    engine = DockerEngine(Client({**GOOD_VERSION, **(version or {})}, {**GOOD_INFO, **(info or {})}))
    return {finding.name: finding.level for finding in prerequisites.check(engine)}


def test_a_good_machine_is_well_but_for_what_was_not_tried() -> None:
    found = levels()
    found.pop("leases")
    assert {name for name, level in found.items() if level is not Level.OK} == {"enforcement"}


@pytest.mark.parametrize(
    ("number", "patched"),
    [
        ("1.1.5+ds1-1+deb12u1", False),
        ("1.1.15", False),
        ("1.2.7", False),
        ("1.2.8", True),
        ("1.3.2", False),
        ("1.3.3", True),
        ("1.3.10", True),
        ("v1.4.0", True),
        ("2.0.0", True),
        ("unknown", False),
    ],
)
def test_the_runtime_must_have_the_known_fixes(number: str, patched: bool) -> None:
    assert runc_is_patched(number) is patched
    level = levels({"Components": [{"Name": "runc", "Version": number}]})["runc"]
    assert level is (Level.OK if patched else Level.WARN)


@pytest.mark.parametrize(
    ("number", "holes"),
    [
        ("20.10.24+dfsg1", ["CVE-2024-23652", "CVE-2024-41110"]),
        ("23.0.15", ["CVE-2024-23652"]),
        ("24.0.9", ["CVE-2024-41110"]),
        ("25.0.1", ["CVE-2024-23652", "CVE-2024-41110"]),
        ("25.0.6", []),
        ("26.1.4", ["CVE-2024-41110"]),
        ("27.1.1", []),
        ("29.7.1", []),
        ("unknown", ["CVE-2024-23652", "CVE-2024-41110"]),
    ],
)
def test_the_engine_must_have_the_known_fixes(number: str, holes: list[str]) -> None:
    engine = DockerEngine(Client({**GOOD_VERSION, "Version": number}, GOOD_INFO))
    (finding,) = [f for f in prerequisites.check(engine) if f.name == "engine"]
    if holes:
        assert finding.level is Level.WARN
    assert [name for name in ("CVE-2024-23652", "CVE-2024-41110") if name in finding.sentence] == holes


@pytest.mark.parametrize(
    ("number", "level"),
    [
        (None, Level.WARN),
        ("1.13.5", Level.FAIL),
        ("1.16.1", Level.FAIL),
        ("1.17.7", Level.FAIL),
        ("1.17.8", Level.OK),
        ("1.20.0", Level.OK),
    ],
)
def test_a_gpu_toolkit_that_lets_containers_out_is_a_failure(number: str | None, level: Level) -> None:
    engine = DockerEngine(Client(GOOD_VERSION, GOOD_INFO), dialect=Dialect(gpu_driver="cdi"))
    (finding,) = [
        f for f in prerequisites.check(engine, toolkit_version=lambda: number) if f.name == "nvidia toolkit"
    ]
    assert finding.level is level


def test_the_toolkit_is_asked_for_its_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = tmp_path / "nvidia-ctk"
    tool.write_text(
        "#!/bin/sh\necho 'NVIDIA Container Toolkit CLI version 1.17.8'\necho 'commit: f202b80a'\n"
    )
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert prerequisites.installed_toolkit() == "1.17.8"
    tool.unlink()
    assert prerequisites.installed_toolkit() is None


@pytest.mark.parametrize("key", ["MemoryLimit", "SwapLimit", "PidsLimit", "CPUSet"])
def test_a_limit_that_the_kernel_lacks_is_a_failure(key: str) -> None:
    assert levels(info={key: False})["limits"] is Level.FAIL


def test_an_engine_without_seccomp_or_too_old_is_a_failure() -> None:
    assert levels(info={"SecurityOptions": []})["seccomp"] is Level.FAIL
    assert levels({"ApiVersion": "1.40"})["engine"] is Level.FAIL
    assert levels(info={"CgroupVersion": "1"})["cgroup"] is Level.WARN


def test_a_limit_that_does_not_hold_is_named() -> None:
    """An engine that enforces nothing: what the probe writes there must not pass."""
    free = (
        b'{"capabilities": 255, "no_new_privileges": "0", "seccomp": "0", "uid": 0, "root": "writable", "pids": 200,'
        b'"inodes": 200, "file": "unlimited", "out": "unlimited", "tmp": "unlimited", "shm": "unlimited",'
        b'"network": "reachable", "interfaces": ["eth0", "lo"], "alg": "allowed", "vsock": "allowed",'
        b'"ptrace": "allowed", "io_uring": "allowed", "namespace": "allowed"}'
    )

    def behaviour(job: Any) -> Script:
        (job.destination / "report.json").write_bytes(free)
        return Script()

    engine = FakeEngine(behaviour)
    image = engine.import_root(Path("/"), "base:1")
    tried = enforcement_check.check_limits(engine, image.id, "python", Lease(cpus=(0,)))
    assert len(tried) == 24
    assert [check.name for check in tried if check.held] == []


@pytest.mark.parametrize(
    ("ending", "code", "held"),
    [
        (Ending.OUT_OF_MEMORY, 137, True),
        (Ending.EXITED, 137, True),
        (Ending.EXITED, 0, False),
        (Ending.EXITED, 1, False),
        (Ending.TIMED_OUT, 137, False),
        (Ending.LOST, 137, False),
    ],
)
def test_memory_is_held_where_the_bomb_was_killed_and_not_where_it_ended(
    ending: Ending, code: int, held: bool
) -> None:
    """Podman on cgroup v1 does not say why the kernel killed it."""

    def behaviour(job: Any) -> Script:
        (job.destination / "report.json").write_bytes(b'{"uid": 60600}')
        return Script(ending=ending, exit_code=code)

    engine = FakeEngine(behaviour)
    image = engine.import_root(Path("/"), "base:1")
    tried = {
        t.name: t.held for t in enforcement_check.check_limits(engine, image.id, "python", Lease(cpus=(0,)))
    }
    assert tried.get("memory", False) == held


def test_the_memory_bomb_ends_by_itself() -> None:
    """Else a machine whose engine has no limit would suffer for being asked."""
    program = f"{enforcement_check.MEMORY_BOMB}\nprint(sum(map(len, hoard)))"
    result = subprocess.run(
        [sys.executable, "-I", "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert 128 * MIB < int(result.stdout) <= 512 * MIB


@pytest.mark.parametrize("report", [b"", b"[]", b"{}", b"[" * 5000, b'{"pids": "many"}'])
def test_a_report_that_is_none_does_not_pass(report: bytes) -> None:
    def behaviour(job: Any) -> Script:
        (job.destination / "report.json").write_bytes(report)
        return Script(ending=Ending.EXITED)

    engine = FakeEngine(behaviour)
    image = engine.import_root(Path("/"), "base:1")
    assert not any(
        check.held for check in enforcement_check.check_limits(engine, image.id, "python", Lease(cpus=(0,)))
    )


@pytest.mark.engine
def test_the_real_engine_holds_every_limit(engine: DockerEngine, candidate_image: str) -> None:
    lease = Lease(cpus=(min(os.sched_getaffinity(0)),))
    broken = [
        t for t in enforcement_check.check_limits(engine, candidate_image, engine.python, lease) if not t.held
    ]
    assert broken == []


@pytest.mark.engine
def test_a_real_engine_that_holds_may_be_left_alone_and_one_that_does_not_is_named(
    engine: DockerEngine, candidate_image: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert prerequisites.unenforced_limits(engine, candidate_image) == ""
    lying = [
        enforcement_check.LimitCheck("memory", False, "exited"),
        enforcement_check.LimitCheck("pids", True, "31"),
    ]
    monkeypatch.setattr(prerequisites, "check_limits", lambda *_: lying)
    sentence = prerequisites.unenforced_limits(engine, candidate_image)
    assert "(memory)" in sentence
    assert "doctor" in sentence


@pytest.mark.engine
def test_what_only_linux_can_show_is_no_failure_of_gvisor(
    engine: DockerEngine, candidate_image: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    gvisor = DockerEngine(engine.client, dialect=replace(engine.dialect, runtime="runsc"))
    seen = [enforcement_check.LimitCheck(name, False, "0") for name in ("seccomp", "namespace")]
    monkeypatch.setattr(prerequisites, "check_limits", lambda *_: seen)
    assert prerequisites.unenforced_limits(gvisor, candidate_image) == ""
    assert "seccomp" in prerequisites.unenforced_limits(engine, candidate_image)
    assert [f.level for f in prerequisites.enforcement(gvisor, candidate_image)] == [Level.OK, Level.WARN]
    seen.append(enforcement_check.LimitCheck("memory", False, "exited"))
    assert "(memory)" in prerequisites.unenforced_limits(gvisor, candidate_image)


@pytest.mark.engine
def test_this_machine_passes(engine: DockerEngine, candidate_image: str) -> None:
    found = prerequisites.check(engine, candidate_image)
    assert [finding for finding in found if finding.level is Level.FAIL] == []
    assert all(finding.sentence and "\n" not in finding.sentence for finding in found)
