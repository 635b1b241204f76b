"""Programs for the walk: exported ones, and ones whose module was changed by hand after jax.export had checked it."""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from jax import export
from jax.interpreters import mlir
from jaxlib.mlir import ir
from jaxlib.mlir.dialects import stablehlo
from model_zoo import B, T, V

from judge.inside import exported_program
from judge.inside.refusal import Refused
from judge.limits import ProgramLimits
from judge.verdict import Reason

WEIGHTS = {"bigram": np.zeros((V, V), np.float32)}


def question(**limits: int) -> dict[str, Any]:
    caps = asdict(ProgramLimits(**limits))
    return {"batch": B, "seq_len": T, "vocab_size": V, "limits": caps}


def bigram(p: Any, x: Any) -> Any:
    return p["bigram"][x]


def made(
    forward: Callable[..., Any] = bigram, weights: Any = None, tokens: Any = None, **options: Any
) -> Any:
    weights = WEIGHTS if weights is None else weights
    shapes = jax.tree.map(lambda w: jax.ShapeDtypeStruct(w.shape, w.dtype), weights)
    tokens = jax.ShapeDtypeStruct((B, T), np.int32) if tokens is None else tokens
    return export.export(jax.jit(forward), **options)(shapes, tokens)


def unlocated(forward: Callable[..., Any], weights: Any) -> bytes:
    """Without the source locations that jax.export writes: the same bytes wherever the tree lies."""
    program = made(forward, weights)
    with mlir.make_ir_context():
        module = ir.Module.parse(str(program.mlir_module(serialized=False)))
        blob = stablehlo.serialize_portable_artifact(module, stablehlo.get_current_version())
    return bytes(dataclasses.replace(program, mlir_module_serialized=blob).serialize())


def rewritten(edit: Callable[[str], str], forward: Callable[..., Any] = bigram) -> bytes:
    """A program whose module was changed by hand after jax.export had checked it."""
    honest = made(forward)
    with mlir.make_ir_context():
        text = str(honest.mlir_module(serialized=False))
        edited = edit(text)
        assert edited != text, "the edit changed nothing"
        module = ir.Module.parse(edited)
        blob = stablehlo.serialize_portable_artifact(module, stablehlo.get_current_version())
    return bytes(dataclasses.replace(honest, mlir_module_serialized=blob).serialize())


def load(
    folder: Path, content: Any, weights: dict[str, np.ndarray] | None = None, **limits: int
) -> export.Exported:
    path = folder / "model.stablehlo"
    path.write_bytes(content if isinstance(content, bytes) else bytes(content.serialize()))
    return exported_program.load(path, WEIGHTS if weights is None else weights, question(**limits))


def refusal(folder: Path, content: Any, **limits: Any) -> Reason:
    with pytest.raises(Refused) as refused:
        load(folder, content, **limits)
    return Reason(refused.value.reason)


HEAD = (
    "%a = stablehlo.constant dense<0.0> : tensor<f32>\n%b = stablehlo.constant dense<1.0> : tensor<f32>\n"
    "%s = stablehlo.constant dense<4> : tensor<1xi64>\n"
)
SCALAR = "(tensor<f32>) -> tensor<f32>"


def inserted(lines: str) -> bytes:
    """`lines` at the beginning of main."""
    return rewritten(lambda text: re.sub(r"(func\.func public @main.*\n)", rf"\1{lines}\n", text, count=1))


def functions(bodies: list[str]) -> bytes:
    """Functions @f0, @f1, ... on a scalar; main calls @f0 on a constant."""
    texts = [
        f"func.func private @f{i}(%x: tensor<f32>) -> tensor<f32> {{\n{body}\n}}"
        for i, body in enumerate(bodies)
    ]

    def edit(text: str) -> str:
        text = re.sub(
            r"(func\.func public @main.*\n)",
            rf"\1{HEAD}%called = func.call @f0(%a) : {SCALAR}\n",
            text,
            count=1,
        )
        return text.rstrip().removesuffix("}") + "\n".join(texts) + "\n}"

    return rewritten(edit)


def call_to(callee: str, times: int = 2) -> str:
    values = ["%x", *(f"%y{i}" for i in range(times))]
    lines = [f"{new} = func.call @{callee}({old}) : {SCALAR}" for old, new in itertools.pairwise(values)]
    return "\n".join([*lines, f"return {values[-1]} : tensor<f32>"])


LEAF = "%y = stablehlo.sine %x : tensor<f32>\nreturn %y : tensor<f32>"


def one_by_one(folder: Path, *words: str | Path, timeout: float = 280.0) -> list[dict[str, Any]]:
    """What came of programs that may kill whoever loads them (one_by_one.py)."""
    (folder / "question.json").write_text(json.dumps(question()))
    result = subprocess.run(
        [sys.executable, str(Path(__file__).parent / "isolated_loads.py"), folder / "question.json", *words],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        errors="replace",
        timeout=timeout,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    return [json.loads(line) for line in result.stdout.splitlines() if line.startswith('{"name"')]
