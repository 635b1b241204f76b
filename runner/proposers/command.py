"""Any program as the proposer: the context as JSON on its stdin, the new train.py on its stdout.

The program may be any agent. It runs on the host with the user's rights; what it prints is checked and evaluated like any
other proposal. The title is what follows `# title:` on a line of its answer.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import shlex
import shutil
import signal
import subprocess
import time
from dataclasses import asdict, fields
from typing import Any

from runner.errors import UsageError
from runner.parsing.facts import MAX_SOURCE_BYTES
from runner.proposers.titles import title_after
from runner.protocols import Context, PastExperiment, Proposal
from sandbox.sanitise import one_line

SCHEMA = "autoresearch/context/2"
_PIPE_BYTES, _SAID_BYTES = 1 << 16, 500


class CommandProposer:
    """`timeout_s` is for one answer; then the whole process group is killed."""

    name = "command"

    def __init__(self, command: str, *, timeout_s: float) -> None:
        try:
            self._words = shlex.split(command)
        except ValueError as error:
            raise UsageError(f"command:{command} cannot be split into words: {error}") from error
        self._timeout_s = timeout_s
        if not self._words or shutil.which(self._words[0]) is None:
            raise UsageError(
                f"command:{command} is no program that can be run; give command:'PROGRAM ARGUMENTS'"
            )

    def propose(self, context: Context) -> Proposal:
        asked = json.dumps({"schema": SCHEMA, **_as_json(context)}).encode()
        try:
            process = subprocess.Popen(
                self._words,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,  # so that its children can be ended with it
            )
        except OSError as error:
            return _failed(f"the command could not be started: {error.strerror}")
        try:
            answer, said = _talk(process, asked, self._timeout_s)
        except TimeoutError:
            return _failed(f"the command gave no answer within {self._timeout_s:g} s")
        finally:
            _end(process)
        if process.returncode != 0:
            return _failed(f"the command ended with {process.returncode}: {one_line(said)}")
        if not answer.strip():
            return _failed("the command printed nothing")
        source = answer.decode("utf-8", errors="surrogateescape")
        title = title_after("# title:", source) or f"proposal {context.number}"
        return Proposal(source, title, category="command")


def _as_json(context: Context) -> dict[str, Any]:
    """All of the context but the host's own time limit, as JSON can hold it."""
    shown = {f.name: getattr(context, f.name) for f in fields(context) if f.name != "time_limit_s"}
    plain = [f.name for f in fields(PastExperiment) if not f.name.startswith("read_")]
    history = [
        {name: getattr(past, name) for name in plain}
        | {"source": past.source, "log_tail": past.log_tail}
        | {"constants": [asdict(c) for c in past.constants]}
        for past in context.history
    ]
    return {**shown, "history": history, "best_constants": [asdict(c) for c in context.best_constants]}


def _talk(process: subprocess.Popen[bytes], asked: bytes, timeout_s: float) -> tuple[bytes, bytes]:
    """What the process printed until it ended: the beginning of its stdout and the end of its stderr. The rest is read and
    dropped, so that nothing it prints grows the runner; what its children still hold open is not waited for. Raises
    TimeoutError."""
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    answer, said = bytearray(), bytearray()
    deadline, to_send = time.monotonic() + timeout_s, memoryview(asked)
    for pipe in (process.stdin, process.stdout, process.stderr):
        os.set_blocking(pipe.fileno(), False)

    def read(descriptor: int) -> bool:
        """Whether there was something, or there may be later."""
        part = os.read(descriptor, _PIPE_BYTES)
        if descriptor == stdout:
            answer.extend(part[: MAX_SOURCE_BYTES + 1 - len(answer)])
        else:
            said.extend(part)
            del said[:-_SAID_BYTES]
        return bool(part)

    stdin, stdout, ended = process.stdin.fileno(), process.stdout.fileno(), os.pidfd_open(process.pid)
    try:
        with selectors.DefaultSelector() as waiting:
            waiting.register(stdin, selectors.EVENT_WRITE)
            for descriptor in (ended, stdout, process.stderr.fileno()):
                waiting.register(descriptor, selectors.EVENT_READ)
            while ended in waiting.get_map():
                if (left := deadline - time.monotonic()) <= 0:
                    raise TimeoutError
                for key, _ in waiting.select(left):
                    if key.fd == ended:
                        waiting.unregister(ended)
                    elif key.fd == stdin:
                        try:
                            to_send = to_send[os.write(stdin, to_send[:_PIPE_BYTES]) :]
                        except BrokenPipeError:  # it answers without having read all
                            to_send = to_send[:0]
                        if not to_send:
                            waiting.unregister(stdin)
                            process.stdin.close()
                    elif not read(key.fd):
                        waiting.unregister(key.fd)
    finally:
        os.close(ended)
    process.wait()
    for descriptor in (
        stdout,
        process.stderr.fileno(),
    ):  # what it had printed before it ended, at most what a pipe holds
        with contextlib.suppress(BlockingIOError):
            while time.monotonic() < deadline and read(descriptor):
                pass
    return bytes(answer), bytes(said)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Nothing of the command is left, whatever it started. The group's id is the leader's, even when that is gone."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            with contextlib.suppress(BrokenPipeError):
                pipe.close()


def _failed(reason: str) -> Proposal:
    return Proposal(None, "no usable answer", failure=reason)
