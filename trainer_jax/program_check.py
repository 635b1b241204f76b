"""Checks of the exported program: reports what the judge would refuse, with the line of the script or the name of the array.

As in artifact_check.py, this helps the script's author and is no defence. The allow-list repeats that of
judge/inside/op_allowlist.py, which gives the reasons.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.interpreters import mlir
from jaxlib.mlir import ir

from trainer_jax.artifact_check import GIB, MIB, MODEL_BYTES, WouldBeRefused, nbytes, shown, size

CONSTANT_BYTES = 1 * MIB
"""Of all constants together, except those that repeat a single value."""
TENSOR_BYTES = 4 * GIB
OPS, DEPTH = 200_000, 64
LOGITS = frozenset("float32 bfloat16 float16".split())
OPERATIONS = frozenset(
    """
abs add and atan2 bitcast_convert broadcast_in_dim case cbrt ceil clamp compare complex composite concatenate constant
convert convolution cosine count_leading_zeros divide dot_general dynamic_slice dynamic_update_slice exponential
exponential_minus_one fft floor gather if imag iota is_finite log log_plus_one logistic maximum minimum multiply negate
not optimization_barrier or pad popcnt power real reduce reduce_precision reduce_window remainder reshape return
reverse round_nearest_afz round_nearest_even rsqrt scatter select select_and_scatter shift_left
shift_right_arithmetic shift_right_logical sign sine slice sort sqrt subtract tan tanh transpose triangular_solve while
xor
""".split()
)
FUNCTIONS = frozenset({"builtin.module", "func.func", "func.return", "func.call"})
ATTRIBUTES = frozenset(
    {"jax.uses_shape_polymorphism", "mhlo.num_partitions", "mhlo.num_replicas", "jax.result_info"}
)
BYTES = {"i1": 1, "i8": 1, "i16": 2, "i32": 4, "i64": 8, "ui8": 1, "ui16": 2, "ui32": 4, "ui64": 8} | {
    "f8E4M3FN": 1, "f8E5M2": 1, "f16": 2, "bf16": 2, "f32": 4, "f64": 8, "complex<f32>": 8, "complex<f64>": 16,
}  # fmt: skip
_FRAMES = re.compile(r'"([^"]+)":(\d+)')
_ONE_DEVICE = (
    "the judge has one device: call export_model before jax.set_mesh, or use `with jax.set_mesh(mesh):` around training alone, "
    "and leave sharding out of forward"
)


def check_logits(out: Any, shape: tuple[int, int, int]) -> None:
    """`out` is what forward returns: arrays or their shapes; `shape` is (B, T, V). Raises WouldBeRefused unless it is one
    floating[B, T, V]."""
    leaves = jax.tree_util.tree_leaves(out)
    wanted = f"one floating array {list(shape)} ([B, T, V])"
    if len(leaves) != 1 or jax.tree_util.tree_structure(out) != jax.tree_util.tree_structure(0):
        kind = type(out).__name__
        raise WouldBeRefused(f"forward returns a {kind} of {len(leaves)} arrays, the judge wants {wanted}")
    if tuple(leaves[0].shape) != shape or str(leaves[0].dtype) not in LOGITS:
        raise WouldBeRefused(f"forward returns {shown(leaves[0])}, the judge wants {wanted}")


def not_exportable(error: NotImplementedError) -> Exception:
    """The error to raise instead of `error`, which jax.export raised: a WouldBeRefused if it is about a callback."""
    if "callback" not in str(error):
        return error
    return WouldBeRefused(
        "forward calls back into Python (pure_callback, io_callback or jax.debug), and the judge runs no Python: keep that in training"
    )


def check_program(exported: Any, forward: Callable[..., Any]) -> None:
    """Check devices, effects and each op of an exported program. Raises WouldBeRefused for the first that is not allowed.
    `forward` is the function that was exported, searched for the names of large constants."""
    if exported.nr_devices != 1:
        raise WouldBeRefused(
            f"forward is exported for {exported.nr_devices} devices (jax.set_mesh, shard_map or a sharding), and {_ONE_DEVICE}"
        )
    if effects := [*exported.ordered_effects, *exported.unordered_effects]:
        raise WouldBeRefused(
            f"forward has an effect ({effects[0]}): no callbacks, prints or debugging in the exported program"
        )
    with mlir.make_ir_context():
        _check_module(exported.mlir_module(serialized=False), forward)
    if len(exported.mlir_module_serialized) > MODEL_BYTES:
        raise WouldBeRefused(
            f"the exported program is {size(len(exported.mlir_module_serialized))}, the judge takes {size(MODEL_BYTES)}: "
            f"{_largest_constant(forward, None)}"
        )


def _check_module(module: Any, forward: Callable[..., Any]) -> None:
    sizes: Counter[str] = Counter()
    calls: dict[str, Counter[str]] = {}
    constants, largest = 0, (0, "")
    for op, depth, function in _walk(module):
        _check_op(op)
        sizes[function] += 1
        if depth > DEPTH:
            raise WouldBeRefused(f"forward nests more than {DEPTH} loops and branches{_where(op)}")
        if op.name in {"func.call", "stablehlo.composite"}:
            callee = op.attributes["callee" if op.name == "func.call" else "decomposition"]
            calls.setdefault(function, Counter())[ir.FlatSymbolRefAttr(callee).value] += 1
        for result in op.results:
            count, kind = _tensor(result.type)
            if count > TENSOR_BYTES:
                raise WouldBeRefused(
                    f"{kind} of {size(count)} is made by {op.name}{_where(op)}, the judge takes {size(TENSOR_BYTES)} in one "
                    "array: compute it in parts"
                )
            if op.name == "stablehlo.constant" and not _is_splat(op):
                constants, largest = constants + count, max(largest, (count, kind))
    if constants > CONSTANT_BYTES:
        raise WouldBeRefused(
            f"{_largest_constant(forward, largest[1])} is a constant of {size(largest[0])} in the exported program, and the "
            f"judge takes {size(CONSTANT_BYTES)} of constants (these are {size(constants)}): compute it with jnp inside "
            "forward, or put it into params"
        )
    total, height = _written_out(sizes, calls, "main", {})
    if total > OPS or height > DEPTH:
        raise WouldBeRefused(
            f"forward has {total} operations with every call written out, in calls {height} deep, and the judge takes {OPS} in "
            f"{DEPTH}: use jax.lax.scan over layers or positions"
        )


def _is_splat(op: Any) -> bool:
    if "complex" in str(op.results[0].type):  # MLIR's Python can print such a value, but not read it
        return "__elided__" not in op.get_asm(large_elements_limit=1, use_local_scope=True)
    return getattr(op.attributes["value"], "is_splat", False)


def _walk(module: Any) -> Iterator[tuple[Any, int, str]]:
    """Each op with its depth and the function that it is in."""
    pending = [(module.operation, 0, "")]
    while pending:
        op, depth, function = pending.pop()
        if op.name == "func.func":
            function = ir.StringAttr(op.attributes["sym_name"]).value
        yield op, depth, function
        pending += [
            (child.operation, depth + 1, function)
            for region in op.regions
            for block in region
            for child in block
        ]


def _check_op(op: Any) -> None:
    if op.name == "stablehlo.custom_call":
        target = ir.StringAttr(op.attributes["call_target_name"]).value
        raise WouldBeRefused(
            f"forward calls {target!r}{_where(op)}, and the judge takes no custom calls (cuDNN, Pallas, LAPACK, approximate "
            "top-k, callbacks, sharding): export a forward in plain jax.numpy; training may keep it"
        )
    if op.name.removeprefix("stablehlo.") not in OPERATIONS and op.name not in FUNCTIONS:
        hint = {
            "stablehlo.rng_bit_generator": ": no random numbers in forward",
            "stablehlo.rng": ": no random numbers in forward",
        }.get(op.name, "")
        if op.name.startswith(("sdy.", "stablehlo.all", "stablehlo.collective", "stablehlo.partition")):
            hint = ": no sharding or jax.set_mesh in forward"
        raise WouldBeRefused(f"forward uses {op.name}{_where(op)}, which the judge does not take{hint}")
    if op.name == "stablehlo.composite":
        name = ir.StringAttr(op.attributes["name"]).value
        if not name.startswith("chlo."):
            raise WouldBeRefused(
                f"forward uses the composite {name!r}{_where(op)}, which the judge does not take"
            )
    for name in _attribute_names(op):
        if "." in name and name not in ATTRIBUTES:
            sharding = "shard" in name or name.startswith("sdy.") or "partitions" in name
            cause = (
                f"is sharded (jax.set_mesh, with_sharding_constraint or sharded inputs), and {_ONE_DEVICE}"
                if sharding
                else f"carries {name!r}, which the judge does not take"
            )
            raise WouldBeRefused(f"forward {cause}{_where(op)}")


def _attribute_names(op: Any) -> Iterator[str]:
    for name in op.attributes:
        yield name
        if name in {"arg_attrs", "res_attrs"}:
            for part in map(ir.DictAttr, ir.ArrayAttr(op.attributes[name])):
                yield from (entry.name for entry in part)


def _written_out(
    sizes: Mapping[str, int], calls: Mapping[str, Counter[str]], name: str, known: dict[str, tuple[int, int]]
) -> tuple[int, int]:
    """Operations of function `name` with all calls inlined, and the depth of its calls. JAX writes no recursive functions."""
    if name not in known:
        inner = {callee: _written_out(sizes, calls, callee, known) for callee in calls.get(name, ())}
        total = sizes[name] + sum(calls[name][callee] * ops for callee, (ops, _) in inner.items())
        known[name] = total, 1 + max((height for _, height in inner.values()), default=0)
    return known[name]


def _tensor(kind: Any) -> tuple[int, str]:
    """Bytes and name of a tensor type; (0, "") for other types, which only ops that are not allowed return."""
    if not isinstance(kind, ir.RankedTensorType):
        return 0, ""
    element = str(kind.element_type)
    return math.prod(kind.shape) * BYTES.get(element, 1), f"{element}{list(kind.shape)}"


# ---- names and lines for the messages ---------------------------------------------------------------------------
def _where(op: Any) -> str:
    """The line of the script that an op comes from, for example " at train.py:120"; "" if it is not known."""
    frames = [(path, line) for path, line in _FRAMES.findall(str(op.location)) if "site-packages" not in path]
    return f" at {Path(frames[0][0]).name}:{frames[0][1]}" if frames else ""


def _largest_constant(forward: Callable[..., Any], kind: str | None) -> str:
    """The script's name for the array of this `kind` (MLIR type), or for its largest array if `kind` is None; else the type."""
    found = list(_captured(forward, set()))
    if kind is not None:
        found = [(name, value) for name, value in found if _mlir(value) == kind]
    if not found:
        return f"an array {kind} made by numpy or kept from outside" if kind else "keep arrays out of it"
    name, value = max(found, key=lambda item: nbytes(item[1]))
    return f"{name}, {shown(value)}," if kind else f"{name}, {shown(value)}, is among its constants"


def _captured(function: Any, seen: set[int]) -> Iterator[tuple[str, Any]]:
    """Names and arrays that a function, or one that it calls, takes from globals and closures. `seen` holds the ids of code objects
    already visited."""
    function = getattr(function, "__wrapped__", function)
    code = getattr(function, "__code__", None)
    if code is None or id(code) in seen or len(seen) > 500:
        return
    seen.add(id(code))
    closure = zip(code.co_freevars, (_cell(cell) for cell in function.__closure__ or ()), strict=False)
    outside = [*closure, *((name, function.__globals__.get(name)) for name in _names(code))]
    for name, value in outside:
        if isinstance(value, (np.ndarray, jax.Array)):
            yield name, value
        elif isinstance(value, (dict, list, tuple)):
            for path, leaf in jax.tree_util.tree_leaves_with_path(value):
                if isinstance(leaf, (np.ndarray, jax.Array)):
                    yield name + jax.tree_util.keystr(path), leaf
        elif callable(value):
            yield from _captured(value, seen)


def _names(code: Any) -> Iterator[str]:
    """Global names used by a code object and by the functions defined in it."""
    yield from code.co_names
    for constant in code.co_consts:
        if hasattr(constant, "co_names"):
            yield from _names(constant)


def _cell(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return None


def _mlir(array: Any) -> str:
    """The type of an array in MLIR's spelling, for example "f32[8, 64]"."""
    name = {"bool": "i1", "bfloat16": "bf16"}.get(str(array.dtype), str(array.dtype))
    short = name.replace("uint", "ui").replace("int", "i").replace("float", "f")
    return f"{short}{list(array.shape)}"
