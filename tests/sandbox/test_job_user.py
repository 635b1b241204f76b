"""Every job has a user of its own, for as long as it runs."""

from __future__ import annotations

import pwd
import secrets
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from sandbox import job_user

START = 3_000_000_000 + 1000 * secrets.randbelow(1_000_000)
NUMBERS = range(START, START + 40)
"""Nobody's numbers, so that no job of this machine misses one."""


def claim(count: int, **options: Any) -> list[int]:
    with ExitStack() as jobs:
        return [jobs.enter_context(job_user.claimed(NUMBERS, remapped=True, **options)) for _ in range(count)]


def test_no_two_at_once_have_the_same() -> None:
    assert sorted(claim(40)) == list(NUMBERS)


def test_when_all_are_taken_it_is_said_and_what_is_let_go_can_be_had_again() -> None:
    with pytest.raises(job_user.NoUser, match="are in use"):
        claim(41)
    assert len(claim(40)) == 40


def test_what_another_process_holds_is_free_when_it_was_killed() -> None:
    program = (
        f"import time\nfrom contextlib import ExitStack\nfrom sandbox import job_user\njobs = ExitStack()\n"
        f"for _ in range(30): jobs.enter_context(job_user.claimed({NUMBERS}, remapped=True))\n"
        "print('held', flush=True)\ntime.sleep(60)"
    )
    holder = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(job_user.NoUser):
        claim(11)
    holder.kill()
    holder.wait()
    end = time.monotonic() + 10
    while time.monotonic() < end:
        try:
            assert len(claim(40)) == 40
            return
        except job_user.NoUser:
            time.sleep(0.1)
    raise AssertionError("the dead process still holds them")


def test_a_number_that_means_somebody_here_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def known(number: int) -> Any:
        if number in NUMBERS[:10]:
            return object()
        raise KeyError(number)

    monkeypatch.setattr(pwd, "getpwuid", known)
    (tmp_path / "subuid").write_text(f"ann:{NUMBERS[10]}:20\nbroken\n# x:1:y\n")
    with ExitStack() as jobs:
        free = [
            jobs.enter_context(job_user.claimed(NUMBERS, remapped=False, subordinate=tmp_path / "subuid"))
            for _ in range(10)
        ]
    assert sorted(free) == list(NUMBERS[30:])


def test_the_ranges_are_nobody_elses_by_convention() -> None:
    assert not set(job_user.NARROW) & {65532, *range(61184, 65520)}, "nonroot, and systemd's DynamicUser"
    assert job_user.NARROW.stop < 1 << 16
    assert job_user.WIDE.start > 2_000_200_000, "SSSD's"
    assert job_user.WIDE.stop <= 1 << 31


@pytest.mark.engine
def test_two_jobs_at_once_are_two_users(sandboxed: Any) -> None:
    from concurrent.futures import ThreadPoolExecutor

    program = "import os, time; print(os.getuid()); time.sleep(1)"
    with ThreadPoolExecutor(2) as pool:
        jobs = [sandboxed.job(program) for _ in range(2)]
        first, second = (int(outcome.log_tail) for outcome in pool.map(sandboxed.engine.run, jobs))
    assert first != second
    assert {first, second} <= set(job_user.WIDE) | set(job_user.NARROW)
