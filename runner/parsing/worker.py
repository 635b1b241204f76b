"""The parser's worker process: receives requests from its stdin (a socket), forks for each, and sends back what the fork said.

    python -I -S -B worker.py

The server parses nothing, so no text can hurt it, and nothing of one text is left for the next: each is read in a fork of
a process that has never seen one. The fork has no other descriptors, no environment, the user "nobody" if it was root, and
limits of CPU time, memory, stack, files and wall time; it is killed and reaped whatever happens. When the runner dies its
end of the socket closes, which ends the server and with it (PR_SET_PDEATHSIG) a fork that is still at work. The server
itself has no such signal: it would come when the thread that started it ends, not the process (prctl(2)).

A request is its length (4 bytes) and JSON; a reply is its length, one byte for what became of the fork, and JSON.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import os
import resource
import select
import signal
import socket
import struct
import sys
import time
import unicodedata  # noqa: F401  a fork opens no files: "\N{...}" is read with this
import warnings
from pathlib import Path
from typing import Any, NoReturn

if __name__ == "__main__":
    sys.path.append(str(Path(__file__).resolve().parents[2]))

from runner.parsing import answers, diffs, edits, python_parser
from runner.parsing.facts import BadAnswer, BadEdit
from runner.protocols import Edit

CPU_S, WALL_S = 5, 30
"""Of one text. An ordinary script of 200 kB needs 0.3 s of a slow core (benchmarks/reading.py)."""
MEMORY_BYTES, STACK_BYTES = 1 << 30, 64 << 20
MAX_REQUEST, MAX_REPLY = 8 << 20, 8 << 20
OK, CPU, WALL, MEMORY, DIED, TOO_LONG, NO_FORK = b"k", b"c", b"w", b"m", b"d", b"l", b"f"
_RECURSION = 10_000
_NOBODY = 65534
_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38


def main() -> None:
    os.environ.clear()  # the interpreter itself adds LC_CTYPE
    warnings.simplefilter("ignore")
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    runner = socket.socket(fileno=0)
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    gc.freeze()
    while (request := receive(runner, MAX_REQUEST)) is not None:
        what, reply = serve(runner, request, prctl)
        runner.sendall(struct.pack("!I", len(reply) + 1) + what + reply)


def receive(connection: socket.socket, most: int) -> bytes | None:
    """One frame; None at the end of the connection or for a frame longer than `most`."""
    header = _exactly(connection, 4)
    if header is None or (length := struct.unpack("!I", header)[0]) > most:
        return None
    return _exactly(connection, length)


def _exactly(connection: socket.socket, length: int) -> bytes | None:
    parts = bytearray()
    while len(parts) < length:
        part = connection.recv(min(length - len(parts), 1 << 20))
        if not part:
            return None
        parts += part
    return bytes(parts)


def serve(runner: socket.socket, request: bytes, prctl: ctypes._NamedFuncPointer) -> tuple[bytes, bytes]:
    """What became of a fork that read the request, and its reply."""
    ours, theirs = os.pipe()
    server = os.getpid()
    try:
        pid = os.fork()
    except OSError:
        os.close(ours)
        os.close(theirs)
        return NO_FORK, b""
    if pid == 0:
        _read(request, theirs, server, prctl)
    os.close(theirs)
    said, ended = bytearray(), WALL
    deadline = time.monotonic() + WALL_S
    try:
        while (left := deadline - time.monotonic()) > 0:
            ready, _, _ = select.select([ours, runner.fileno()], [], [], left)
            if runner.fileno() in ready and not runner.recv(1, socket.MSG_PEEK):
                sys.exit(0)  # nobody waits any more
            if ours in ready:
                part = os.read(ours, 1 << 20)
                said += part
                if not part or len(said) > MAX_REPLY:
                    ended = DIED if not part else TOO_LONG
                    break
    finally:
        os.close(ours)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
    if ended is DIED and said.endswith(b"\n"):
        return OK, bytes(said)
    if ended is DIED and os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGXCPU:
        return CPU, b""
    if ended is DIED and os.WIFEXITED(status) and os.WEXITSTATUS(status) == _OUT_OF_MEMORY:
        return MEMORY, b""
    return ended, b""


_OUT_OF_MEMORY = 3


def _read(request: bytes, reply: int, server: int, prctl: ctypes._NamedFuncPointer) -> NoReturn:
    """In the fork: read one text, write what was found, end."""
    code = 1
    try:
        _confine(server, prctl)
        os.dup2(reply, 0)
        os.closerange(1, 64)
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))
        wanted = json.loads(request.decode("utf-8", errors="surrogatepass"))
        said = json.dumps(_answer(wanted), ensure_ascii=False, allow_nan=False)
        _write(said.encode("utf-8", errors="replace") + b"\n")
        code = 0
    except MemoryError:
        code = _OUT_OF_MEMORY
    finally:
        os._exit(code)


def _confine(server: int, prctl: ctypes._NamedFuncPointer) -> None:
    gc.disable()
    for limit, most in (
        (resource.RLIMIT_CPU, CPU_S),
        (resource.RLIMIT_AS, MEMORY_BYTES),
    ):
        hard = resource.getrlimit(limit)[1]
        # the soft limit of CPU time is a signal of its own (SIGXCPU), the hard one would be SIGKILL
        highest = most + 1 if hard < 0 else min(most + 1, hard)
        resource.setrlimit(limit, (min(most, highest), highest))
    for limit in (resource.RLIMIT_FSIZE, resource.RLIMIT_CORE, resource.RLIMIT_NPROC):
        resource.setrlimit(limit, (0, 0))
    hard = resource.getrlimit(resource.RLIMIT_STACK)[1]
    resource.setrlimit(resource.RLIMIT_STACK, (STACK_BYTES if hard < 0 else min(STACK_BYTES, hard), hard))
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(_NOBODY, _NOBODY, _NOBODY)
        os.setresuid(_NOBODY, _NOBODY, _NOBODY)
    prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != server:
        os._exit(1)
    sys.setrecursionlimit(_RECURSION)


def _write(data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(0, view) :]


def _answer(wanted: dict[str, Any]) -> dict[str, object]:
    """The reply to one request, as JSON values."""
    text = wanted["text"]
    try:
        match wanted["read"]:
            case "facts":
                return python_parser.facts_reply(text)
            case "answer":
                return answers.read(text, wanted["parent"])
            case "edits":
                pairs = [Edit(search, replace) for search, replace in wanted["edits"]]
                return {"source": edits.apply(text, pairs)}
            case "reverted":
                return {"source": diffs.reverted(text, wanted["after"], wanted["before"])}
            case "difference":
                names, lines = wanted["names"], int(wanted["context_lines"])
                return {"text": diffs.unified(text, wanted["after"], names, lines)}
            case "signatures":
                return {"text": python_parser.signatures(text)}
    except BadAnswer as error:
        return {"error": str(error), "repairable": error.repairable}
    except BadEdit as error:
        return {"error": str(error)}
    except (SyntaxError, ValueError) as error:
        return {"error": str(error)[:200]}
    raise KeyError(wanted["read"])


if __name__ == "__main__":
    main()
