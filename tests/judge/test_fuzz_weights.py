"""Mutated weights: read, or refused with one of two words; nothing else, at no more memory than the file's own size.

The reader runs in a process with a limit of memory, and a mutation that it does not survive ends the test.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FUZZ = r"""
import json, resource, signal, sys, tempfile, time
from collections import Counter
from pathlib import Path
import numpy as np
from safetensors.numpy import save
from judge.inside.refusal import Refused
from judge.inside.safetensors_reader import load

BASE = save({
    "w": np.arange(6, dtype=np.float32).reshape(2, 3), "half": np.ones(3, np.float16), "scalar": np.array(3, np.int32),
    "none": np.zeros((0, 4), np.float32), "mask": np.array([True, False]), "bytes": np.arange(5, dtype=np.uint8),
}, metadata={"by": "us"})
SIZE = int.from_bytes(BASE[:8], "little")
HEADER, BODY = json.loads(BASE[8:8 + SIZE]), BASE[8 + SIZE:]
NASTY = [-1, 0, 1, 2**31, 2**32, 2**40, 2**53, 2**63, 2**64, 10**400, 1.0, 2.5, 1e308, True, None, "", "F32", "\u0000",
         [], [0], [1] * 9, [2**40] * 8, [0, 2**40, 2**40], {}, {"dtype": "F32"}, [[[]]]]

def wild(rng, value, depth=0):
    "The same JSON with some of its parts exchanged, removed or doubled."
    if rng.random() < 0.02:
        return NASTY[rng.integers(len(NASTY))]
    if isinstance(value, dict):
        items = [(k, wild(rng, v, depth + 1)) for k, v in value.items() if rng.random() > 0.01]
        if rng.random() < 0.1:
            items.append((str(rng.integers(99)), NASTY[rng.integers(len(NASTY))]))
        return dict(items)
    if isinstance(value, list):
        return [wild(rng, v, depth + 1) for v in value] + ([1] if rng.random() < 0.05 else [])
    if isinstance(value, int) and rng.random() < 0.05:
        return value + int(rng.integers(-8, 9))
    if isinstance(value, str) and rng.random() < 0.1:
        return ["F64", "I64", "BF16", "U8", "BOOL", "F8_E4M3"][rng.integers(6)]
    return value

def mutated(seed):
    rng = np.random.default_rng(seed)
    if seed % 2:
        text = json.dumps(wild(rng, HEADER)).encode()
        if rng.random() < 0.1:
            text = text[:-1] + b"," + text[1:]  # every name twice
        size = len(text) if rng.random() < 0.95 else int(rng.choice([0, 1, len(text) + 1, 2**20 + 1, 2**31, 2**63]))
        return size.to_bytes(8, "little") + text + BODY + rng.bytes(int(rng.integers(0, 3)) * int(rng.random() < 0.2))
    data = bytearray(BASE)
    for _ in range(rng.integers(1, 6)):
        at, kind = int(rng.integers(len(data))), rng.integers(4)
        if kind < 2:
            data[at] = int(rng.integers(256))
        elif kind == 2:
            data[at:at] = rng.bytes(int(rng.integers(1, 40)))
        else:
            del data[at : at + int(rng.integers(1, 40))]
    return bytes(data[: int(rng.integers(len(data) + 1))] if rng.random() < 0.1 else data)

used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (256 << 20),) * 2)
path, came, longest = Path(sys.argv[1]), Counter(), 0.0
for seed in range(int(sys.argv[2])):
    path.write_bytes(mutated(seed))
    started = time.process_time()
    signal.alarm(30)
    try:
        found = load(path, 1 << 20)
        came["read"] += 1
        size = sum(array.nbytes for array in found.values())
        assert size <= path.stat().st_size, seed
        assert all(np.isfinite(np.asarray(array, np.float64)).all() for array in found.values()), seed
    except Refused as refused:
        came[refused.reason] += 1
    except AssertionError:
        raise
    except BaseException as error:
        came[f"{type(error).__name__} at {seed}"] += 1
    longest = max(longest, time.process_time() - started)
print(json.dumps({"came": came, "longest": longest}))
"""


@pytest.mark.parametrize("count", [12_000, pytest.param(200_000, marks=pytest.mark.slow)])
def test_a_mutated_file_is_read_or_refused_with_a_closed_reason(count: int, tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-c", FUZZ, str(tmp_path / "params.safetensors"), str(count)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=550,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    found = json.loads(result.stdout)

    print(found)
    assert set(found["came"]) == {"read", "params_malformed", "not_finite"}
    assert sum(found["came"].values()) == count
    assert found["came"]["read"] > count / 200
    assert found["longest"] < 2.0
