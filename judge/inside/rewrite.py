"""Take back the promises of a program that was walked: what XLA would believe, it computes instead.

sort                    is stable, so that equal keys come in one order on every device
gather, scatter         make no promise that their indices are sorted or unique: with a false one, a GPU's updates race
composite               is a call of its decomposition. Under a name that it knows XLA would put an op of its own in the
                        decomposition's place, with whatever attributes the composite has
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
    """Whether anything in `module` had to be changed. The module's context must be the present one."""
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
