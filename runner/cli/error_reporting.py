"""How errors are reported: one sentence on stderr (or JSON on stdout) and an exit code."""

from __future__ import annotations

import errno
import json
import os
import sys
import tempfile
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from runner.errors import RunnerError
from runner.exit_codes import ExitCode
from sandbox.engine import SandboxError
from sandbox.sanitise import one_line


class Stopped(BaseException):
    """A signal asked us to stop. A BaseException, so that no library's `except Exception` catches it. `number` is the signal's."""

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by signal {number}")
        self.number = number


def guarded(verb: Callable[[], Any], words: Sequence[str]) -> int:
    """The exit code of `verb`."""
    import typer

    as_json = "--json" in words
    try:
        result = verb()
    except typer.Exit as done:
        return int(done.exit_code)
    except RunnerError as error:
        return _say(str(error), error.kind, error.exit_code, as_json)
    except SandboxError as error:
        return _say(str(error), "prerequisite", ExitCode.PREREQUISITE, as_json)
    except (KeyboardInterrupt, typer.Abort):
        return _say(_stopped(words), "stopped", ExitCode.STOPPED, as_json)
    except Stopped as stop:
        return _say(_stopped(words), "stopped", 128 + stop.number, as_json)
    except BrokenPipeError:
        silence_stdout()
        return 0
    except Exception as error:
        # typer carries its own copy of click, so its usage errors are known by what they can do
        if callable(said := getattr(error, "format_message", None)):
            return _say(str(said()), "usage", ExitCode.USAGE, as_json)
        return _unexpected(error, as_json)
    return result if isinstance(result, int) else 0


def _stopped(words: Sequence[str]) -> str:
    """Only a run can be resumed."""
    return "stopped; `autoresearch run --resume` goes on" if {"run", "resume"} & set(words[:1]) else "stopped"


def _unexpected(error: Exception, as_json: bool) -> int:
    from judge.heldout import DataCorrupt

    if isinstance(error, DataCorrupt):
        return _say(str(error), "prerequisite", ExitCode.PREREQUISITE, as_json)
    if isinstance(error, OSError) and error.filename is None and _is_stdout(error):
        silence_stdout()
        return _say(
            f"the answer could not be written to stdout: {error.strerror}",
            "prerequisite",
            ExitCode.PREREQUISITE,
            False,
        )
    if _disk_full(error):
        sentence = (
            "the disk of the workspace is full; free some space, then `autoresearch run --resume` goes on"
        )
        return _say(sentence, "prerequisite", ExitCode.PREREQUISITE, as_json)
    if isinstance(error, OSError) and error.errno in _PATH_ERRORS:
        return _say(_path_error(error), "usage", ExitCode.USAGE, as_json)
    sentence = f"something unexpected happened ({type(error).__name__}: {one_line(str(error))})"
    with suppress(OSError):  # where there is no folder for temporary files, the sentence must do
        with tempfile.NamedTemporaryFile("w", prefix="autoresearch-", suffix=".log", delete=False) as file:
            traceback.print_exception(error, file=file)
        sentence += f"; see {file.name}"
    return _say(sentence, "unexpected", ExitCode.UNEXPECTED, as_json)


_PATH_ERRORS = frozenset(
    {errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.EACCES, errno.EPERM, errno.EROFS, errno.ELOOP, errno.ENAMETOOLONG}
)  # fmt: skip
"""Errors of a path that the user named."""


def _path_error(error: OSError) -> str:
    if error.filename is None:
        return f"the present folder cannot be used ({error.strerror}); change to one that is there"
    return f"cannot use {one_line(os.fsdecode(error.filename))}: {error.strerror}"


def _is_stdout(error: OSError) -> bool:
    """Whether our stdout cannot be written; asked only after a write failed."""
    if error.errno not in {errno.ENOSPC, errno.EIO, errno.EBADF}:
        return False
    try:
        os.write(1, b"\n")
    except OSError:
        return True
    return False


def silence_stdout() -> None:
    """Send what is still buffered to /dev/null, so that the interpreter does not report the error again at exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)


def _disk_full(error: Exception) -> bool:
    """Whether the disk or the user's quota is full; SQLite has error codes of its own for that."""
    import sqlite3

    if isinstance(error, sqlite3.OperationalError):
        return error.sqlite_errorcode in {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE}
    return isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}


def _say(message: str, kind: str, code: int, as_json: bool) -> int:
    if as_json:
        print(json.dumps({"schema": "autoresearch/error/1", "error": {"kind": kind, "message": message}}))
    print(f"autoresearch: {message}", file=sys.stderr)
    return code
