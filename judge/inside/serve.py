"""Answers one question about one artifact: with an array, or with a closed reason (`judge.verdict.Reason`).

Both files are written under temporary names and renamed, the array before result.json, so that a container killed early has given
no answer.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from judge.inside import exported_program, forward, safetensors_reader
from judge.inside.refusal import Refused


def serve(request: Path, rows: Path, artifact: Path, out: Path) -> str | None:
    """Read `request` (request.json) and `rows` (rows.bin), run the program in the folder `artifact`, write into `out`.

    Returns the reason that was written, or None if there is an answer. Details go to stderr, for the operator only.
    """
    question = json.loads(request.read_text())
    reason: str | None = None
    try:
        _answer(question, rows, artifact, out)
    except Refused as refusal:
        reason = refusal.reason
        print(refusal, file=sys.stderr)
    except MemoryError:
        reason = "out_of_memory"
    except Exception as error:  # the compiler's or the runtime's complaint about the program
        reason = "out_of_memory" if "RESOURCE_EXHAUSTED" in str(error) else "crashed"
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
    result = {"schema": "autoresearch/judge-result/1", "reason": reason}
    temporary = out / ".result.json.tmp"
    temporary.write_text(json.dumps(result))
    temporary.replace(out / "result.json")
    return reason


def _answer(question: dict[str, object], rows: Path, artifact: Path, out: Path) -> None:
    limits = question["limits"]
    count, length = question["rows"], question["seq_len"]
    params = safetensors_reader.load(artifact / "params.safetensors", limits["params_bytes"])
    exported = exported_program.load(artifact / "model.stablehlo", params, question)
    given = np.fromfile(rows, "<i4")
    if question["mode"] == "blind":
        name = "logits.f32"
        inputs, cuts = given[: count * length].reshape(count, length), given[count * length :]
        blocks = forward.blind(exported, params, inputs, cuts, question["batch"])
    else:
        name = "nats.f32"
        blocks = forward.full(exported, params, given.reshape(count, length + 1), question["batch"])
    temporary = out / f".{name}.tmp"
    with temporary.open("wb") as file:
        for block in blocks:
            file.write(np.ascontiguousarray(block, "<f4").data)
    temporary.replace(out / name)
