"""What ending hopeless trainings early brought, and what it may have cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from runner.durations import format_duration
from runner.store.records import Experiment


@dataclass(frozen=True, slots=True)
class StoppingSummary:
    """Times in seconds. `sampled` are trainings that would have been ended early and ran to their end all the same, one in ten
    by the run's seed: what became of them says what became of the others."""

    trainings: int
    """All that ran, the baseline's among them; what the engine lost is not."""
    stopped: int
    saved_s: float
    """What the stopped ones would have trained longer, as long as a training of this run takes (median)."""
    sampled: int
    sampled_better: int
    """How many of them scored better than the best script."""
    sampled_kept: int

    @property
    def sentence(self) -> str:
        """Empty where there was nothing to stop."""
        if not self.stopped + self.sampled:
            return ""
        ended = "training was" if self.stopped == 1 else "trainings were"
        saved = f"{self.stopped} hopeless {ended} ended early, which saved {format_duration(self.saved_s)} of training"
        if not self.sampled:
            return f"{saved}; none that would have been ended was run to its end yet, so nothing is known of what was missed."
        return (
            f"{saved}. Of those that would have been ended, {self.sampled} ran to the end as a sample: {self.sampled_better} scored better "
            f"than the best script, {self.sampled_kept} were kept."
        )


def stopping_summary(experiments: Sequence[Experiment]) -> StoppingSummary:
    """Of one run."""
    ran = [(e, a) for e in experiments for a in e.attempts if a.outcome not in {None, "infrastructure"}]
    whole = [a.seconds for _, a in ran if a.outcome == "ok" and a.seconds is not None]
    stopped = [a.seconds or 0.0 for _, a in ran if a.outcome == "stopped_early"]
    usual = median(whole) if whole else 0.0
    sampled = [e for e, a in ran if a.early_stop and a.outcome != "stopped_early"]
    return StoppingSummary(
        trainings=len(ran),
        stopped=len(stopped),
        saved_s=sum(max(usual - seconds, 0.0) for seconds in stopped),
        sampled=len(sampled),
        sampled_better=sum(e.delta is not None and e.delta < 0 for e in sampled),
        sampled_kept=sum(e.kept for e in sampled),
    )
