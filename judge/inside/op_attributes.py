"""Checks the attributes and regions of an allowed op, and the numbers in them that the backends do not check.

docs/judge-ops.md lists what was tried with each op on the CPU backend, and the reason for each rule here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from jaxlib.mlir import ir

from judge.inside import sort_comparators
from judge.inside.refusal import Refused

_WINDOW = "padding window_dimensions window_strides"
ATTRIBUTES = {
    name: frozenset(words.split())
    for name, words in {
        "builtin.module": "sym_name",
        "func.func": "arg_attrs function_type res_attrs sym_name sym_visibility",
        "func.call": "callee",
        "stablehlo.broadcast_in_dim": "broadcast_dimensions",
        "stablehlo.compare": "compare_type comparison_direction",
        "stablehlo.composite": "composite_attributes decomposition name version",
        "stablehlo.concatenate": "dimension",
        "stablehlo.constant": "value",
        "stablehlo.convolution": "batch_group_count dimension_numbers feature_group_count lhs_dilation padding "
        "precision_config rhs_dilation window_reversal window_strides",
        "stablehlo.dot_general": "algorithm dot_dimension_numbers precision_config",
        "stablehlo.dynamic_slice": "slice_sizes",
        "stablehlo.fft": "fft_length fft_type",
        "stablehlo.gather": "dimension_numbers indices_are_sorted slice_sizes",
        "stablehlo.iota": "iota_dimension",
        "stablehlo.pad": "edge_padding_high edge_padding_low interior_padding",
        "stablehlo.reduce": "dimensions",
        "stablehlo.reduce_precision": "exponent_bits mantissa_bits",
        "stablehlo.reduce_window": f"base_dilations window_dilations {_WINDOW}",
        "stablehlo.reverse": "dimensions",
        "stablehlo.scatter": "indices_are_sorted scatter_dimension_numbers unique_indices",
        "stablehlo.select_and_scatter": _WINDOW,
        "stablehlo.slice": "limit_indices start_indices strides",
        "stablehlo.sort": "dimension is_stable",
        "stablehlo.transpose": "permutation",
        "stablehlo.triangular_solve": "left_side lower transpose_a unit_diagonal",
    }.items()
}
"""Attributes of the op's own dialect. Ops that are not listed may have `result_accuracy` only."""
OWN_REGIONS = frozenset(
    {"stablehlo.reduce", "stablehlo.reduce_window", "stablehlo.scatter", "stablehlo.select_and_scatter"}
)
"""Ops whose region runs once per element, in an order that the backend chooses."""
_LARGEST = 2**31 - 1


def check(op: Any) -> None:
    """Raises Refused with forbidden_op or program_too_large for what a backend would use unchecked."""
    allowed = ATTRIBUTES.get(op.name, frozenset({"result_accuracy"}))
    for name in op.attributes:
        if "." not in name and name not in allowed:
            raise Refused("forbidden_op", f"{op.name} with an attribute {name}")
        if name != "value" and any(abs(number) > _LARGEST for number in _integers(op.attributes[name])):
            # expressions such as (limit - start + stride - 1) / stride overflow 64 bits, differently in MLIR and XLA
            raise Refused("program_too_large", f"{op.name} with a number beyond 31 bits")
    if op.name == "stablehlo.sort" and not sort_comparators.is_total_order(op):
        raise Refused("forbidden_op", "a sort by another comparison than jax.numpy's")
    if op.name == "stablehlo.fft":
        _check_fft(op)
    if op.name == "stablehlo.bitcast_convert":
        _check_bitcast(op)


def scalar(op: Any) -> bool:
    """Whether all operands and results of the op are scalars and it has no regions."""
    return not op.regions and all(not value.type.shape for value in (*op.results, *op.operands))


def _check_fft(op: Any) -> None:
    """MLIR compares the lengths with the shapes for real transforms only. The CPU backend accepts a shorter length and leaves the
    rest of the result uninitialised. Raises Refused."""
    whole = op.results[0] if "IRFFT" in str(op.attributes["fft_type"]) else op.operands[0]
    lengths = list(_integers(op.attributes["fft_length"]))
    if not lengths or lengths != list(whole.type.shape)[-len(lengths) :] or min(lengths) < 1:
        raise Refused("forbidden_op", "a Fourier transform of another length than its operand's")


def _check_bitcast(op: Any) -> None:
    """A boolean has one bit in MLIR and eight in XLA, so that the two expect different result shapes. XLA does not cast complex
    numbers. Raises Refused."""
    given, made = (str(value.type.element_type) for value in (op.operands[0], op.results[0]))
    if given != made and any(kind == "i1" or kind.startswith("complex") for kind in (given, made)):
        raise Refused("forbidden_op", f"bitcast of {given} to {made}")


def _integers(value: ir.Attribute) -> Iterator[int]:
    """The integers in an attribute; none if it is of another type."""
    if isinstance(value, ir.IntegerAttr):
        yield value.value
    elif isinstance(value, ir.DenseI64ArrayAttr | ir.DenseIntElementsAttr):
        yield from value
