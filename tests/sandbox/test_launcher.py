"""Process 1 of a job: what is printed ends in a file of fixed size, and the command sees itself as it would without it."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from sandbox import launcher
from sandbox.outcome import MAX_LOG_CHARS, Ending, Fault

LOG_BYTES = 16 * 1024


def launched(
    folder: Path, *command: str, wall_clock_s: float = 60, **environment: str
) -> tuple[int, str, str]:
    """Exit code, log, and what the engine would have read: the real program, with a log in `folder`."""
    words = list(launcher.command(sys.executable, command, LOG_BYTES, wall_clock_s))
    words = [word.replace('"/log/log"', repr(str(folder / "log"))) for word in words]
    result = subprocess.run(words, env=environment, capture_output=True, text=True, check=False, timeout=30)
    log = folder / "log"
    assert log.stat().st_size <= launcher.file_bytes(LOG_BYTES)
    return result.returncode, launcher.text(log.read_bytes(), LOG_BYTES), result.stdout + result.stderr


def test_both_streams_are_in_the_log_and_nothing_reaches_the_engine(tmp_path: Path) -> None:
    assert launched(tmp_path, "/bin/sh", "-c", "echo one; echo two >&2") == (0, "one\ntwo\n", "")


@pytest.mark.parametrize(("end", "code"), [("exit 3", 3), ("kill -9 $$", 137), ("kill -PIPE $$", 141)])
def test_the_exit_code_is_the_commands(tmp_path: Path, end: str, code: int) -> None:
    assert launched(tmp_path, "/bin/sh", "-c", end)[0] == code


def test_it_ends_itself_where_nobody_has_ended_it(tmp_path: Path) -> None:
    started = time.monotonic()
    assert launched(tmp_path, "/bin/sleep", "8", wall_clock_s=1 - launcher.GRACE_S)[0] == 137
    assert time.monotonic() - started < 8


@pytest.mark.engine
def test_a_container_whose_runner_and_watchdog_are_gone_ends_itself(
    sandboxed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if nobody had been there at its deadline: it is over before that comes."""
    monkeypatch.setattr(launcher, "GRACE_S", -59.0)
    program = "import os, time\nif os.fork() == 0: os.setsid()\ntime.sleep(100)"
    outcome = sandboxed(program, wall_clock_s=60)
    assert (outcome.ending, outcome.exit_code) == (Ending.EXITED, 137)
    assert outcome.seconds < 30


def test_a_command_that_is_not_there_is_named(tmp_path: Path) -> None:
    code, log, _ = launched(tmp_path, "/no/such/program")
    assert (code, log) == (127, "/no/such/program cannot be started: No such file or directory\n")


def test_arguments_and_environment_are_exactly_what_was_given(tmp_path: Path) -> None:
    script = "import os, sys; os.write(1, repr([sys.argv[1:], sorted(open('/proc/self/environ').read().split('\\0'))]).encode())"
    _, log, _ = launched(tmp_path, sys.executable, "-I", "-c", script, "", "a b", "é", A="1", B="x=y")
    assert eval(log) == [["", "a b", "é"], ["", "A=1", "B=x=y"]]


def test_of_a_long_log_the_beginning_and_the_end_are_kept(tmp_path: Path) -> None:
    script = "for n in range(100000): print('line', n)"
    code, log, _ = launched(tmp_path, sys.executable, "-I", "-c", script)
    assert code == 0
    lines = log.splitlines()
    assert lines[:3] == ["line 0", "line 1", "line 2"]
    assert lines[-1] == "line 99999"
    (between,) = [n for n, line in enumerate(lines) if line.startswith("[… the beginning and the end of ")]
    numbers = [int(line.split()[1]) for line in lines[between + 2 :]]
    assert numbers == list(range(numbers[0], 100000)), "the end is whole and in order"


@pytest.mark.parametrize(
    "what", ["b'\\n' * 65536", "b'x' * 65536", "bytes(65536)", "b'\\x1b[31m\\xff' * 9000"]
)
def test_a_flood_of_anything_is_kept_within_the_file(tmp_path: Path, what: str) -> None:
    script = f"import os\nfor _ in range(200): os.write(1, {what})\nos.write(2, b'\\nthe end')"
    code, log, engine = launched(tmp_path, sys.executable, "-I", "-c", script)
    assert (code, engine) == (0, "")
    assert log.endswith("\nthe end")
    assert len(log) <= MAX_LOG_CHARS


def test_one_that_is_left_behind_and_floods_keeps_nothing_alive(tmp_path: Path) -> None:
    script = (
        "import os\nif os.fork() == 0:\n    while True: os.write(1, b'x' * 65536)\n"
        "os.write(1, b'parent is done')\nos._exit(4)"
    )
    assert launched(tmp_path, sys.executable, "-I", "-c", script)[0] == 4


def test_whatever_is_in_the_file_is_harmless_text_of_a_bounded_length() -> None:
    rng = random.Random(1)
    for _ in range(300):
        seen = rng.choice([0, 1, 5000, LOG_BYTES, LOG_BYTES + 1, 1 << 40, (1 << 64) - 1])
        raw = seen.to_bytes(8, "little") + rng.randbytes(rng.choice([0, 1, 4096, LOG_BYTES, 2 * LOG_BYTES]))
        found = launcher.text(raw[: rng.choice([3, 8, len(raw)])], LOG_BYTES)
        assert len(found) <= MAX_LOG_CHARS
        assert "\x1b" not in found
        assert "\x00" not in found


@pytest.mark.engine
def test_no_pipe_of_the_engine_is_open_in_the_container(sandboxed: Any) -> None:
    """Every pipe of process 1 has both its ends in the container, so there is no way to the engine's memory."""
    outcome = sandboxed(
        "import collections, os\n"
        "ends = collections.Counter()\n"
        "for pid in (1, os.getpid()):\n"
        "    for fd in os.listdir(f'/proc/{pid}/fd'):\n"
        "        try: name = os.readlink(f'/proc/{pid}/fd/{fd}')\n"
        "        except FileNotFoundError: continue\n"
        "        rights = int(open(f'/proc/{pid}/fdinfo/{fd}').read().split('flags:')[1].split()[0], 8) & 3\n"
        "        if name.startswith('/proc/'): continue\n"
        "        ends[name, rights] += 1\n"
        "print(sorted({name for name, _ in ends if not name.startswith('pipe:')}))\n"
        "for name, _ in ends:\n"
        "    if name.startswith('pipe:') and {rights for n, rights in ends if n == name} != {0, 1}: print('half of', name)"
    )
    assert outcome.log_tail == "['/dev/null', '/log/log']\n"


@pytest.mark.engine
def test_what_was_printed_before_the_deadline_is_there_whatever_was_done_to_process_one(
    sandboxed: Any,
) -> None:
    outcome = sandboxed(
        "import os, signal, time\nprint('step 1', flush=True)\n"
        "for number in sorted(set(signal.Signals)):\n"
        "    if number != signal.SIGCHLD: os.kill(1, number)\n"
        "print('still here', flush=True)\ntime.sleep(60)",
        wall_clock_s=2.0,
    )
    assert (outcome.ending, outcome.log_tail) == (Ending.TIMED_OUT, "step 1\nstill here\n")


@pytest.mark.engine
@pytest.mark.parametrize(
    "spoil",
    [
        "os.unlink('/log/log')",
        "os.unlink('/log/log'); os.symlink('/etc/passwd', '/log/log')",
        "os.unlink('/log/log'); os.mkfifo('/log/log')",
        "os.truncate('/log/log', 0); os.truncate('/log/log', 200000)",
        "resource.prlimit(1, resource.RLIMIT_FSIZE, (0, 0)); os.write(1, b'x' * 100000)",
    ],
)
def test_a_job_that_spoils_its_log_loses_its_log_and_nothing_else(sandboxed: Any, spoil: str) -> None:
    outcome = sandboxed(
        f"import os, resource\nopen('/out/report', 'w').write('saved')\n{spoil}\nraise SystemExit(3)"
    )
    assert (outcome.ending, outcome.exit_code, outcome.fault) == (Ending.EXITED, 3, Fault.CANDIDATE)
    assert outcome.files["report"].path.read_text() == "saved"
    assert "root:" not in outcome.log_tail


@pytest.mark.engine
def test_orphans_are_reaped(sandboxed: Any) -> None:
    outcome = sandboxed(
        "import os, time\n"
        "for _ in range(300):\n"
        "    if os.fork() == 0:\n"
        "        if os.fork(): os._exit(0)\n"
        "        os._exit(0)\n"
        "    os.wait()\n"
        "end = time.monotonic() + 10\n"
        "while len([n for n in os.listdir('/proc') if n.isdigit()]) > 2 and time.monotonic() < end: time.sleep(0.05)\n"
        "print(sorted(int(n) for n in os.listdir('/proc') if n.isdigit()) == [1, os.getpid()])"
    )
    assert outcome.log_tail == "True\n"


def test_the_volume_has_room_for_the_file() -> None:
    page = os.sysconf("SC_PAGE_SIZE")
    for size in (4096, LOG_BYTES, 1 << 20):
        assert launcher.volume_bytes(size) >= -(-launcher.file_bytes(size) // page) * page
