"""An engine that its administrator has set up differently runs every job, and as it was asked."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from private_engine import PrivateDockerd, base_image, why_not

from sandbox import job_user
from sandbox.dialect import detect
from sandbox.docker_engine import DockerEngine
from sandbox.host_config import volumes
from sandbox.outcome import Outcome
from sandbox.spec import MIB, Job, Lease, Limits, Output, Role

LOOSE = {"Soft": -1, "Hard": -1}
SETTINGS: dict[str, Any] = {
    "log-driver": "json-file",
    "log-opts": {"max-size": "10m", "labels": "team"},
    "default-ulimits": {
        **{name: {"Name": name, **LOOSE} for name in ("memlock", "core", "sigpending")},
        "stack": {"Name": "stack", "Soft": 4 << 20, "Hard": 8 << 20},
    },
    "init": True,
    "no-new-privileges": True,
    "default-shm-size": "1G",
    "default-cgroupns-mode": "host",
    "default-ipc-mode": "shareable",
    "default-runtime": "site",
    "runtimes": {"site": {"path": "runc"}},
    "labels": ["site=cluster"],
}
SEEN = """
import json, os, resource
open("/out/a", "w").write("content")
os.chmod("/out/a", 0o600)
limits = {n: resource.getrlimit(getattr(resource, "RLIMIT_" + n)) for n in ("MEMLOCK", "CORE", "SIGPENDING")}
json.dump({"limits": limits, "uid": os.getuid(), "map": open("/proc/self/uid_map").read().split(), "owner": os.stat("/out").st_uid,
    "shm": os.statvfs("/dev/shm").f_blocks * os.statvfs("/dev/shm").f_frsize}, open("/out/b", "w"))
print("hello")
"""


@pytest.fixture(scope="module")
def remapped(engine: DockerEngine) -> Iterator[tuple[DockerEngine, str]]:
    """An engine with all these settings that remaps users, and the image it has."""
    if reason := why_not():
        pytest.skip(reason)
    if not (Path("/etc/subuid").is_file() and Path("/etc/subgid").is_file()):
        pytest.skip("there is no /etc/subuid and /etc/subgid to put others over")
    dockerd = PrivateDockerd(Path(f"/tmp/ar-remap-{secrets.token_hex(3)}"), settings=SETTINGS, remap="daemon")
    try:
        dockerd.start()
        image, python = base_image(engine)
        dockerd.load_from(engine, image)
        yield DockerEngine.connect(dockerd.host, python=python), image
    finally:
        dockerd.close()


def ran(engine: DockerEngine, image: str, folder: Path, role: Role) -> Outcome:
    (folder / str(role)).mkdir()
    return engine.run(
        Job(
            run="settings",
            experiment="1",
            attempt=1,
            role=role,
            image=image,
            command=(engine.python, "-I", "-B", "-c", SEEN),
            limits=Limits(wall_clock_s=20, memory_bytes=128 * MIB, pids=32, out_bytes=MIB, shm_bytes=MIB),
            lease=Lease(cpus=(min(os.sched_getaffinity(0)),)),
            destination=folder / str(role),
            outputs=(Output("a", 100), Output("b", 4096)),
        )
    )


@pytest.mark.engine
def test_an_engine_that_remaps_users_and_has_defaults_of_its_own_runs_jobs_as_asked(
    remapped: tuple[DockerEngine, str], tmp_path: Path
) -> None:
    engine, image = remapped
    for role in (Role.TRAIN, Role.JUDGE_SCORE):
        outcome = ran(engine, image, tmp_path, role)
        assert (outcome.exit_code, outcome.log_tail, outcome.refusals) == (0, "hello\n", {}), outcome
        assert outcome.files["a"].path.read_text() == "content"
        seen = json.loads(outcome.files["b"].path.read_text())
        assert seen["map"] == ["0", str(PrivateDockerd.FIRST_USER), "65536"]
        assert seen["uid"] == seen["owner"]
        assert seen["uid"] in job_user.NARROW
        assert seen["limits"] == {"MEMLOCK": [8 * MIB] * 2, "CORE": [0, 0], "SIGPENDING": [1024, 1024]}
        assert seen["shm"] == MIB
    assert engine.remnants("settings") == []


@pytest.mark.parametrize(
    ("info", "few", "first"),
    [
        ({"SecurityOptions": ["name=seccomp,profile=default"], "DockerRootDir": "/var/lib/docker"}, False, 0),
        (
            {"SecurityOptions": ["name=userns"], "DockerRootDir": "/var/lib/docker/100000.100000"},
            True,
            100000,
        ),
        ({"SecurityOptions": ["name=rootless"], "DockerRootDir": "/home/u/.local/share/docker"}, True, 0),
        ({}, False, 0),
    ],
)
def test_how_many_users_an_engine_has_and_where_they_begin(
    info: dict[str, Any], few: bool, first: int
) -> None:
    dialect = detect({}, info, base_url="http+docker://localhost", runtime=None)
    assert (dialect.few_users, dialect.first_user) == (few, first)
    options = volumes("v", Limits(wall_clock_s=1), uid=7, dialect=dialect)
    assert all(f"uid={first + 7},gid={first + 7}," in volume["o"] for volume in options.values())
