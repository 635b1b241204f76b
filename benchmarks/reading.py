"""How long the parser takes for a script: seconds of a whole request, and its CPU time against the limit.

    .venv/bin/python -m benchmarks.reading [--times 5]

Each line is the median of `--times` requests for the facts of a new script: the shipped train.py, and scripts of 100 kB and nearly
200 kB (the largest that may train) made by repeating its functions. The first line is the first request, which starts the child
process.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import time
from pathlib import Path

from runner.parsing.client import Parser
from runner.parsing.worker import CPU_S

TRAIN = Path(__file__).resolve().parents[1] / "trainer_jax" / "train.py"


def larger(text: str, size: int) -> str:
    """`text` with its functions again under other names, until it has nearly `size` bytes."""
    functions = "\n\n\n".join(text.split("\n\n\n")[2:])
    number = 0
    while len(text.encode()) + len(functions.encode()) + 2000 < size:
        number += 1
        text += "\n\n\n" + functions.replace("def ", f"def a{number}_")
    return text


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--times", type=int, default=5)
    times = parser.parse_args().times
    shipped = TRAIN.read_text()
    parser = Parser()
    print(f"{_timed(parser, shipped, 1):.3f} s  the first request")
    for size in (len(shipped.encode()), 100_000, 199_000):
        text = larger(shipped, size)
        took = _timed(parser, text, times)
        print(f"{took:.3f} s  {len(text.encode()) / 1000:.0f} kB", flush=True)
    parser.close()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(
        f"{(used.ru_utime + used.ru_stime) / (3 * times + 1):.3f} s of CPU time a text on average; the limit is {CPU_S} s"
    )


def _timed(parser: Parser, text: str, times: int) -> float:
    found = []
    for number in range(times):
        began = time.perf_counter()
        facts = parser.facts(f"{text}\nx_{number} = {number}\n")
        found.append(time.perf_counter() - began)
        assert facts.rejection is None, facts.detail
    return statistics.median(found)


if __name__ == "__main__":
    main()
