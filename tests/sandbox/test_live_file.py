"""What the host may read of a running candidate: one plain file, in bounded pieces, whatever the candidate does to it."""

from __future__ import annotations

import os
import select
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sandbox.live_file import BLOCK_BYTES, MOST_BYTES, PROGRAM, LiveFile
from sandbox.outcome import Ending
from sandbox.spec import MIB, Monitor


class Connection:
    """An engine's answer to an attached program, with a clock that moves when nothing comes."""

    def __init__(self, answers: list[bytes]) -> None:
        self.answers, self.now, self.sent, self.closed = answers, 0.0, 0, False
        self._timeout = 0.0

    def monotonic(self) -> float:
        return self.now

    def exec_create(self, *_: Any, **__: Any) -> dict[str, str]:
        return {"Id": "x"}

    def exec_start(self, *_: Any, **__: Any) -> Connection:
        return self

    def settimeout(self, seconds: float) -> None:
        self._timeout = seconds

    def sendall(self, block: bytes) -> None:
        assert block == b"\n"
        self.sent += 1

    def recv(self, size: int) -> bytes:
        if not self.answers:
            self.now += self._timeout
            raise TimeoutError("timed out")
        block, rest = self.answers[0][:size], self.answers[0][size:]
        self.answers[:1] = [rest] if rest else []
        return block

    def close(self) -> None:
        self.closed = True


def frame(block: bytes, stream: int = 1) -> bytes:
    return struct.pack(">BxxxL", stream, len(block)) + block


def piece(block: bytes) -> bytes:
    return frame(len(block).to_bytes(4, "big") + block)


def file_of(connection: Connection) -> LiveFile:
    return LiveFile(
        connection, "holder", python="python", place="/out", name="t", monotonic=connection.monotonic
    )


def test_pieces_come_one_after_the_other() -> None:
    connection = Connection([piece(b"one"), piece(b""), frame(b"\0\0"), frame(b"\0\x03tw"), frame(b"o")])
    file = file_of(connection)
    assert [file.more(), file.more(), file.more()] == [b"one", b"", b"two"]
    assert connection.sent == 3


@pytest.mark.parametrize(
    "answers",
    [[], [b""], [piece(b"x" * (BLOCK_BYTES + 1))], [frame(b"no such file", 2)]],
    ids=["silence", "end", "too-much", "complaint"],
)
def test_a_reader_that_fails_tells_nothing_is_not_asked_again_and_takes_two_seconds(
    answers: list[bytes],
) -> None:
    connection = Connection(answers)
    file = file_of(connection)
    assert file.more() == b""
    assert connection.closed
    assert connection.now <= 2.0
    assert file.more() == b""
    assert connection.sent == 1


def test_an_engine_that_refuses_the_reader_tells_nothing() -> None:
    class Refusing(Connection):
        def exec_create(self, *_: Any, **__: Any) -> dict[str, str]:
            raise OSError("no room")

    assert file_of(Refusing([])).more() == b""


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    (tmp_path / "secret").write_text("secret")
    return tmp_path / "out"


class Program:
    """The real program, over a plain folder."""

    def __init__(self, folder: Path, *, most: int = 1000, block: int = 10) -> None:
        command = [sys.executable, "-I", "-S", "-B", "-c", PROGRAM, str(folder), "t", str(most), str(block)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def __enter__(self) -> Program:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def more(self) -> bytes:
        """Fails the test instead of waiting for ever."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(b"\n")
        self._process.stdin.flush()
        assert select.select([self._process.stdout], [], [], 10.0)[0], "it waits for somebody"
        size = int.from_bytes(self._process.stdout.read(4), "big")
        return self._process.stdout.read(size)


def test_it_reads_on_where_it_stopped_and_only_so_much(out: Path) -> None:
    with Program(out, most=25, block=10) as program:
        assert program.more() == b""
        (out / "t").write_bytes(b"0123456789abc")
        assert [program.more(), program.more(), program.more()] == [b"0123456789", b"abc", b""]
        with (out / "t").open("ab") as file:
            file.write(b"x" * 100)
        assert [program.more(), program.more(), program.more()] == [b"x" * 10, b"xx", b""]
        (out / "t").unlink()
        assert program.more() == b""


HOSTILE: dict[str, Callable[[Path], object]] = {
    "a link": lambda path: path.symlink_to("../secret"),
    "a second name": lambda path: path.hardlink_to(path.parent.parent / "secret"),
    "a fifo": lambda path: os.mkfifo(path),
    "a folder": lambda path: path.mkdir(),
}


@pytest.mark.parametrize("make", HOSTILE.values(), ids=HOSTILE)
def test_what_is_no_plain_file_is_not_read_and_holds_nobody_up(
    out: Path, make: Callable[[Path], object]
) -> None:
    make(out / "t")
    with Program(out) as program:
        assert program.more() == b""
        (out / "new").write_text("fine")
        if (out / "t").is_dir() and not (out / "t").is_symlink():
            (out / "t").rmdir()
        (out / "new").rename(out / "t")
        assert program.more() == b"fine", "it goes on where a plain file comes"


@pytest.mark.engine
def test_a_file_that_grows_without_end_is_read_in_bounded_pieces(sandboxed: Any) -> None:
    seen: list[int] = []
    grows = "block = b'x' * (1 << 20)\nfor _ in range(7): open('/out/t', 'ab').write(block)\nimport time; time.sleep(4)"
    monitor = Monitor("t", lambda added: seen.append(len(added)) or "")
    outcome = sandboxed.engine.run(sandboxed.job(grows, monitor=monitor, out_bytes=8 * MIB))
    assert outcome.ending is Ending.EXITED
    assert seen
    assert max(seen) <= BLOCK_BYTES
    assert sum(seen) <= MOST_BYTES


@pytest.mark.engine
def test_a_file_that_is_replaced_all_the_time_ends_at_the_deadline_like_any_other(
    sandboxed: Any,
) -> None:
    juggles = (
        "import os\n"
        "while True:\n"
        "    for make in (lambda: open('/out/n', 'w').write('x' * 99), lambda: os.mkfifo('/out/n'),\n"
        "                 lambda: os.symlink('/etc/passwd', '/out/n')):\n"
        "        make(); os.rename('/out/n', '/out/t')\n"
    )
    seen: list[bytes] = []
    monitor = Monitor("t", lambda added: seen.append(added) or "")
    outcome = sandboxed.engine.run(sandboxed.job(juggles, wall_clock_s=6.0, monitor=monitor))
    assert outcome.ending is Ending.TIMED_OUT
    assert outcome.seconds < 9
    assert set(b"".join(seen)) <= {ord("x")}, "nothing but its own plain file was read"
