"""The judge's defences against programs and leaks, and what is told of a score."""

from __future__ import annotations

OPS, WALK = "judge/inside/ops.py", "judge/inside/walk.py"
COMPARATOR, REWRITE = "judge/inside/comparator.py", "judge/inside/rewrite.py"
T_OPS = "tests/judge/test_ops.py::"
BLIND = T_OPS + "test_what_a_backend_would_not_check_is_refused"

ROWS = [
    ("a sort only in a total order", OPS, "not comparator.is_total_order(op)", "False", T_OPS + "test_a_sort_by_any_other_comparison_than_jaxs_own_is_refused"),
    ("a comparison is one of jax's own", COMPARATOR, "given == _expected(", "given >= 0 or _expected(", T_OPS + "test_a_sort_by_any_other_comparison_than_jaxs_own_is_refused"),
    ("a transform as long as its operand", OPS, "if not lengths or lengths != list(whole.type.shape)[-len(lengths) :] or min(lengths) < 1:", "if False:", BLIND),
    ("no cast between truth values and bytes", OPS, 'kind == "i1" or kind.startswith("complex")', 'kind.startswith("complex")', BLIND),
    ("no cast of complex numbers", OPS, 'kind == "i1" or kind.startswith("complex")', 'kind == "i1"', BLIND),
    ("no number that wraps around", OPS, "abs(number) > _LARGEST", "False", BLIND),
    ("no numbers of four bits", WALK, '"i1": 1, "i8": 1,', '"i1": 1, "i2": 1, "i4": 1, "ui2": 1, "ui4": 1, "i8": 1,', BLIND),
    ("only the op's own attributes", OPS, 'if "." not in name and name not in allowed:', "if False:", T_OPS + "test_an_attribute_that_is_not_the_ops_own_is_refused"),
    ("single numbers in a reduction", WALK, "if in_elements:\n                    raise", "if False:\n                    raise", T_OPS + "test_a_reduction_holds_single_numbers_only"),
    ("single numbers in what it calls", WALK, "if name in wide:", "if False:", T_OPS + "test_also_in_what_it_calls"),
    ("every sort is stable", REWRITE, '"stablehlo.sort": {"is_stable": True},', "", T_OPS + "test_a_sort_is_stable_whatever_it_says"),
    ("no promise about indices", REWRITE, '{"indices_are_sorted": False, "unique_indices": False}', "{}", T_OPS + "test_no_promise_is_believed_about_indices"),
    ("composites are written out", REWRITE, 'if op.name == "stablehlo.composite":', "if False:", T_OPS + "test_a_composite_under_a_known_name_gets_no_op_of_the_compilers"),
]  # fmt: skip
