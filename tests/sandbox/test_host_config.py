"""Flags whose effect cannot be seen from inside on every machine: asked for exactly so."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sandbox.dialect import Dialect
from sandbox.host_config import container_config, holder_config
from sandbox.spec import Job, Lease, Limits, Mount, Role

LIMITS = Limits(wall_clock_s=10, memory_bytes=3 << 30, pids=77)
HOST = {
    "NetworkMode": "none",
    "Privileged": False,
    "IpcMode": "private",
    "CgroupnsMode": "private",
    "OomKillDisable": False,
    "OomScoreAdj": 500,
    "MemorySwap": 3 << 30,
    "NanoCpus": 2_000_000_000,
    "CpuShares": 512,
    "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0},
    "AutoRemove": False,
}
OUTER = {
    "NetworkDisabled": True,
    "Healthcheck": {"Test": ["NONE"]},
    "StopSignal": "SIGKILL",
    "Tty": False,
    "OpenStdin": False,
}


@pytest.fixture
def config(tmp_path: Path) -> dict[str, Any]:
    job = Job(
        run="r",
        experiment="1",
        attempt=1,
        role=Role.TRAIN,
        image="sha256:" + "a" * 64,
        command=("python",),
        limits=LIMITS,
        lease=Lease(cpus=(0, 1)),
        destination=tmp_path,
        mounts=(Mount(tmp_path, "/data"),),
    )
    return container_config(job, volume="v", uid=2100000000, labels={}, dialect=Dialect(), python="/python")


@pytest.mark.parametrize("key", HOST)
def test_the_flag_is_asked_for(config: dict[str, Any], key: str) -> None:
    assert config["HostConfig"][key] == HOST[key]


@pytest.mark.parametrize("key", OUTER)
def test_the_setting_is_asked_for(config: dict[str, Any], key: str) -> None:
    assert config[key] == OUTER[key]


def test_a_mount_neither_follows_the_hosts_mounts_nor_brings_those_below_it(config: dict[str, Any]) -> None:
    bind = next(mount for mount in config["HostConfig"]["Mounts"] if mount["Type"] == "bind")
    assert bind["BindOptions"] == {"Propagation": "rprivate", "NonRecursive": True}


def test_the_engine_reads_nothing_of_what_is_printed(config: dict[str, Any]) -> None:
    assert config["HostConfig"]["LogConfig"] == {"Type": "none", "Config": {}}
    assert config["HostConfig"]["Init"] is False, "the engine's init holds the engine's pipes"
    assert config["Entrypoint"] == ["/python"]
    assert "/log/log" in config["Cmd"][4]


def test_nothing_is_copied_from_the_image_into_the_output(config: dict[str, Any]) -> None:
    out = next(mount for mount in config["HostConfig"]["Mounts"] if mount["Target"] == "/out")
    assert out["VolumeOptions"] == {"NoCopy": True}


def test_the_holder_is_as_locked_and_has_no_input_and_an_end(
    tmp_path: Path, config: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    job = Job(
        run="r",
        experiment="1",
        attempt=1,
        role=Role.TRAIN,
        image="sha256:" + "a" * 64,
        command=("python",),
        limits=LIMITS,
        lease=Lease(cpus=(0, 1), gpu_uuid="GPU-x"),
        destination=tmp_path,
        mounts=(Mount(tmp_path, "/data"),),
    )
    holder = holder_config(job, volume="v", uid=2100000000, labels={}, dialect=Dialect(), python="/python")
    mounts = [(mount["Target"], mount["ReadOnly"]) for mount in holder["HostConfig"]["Mounts"]]
    assert mounts == [("/out", True), ("/log", True)]
    assert holder["HostConfig"]["LogConfig"]["Type"] == "none"
    same = [key for key in HOST if key not in {"MemorySwap"}]
    assert {key: holder["HostConfig"][key] for key in same} == {key: HOST[key] for key in same}
    assert holder["HostConfig"]["Memory"] == holder["HostConfig"]["MemorySwap"] < LIMITS.memory_bytes
    monkeypatch.setattr("sandbox.host_config.LONGEST_AFTER_S", -9)
    brief = holder_config(
        job, volume="v", uid=2100000000, labels={}, dialect=Dialect(), python=sys.executable
    )
    ended = subprocess.run([*brief["Entrypoint"], *brief["Cmd"]], timeout=30, check=False)
    assert ended.returncode == -signal.SIGALRM, "where nobody removes it, it ends itself"


@pytest.mark.engine
def test_what_can_be_seen_of_them_is_seen_inside(sandboxed: Any) -> None:
    outcome = sandboxed(
        "print(open('/proc/self/oom_score_adj').read().strip())\n"
        "print({line.strip().split(':')[2] for line in open('/proc/self/cgroup')})"
    )
    assert outcome.log_tail == "500\n{'/'}\n"


@pytest.mark.engine
def test_memory_ends_at_the_limit_and_not_later(sandboxed: Any) -> None:
    """A quarter more than allowed, and no bomb: so that a missing limit does no harm here."""
    outcome = sandboxed("x = bytearray(b'x' * (160 << 20)); print('had it')", memory_bytes=128 << 20)
    assert (str(outcome.ending), outcome.log_tail) == ("out_of_memory", "")


@pytest.mark.engine
def test_processes_end_at_the_limit_and_not_later(sandboxed: Any) -> None:
    outcome = sandboxed(
        "import os, signal\nchildren = []\n"
        "try:\n"
        "    while len(children) < 100:\n"
        "        child = os.fork()\n"
        "        if child == 0: signal.pause()\n"
        "        children.append(child)\n"
        "except OSError: pass\n"
        "print(len(children))\n"
        "for child in children: os.kill(child, signal.SIGKILL)",
        pids=40,
    )
    assert 30 < int(outcome.log_tail) < 40


@pytest.mark.engine
def test_files_in_tmp_end_at_the_limit_while_there_is_room(sandboxed: Any) -> None:
    outcome = sandboxed(
        "count = 0\n"
        "try:\n"
        "    while count < 200: open(f'/tmp/{count}', 'x').close(); count += 1\n"
        "except OSError: pass\n"
        "print(count)",
        tmp_inodes=20,
    )
    assert 10 < int(outcome.log_tail) < 20
