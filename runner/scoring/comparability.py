"""Data set, judge and images that a run's scores depend on: scores are comparable only while they stay the same."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from judge.judge import JUDGE_VERSION
from runner.data.manifest import manifest_sha256
from runner.errors import UsageError
from runner.images.build import Images

_NAMES = {"data": "data set", "judge": "judge's version"}


def measured_with(data: Path, images: Images) -> dict[str, str]:
    """`data` is the SHA-256 of the manifest; `judge` the version, `candidate_image` and
    `judge_image` are digests."""
    return {
        "data": manifest_sha256(data / "manifest.json"),
        "judge": JUDGE_VERSION,
        "candidate_image": images.candidate.id,
        "judge_image": images.judge.id,
    }


def recorded(settings: Mapping[str, Any]) -> Mapping[str, str]:
    """What a run's settings in the ledger say it was measured with; empty in an older ledger."""
    found: Mapping[str, str] = settings.get("measured_with", {})
    return found


def changed(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Names of the images that changed since a resumed run was started, to be reported. Raises UsageError for another data
    set or judge: the scores would not be comparable. What an older ledger does not record counts as unchanged."""
    other = [name for name, value in now.items() if before.get(name, value) != value]
    if wrong := [_NAMES[name] for name in other if name in _NAMES]:
        raise UsageError(
            f"the {' and the '.join(wrong)} changed since this run was started, so its scores would not compare: "
            "put back what it was, or start a new run without --resume"
        )
    return other
