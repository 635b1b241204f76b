"""What the constant-tuning proposers share: turning values into a proposal that was not made before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from runner import protocols
from runner.check import fingerprint
from runner.proposers.constants import Constant, Value, find, replace
from runner.protocols import Context, Proposal

ATTEMPTS = 50


def tunable(context: Context) -> list[Constant]:
    """The best script's constants; empty when it has none or does not parse."""
    try:
        return find(context.best_source)
    except Exception:  # libcst's parser errors are many, and all mean the same here
        return []


NOTHING_TO_TUNE = Proposal(None, "nothing to tune", failure=protocols.NOTHING_TO_TUNE)
ALL_TRIED = Proposal(None, "nothing new", failure=protocols.ALL_TRIED)


def proposal(context: Context, constants: Sequence[Constant], values: Mapping[str, Value]) -> Proposal | None:
    """The change as a proposal; None when it changes nothing or was tried before."""
    old = {constant.name: constant.value for constant in constants}
    changed = {name: value for name, value in values.items() if old.get(name) != value}
    if not changed:
        return None
    source = replace(context.best_source, changed)
    tried = {fingerprint(past.source) for past in context.history if past.source and _parses(past.source)}
    if fingerprint(source) in tried | {fingerprint(context.best_source)}:
        return None
    title = ", ".join(f"{name} {_short(old[name])} -> {_short(value)}" for name, value in changed.items())
    return Proposal(
        source, title, "Other values of these constants learn more in the same time.", "constants"
    )


def rounded(constant: Constant, value: float) -> Value:
    """To three significant digits, or to an int; within the range."""
    if constant.kind == "int":
        return int(min(max(round(value), constant.low), constant.high))
    return float(f"{min(max(value, constant.low), constant.high):.3g}")


def _parses(source: str) -> bool:
    try:
        fingerprint(source)
    except (SyntaxError, ValueError):
        return False
    return True


def _short(value: Value) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
