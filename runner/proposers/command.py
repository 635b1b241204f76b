"""Any program as the researcher: the context as JSON on its stdin, the new train.py on its stdout.

Whatever agent one likes can stand behind it. It runs on the host with the user's rights, as the user's own choice; what it
prints goes the same road as everything else. The title is what follows `# title:` on a line of its answer.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
from dataclasses import asdict

from runner.check import MAX_BYTES
from runner.errors import UsageError
from runner.protocols import Context, Proposal
from sandbox.text import one_line

SCHEMA = "autoresearch/context/2"


class CommandProposer:
    """`timeout_s` is for one answer; then the whole process group is killed."""

    name = "command"

    def __init__(self, command: str, *, timeout_s: float) -> None:
        self._words = shlex.split(command)
        self._timeout_s = timeout_s
        if not self._words or shutil.which(self._words[0]) is None:
            raise UsageError(
                f"command:{command} is no program that can be run; give command:'PROGRAM ARGUMENTS'"
            )

    def propose(self, context: Context) -> Proposal:
        told = {name: value for name, value in asdict(context).items() if name != "time_limit_s"}
        asked = json.dumps({"schema": SCHEMA, **told}).encode()
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
            answer, said = process.communicate(asked, timeout=self._timeout_s)
        except subprocess.TimeoutExpired:
            return _failed(f"the command gave no answer within {self._timeout_s:g} s")
        finally:
            _end(process)
        if process.returncode != 0:
            return _failed(f"the command ended with {process.returncode}: {one_line(said[-500:])}")
        if not answer.strip():
            return _failed("the command printed nothing")
        source = answer[: MAX_BYTES + 1].decode("utf-8", errors="surrogateescape")
        found = re.search(r"^# title: *(.+)$", source, re.MULTILINE)
        title = one_line(found.group(1)) if found else f"proposal {context.number}"
        return Proposal(source, title, category="command")


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
