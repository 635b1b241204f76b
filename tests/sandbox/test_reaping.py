"""The reaper removes what is ours and over, and nothing else."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from processes import living_with, watchdog_of

from sandbox.docker_engine import DockerEngine
from sandbox.engine import LABEL
from sandbox.owner import Owner, parse_owner, this_process
from sandbox.reaper import Reaper

RUNNER = """
import os, sys
from pathlib import Path
from sandbox.docker_engine import DockerEngine
from sandbox.spec import *
engine = DockerEngine.connect()
engine.run(Job(run=sys.argv[1], experiment="e", attempt=1, role=Role.TRAIN, image=sys.argv[2],
    command=("/opt/venv/bin/python", "-I", "-c", "import time; time.sleep(600)", sys.argv[1]),
    limits=Limits(wall_clock_s=500, memory_bytes=1 << 28), lease=Lease(cpus=(0,)), destination=Path(sys.argv[3]),
    outputs=(Output("a", 1),)))
"""


class Client:
    """A listing and what was removed from it."""

    def __init__(self, *owners: tuple[str, str, str]) -> None:
        self.items = owners
        self.removed: list[str] = []

    def containers(self, **_: Any) -> list[dict[str, Any]]:
        return [
            {
                "Id": name,
                "Names": [f"/{name}"],
                "Labels": {f"{LABEL}.owner": owner, f"{LABEL}.deadline": deadline, f"{LABEL}.run": "r"},
            }
            for name, owner, deadline in self.items
        ]

    def volumes(self, **_: Any) -> dict[str, Any]:
        return {"Volumes": None}

    def remove_container(self, name: str, **_: Any) -> None:
        self.removed.append(name)


ME = this_process()
DEAD = replace(ME, start_time=ME.start_time + 1)
ELSEWHERE = replace(ME, boot_id="another-boot")


def reaped(client: Client, *, local: bool = True, **options: Any) -> list[str]:
    defaults = {"now": 50.0, "everything_of_run": None, "dry_run": False}
    Reaper(client, ME.uid, local).reap(**{**defaults, **options})
    return client.removed


def test_a_living_owner_before_the_deadline_is_left_alone() -> None:
    assert reaped(Client(("a", str(ME), "100"))) == []


def test_what_is_past_its_deadline_goes_though_the_owner_lives() -> None:
    assert reaped(Client(("a", str(ME), "49"))) == ["a"]


def test_what_a_dead_owner_left_goes_though_the_number_lives_on() -> None:
    assert reaped(Client(("a", str(DEAD), "100"))) == ["a"]


def test_what_was_left_before_a_restart_of_this_machine_goes() -> None:
    assert reaped(Client(("a", str(ELSEWHERE), "100"))) == ["a"]


def test_an_owner_on_another_machine_has_until_the_deadline() -> None:
    client = Client(("a", str(ELSEWHERE), "100"), ("b", str(ELSEWHERE), "49"))
    assert reaped(client, local=False) == ["b"]


def test_another_users_containers_are_never_touched() -> None:
    other = replace(DEAD, uid=ME.uid + 1)
    assert reaped(Client(("a", str(other), "1")), everything_of_run="r") == []


@pytest.mark.parametrize("owner", ["", "x", "0:b:1", "0:b:1:2:3", f"{ME.uid}:b:-1:2", f"{ME.uid}:b:¹:2"])
def test_a_label_that_names_no_owner_is_not_ours(owner: str) -> None:
    assert parse_owner(owner) is None
    assert reaped(Client(("a", owner, "1"))) == []


def test_a_run_that_is_named_goes_whole_and_no_other() -> None:
    assert reaped(Client(("a", str(ME), "100")), everything_of_run="other") == []
    assert reaped(Client(("a", str(ME), "100")), everything_of_run="r") == ["a"]


def test_a_dry_run_removes_nothing() -> None:
    client = Client(("a", str(DEAD), "100"))
    (found,) = Reaper(client, ME.uid).reap(now=50, everything_of_run=None, dry_run=True)
    assert (found.id, found.reason) == ("a", "its owner is dead")
    assert client.removed == []


def test_a_zombie_owner_is_dead() -> None:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    stat = Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()
    owner = Owner(ME.uid, ME.boot_id, child.pid, int(stat[19]))
    assert not owner.dead(engine_is_local=True)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # dead, and nobody has waited for it
    assert owner.dead(engine_is_local=True)
    child.wait()


@pytest.fixture
def foreign(engine: DockerEngine, candidate_image: str) -> Iterator[list[str]]:
    """Two containers that are not ours: one without labels, one of another user, long past its deadline."""
    stranger = replace(DEAD, uid=ME.uid + 4242)
    marks = ({}, {f"{LABEL}.owner": str(stranger), f"{LABEL}.deadline": "1", f"{LABEL}.run": "r"})
    create = engine.client.create_container
    made = [create(candidate_image, "true", labels=labels)["Id"] for labels in marks]
    yield made
    for container in made:
        engine.client.remove_container(container, force=True)


@pytest.mark.engine
def test_after_kill_9_of_the_runner_and_its_watchdog_the_reaper_clears_up_and_touches_nothing_else(
    engine: DockerEngine, sandboxed: Any, candidate_image: str, foreign: list[str], tmp_path: Any
) -> None:
    destination = tmp_path / "copies"
    destination.mkdir()
    arguments = [sandboxed.name, candidate_image, str(destination)]
    runner = subprocess.Popen([sys.executable, "-c", RUNNER, *arguments], start_new_session=True)
    try:
        _until(lambda: any(_trains(pid) for pid in living_with(sandboxed.name)))
        engine.reap(now=time.time())
        assert len(engine.remnants(sandboxed.name)) == 4, "a living runner's containers were taken away"
        os.kill(watchdog_of(runner.pid), signal.SIGKILL)
    finally:
        os.kill(runner.pid, signal.SIGKILL)
        runner.wait()
    assert any(_trains(pid) for pid in living_with(sandboxed.name)), "the container should outlive its runner"
    taken = [item for item in engine.reap(now=time.time()) if item.run == sandboxed.name]
    assert sorted(item.kind for item in taken) == ["container", "container", "volume", "volume"]
    assert engine.remnants(sandboxed.name) == []
    assert living_with(sandboxed.name) == []
    for container in foreign:
        engine.client.inspect_container(container)


def _trains(pid: int) -> bool:
    """Whether it is the container's Python and not the runner, which has the name among its arguments, too."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"/opt/venv/bin/python")
    except OSError:
        return False


def _until(condition: Any) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, "the container did not start"
        time.sleep(0.05)


def test_a_random_token_names_nobody() -> None:
    assert living_with(secrets.token_hex(16)) == []
