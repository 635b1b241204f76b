"""Runs a kept experiment again from its image tag, with the same script, limits and judge, and gives a verdict.

A time-budgeted run does not repeat exactly, because the clock decides the number of steps; so PASS means within the
noise band that was measured when it was kept. Where that band is wider than the gain that the image claims, a score
within it tells nothing, and the verdict is INCONCLUSIVE. `exact` plays back the clock's recorded answers instead: the
tape decides the number of steps, so the same script on the same kind of device makes the same steps at any speed, and the
weights must be the same byte for byte. An incomplete replay is INCONCLUSIVE, too.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from judge.judge import JUDGE_VERSION
from runner.errors import CannotReproduce
from runner.evaluation.pipeline import PYTHON, Ids, Pipeline
from runner.protocols import Evaluation, EvaluationOutcome
from runner.results import clock_replay as tapes
from runner.results.snapshot import HOME, SCRIPT, SnapshotLabels
from sandbox.engine import Engine
from sandbox.mounts import make_folder
from sandbox.outcome import CollectedFile
from sandbox.spec import MIB, Job, Limits, Mount, Output, Role

MIN_BAND = 0.002
"""Bits per byte: no band is narrower, since two machines of one kind differ by about this much in speed alone."""
WIDEST_BAND = 0.05
"""Share of the recorded score: beyond it a script that claims no gain (a baseline) cannot be said to have come back."""
REPLAY_TIMES, REPLAY_LEAST_S, REPLAY_MOST_S = 6.0, 120.0, 24 * 3600.0
"""Time limit of a replay: a multiple of the recorded wall clock, with a minimum and a maximum in seconds. The tape normally ends it."""
TAPE = "clock.f64"


class PipelineFor(Protocol):
    """Makes the pipeline for an image and a wall clock (seconds): the limits belong to the snapshot, not to today."""

    def __call__(self, image: str, wall_clock_s: float) -> Pipeline: ...


class Verdict(StrEnum):
    PASS = "PASS"
    FAIL = "FAIL"
    INCONCLUSIVE = "INCONCLUSIVE"


class Reason(StrEnum):
    """Why it is not a PASS, where it is not that the script had no score (then the outcome says why) or
    `runner.results.clock_replay.Interrupted`."""

    OUTSIDE_BAND = "outside_band"
    WEIGHTS_DIFFER = "weights_differ"
    BAND_WIDER_THAN_GAIN = "band_wider_than_gain"
    BAND_TOO_WIDE = "band_too_wide"
    CONTENDED = "contended"
    """Another process used the GPU, and the score is outside the band."""
    OTHER_DEVICE = "other_device"
    """Other weights, from another kind of device than the recorded one."""


@dataclass(frozen=True, slots=True)
class Reproduction:
    """`band` is how far (bits per byte) the new score may lie from the recorded one. `reason` is a value of `Reason`, of
    `Interrupted`, of `EvaluationOutcome`, or None for a PASS. `answers` and `answers_needed` count the clock's answers that a replay
    has played and had to play."""

    tag: str
    verdict: Verdict
    reason: str | None
    recorded: float
    measured: float | None
    band: float
    gain: float | None
    exact: bool
    weights_equal: bool | None
    evaluations: Sequence[Evaluation]
    time_limit_s: float
    answers: int | None = None
    answers_needed: int | None = None


def reproduce(
    engine: Engine,
    facts: SnapshotLabels,
    pipeline_for: PipelineFor,
    folder: Path,
    *,
    exact: bool,
    repeats: int = 1,
    time_limit_s: float | None = None,
    cpu_model: str = "",
) -> Reproduction:
    """Run the snapshot once more, or `repeats` times with seeds of their own; once where `exact`. `time_limit_s` is what one
    training may take: what it was kept under if not said, and several times that for a replay. `cpu_model` is this machine's.

    Raises CannotReproduce when there is nothing to run or to compare.
    """
    if not exact and facts.judge_version not in {None, JUDGE_VERSION}:
        raise CannotReproduce(
            f"{facts.tag} was scored by version {facts.judge_version} of the judge and this is version {JUDGE_VERSION}: the "
            "scores would not compare; --exact compares the weights"
        )
    limit = time_limit_s or (_replay_s(facts.wall_clock_s) if exact else facts.wall_clock_s)
    folder.mkdir(parents=True)
    nothing = folder / "nothing"
    make_folder(nothing)
    # the image has the recorded weights and scores in it, and a script that hands those over again has repeated nothing
    pipeline = replace(
        pipeline_for(facts.image.id, limit),
        announced_wall_clock_s=facts.wall_clock_s,
        cpu_share=facts.cpu_share,
        covers=(Mount(nothing, HOME),),
    )
    source, tape = _extract(engine, facts, pipeline, folder, exact=exact)
    evaluations = []
    for number in range(1 if exact else repeats):
        ids = Ids("reproduce", facts.experiment, number + 1)
        evaluation = pipeline.evaluate(
            source,
            ids,
            seed=_seed(facts.seed, number),
            folder=folder / f"evaluation-{number + 1}",
            replay=tape,
        )
        if evaluation.outcome is EvaluationOutcome.INFRASTRUCTURE:
            raise CannotReproduce(
                f"the engine failed before there was a result: {evaluation.detail or evaluation.reason}"
            )
        evaluations.append(evaluation)
        if evaluation.val_bpb is None:
            break
    if tape is not None:
        return _exact(facts, evaluations[0], tape, cpu_model, limit)
    return _within_noise(facts, evaluations, limit)


def _band(facts: SnapshotLabels, runs: int) -> float:
    """How far (bits per byte) the mean of `runs` new scores may lie from the recorded mean."""
    noise = facts.noise
    spread = noise.repeat_quantile * noise.sigma * math.sqrt(1 / runs + 1 / max(facts.repeats, 1))
    return max(MIN_BAND, spread)


def _too_wide(facts: SnapshotLabels, band: float) -> Reason | None:
    """Why a score within `band` would tell nothing of what the image claims."""
    if facts.gain:
        return Reason.BAND_WIDER_THAN_GAIN if band >= facts.gain else None
    return Reason.BAND_TOO_WIDE if not band <= WIDEST_BAND * facts.mean_val_bpb else None


def _within_noise(facts: SnapshotLabels, evaluations: Sequence[Evaluation], limit: float) -> Reproduction:
    scores = [evaluation.val_bpb for evaluation in evaluations if evaluation.val_bpb is not None]
    band = _band(facts, len(evaluations))
    measured = math.fsum(scores) / len(scores) if len(scores) == len(evaluations) else None
    verdict, reason = Verdict.PASS, None
    if measured is None or not abs(measured - facts.mean_val_bpb) <= band:
        verdict, reason = (
            Verdict.FAIL,
            str(evaluations[-1].outcome if measured is None else Reason.OUTSIDE_BAND),
        )
        if any(evaluation.contended for evaluation in evaluations):
            verdict, reason = Verdict.INCONCLUSIVE, str(Reason.CONTENDED)
    elif wide := _too_wide(facts, band):
        verdict, reason = Verdict.INCONCLUSIVE, str(wide)
    return Reproduction(
        facts.tag,
        verdict,
        reason,
        facts.mean_val_bpb,
        measured,
        band,
        facts.gain,
        exact=False,
        weights_equal=None,
        evaluations=evaluations,
        time_limit_s=limit,
    )


def _exact(
    facts: SnapshotLabels, evaluation: Evaluation, tape: Path, cpu_model: str, limit: float
) -> Reproduction:
    """The hash decides. The same weights score the same but for rounding, so the band is the narrowest there is."""
    recorded = tapes.read(tape)
    try:
        replayed = tapes.read(evaluation.folder / TAPE)
    except OSError:
        replayed = tapes.NOTHING
    equal = evaluation.params_sha256 == facts.params_sha256
    cut = tapes.interrupted(recorded, replayed, timed_out=evaluation.timed_out)
    verdict, reason = Verdict.PASS, None
    if equal and evaluation.val_bpb is None:
        verdict, reason = Verdict.FAIL, str(evaluation.outcome)
    elif equal:
        same_judge = facts.judge_version in {None, JUDGE_VERSION}
        if same_judge and not abs((evaluation.val_bpb or 0.0) - facts.val_bpb) <= MIN_BAND:
            verdict, reason = Verdict.FAIL, str(Reason.OUTSIDE_BAND)
    elif cut is not None and (evaluation.outcome is EvaluationOutcome.OK or evaluation.timed_out):
        verdict, reason = Verdict.INCONCLUSIVE, str(cut)
    elif evaluation.outcome is not EvaluationOutcome.OK:
        verdict, reason = Verdict.FAIL, str(evaluation.outcome)
    elif _other_device(facts, evaluation, cpu_model):
        verdict, reason = Verdict.INCONCLUSIVE, str(Reason.OTHER_DEVICE)
    else:
        verdict, reason = Verdict.FAIL, str(Reason.WEIGHTS_DIFFER)
    return Reproduction(
        facts.tag,
        verdict,
        reason,
        facts.val_bpb,
        evaluation.val_bpb,
        MIN_BAND,
        facts.gain,
        exact=True,
        weights_equal=equal,
        evaluations=[evaluation],
        time_limit_s=limit,
        answers=replayed.needed,
        answers_needed=recorded.needed,
    )


def _other_device(facts: SnapshotLabels, evaluation: Evaluation, cpu_model: str) -> bool:
    """Whether what is known of the recorded device is not so here."""
    return (facts.cpus not in {0, evaluation.cpus}) or (
        facts.preset != "gpu" and facts.cpu_model not in {"", cpu_model}
    )


def _replay_s(wall_clock_s: float) -> float:
    return min(max(REPLAY_TIMES * wall_clock_s, REPLAY_LEAST_S), REPLAY_MOST_S)


def _seed(recorded: int, number: int) -> int:
    """The recorded one first, then others that follow from it."""
    if number == 0:
        return recorded
    digest = hashlib.sha256(f"{recorded}/{number}".encode()).digest()
    return int.from_bytes(digest[:4], "little") & 0x7FFFFFFF


def _extract(
    engine: Engine, facts: SnapshotLabels, pipeline: Pipeline, folder: Path, *, exact: bool
) -> tuple[bytes, Path | None]:
    """The script (and the clock's tape) out of the image, by a container like any other."""
    home = folder / "extracted"
    home.mkdir()
    names = [SCRIPT, *([TAPE] if exact else [])]
    program = f"import shutil\nfor name in {names!r}: shutil.copyfile('{HOME}/' + name, '/out/' + name)"
    with pipeline.leases.acquire() as lease:
        outcome = engine.run(
            Job(
                run="reproduce",
                experiment="extract",
                attempt=1,
                role=Role.EXTRACT,
                image=facts.image.id,
                command=(PYTHON, "-I", "-B", "-c", program),
                limits=replace(Limits(wall_clock_s=60.0), out_bytes=32 * MIB),
                lease=lease,
                destination=home,
                outputs=tuple(Output(name, 16 * MIB) for name in names),
            )
        )
    script: CollectedFile | None = outcome.files.get(SCRIPT)
    if script is None or script.sha256 != facts.train_sha256:
        raise CannotReproduce(
            f"the script in the image is not the one its label names ({outcome.detail or outcome.ending})"
        )
    if exact and TAPE not in outcome.files:
        raise CannotReproduce(
            "the image holds no recording of the clock, so it cannot be played back exactly"
        )
    return script.path.read_bytes(), outcome.files[TAPE].path if exact else None
