"""Load programs that may kill whoever loads them: in children with limits, as each would be alone in its container.

    python isolated_loads.py QUESTION.json FILE...               # each file in a child of its own
    python isolated_loads.py QUESTION.json --mutate FROM TO FILE...  # mutations by seed, a child until it dies

One JSON line for each: what came of it ("loaded", a reason, "exception NAME", "signal N" or "hang"), seconds, peak KiB.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

READ_CPU_S = 3.0
"""Instead of the judge's own, so that the tests are quick."""
MEMORY = 3 << 30


def mutated(seed: int, bases: list[bytes]) -> bytes:
    """One of `bases` with a few bytes, numbers, pieces or its end changed. The same for the same seed."""
    import numpy as np

    rng = np.random.default_rng(seed)
    data = bytearray(bases[rng.integers(len(bases))])
    for _ in range(rng.integers(1, 6)):
        at = int(rng.integers(len(data)))
        kind = rng.integers(8)
        if kind <= 3:
            data[at] = int(rng.integers(256))
        elif kind == 4:  # a number: an offset, a length, a dimension
            at &= ~3
            value = int(rng.choice([0, 1, 0x7F, 0xFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF]))
            data[at : at + 4] = value.to_bytes(4, "little")
        elif kind == 5:  # a piece of another program, or of another place
            other = bases[rng.integers(len(bases))]
            start, size = int(rng.integers(len(other))), int(rng.integers(1, 200))
            data[at : at + size] = other[start : start + size]
        elif kind == 6:
            data[at:at] = rng.bytes(int(rng.integers(1, 64)))
        else:
            del data[at : at + int(rng.integers(1, 64))]
    return bytes(data[: int(rng.integers(len(data) + 1))] if rng.random() < 0.1 else data)


def come_of(content: bytes, folder: Path, question: dict[str, Any]) -> str:
    import numpy as np

    from judge.inside import exported_program
    from judge.inside.refusal import Refused

    path = folder / f"{os.getpid()}.stablehlo"
    path.write_bytes(content)
    signal.alarm(40)  # whatever else should end it: nothing of this stays
    try:
        exported_program.load(path, {"bigram": np.zeros((64, 64), np.float32)}, question)
    except Refused as refused:
        return refused.reason
    except MemoryError:
        return "out_of_memory"
    except BaseException as error:
        return f"exception {type(error).__name__}"
    finally:
        signal.alarm(0)
        path.unlink()
    return "loaded"


def alone(
    items: list[tuple[str, Any]], folder: Path, question: dict[str, Any], stay: bool
) -> Iterator[dict[str, Any]]:
    """`items` are names and what makes the blob. With `stay`, a child goes on with the next item until one kills it."""
    at = 0
    while at < len(items):
        reader, writer = os.pipe()
        if (child := os.fork()) == 0:
            os.close(reader)
            used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
            resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            for name, make in items[at:] if stay else items[at : at + 1]:
                started = time.monotonic()
                found = {"name": name, "came": come_of(make(), folder, question)}
                found["seconds"] = time.monotonic() - started
                found["kib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
                os.write(writer, json.dumps(found).encode() + b"\n")
            os._exit(0)
        os.close(writer)
        started = time.monotonic()
        with open(reader) as lines:
            for line in lines:
                at += 1
                started = time.monotonic()
                yield json.loads(line)
        _, status, usage = os.wait4(child, 0)
        if os.WIFSIGNALED(status):
            seconds = time.monotonic() - started
            came = "hang" if os.WTERMSIG(status) == signal.SIGPROF else f"signal {os.WTERMSIG(status)}"
            yield {"name": items[at][0], "came": came, "seconds": seconds, "kib": usage.ru_maxrss}
            at += 1


def main(words: list[str]) -> None:
    question = json.loads(Path(words[0]).read_text())
    if words[1] == "--mutate":
        bases = [Path(word).read_bytes() for word in words[4:]]
        items = [(str(n), lambda n=n: mutated(n, bases)) for n in range(int(words[2]), int(words[3]))]
    else:
        items = [(word, Path(word).read_bytes) for word in words[1:]]
    from judge.inside import exported_program

    if words[1] == "--mutate":
        exported_program.READ_CPU_S = READ_CPU_S
    with tempfile.TemporaryDirectory() as folder:
        for found in alone(items, Path(folder), question, stay=words[1] == "--mutate"):
            print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
