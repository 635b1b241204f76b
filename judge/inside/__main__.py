"""`python -m judge.inside /judge/request.json`: answer one question about one artifact, then end.

The answer is /out/result.json with a closed reason (or null) and one array file. Everything printed goes to the
operator's log and nowhere else.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import numpy as np

from judge.inside import program, score, weights
from judge.inside.refusal import Refused

QUESTION = Path(os.environ.get("AUTORESEARCH_JUDGE", "/judge"))
ARTIFACT = Path(os.environ.get("AUTORESEARCH_ART", "/art"))
OUT = Path(os.environ.get("AUTORESEARCH_OUT", "/out"))


def answer(question: dict[str, object]) -> None:
    """Raises Refused, or writes the array the question asks for."""
    limits = question["limits"]
    assert isinstance(limits, dict)
    count, batch = int(str(question["rows"])), int(str(question["batch"]))
    length = int(str(question["seq_len"]))
    given = np.fromfile(QUESTION / "rows.bin", "<i4")
    params = weights.load(ARTIFACT / "params.safetensors", limits["params_bytes"])
    exported = program.load(ARTIFACT / "model.stablehlo", params, question)
    if question["mode"] == "blind":
        inputs, cuts = given[: count * length].reshape(count, length), given[count * length :]
        _write("logits.f32", score.blind(exported, params, inputs, cuts, batch).astype("<f4").tobytes())
    else:
        rows = given.reshape(count, length + 1)
        _write("nats.f32", score.full(exported, params, rows, batch).astype("<f4").tobytes())


def main() -> None:
    question = json.loads(Path(sys.argv[1]).read_text())
    reason: str | None = None
    try:
        answer(question)
    except Refused as refusal:
        reason = refusal.reason
        print(refusal, file=sys.stderr)
    except MemoryError:
        reason = "out_of_memory"
    except Exception as error:  # a compiler or runtime error: the program's doing
        reason = "out_of_memory" if "RESOURCE_EXHAUSTED" in str(error) else "crashed"
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
    _write("result.json", json.dumps({"schema": "autoresearch/judge-result/1", "reason": reason}).encode())


def _write(name: str, content: bytes) -> None:
    (OUT / name).write_bytes(content)


main()
