"""Which scores compare: those of one data set, judge and images, and of runs under the same limits and devices."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from judge.judge import JUDGE_VERSION
from runner.data.manifest import manifest_sha256
from runner.errors import UsageError
from runner.images.build import Images
from runner.store.ledger import Ledger
from runner.store.records import Experiment

_NAMES = {"data": "data set", "judge": "judge's version", "device": "kind of device"}


def measured_with(data: Path, images: Images, device: str = "cpu") -> dict[str, str]:
    """`data` is the SHA-256 of the manifest; `judge` the version, `candidate_image` and
    `judge_image` are digests; `device` is the GPU's name, or "cpu"."""
    return {
        "data": manifest_sha256(data / "manifest.json"),
        "judge": JUDGE_VERSION,
        "candidate_image": images.candidate.id,
        "judge_image": images.judge.id,
        "device": device,
    }


def recorded(settings: Mapping[str, Any]) -> Mapping[str, str]:
    """What a run's settings in the ledger say it was measured with; empty in an older ledger."""
    found: Mapping[str, str] = settings.get("measured_with", {})
    return found


def changed(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Names of the images that changed since a resumed run was started, to be reported. Raises UsageError for another data
    set, judge or kind of device: the scores would not be comparable. What an older ledger does not record counts as unchanged."""
    other = [name for name, value in now.items() if before.get(name, value) != value]
    if wrong := [_NAMES[name] for name in other if name in _NAMES]:
        raise UsageError(
            f"the {' and the '.join(wrong)} changed since this run was started, so its scores would not compare: "
            "put back what it was, or start a new run without --resume"
        )
    return other


def comparable_runs(ledger: Ledger, run: str) -> list[list[Experiment]]:
    """The experiments of the workspace's runs before `run` that trained under the same conditions."""
    runs = ledger.runs()
    before = runs[: next(place for place, item in enumerate(runs) if item.id == run)]
    conditions = _conditions(ledger.run(run).settings)
    return [
        ledger.experiments(item.id) for item in before if _conditions(item.settings) == conditions is not None
    ]


def _conditions(settings: Mapping[str, Any]) -> tuple[object, ...] | None:
    """What a loss and a score depend on in addition to the script; None if it was not recorded."""
    config, measured = settings.get("config"), settings.get("measured_with")
    if not config or not measured:
        return None
    names = ("wall_clock", "cpus", "runtime", "memory_gb")
    return (*(config.get(name) for name in names), *sorted(measured.items()))
