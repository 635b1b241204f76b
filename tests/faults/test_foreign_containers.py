"""Containers of other people, alive beside ours, through everything the reaper can be told to do."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from runner.images.build import Images
from sandbox.docker_engine import DockerEngine
from sandbox.engine import LABEL
from sandbox.owner import this_process

pytestmark = pytest.mark.engine
ME = this_process()
GONE = replace(ME, start_time=ME.start_time + 1)
STRANGER = replace(GONE, uid=ME.uid + 4242)
MARKS = {
    "without labels": {},
    "with labels like ours": {"dev.autoresearch.run": "r", "dev.autoresearch.deadline": "1"},
    "with an owner that is none": {f"{LABEL}.owner": "root", f"{LABEL}.deadline": "1"},
    "of another user": {f"{LABEL}.owner": str(STRANGER), f"{LABEL}.deadline": "1", f"{LABEL}.run": "r"},
}


@pytest.fixture
def foreign(engine: DockerEngine, images: Images) -> Iterator[list[str]]:
    """Four running containers and two volumes that are not ours."""
    client, made = engine.client, []
    volumes = [
        client.create_volume(f"foreign-{secrets.token_hex(4)}", labels=labels)["Name"]
        for labels in ({}, MARKS["of another user"])
    ]
    for labels in MARKS.values():
        config = client.create_host_config(network_mode="none")
        command = ["/opt/venv/bin/python", "-c", "import time; time.sleep(300)"]
        made.append(
            client.create_container(images.candidate.id, command, labels=labels, host_config=config)["Id"]
        )
        client.start(made[-1])
    yield made
    alive = [client.inspect_container(found)["State"]["Running"] for found in made]
    for found in made:
        client.remove_container(found, force=True)
    here = {volume["Name"] for volume in client.volumes()["Volumes"] or []}
    for volume in volumes:
        client.remove_volume(volume, force=True)
    assert alive == [True] * len(MARKS)
    assert set(volumes) <= here


@pytest.fixture
def ours(engine: DockerEngine, images: Images) -> str:
    """A running container whose owner is dead."""
    run = f"foreign-{secrets.token_hex(4)}"
    labels = {
        f"{LABEL}.owner": str(GONE),
        f"{LABEL}.deadline": f"{time.time() + 999:.0f}",
        f"{LABEL}.run": run,
    }
    client = engine.client
    config = client.create_host_config(network_mode="none")
    command = ["/opt/venv/bin/python", "-c", "import time; time.sleep(300)"]
    client.start(
        client.create_container(images.candidate.id, command, labels=labels, host_config=config)["Id"]
    )
    return run


def test_foreign_containers_outlive_every_kind_of_reaping(
    engine: DockerEngine, foreign: list[str], ours: str
) -> None:
    assert [item.run for item in engine.reap(now=time.time(), dry_run=True) if item.run == ours] == [ours]
    assert len(engine.remnants(ours)) == 1, "a dry run removed something"
    engine.reap(now=time.time())
    assert engine.remnants(ours) == []
    engine.reap(now=time.time(), everything_of_run="r")


def test_the_command_removes_ours_and_says_so_and_nothing_else(
    engine: DockerEngine, foreign: list[str], ours: str, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "runner.cli", "sandbox", "reap", "--json"]
    result = subprocess.run(
        command, cwd=tmp_path, env={**os.environ, "COLUMNS": "200"}, capture_output=True, check=True
    )
    taken = json.loads(result.stdout)["remnants"]
    assert ours in {item["run"] for item in taken}
    assert not {item["id"] for item in taken} & set(foreign)
    assert engine.remnants(ours) == []
