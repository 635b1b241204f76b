"""What a confirmation says, as one sentence: for events, for the verbs that read the ledger and for the report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sandbox.sanitise import one_line


def claim_sentence(confirmation: Mapping[str, Any]) -> str:
    """Of a confirmation's columns: from what to what, the interval, how many pairs, confirmed or why not."""
    verdict = "confirmed" if confirmation["verdict"] == "confirmed" else "not confirmed"
    why = f": {one_line(str(confirmation['reason']))}" if confirmation.get("reason") else ""
    if confirmation.get("delta") is None:
        return f"{verdict}{why}"
    pairs = confirmation["pairs"]
    runs = f"{pairs} pair{'s' if pairs != 1 else ''} of new runs"
    interval = ""
    if confirmation.get("low") is not None:
        interval = f", 95 % interval {confirmation['low']:+.4f} to {confirmation['high']:+.4f}"
    return (
        f"{verdict}{why}; from {confirmation['reference_bpb']:.4f} to {confirmation['candidate_bpb']:.4f} bits per byte "
        f"({confirmation['delta']:+.4f}{interval}; {runs})"
    )
