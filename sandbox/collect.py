"""Copies a candidate's outputs to the host: fixed names, regular files, limited sizes, nothing unpacked.

`PROGRAM` runs in the trusted holder container after the candidate is dead. It reads one line with the wanted names and their folders,
and writes one framed stream: per name a JSON header line, then exactly the announced number of bytes. `receive` reads that stream on
the host with its own limits and hashes what it writes. `receive_log` keeps the first file of the stream, the log, in memory. Neither an
archive format nor `docker cp` is used: both have a history of escapes (CVE-2018-15664, CVE-2025-4517, CVE-2026-41567).
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from sandbox.outcome import CollectedFile, Refusal
from sandbox.spec import Output

PROGRAM = r"""
import json, os, stat, sys
out = sys.stdout.buffer
def refuse(name, why):
    out.write(json.dumps({"name": name, "refused": why}).encode() + b"\n")
def take(place, name, cap):
    folder = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        found = os.lstat(name, dir_fd=folder)
    except FileNotFoundError:
        return refuse(name, "missing")
    if stat.S_ISLNK(found.st_mode):
        return refuse(name, "symlink")
    if not stat.S_ISREG(found.st_mode):
        return refuse(name, "not_regular")
    fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    with open(fd, "rb") as file:
        opened = os.fstat(fd)
        if not stat.S_ISREG(opened.st_mode):
            return refuse(name, "not_regular")
        if opened.st_nlink != 1:
            return refuse(name, "hard_linked")
        if opened.st_size > cap:
            return refuse(name, "too_large")
        if opened.st_blocks * 512 < opened.st_size - 4096:
            return refuse(name, "sparse")
        out.write(json.dumps({"name": name, "bytes": opened.st_size}).encode() + b"\n")
        left = opened.st_size
        while left:
            block = file.read(min(left, 1 << 20))
            if not block:
                sys.exit("shrank while read")
            out.write(block)
            left -= len(block)
for place, name, cap in json.loads(sys.stdin.readline()):
    try:
        take(place, name, cap)
    except OSError:
        refuse(name, "unreadable")
out.flush()
"""
_MAX_HEADER = 4096


class BrokenStream(Exception):
    """The collector's stream ended early or broke its framing: a fault of the infrastructure, not of the candidate."""


def request(wanted: Mapping[str, Sequence[Output]]) -> bytes:
    """The line that the collector program reads: the wanted names of each folder, in this order."""
    named = [[place, item.name, item.max_bytes] for place, items in wanted.items() for item in items]
    return json.dumps(named).encode() + b"\n"


def receive_log(stream: Iterator[bytes], log: Output) -> tuple[bytes, Iterator[bytes]]:
    """The content of the stream's first file, and the rest of the stream. The log is empty if it was not collected, for example
    because the candidate spoiled it. Raises BrokenStream."""
    reader = _Reader(stream)
    size = _announced(reader.line(), log)
    content = b"".join(reader.blocks(size)) if isinstance(size, int) else b""
    return content, reader.rest()


def receive(
    stream: Iterator[bytes], outputs: Sequence[Output], destination: Path
) -> tuple[dict[str, CollectedFile], dict[str, Refusal]]:
    """Read the framed stream into `destination`. Only names that were asked for are written.

    Raises BrokenStream or OSError, and then removes all files of the stream.
    """
    reader = _Reader(stream)
    files: dict[str, CollectedFile] = {}
    refusals: dict[str, Refusal] = {}
    try:
        _receive(reader, outputs, destination, files, refusals)
        _sync_folder(destination)
    except BaseException:
        for taken in files.values():
            taken.path.unlink(missing_ok=True)
        raise
    return files, refusals


def _receive(
    reader: _Reader,
    outputs: Sequence[Output],
    destination: Path,
    files: dict[str, CollectedFile],
    refusals: dict[str, Refusal],
) -> None:
    for output in outputs:
        size = _announced(reader.line(), output)
        if isinstance(size, Refusal):
            refusals[output.name] = size
        else:
            files[output.name] = _store(reader, size, destination / output.name)


def _announced(header: Mapping[str, object], output: Output) -> int | Refusal:
    """The header for `output`: its size in bytes, or why it was not collected."""
    if header.get("name") != output.name:
        raise BrokenStream("the collector answered about another file than asked")
    if "refused" in header:
        return _refusal(header["refused"])
    size = header.get("bytes")
    if type(size) is not int or not 0 <= size <= output.max_bytes:
        raise BrokenStream("the collector announced an impossible size")
    return size


def _refusal(word: object) -> Refusal:
    try:
        return Refusal(str(word))
    except ValueError as error:
        raise BrokenStream("the collector refused for an unknown reason") from error


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _store(reader: _Reader, size: int, path: Path) -> CollectedFile:
    digest = hashlib.sha256()
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    try:
        with open(fd, "wb") as file:
            os.fchmod(fd, 0o644)  # the judge's container reads the copy as another user
            for block in reader.blocks(size):
                digest.update(block)
                file.write(block)
            file.flush()
            os.fsync(fd)
    except BaseException:
        path.unlink()
        raise
    return CollectedFile(path, size, digest.hexdigest())


class _Reader:
    def __init__(self, stream: Iterator[bytes]) -> None:
        self._stream = stream
        self._buffer = b""

    def _more(self) -> None:
        block = next(self._stream, b"")
        if not block:
            raise BrokenStream("the collector's stream ended early")
        self._buffer += block

    def line(self) -> dict[str, object]:
        while b"\n" not in self._buffer[:_MAX_HEADER]:
            if len(self._buffer) > _MAX_HEADER:
                raise BrokenStream("the collector's header is too long")
            self._more()
        head, _, self._buffer = self._buffer.partition(b"\n")
        try:
            header = json.loads(head)
        except (ValueError, RecursionError) as error:
            raise BrokenStream("the collector's header is not JSON") from error
        if not isinstance(header, dict):
            raise BrokenStream("the collector's header is not an object")
        return header

    def blocks(self, size: int) -> Iterator[bytes]:
        while size:
            if not self._buffer:
                self._more()
            block, self._buffer = self._buffer[:size], self._buffer[size:]
            size -= len(block)
            yield block

    def rest(self) -> Iterator[bytes]:
        if self._buffer:
            yield self._buffer
        yield from self._stream
