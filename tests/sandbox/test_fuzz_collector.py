"""The border under fire: ten thousand damaged streams for the host's half, every kind of file for the container's."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sandbox import collect
from sandbox.outcome import Refusal
from sandbox.spec import Output

ASKED = (Output("model", 4000), Output("weights", 9000), Output("log", 100))
HONEST = (
    (b'{"name": "model", "bytes": 3000}\n', b"m" * 3000),
    (b'{"name": "weights", "bytes": 8999}\n', b"w" * 8999),
    (b'{"name": "log", "refused": "symlink"}\n', b""),
)
NASTY = [
    -1,
    0,
    1,
    9001,
    2**31,
    2**63,
    10**300,
    1.0,
    1e308,
    True,
    None,
    "",
    "3000",
    "missing",
    "excellent",
    [],
    [1],
    {},
]
NASTY += ["model", "weights", "log", "../log", "/etc/passwd", "model\x00", "mod\u00e9l", "x" * 5000]
TRIALS = 12_000


def wild(rng: np.random.Generator) -> list[bytes]:
    """Headers with other keys and values, bytes flipped, removed, doubled, or moved."""
    parts = []
    for head, body in HONEST:
        header = json.loads(head)
        if rng.random() < 0.3:
            key = (
                list(header)[rng.integers(len(header))]
                if rng.random() < 0.7
                else ["bytes", "refused", "x"][rng.integers(3)]
            )
            header[key] = NASTY[rng.integers(len(NASTY))]
        if rng.random() < 0.1:
            header.pop(list(header)[rng.integers(len(header))])
        text = json.dumps(header).encode() + b"\n"
        if rng.random() < 0.05:
            text = text.replace(b"\n", b"")
        parts += [text, body]
    stream = bytearray(b"".join(parts))
    if rng.random() < 0.4:
        for _ in range(rng.integers(1, 4)):
            at = int(rng.integers(min(len(stream), 60) if rng.random() < 0.7 else len(stream)))
            stream[at : at + int(rng.integers(0, 3))] = rng.bytes(int(rng.integers(0, 3)))
    if rng.random() < 0.15:
        del stream[int(rng.integers(len(stream))) :]
    size = int(rng.choice([1, 7, 100, 4096, 100_000])) if rng.random() < 0.05 else 4096
    return [bytes(stream[at : at + size]) for at in range(0, len(stream), size)]


@pytest.fixture
def kept() -> Iterator[Path]:
    """In memory where that is possible: every file is synced to its disk."""
    memory = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(dir=memory if os.access(memory, os.W_OK) else None))
    yield folder
    shutil.rmtree(folder)


def test_a_damaged_stream_is_taken_as_it_is_or_leaves_nothing(kept: Path) -> None:
    came: Counter[str] = Counter()
    caps = {output.name: output.max_bytes for output in ASKED}
    tracemalloc.start()
    for seed in range(TRIALS):
        rng = np.random.default_rng(seed)
        try:
            files, refusals = collect.receive(iter(wild(rng)), ASKED, kept)
        except collect.BrokenStream:
            came["broken"] += 1
            assert list(kept.iterdir()) == []
            continue
        came["taken"] += 1
        assert files.keys() | refusals.keys() == caps.keys()
        assert not files.keys() & refusals.keys()
        assert {path.name for path in kept.iterdir()} == files.keys()
        for name, file in files.items():
            content = file.path.read_bytes()
            assert len(content) == file.bytes <= caps[name]
            assert hashlib.sha256(content).hexdigest() == file.sha256
            file.path.unlink()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert sum(came.values()) == TRIALS
    assert min(came.values()) > TRIALS / 10, came
    assert peak < 8 << 20


# ---- the container's half --------------------------------------------------------------------------------------
def _socket(path: Path) -> None:
    """Its address may be no longer than 108 bytes, so it is bound from within its folder."""
    program = "import os, socket, sys; os.chdir(sys.argv[1]); socket.socket(socket.AF_UNIX).bind(sys.argv[2])"
    subprocess.run([sys.executable, "-I", "-c", program, str(path.parent), path.name], check=True)


def _linked(path: Path) -> None:
    path.write_bytes(b"x" * 50)
    os.link(path, path.with_name(f"other-name-of-{path.name}"))


def _holes(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(60_000)


def _loop(path: Path) -> None:
    path.symlink_to(path.name)


KINDS: dict[str, tuple[Callable[[Path], object], Refusal | None]] = {
    "missing": (lambda path: None, Refusal.MISSING),
    "plain": (lambda path: path.write_bytes(os.urandom(777)), None),
    "empty": (lambda path: path.touch(), None),
    "full": (lambda path: path.write_bytes(b"x" * 65_536), None),
    "large": (lambda path: path.write_bytes(b"x" * 65_537), Refusal.TOO_LARGE),
    "link": (lambda path: path.symlink_to("/etc/passwd"), Refusal.SYMLINK),
    "link to nothing": (lambda path: path.symlink_to("nowhere"), Refusal.SYMLINK),
    "link to itself": (_loop, Refusal.SYMLINK),
    "folder": (lambda path: path.mkdir(), Refusal.NOT_REGULAR),
    "fifo": (os.mkfifo, Refusal.NOT_REGULAR),
    "socket": (_socket, Refusal.NOT_REGULAR),
    "two names": (_linked, Refusal.HARD_LINKED),
    "holes": (_holes, Refusal.SPARSE),
}


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kinds=st.lists(st.sampled_from(sorted(KINDS)), min_size=1, max_size=4))
def test_every_mixture_of_files_is_told_apart(
    kinds: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("mixture")
    out, kept = folder / "out", folder / "kept"
    out.mkdir()
    kept.mkdir()
    asked = [Output(f"n{number}", 65_536) for number in range(len(kinds))]
    for kind, output in zip(kinds, asked, strict=True):
        KINDS[kind][0](out / output.name)
    result = subprocess.run(
        [sys.executable, "-I", "-B", "-S", "-c", collect.PROGRAM],
        input=collect.request({str(out): asked}),
        capture_output=True,
        check=True,
        timeout=20,
    )

    files, refusals = collect.receive(iter([result.stdout]), asked, kept)

    wanted = {output.name: KINDS[kind][1] for kind, output in zip(kinds, asked, strict=True)}
    assert dict(refusals) == {name: why for name, why in wanted.items() if why is not None}
    for name in files:
        assert (kept / name).read_bytes() == (out / name).read_bytes()
