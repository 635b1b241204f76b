"""Runs a task's evaluate.py with its stdout in a file, and keeps it from running anything that the candidate wrote.

The audit hook (PEP 578) is against mistakes of the task's author, who is trusted: an import of the candidate's files, a pickle among its
outputs, another process. The container's limits are the defence against everything else.
"""

from __future__ import annotations

import os
import runpy
import sys
from pathlib import Path
from typing import Self

CANDIDATES = ("/work/", "/stages/")
NEVER = {"pickle.find_class", "subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn"}


def refuse(what: str) -> None:
    """Ends the scorer; an exception could be caught."""
    print(f"autoresearch: the scorer may not {what}", file=sys.stderr, flush=True)
    os._exit(1)


def guard() -> None:
    """Install the hook. Code is the candidate's if it comes from a file of the candidate's or has the text of one."""
    texts = {content for path in Path("/work").rglob("*.py") if (content := path.read_bytes().strip())}

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if event in NEVER:
            refuse(f"use {event}: it could run what the candidate wrote")
        if event == "exec" and str(getattr(arguments[0], "co_filename", "")).startswith(CANDIDATES):
            refuse("import or run a file of the candidate's")
        if event in {"import", "ctypes.dlopen"} and any(
            str(each).startswith(CANDIDATES) for each in arguments[:2]
        ):
            refuse("load a file of the candidate's")
        if event == "compile" and isinstance(arguments[0], str | bytes):
            source = arguments[0].encode() if isinstance(arguments[0], str) else arguments[0]
            if source.strip() in texts:
                refuse("compile a file of the candidate's")

    sys.addaudithook(hook)


def shift_clock(seconds: float) -> None:
    """Another date for what the scorer reads, so that two scores can be compared."""
    import datetime
    import time

    now, now_ns = time.time, time.time_ns

    class Shifted(datetime.datetime):
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> Self:
            return cls.fromtimestamp(time.time(), tz)

        @classmethod
        def today(cls) -> Self:
            return cls.fromtimestamp(time.time())

        @classmethod
        def utcnow(cls) -> Self:
            return cls.fromtimestamp(time.time(), datetime.UTC).replace(tzinfo=None)

    class ShiftedDate(datetime.date):
        @classmethod
        def today(cls) -> Self:
            return cls.fromtimestamp(time.time())

    time.time = lambda: now() + seconds
    time.time_ns = lambda: now_ns() + int(seconds * 1e9)
    datetime.datetime, datetime.date = Shifted, ShiftedDate  # type: ignore[misc]


def main() -> None:
    fd = os.open("/out/score.json", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    os.dup2(fd, 1)
    os.close(fd)
    if shift := float(os.environ.get("AUTORESEARCH_CLOCK_SHIFT", "0")):
        shift_clock(shift)
    guard()
    runpy.run_path("/task/evaluate.py", run_name="__main__")


if __name__ == "__main__":
    main()
