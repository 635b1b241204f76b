"""Checks each op of a module before it is compiled: only data flow is allowed, within limits.

The op names are StableHLO's (https://openxla.org/stablehlo/spec). Not on the list: ops that communicate with the host or with
another device (infeed, outfeed, send, recv, collectives, partition_id, replica_id, tokens), random numbers, dynamic shapes, and
custom calls, which run any code that the runtime has registered under a name. jax.export writes none of these for models in plain
jax.numpy (LAPACK and approximate top-k are custom calls).

A scalar region is the body of a reduce or scatter (`op_attributes.OWN_REGIONS`): it may contain scalars only.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

from jaxlib.mlir import ir

from judge.inside import op_attributes
from judge.inside.refusal import Refused

STABLEHLO = """
abs add and atan2 bitcast_convert broadcast_in_dim case cbrt ceil clamp compare complex composite concatenate constant
convert convolution cosine count_leading_zeros divide dot_general dynamic_slice dynamic_update_slice exponential
exponential_minus_one fft floor gather if imag iota is_finite log log_plus_one logistic maximum minimum multiply negate
not optimization_barrier or pad popcnt power real reduce reduce_precision reduce_window remainder reshape return
reverse round_nearest_afz round_nearest_even rsqrt scatter select select_and_scatter shift_left
shift_right_arithmetic shift_right_logical sign sine slice sort sqrt subtract tan tanh transpose triangular_solve while
xor
""".split()
ALLOWED_OPS = frozenset(
    {f"stablehlo.{name}" for name in STABLEHLO} | {"builtin.module", "func.func", "func.return", "func.call"}
)
ALLOWED_ATTRIBUTES = {
    # Attributes of another dialect than the op's give instructions to the compiler: sharding, host offload, aliasing. jax.export
    # writes these. None allows any value.
    "jax.uses_shape_polymorphism": "false",
    "mhlo.num_partitions": "1 : i32",
    "mhlo.num_replicas": "1 : i32",
    "jax.result_info": None,
}
WIDTHS = {  # bytes
    "i1": 1, "i8": 1, "i16": 2, "i32": 4, "i64": 8,
    "ui8": 1, "ui16": 2, "ui32": 4, "ui64": 8,
    "f8E4M3FN": 1, "f8E5M2": 1, "f16": 2, "bf16": 2, "f32": 4, "f64": 8,
    "complex<f32>": 8, "complex<f64>": 16,
}  # fmt: skip
Tensor = tuple[tuple[int, ...], str]


def check(module: Any, limits: dict[str, int]) -> tuple[list[Tensor], list[Tensor]]:
    """The argument and result types of `main`. `limits` are `judge.limits.ProgramLimits`. Raises Refused with forbidden_op,
    program_too_large or model_malformed; any other exception means a malformed module, too."""
    sizes: dict[str, int] = {}
    calls: dict[str, Counter[str]] = {}
    count = constants = 0
    elementwise: set[str] = set()  # functions called in scalar regions
    wide: set[str] = set()  # functions that contain more than scalars
    # (op, depth, its function, whether in a scalar region); no recursion, because the candidate chooses the depth
    pending: list[tuple[Any, int, str, bool]] = [(module.operation, 0, "", False)]
    while pending:
        op, depth, function, in_elements = pending.pop()
        count += 1
        if count > limits["ops"] or depth > limits["depth"]:
            raise Refused("program_too_large", "ops or depth")
        _check_op(op)
        if op.name == "builtin.module" and depth > 0:
            raise Refused("model_malformed", "a module in a module")
        if op.name == "func.func":
            function = ir.StringAttr(op.attributes["sym_name"]).value
            if depth != 1 or function in sizes:
                raise Refused("model_malformed", "functions")
            if len(op.regions[0].blocks) != 1:  # XLA reads the first block unchecked
                raise Refused("model_malformed", "a function without a body")
            sizes[function], calls[function] = 0, Counter()
        elif function:
            sizes[function] += 1
            for callee in _callees(op):
                calls[function][callee] += 1
                if in_elements:
                    elementwise.add(callee)
            if not op_attributes.scalar(op):
                wide.add(function)
                if in_elements:
                    raise Refused("forbidden_op", f"{op.name} in a region of single numbers")
        values = [
            *op.results,
            *(value for region in op.regions for block in region for value in block.arguments),
        ]
        for value in values:
            shape, element = tensor(value.type)
            # a length of 0 counts as 1, as in XLA
            size = math.prod(max(length, 1) for length in shape) * WIDTHS[element]
            if size > limits["tensor_bytes"]:
                raise Refused("program_too_large", "tensor")
            if op.name == "stablehlo.constant" and not _is_splat(op):
                constants += size
        if constants > limits["constant_bytes"]:
            raise Refused("program_too_large", "constants")
        pending += [
            (child.operation, depth + 1, function, in_elements or op.name in op_attributes.OWN_REGIONS)
            for region in op.regions
            for block in region
            for child in block
        ]
    _check_calls(sizes, calls, limits)
    _check_elementwise(elementwise, wide, calls)
    main = next(
        op for op in module.body.operations if ir.StringAttr(op.attributes["sym_name"]).value == "main"
    )
    kind = ir.FunctionType(ir.TypeAttr(main.attributes["function_type"]).value)
    return [tensor(t) for t in kind.inputs], [tensor(t) for t in kind.results]


def tensor(kind: ir.Type) -> Tensor:
    """Shape and element type. Raises Refused for anything else (tokens, tuples, dynamic or quantized tensors)."""
    if not isinstance(kind, ir.RankedTensorType):
        raise Refused("forbidden_op", str(kind))
    element = str(kind.element_type)
    if not kind.has_static_shape or kind.encoding is not None or element not in WIDTHS:
        raise Refused("forbidden_op", str(kind))
    return tuple(kind.shape), element


def _check_op(op: Any) -> None:
    if op.name not in ALLOWED_OPS:
        raise Refused("forbidden_op", op.name)
    if op.name == "stablehlo.composite":  # jax.export writes erf and top_k as composites of chlo
        name = ir.StringAttr(op.attributes["name"]).value
        if not name.startswith("chlo."):
            raise Refused("forbidden_op", f"composite {name}")
    op_attributes.check(op)
    for name in op.attributes:
        if "." in name:
            _check_foreign(name, op.attributes[name])
        if name in {"arg_attrs", "res_attrs"}:  # of a function: a dictionary per argument or result
            for part in map(ir.DictAttr, ir.ArrayAttr(op.attributes[name])):
                for entry in part:
                    if "." in entry.name:
                        _check_foreign(entry.name, entry.attr)


def _check_foreign(name: str, value: ir.Attribute) -> None:
    """Raises Refused for an attribute of another dialect than its op's, unless it is listed."""
    if name not in ALLOWED_ATTRIBUTES or ALLOWED_ATTRIBUTES[name] not in {None, str(value)}:
        raise Refused("forbidden_op", name)


def _callees(op: Any) -> list[str]:
    name = {"func.call": "callee", "stablehlo.composite": "decomposition"}.get(op.name)
    return [ir.FlatSymbolRefAttr(op.attributes[name]).value] if name else []


def _check_calls(sizes: dict[str, int], calls: dict[str, Counter[str]], limits: dict[str, int]) -> None:
    """Ops and depth with all calls inlined, as XLA does: nested calls can double the number of ops at each level. Raises Refused
    beyond the limits and for recursion."""
    ops: dict[str, int] = {}
    height: dict[str, int] = {}
    entered: set[str] = set()
    pending = ["main"]
    while pending:
        name = pending[-1]
        missing = [callee for callee in calls[name] if callee not in ops]
        if missing and name in entered:
            raise Refused("program_too_large", "a function that calls itself")
        if missing:
            entered.add(name)
            pending += missing
            continue
        pending.pop()
        ops[name] = sizes[name] + sum(ops[callee] * times for callee, times in calls[name].items())
        height[name] = 1 + max((height[callee] for callee in calls[name]), default=0)
        if ops[name] > limits["ops"] or height[name] > limits["depth"]:
            raise Refused("program_too_large", "ops or depth with every call written out")


def _check_elementwise(elementwise: set[str], wide: set[str], calls: dict[str, Counter[str]]) -> None:
    """A function called in a scalar region, directly or not, may contain scalars only. Raises Refused."""
    pending, seen = list(elementwise), set(elementwise)
    while pending:
        name = pending.pop()
        if name in wide:
            raise Refused("forbidden_op", "a region of single numbers calls for more")
        pending += set(calls[name]) - seen
        seen |= set(calls[name])


def _is_splat(op: Any) -> bool:
    if "complex" in str(op.results[0].type):  # MLIR's Python can print such a value, but not read it
        return "__elided__" not in op.get_asm(large_elements_limit=1, use_local_scope=True)
    value = op.attributes["value"]
    return isinstance(value, ir.DenseElementsAttr) and value.is_splat
