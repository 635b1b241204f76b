"""The parser's worker with one reading that misbehaves: what would a text do that took the parser over?

python -I -S -B broken_worker.py    the name of the reading is the text that is read
"""

import contextlib
import ctypes
import json
import os
import socket
import sys
import time
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2]))

from runner.parsing import python_parser, worker


def sound() -> dict[str, object]:
    return python_parser.facts_reply("x = 1\n")


def seen() -> str:
    """What a reading can see and do, as one line."""
    said = [f"environment {len(os.environ)}", f"uid {os.getuid()}"]
    held = []
    for number in range(256):
        with contextlib.suppress(OSError):
            os.fstat(number)
            held.append(number)
    said.append(f"descriptors {held}")
    for what, tried in (
        ("opens", lambda: os.open("/etc/hostname", os.O_RDONLY)),
        ("writes", lambda: os.open("/tmp/left-by-a-reading", os.O_WRONLY | os.O_CREAT)),
        ("connects", socket.socket),
        ("forks", os.fork),
    ):
        try:
            tried()
        except OSError:
            continue
        said.append(what)
    return ", ".join(said)


def reading(text: str) -> object:
    name = text.strip()
    if name == "crash":
        ctypes.string_at(0)
    if name == "cpu":
        while True:
            pass
    if name in {"sleep", "hang"}:
        time.sleep(600)
    if name == "memory":
        return {"detail": str(len(bytearray(4 << 30)))}
    if name == "exit":
        os._exit(0)
    if name == "flood":
        while True:
            os.write(0, b"x" * (1 << 20))
    if name == "garbage":
        os.write(0, b"\xff\x00 nonsense\n")
        os._exit(0)
    if name == "nested":
        os.write(0, b"[" * 1_000_000 + b"\n")
        os._exit(0)
    if name == "digits":
        os.write(0, b'{"nodes":' + b"9" * 1_000_000 + b"}\n")
        os._exit(0)
    if name == "lies":
        return {**sound(), "rejection": "fine", "nodes": -1}
    if name == "infinite":
        os.write(
            0,
            json.dumps(
                {**sound(), "constants": [{"name": "A", "value": float("inf"), "kind": "log"}]}
            ).encode()
            + b"\n",
        )
        os._exit(0)
    if name == "remember":
        python_parser.facts_of_an_earlier_text = text  # type: ignore[attr-defined]
    if name == "recall" and hasattr(python_parser, "facts_of_an_earlier_text"):
        return {**sound(), "detail": "remembered"}
    if name == "look":
        return {**sound(), "detail": seen()}
    if name == "pid":
        return {**sound(), "detail": str(os.getpid())}
    return sound()


worker._answer = lambda wanted: reading(wanted["text"])  # type: ignore[assignment]
worker.CPU_S = 1
served = worker.serve


def serve(runner: object, request: bytes, prctl: object) -> tuple[bytes, bytes]:
    worker.WALL_S = 2 if b'"sleep"' in request else 40  # a second of CPU time may take long on a busy machine
    return served(runner, request, prctl)  # type: ignore[arg-type]


worker.serve = serve  # type: ignore[assignment]
worker.main()
