"""The canaries on the engines that are tried only where asked for: docs/sandbox.md says what each one held."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sandbox.canary import trials
from sandbox.docker_engine import DockerEngine
from sandbox.spec import Lease

pytestmark = pytest.mark.engine
LEASE = Lease(cpus=(min(os.sched_getaffinity(0)),))
PAGE = (Path(__file__).parents[2] / "docs" / "sandbox.md").read_text()
# gVisor has a kernel of its own, which these promises of Linux are not made by, and here no cgroups
NOT_SHOWN_BY_RUNSC = {"no_new_privileges", "seccomp", "root", "pids", "io_uring", "namespace", "memory"}


def test_gvisor_holds_what_the_page_says(runsc: tuple[DockerEngine, str, str]) -> None:
    engine, image, python = runsc
    tried = {trial.name: trial.held for trial in trials(engine, image, python, LEASE)}
    assert {name for name, held in tried.items() if not held} <= NOT_SHOWN_BY_RUNSC
    assert len(tried) == 20


def test_a_run_is_not_left_alone_on_what_does_not_hold(runsc: tuple[DockerEngine, str, str]) -> None:
    from sandbox.prereqs import unheld

    engine, image, _ = runsc
    assert "memory" in unheld(engine, image)


def test_podman_starts_nothing_that_it_cannot_hold(podman: tuple[DockerEngine, str, str]) -> None:
    engine, image, python = podman
    tried = trials(engine, image, python, LEASE)
    assert all(trial.held for trial in tried) or [trial.name for trial in tried] == ["canary"], tried
    assert engine.remnants() == []


def test_the_page_names_what_gvisor_did_not_show() -> None:
    for name in NOT_SHOWN_BY_RUNSC:
        assert f"`{name}`" in PAGE
