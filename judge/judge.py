"""The steps of a verdict: blind probe, full score, second blind probe, sum.

Container B gets the blind probe and container C the full text. Container D gets a second blind probe, at the positions where
C's score looks too good and at new random positions. The containers run the candidate's exported program and none of its Python.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from judge import agreement, bits_per_byte, blind_probe
from judge.container import Case, JudgeContainer
from judge.heldout import HeldOut
from judge.limits import JudgeLimits, ProgramLimits
from judge.verdict import Reason, Verdict
from sandbox.engine import Engine
from sandbox.spec import Lease

__all__ = ["JUDGE_VERSION", "Judge", "JudgeLimits", "ProgramLimits"]

JUDGE_VERSION = "5"
"""Increased by hand whenever a change could change a score or a refusal: rows, normalisation, probe, limits, ops."""


class Judge:
    """Scores artifacts on held-out text. `rng` is called for every verdict, so that each has its own secret plan; `image` is
    the judge image's content id; `eval_batch` is the B that the candidate must export."""

    def __init__(
        self,
        engine: Engine,
        image: str,
        heldout: Mapping[str, HeldOut],
        *,
        eval_batch: int = 16,
        limits: JudgeLimits | None = None,
        rng: Callable[[], np.random.Generator] = np.random.default_rng,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limits = limits or JudgeLimits()
        self._container = JudgeContainer(engine, image, eval_batch, self._limits)
        self._heldout = heldout
        self._rng = rng
        self._monotonic = monotonic

    def score(
        self,
        artifact: Path,
        split: str,
        *,
        run: str,
        experiment: str,
        attempt: int,
        lease: Lease,
        scratch: Path,
        reference: NDArray[np.float32] | None = None,
    ) -> Verdict:
        """Judge model.stablehlo and params.safetensors in the folder `artifact` on `split`. `scratch` is an empty folder
        for questions and answers, `reference` the `Verdict.position_nats` of the best script so far on this split.

        Raises KeyError for an unknown split; every other failure is in the verdict."""
        started = self._monotonic()
        data = self._heldout[split]
        try:
            verdict = self._verdict(Case(run, experiment, attempt, lease, artifact, scratch), data, reference)
        except OSError as error:  # the host's disk, not the artifact
            verdict = Verdict(infrastructure=f"{scratch} cannot be used: {error.strerror or error}")
        return replace(verdict, seconds=self._monotonic() - started, judge_version=JUDGE_VERSION)

    def _verdict(self, case: Case, data: HeldOut, reference: NDArray[np.float32] | None) -> Verdict:
        rng, batch, limits = self._rng(), self._container.batch, self._limits
        plan = blind_probe.plan(data.rows, limits.probes, batch, rng)
        blind = self._blind(case, data, plan, "blind")
        if isinstance(blind, Verdict):
            return blind
        nats = self._container.score(case, data)
        if isinstance(nats, Verdict):
            return nats
        if not _agree(plan, blind, nats):
            return Verdict(reason=Reason.NOT_CAUSAL)
        suspicious = blind_probe.suspicious(data.rows, nats, limits.suspects, reference)
        plan = blind_probe.again(data.rows, suspicious, limits.fresh, batch, rng)
        blind = self._blind(case, data, plan, "suspects")
        if isinstance(blind, Verdict):
            return blind
        if not _agree(plan, blind, nats):
            return Verdict(reason=Reason.NOT_CAUSAL)
        return bits_per_byte.scored(data, nats)

    def _blind(
        self, case: Case, data: HeldOut, plan: blind_probe.Plan, question: str
    ) -> NDArray[np.float64] | Verdict:
        """float64[probes]: the loss (nats) at each probe of `plan`, or the verdict if there is no answer."""
        logits = self._container.blind(case, data, plan.inputs, plan.cut, question)
        if isinstance(logits, Verdict):
            return logits
        return blind_probe.blind_nats(logits[plan.probed], plan.target[plan.probed])


def _agree(plan: blind_probe.Plan, blind: NDArray[np.float64], nats: NDArray[np.float32]) -> bool:
    at = plan.probed
    return agreement.agrees(blind, nats[plan.row[at], plan.cut[at]].astype(np.float64))
