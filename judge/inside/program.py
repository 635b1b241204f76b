"""Walk an exported program before anything is compiled: what may be in it, and how big it may be.

`jax.export.deserialize` checks none of this: its documentation says that the blob must be trusted, and the custom-call
allow-list is applied by the exporter, who is the candidate. So everything is looked at again here.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax import export
from jaxlib.mlir import ir
from jaxlib.mlir.dialects import stablehlo

from judge.inside.refusal import Refused

_STABLEHLO = """
abs add and atan2 bitcast_convert broadcast_in_dim cbrt ceil clamp compare complex concatenate constant convert
convolution cosine count_leading_zeros divide dot_general dynamic_slice dynamic_update_slice exponential
exponential_minus_one fft floor gather get_tuple_element iota is_finite imag log log_plus_one logistic maximum minimum
multiply negate not optimization_barrier or pad popcnt power real reduce reduce_precision reduce_window remainder
reshape return reverse round_nearest_afz round_nearest_even rsqrt scatter select select_and_scatter shift_left
shift_right_arithmetic shift_right_logical sign sine slice sort sqrt subtract tan tanh transpose triangular_solve
tuple while case if xor composite
""".split()
_CHLO = """
acos acosh asin asinh atan atanh broadcast_add broadcast_multiply cosh digamma erf erf_inv erfc
lgamma next_after sinh square tan top_k ragged_dot
""".split()
ALLOWED_OPS = frozenset(
    {f"stablehlo.{name}" for name in _STABLEHLO}
    | {f"chlo.{name}" for name in _CHLO}
    | {"builtin.module", "func.func", "func.return", "func.call"}
)
ALLOWED_CALLS = frozenset({"Sharding", "shape_assertion"})


def load(path: Path, weights: dict[str, np.ndarray], question: dict[str, Any]) -> export.Exported:
    """The program, if it is one that may run on exactly these weights. Raises Refused."""
    limits = question["limits"]
    blob = path.read_bytes()
    if not 0 < len(blob) <= limits["model_bytes"]:
        raise Refused("program_too_large", "file size")
    try:
        program = export.deserialize(bytearray(blob))
        module = program.mlir_module_serialized
    except Exception as error:  # any exception at all: the reader was not written for hostile input
        raise Refused("model_malformed", type(error).__name__) from error
    _check_frame(program)
    _check_signature(program, weights, question)
    _walk(module, limits)
    return program


def _check_frame(program: export.Exported) -> None:
    if program.nr_devices != 1 or program.ordered_effects or program.unordered_effects or program.has_vjp():
        raise Refused("forbidden_op", "devices or effects")
    if program.uses_global_constants or len(program.platforms) != 1:
        raise Refused("signature", "shape polymorphism or several platforms")


def _check_signature(
    program: export.Exported, weights: dict[str, np.ndarray], question: dict[str, Any]
) -> None:
    batch, length, vocabulary = question["batch"], question["seq_len"], question["vocab_size"]
    expected = jax.tree_util.tree_structure((((dict.fromkeys(weights, 0)), 0), {}))
    names = sorted(weights)
    if program.in_tree != expected or len(program.in_avals) != len(names) + 1:
        raise Refused("params_mismatch", "names")
    for name, aval in zip(names, program.in_avals[:-1], strict=True):
        if aval.shape != weights[name].shape or aval.dtype != weights[name].dtype:
            raise Refused("params_mismatch", name)
    tokens = program.in_avals[-1]
    if tokens.shape != (batch, length) or tokens.dtype != np.int32:
        raise Refused("signature", "tokens")
    if len(program.out_avals) != 1 or program.out_tree != jax.tree_util.tree_structure(0):
        raise Refused("signature", "one array must come out")
    logits = program.out_avals[0]
    if logits.shape != (batch, length, vocabulary) or logits.dtype.name not in {
        "float32",
        "bfloat16",
        "float16",
    }:
        raise Refused("signature", "logits")


def _walk(serialized: bytes, limits: dict[str, int]) -> None:
    """Every op, without recursion: allowed, not too deep, no tensor beyond the cap."""
    with ir.Context() as context:
        stablehlo.register_dialect(context)
        try:
            from jaxlib.mlir.dialects import chlo

            chlo.register_dialect(context)
            module = stablehlo.deserialize_portable_artifact(context, serialized)
        except Exception as error:
            raise Refused("model_malformed", type(error).__name__) from error
        pending: list[tuple[Any, int]] = [(module.operation, 0)]
        count = constants = 0
        while pending:
            op, depth = pending.pop()
            count += 1
            if count > limits["ops"] or depth > limits["depth"]:
                raise Refused("program_too_large", "ops or depth")
            _check_op(op)
            for value in op.results:
                size = _bytes(value.type)
                if size > limits["tensor_bytes"]:
                    raise Refused("program_too_large", "tensor")
                if op.name == "stablehlo.constant" and not _is_splat(op):
                    constants += size
            if constants > limits["constant_bytes"]:
                raise Refused("program_too_large", "constants")
            pending += [
                (child.operation, depth + 1) for region in op.regions for block in region for child in block
            ]


def _check_op(op: Any) -> None:
    name = op.name
    if name == "stablehlo.custom_call":
        target = str(op.attributes["call_target_name"]).strip('"')
        if target not in ALLOWED_CALLS:
            raise Refused("forbidden_op", target)
    elif name not in ALLOWED_OPS:
        raise Refused("forbidden_op", name)


def _is_splat(op: Any) -> bool:
    attribute = op.attributes["value"]
    return isinstance(attribute, ir.DenseElementsAttr) and attribute.is_splat


def _bytes(kind: ir.Type) -> int:
    if not isinstance(kind, ir.RankedTensorType):
        return 0 if str(kind).startswith(("!stablehlo.token", "tuple")) else 1 << 62
    tensor = kind
    if not tensor.has_static_shape:
        return 1 << 62
    element = str(tensor.element_type)
    digits = "".join(character for character in element.rpartition("<")[2] if character.isdigit())
    width = max(int(digits[:2] or 8) // 8, 1) * (2 if element.startswith("complex") else 1)
    return math.prod(tensor.shape) * width
