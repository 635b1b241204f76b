"""Withdraws the promises of a checked program: claims about its data that XLA would believe unchecked.

sort             becomes stable, so that equal keys have the same order on all devices
gather, scatter  no longer claim that indices are sorted or unique; with a false claim, updates on a GPU race
composite        becomes a call of its decomposition. XLA would replace a composite whose name it knows by its own op, with the
                 composite's attributes
"""

from __future__ import annotations

from typing import Any

from jaxlib.mlir import ir
from jaxlib.mlir.dialects import func

_PROMISES = {
    "stablehlo.sort": {"is_stable": True},
    "stablehlo.gather": {"indices_are_sorted": False},
    "stablehlo.scatter": {"indices_are_sorted": False, "unique_indices": False},
}


def withdraw_promises(module: Any) -> bool:
    """Change `module` in place. Returns whether anything had to be changed. The module's MLIR context must be the current one."""
    changed = False
    pending = [module.operation]
    composites = []
    while pending:
        op = pending.pop()
        for name, honest in _PROMISES.get(op.name, {}).items():
            if name not in op.attributes or bool(ir.BoolAttr(op.attributes[name]).value) is not honest:
                op.attributes[name] = ir.BoolAttr.get(honest)
                changed = True
        if op.name == "stablehlo.composite":
            composites.append(op)
        pending += [child.operation for region in op.regions for block in region for child in block]
    for op in composites:
        with op.location, ir.InsertionPoint(op):
            call = func.CallOp(
                [result.type for result in op.results],
                ir.FlatSymbolRefAttr(op.attributes["decomposition"]),
                list(op.operands),
            )
        for old, new in zip(op.results, call.results, strict=True):
            old.replace_all_uses_with(new)
        op.erase()
    return changed or bool(composites)
