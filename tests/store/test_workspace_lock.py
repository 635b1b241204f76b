"""One verb at work per workspace, and nobody else is ever taken for it."""

from __future__ import annotations

import fcntl
import multiprocessing
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runner.errors import UsageError
from runner.store.workspace_lock import at_work, holder, lock, locked
from sandbox.owner import this_process


def _hold(folder: Path, verb: str, held: Any, release: Any) -> None:
    with lock(folder, verb):
        held.set()
        release.wait(30)


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Any]:
    """Another process that holds the workspace."""
    context = multiprocessing.get_context("spawn")
    held, release = context.Event(), context.Event()
    process = context.Process(target=_hold, args=(tmp_path, "calibrate", held, release))
    process.start()
    assert held.wait(30)
    process.release = release
    yield process
    process.kill()
    process.join()


def test_two_at_work_in_one_workspace_is_refused_and_kill_nine_frees_it(tmp_path: Path, other: Any) -> None:
    assert locked(tmp_path)
    with pytest.raises(UsageError, match="another `autoresearch calibrate`"), lock(tmp_path):
        pass
    other.kill()
    other.join()
    assert not locked(tmp_path)
    assert at_work(tmp_path) is None
    with lock(tmp_path):
        assert locked(tmp_path)


def test_who_is_at_work_can_be_told_from_another_process(tmp_path: Path, other: Any) -> None:
    found = at_work(tmp_path)
    assert found is not None
    assert (found.owner.pid, found.verb) == (other.pid, "calibrate")
    other.release.set()
    other.join()
    assert at_work(tmp_path) is None
    assert holder(tmp_path) is None


@pytest.mark.parametrize(
    "stranger",
    [
        replace(this_process(), start_time=this_process().start_time + 1),  # the number was given again
        replace(this_process(), boot_id="another"),  # the machine was started again
    ],
)
def test_a_stranger_with_the_same_process_number_is_not_taken_for_the_runner(
    tmp_path: Path, stranger: Any
) -> None:
    with lock(tmp_path):
        (tmp_path / "run.lock").write_text(f"{stranger} run\n")
        assert holder(tmp_path) is None
        with pytest.raises(UsageError, match="cannot be identified"):
            at_work(tmp_path, sleep=lambda _: None)


def test_whoever_only_looks_does_not_keep_a_runner_from_starting(tmp_path: Path) -> None:
    with (tmp_path / "run.lock").open("w") as looking:
        fcntl.flock(looking, fcntl.LOCK_SH)
        assert not locked(tmp_path), "two who look keep nobody out either"
        with lock(tmp_path, sleep=lambda _: fcntl.flock(looking, fcntl.LOCK_UN)):
            assert locked(tmp_path)


def test_looking_makes_no_file(tmp_path: Path) -> None:
    assert not locked(tmp_path)
    assert list(tmp_path.iterdir()) == []
