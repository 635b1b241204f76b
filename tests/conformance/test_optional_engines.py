"""The checks of every limit on the engines that are tried only where asked for: docs/sandbox.md says what each one held."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from sandbox.docker_engine import DockerEngine
from sandbox.enforcement_check import check_limits
from sandbox.spec import MIB, Job, Lease, Limits, Role

pytestmark = pytest.mark.engine
LEASE = Lease(cpus=(min(os.sched_getaffinity(0)),))
PAGE = (Path(__file__).parents[2] / "docs" / "sandbox.md").read_text()
# gVisor has a kernel of its own, which these promises of Linux are not made by, and here no cgroups
NOT_SHOWN_BY_RUNSC = {"no_new_privileges", "seccomp", "root", "pids", "io_uring", "namespace", "memory"}
NOT_SHOWN_BY_RUNSC |= {"sync", "inotify", "huge_pages", "message_queues"}


def test_gvisor_holds_what_the_page_says(runsc: tuple[DockerEngine, str, str]) -> None:
    engine, image, python = runsc
    tried = {check.name: check.held for check in check_limits(engine, image, python, LEASE)}
    assert {name for name, held in tried.items() if not held} <= NOT_SHOWN_BY_RUNSC
    assert len(tried) == 24


def test_a_run_is_not_left_alone_on_what_does_not_hold(runsc: tuple[DockerEngine, str, str]) -> None:
    from sandbox.prerequisites import unenforced_limits

    engine, image, _ = runsc
    assert "memory" in unenforced_limits(engine, image)


def test_podman_holds_every_limit(podman: tuple[DockerEngine, str, str]) -> None:
    engine, image, python = podman
    tried = {check.name: check for check in check_limits(engine, image, python, LEASE)}
    assert len(tried) == 24, tried
    assert [check for check in tried.values() if not check.held] == []
    assert engine.remnants() == []


def test_podman_leaves_nothing_writable_but_what_has_a_size(
    podman: tuple[DockerEngine, str, str], tmp_path: Path
) -> None:
    """Beside a read-only root it would make /run and /var/tmp, as large as the memory."""
    engine, image, python = podman
    program = (
        "import os, shutil; shutil.copy('/usr/bin/env', '/out/a'); os.chmod('/out/a', 0o755)\n"
        "for place in ('/run/x', '/var/tmp/x', '/etc/x', '/sys/fs/cgroup/x', '/dev/x'):\n"
        "    try: open(place, 'w'); print('wrote', place)\n"
        "    except OSError: pass\n"
        "try: os.execv('/out/a', ['env'])\n"
        "except PermissionError: print('no programs')"
    )
    job = Job(
        run="podman-places",
        experiment="1",
        attempt=1,
        role=Role.TRAIN,
        image=image,
        command=(python, "-I", "-B", "-c", program),
        limits=Limits(wall_clock_s=20, memory_bytes=128 * MIB),
        lease=LEASE,
        destination=tmp_path,
    )
    assert engine.run(job).log_tail == "no programs\n"


def test_a_runtime_that_podmans_socket_does_not_choose_starts_nothing(
    podman: tuple[DockerEngine, str, str],
) -> None:
    """Its runtime is an option of the service: a request for another one is ignored, and so refused."""
    engine, image, python = podman
    other = DockerEngine(engine.client, dialect=replace(engine.dialect, runtime="runsc"), python=python)
    (check,) = check_limits(other, image, python, LEASE)
    assert "Runtime is" in check.seen


def test_the_page_names_what_gvisor_did_not_show() -> None:
    for name in NOT_SHOWN_BY_RUNSC:
        assert f"`{name}`" in PAGE
