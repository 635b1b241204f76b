"""The result of a reproduction, as a sentence that says what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runner.durations import format_duration

if TYPE_CHECKING:
    from runner.results.reproduction import Reproduction


def explain(found: Reproduction) -> str:
    """One sentence for a verdict that is not PASS."""
    played = f"{found.answers} of {found.answers_needed} recorded answers of the clock"
    gain = f"{found.gain:.4f}" if found.gain else "0"
    sentences = {
        "outside_band": f"{found.tag} did not come back: its score lies outside the band",
        "weights_differ": f"{found.tag} did not come back: the whole tape was played and the weights differ",
        "band_wider_than_gain": f"a score within ±{found.band:.4f} tells nothing about a gain of {gain}: give --repeats "
        "a larger number, or compare the weights with --exact",
        "band_too_wide": f"a score within ±{found.band:.4f} tells nothing: the noise measured when it was kept is too wide; "
        "give --repeats a larger number, or compare the weights with --exact",
        "contended": "somebody else computed on this machine meanwhile; run it again when it is free, or use --exact",
        "other_device": f"the weights differ, and {found.tag} was made on another kind of processor or another number of them: "
        "run it there",
        "replay_cut_short": f"the replay was ended after {format_duration(found.time_limit_s)} and {played}: give it more "
        "with --time-limit",
        "replay_stopped_early": f"the replay ended by itself after {played}: the script does not follow harness.clock alone",
        "replay_past_the_tape": f"the replay went past its tape ({played}): the script does not follow harness.clock alone",
        "last_save_unknown": "the recorded run was killed in the very moment it replaced its weights, so nobody knows which "
        "ones a replay must give: use `reproduce` without --exact",
    }
    last = found.evaluations[-1]
    fallback = f"{found.tag} did not come back: {last.outcome} {last.reason or ''}".rstrip()
    return sentences.get(found.reason or "", fallback)
