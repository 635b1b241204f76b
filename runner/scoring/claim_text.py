"""What a run may claim, in one sentence: from the ledger's confirmations, for every verb, display and report that says it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from runner.scoring.best_script import best, decided
from runner.scoring.repeat_noise import PRIOR_FREEDOM, Noise, noise_floor, smallest_confirmed
from runner.store.records import Confirmation, Experiment
from sandbox.sanitise import one_line


def claim_sentence(confirmation: Mapping[str, Any]) -> str:
    """Of a confirmation's columns: confirmed, or why not; from what to what, the interval, how many pairs."""
    if confirmation["verdict"] == "open":
        return "being confirmed"
    verdict = "confirmed" if confirmation["verdict"] == "confirmed" else "not confirmed"
    why = f" ({one_line(str(confirmation['reason']))})" if confirmation.get("reason") else ""
    if confirmation.get("delta") is None:
        return f"{verdict}{why}"
    pairs = confirmation["pairs"]
    runs = f"{pairs} pair{'s' if pairs != 1 else ''} of new runs"
    interval = ""
    if confirmation.get("low") is not None:
        interval = f", 95 % interval {confirmation['low']:+.4f} to {confirmation['high']:+.4f}"
    return (
        f"{verdict}{why}: from {confirmation['reference_bpb']:.4f} to {confirmation['candidate_bpb']:.4f} bits per byte "
        f"({confirmation['delta']:+.4f}{interval}, {runs})"
    )


def closing_sentence(
    experiments: Sequence[Experiment],
    confirmations: Sequence[Confirmation],
    *,
    read_repeated: Callable[[], Sequence[Experiment]] | None = None,
) -> str:
    """What the whole run may say of itself; empty before the baseline has a score. `experiments` are all; or those that were kept, and
    `read_repeated` reads those that ran more than once, where the sentence needs them."""
    kept = sorted((e for e in experiments if e.kept and e.val_bpb is not None), key=decided)
    if not kept:
        return ""
    by_number, newest = {e.number: e for e in experiments}, best(kept)
    still_kept = {e.number for e in kept}
    links = [c for c in confirmations if c.verdict == "confirmed" and c.candidate in still_kept]
    if not links:
        last = next((c for c in reversed(confirmations) if c.candidate == newest.number), None)
        said = "Nothing is confirmed"
        if newest.number > 0:
            why = f" ({claim_sentence(asdict(last))})" if last else _untested(newest)
            said += f"; experiment {newest.number} is adopted and not confirmed{why}"
        return f"{said}. {_smallest(read_repeated() if read_repeated else experiments)}".strip()
    claimed = by_number[links[-1].candidate]
    steps = [
        f"experiment {c.candidate} against {'the baseline' if c.reference == 0 else f'experiment {c.reference}'} is "
        f"{claim_sentence(asdict(c))}"
        for c in links
    ]
    said = "; ".join(steps)
    if kept[0].test_bpb is not None and claimed.test_bpb is not None:
        said += f". Sealed test: {kept[0].test_bpb:.4f} to {claimed.test_bpb:.4f}"
    if newest.number != claimed.number:
        last = next((c for c in reversed(confirmations) if c.candidate == newest.number), None)
        why = f" ({claim_sentence(asdict(last))})" if last else _untested(newest)
        said += f". Experiment {newest.number} is adopted since and not confirmed{why}"
    return f"{said[0].upper()}{said[1:]}."


def _untested(best: Experiment) -> str:
    if best.expected_delta is None or best.expected_delta >= 0:
        return " (it was not put to the test)"
    return f" (by {-best.expected_delta:.4f} bits per byte it is expected to be better than the one before; it was not put to the test)"


def _smallest(experiments: Sequence[Experiment]) -> str:
    """What a pair or two could have shown."""
    noise = noise_floor(experiments)
    if noise is None:
        return ""
    said = (
        f"A run of one script varies by {noise.sigma:.4f}, so two pairs confirm a gain of "
        f"{smallest_confirmed(noise, 2):.4f} bits per byte or more."
    )
    return f"{said} {few_repeats(noise)}".strip()


def few_repeats(noise: Noise) -> str:
    """Why the smallest gain of two pairs is so many times the noise; empty where enough runs say how large the noise is."""
    if noise.freedom >= PRIOR_FREEDOM or not noise.sigma:
        return ""
    known = Noise(noise.sigma, PRIOR_FREEDOM)
    times = smallest_confirmed(noise, 2) / noise.sigma
    repeats = "1 repeat says" if noise.freedom == 1 else f"{noise.freedom} repeats say"
    return (
        f"That is {times:.0f} times the variation, because only {repeats} so far how large it is, and it may be much larger; "
        f"with {PRIOR_FREEDOM} repeats a gain of {smallest_confirmed(known, 2):.4f} would do."
    )
