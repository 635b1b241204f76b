"""What may be concluded from a loss that a script reports of itself."""

from __future__ import annotations

import json
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.scoring.early_stopping import (
    CHECKPOINTS,
    EXPLODED,
    FEWEST_FINISHED,
    NOT_FINITE,
    SAMPLE,
    Finished,
    Rule,
    TrainingMonitor,
    differences,
    far_behind,
    in_sample,
)
from runner.scoring.learning_curve import Curve, Telemetry, difference

START = 7.6


def line(loss: float, progress: float) -> bytes:
    return json.dumps({"step": 1, "loss": loss, "tokens": 1, "progress": progress}).encode() + b"\n"


def reported(losses: list[float], *, start: float = START) -> Telemetry:
    """One report at every 5 % of the time, the first one at 0."""
    telemetry = Telemetry(60.0)
    for step, loss in enumerate([start, *losses]):
        telemetry.add(line(loss, step / 20))
    return telemetry


def falling(final: float, *, steps: int = 20, start: float = START) -> list[float]:
    return [final + (start - final) * math.exp(-6 * step / 20) for step in range(1, steps + 1)]


BEST = Curve.of([reported(falling(4.0))])
assert BEST is not None


def finished(
    shifts: list[float], *, error: float = 0.002, rng: random.Random | None = None
) -> list[Finished]:
    """Trainings whose final loss lay `shift` above the best's; their val_bpb differs by half of that and a random error."""
    rng = rng or random.Random(0)
    assert BEST is not None
    return [
        Finished(differences(reported(falling(4.0 + shift)), BEST), 0.5 * shift + rng.gauss(0.0, error))
        for shift in shifts
    ]


SHIFTS = [-0.05, 0.0, 0.02, 0.1, 0.2, 0.5]


def rule(shifts: list[float] = SHIFTS, **options: float) -> Rule:
    return Rule.learned(BEST, finished(shifts), noise=options.get("noise", 0.001), uniform=START)


def test_a_training_far_behind_is_hopeless_from_the_first_checkpoint_on() -> None:
    known = rule()
    for steps in range(1, 21):
        why = known.reason_to_stop(reported(falling(5.0, steps=steps)))
        assert why == (far_behind(0.25) if steps >= 5 else ""), steps


@pytest.mark.parametrize("shift", [-0.5, -0.01, 0.0, 0.005])
def test_a_training_as_good_as_the_best_goes_on(shift: float) -> None:
    assert rule().reason_to_stop(reported(falling(4.0 + shift))) == ""


def test_nothing_is_learned_from_too_few() -> None:
    hopeless = reported(falling(6.0))
    assert rule(SHIFTS[:FEWEST_FINISHED]).reason_to_stop(hopeless)
    assert rule(SHIFTS[: FEWEST_FINISHED - 1]).reason_to_stop(hopeless) == ""
    assert Rule().reason_to_stop(hopeless) == ""


def test_pairs_that_scatter_stop_nothing() -> None:
    """Reports that say little of the score."""
    known = Rule.learned(BEST, finished(SHIFTS * 3, error=0.5), noise=0.001, uniform=START)
    assert known.reason_to_stop(reported(falling(4.5))) == ""


def test_alike_trainings_teach_nothing_of_others_that_are_far_off() -> None:
    known = rule([0.001 * number for number in range(6)])
    assert known.reason_to_stop(reported(falling(4.2))) == ""


def test_the_noise_of_a_run_is_the_least_error() -> None:
    behind = reported(falling(4.1))
    assert rule(noise=0.001).reason_to_stop(behind)
    assert rule(noise=0.05).reason_to_stop(behind) == ""


def test_an_early_look_knows_no_more_than_a_late_one() -> None:
    """By chance the first checkpoint's pairs lie on a line exactly; those of the last one do not."""
    exact = finished(SHIFTS, error=0.0)
    rng = random.Random(1)
    scattered = [
        Finished([*item.differences[:3], (item.differences[3] or 0.0) + rng.gauss(0, 1.0)], item.val_bpb)
        for item in exact
    ]
    behind = reported(falling(4.2, steps=6))
    assert Rule.learned(BEST, exact, noise=0.0, uniform=START).reason_to_stop(behind)
    assert Rule.learned(BEST, scattered, noise=0.0, uniform=START).reason_to_stop(behind) == ""


@pytest.mark.parametrize("start", [5.0, 11.0, 2048 * START])
def test_a_loss_of_another_kind_is_not_compared(start: float) -> None:
    """In bits, summed over a batch, with a second loss beside it: it begins elsewhere."""
    other = reported(falling(0.9 * start, start=start), start=start)
    assert rule().reason_to_stop(other) == ""
    assert BEST is not None
    assert differences(other, BEST) == [None] * len(CHECKPOINTS)


def test_what_reports_nothing_or_ends_its_reports_goes_on() -> None:
    assert rule().reason_to_stop(Telemetry(60.0)) == ""
    assert rule().reason_to_stop(reported([])) == ""
    late = Telemetry(60.0)
    late.add(line(START, 0.0) + line(7.5, 0.3))
    assert rule().reason_to_stop(late) == "", "one checkpoint is passed, but nothing was said before it"


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 1e300])
def test_a_loss_that_is_not_finite_ends_it_without_anything_learned(bad: float) -> None:
    assert Rule().reason_to_stop(reported([7.0, bad, bad])) == NOT_FINITE
    assert Rule().reason_to_stop(reported([7.0, bad])) == "", "one bad step may be skipped"
    assert Rule().reason_to_stop(reported([7.0, bad, bad, 6.5])) == ""


def test_a_loss_far_above_its_start_has_exploded() -> None:
    known = Rule(uniform=START)
    assert known.reason_to_stop(reported([7.0, 40.0, 50.0])) == EXPLODED
    assert known.reason_to_stop(reported([7.0, 40.0])) == "", "one report alone may be a mistake"
    early = Telemetry(60.0)
    early.add(line(START, 0.0) + line(40.0, 0.04) + line(50.0, 0.08))
    assert known.reason_to_stop(early) == "", "it may overshoot at the beginning"
    assert known.reason_to_stop(reported([7.0, 9.0, 10.0])) == ""
    assert known.reason_to_stop(reported([0.1, 0.3, 0.5], start=0.1)) == "", "another kind of loss"
    assert known.reason_to_stop(reported([1e5, 9e4, 9e4], start=1e5)) == "", "a sum"


def test_the_chance_to_end_what_would_have_become_better_is_at_most_two_percent() -> None:
    """Nights of random trainings whose reports predict their scores as well as the error says."""
    rng = random.Random(7)
    wrong = better = ended = worse = 0
    for _ in range(400):
        known = Rule.learned(
            BEST,
            finished(
                [rng.gauss(0.1, 0.1) for _ in range(FEWEST_FINISHED + rng.randrange(10))], error=0.02, rng=rng
            ),
            noise=0.0,
            uniform=START,
        )
        for _ in range(10):
            shift = rng.gauss(0.1, 0.15)
            becomes = 0.5 * shift + rng.gauss(0.0, 0.02)
            stops = bool(known.reason_to_stop(reported(falling(4.0 + shift))))
            wrong, better = wrong + (stops and becomes < 0), better + (becomes < 0)
            ended, worse = ended + (stops and becomes > 0.15), worse + (becomes > 0.15)
    assert better > 500
    assert wrong <= 0.02 * better
    assert ended > 0.5 * worse, "and what is far behind is ended"


# -- what is read --------------------------------------------------------------------------------------------
def test_the_difference_is_taken_at_the_same_progress_however_often_a_script_reports() -> None:
    assert BEST is not None
    rare, often = Telemetry(60.0), Telemetry(60.0)
    for step in range(1001):
        progress = step / 1000
        loss = (BEST.at(progress) or START) + 0.3
        often.add(line(loss, progress))
        if step % 50 == 25:
            rare.add(line(loss, progress))
    for checkpoint in CHECKPOINTS:
        assert difference(rare, BEST, checkpoint) == pytest.approx(0.3, abs=0.02)
        assert difference(often, BEST, checkpoint) == pytest.approx(0.3, abs=0.02)


def test_seconds_stand_in_for_progress() -> None:
    telemetry = Telemetry(60.0)
    telemetry.add(b'{"step": 1, "loss": 7.5, "tokens": 9, "seconds": 30.0}\n')
    assert (telemetry.progress, telemetry.first) == (0.5, 7.5)


def test_pieces_need_not_end_with_lines() -> None:
    whole = line(7.5, 0.1) + line(7.0, 0.2)
    telemetry = Telemetry(60.0)
    for at in range(len(whole)):
        telemetry.add(whole[at : at + 1])
    assert (telemetry.reports, telemetry.last) == (2, (7.5, 7.0))


NO_REPORTS = [
    b"\xff\xfe\n",
    b"[" * 100_000 + b"\n",
    b"[" * 990 + b"\n",
    b"{" + b'"a":{' * 300 + b"\n",
    b'{"loss": 1' + b"0" * 900 + b', "progress": 0.1}\n',
    b'{"loss": "7", "progress": 0.1}\n',
    b'{"loss": true, "progress": 0.1}\n',
    b'{"loss": 7.0}\n',
    b'{"loss": 7.0, "progress": NaN}\n',
    b'{"loss": 7.0, "progress": 1.5}\n',
    b'{"loss": 7.0, "progress": -1}\n',
    b'{"loss": null, "seconds": 3}\n',
    b'[{"loss": 7.0, "progress": 0.1}]\n',
    b'{"loss": 7.0, "progress": 0.1, "x": "' + b"x" * 2000 + b'"}\n',
]


@pytest.mark.parametrize("text", NO_REPORTS, ids=range(len(NO_REPORTS)))
def test_what_is_no_report_is_passed_over(text: bytes) -> None:
    telemetry = Telemetry(60.0)
    telemetry.add(text)
    assert telemetry.reports == 0
    telemetry.add(b"\n" + line(7.0, 0.5))
    assert telemetry.reports == 1


@given(
    st.lists(
        st.binary(max_size=200) | st.sampled_from([line(7.0, 0.5), line(math.nan, 0.1), *NO_REPORTS[4:]])
    )
)
def test_any_bytes_can_be_read(pieces: list[bytes]) -> None:
    monitor = TrainingMonitor(Telemetry(60.0), rule())
    for piece in pieces:
        monitor.see(piece)
    assert monitor.telemetry.progress <= 1.0


def test_a_flood_takes_little_memory() -> None:
    telemetry = Telemetry(60.0)
    for number in range(20_000):
        telemetry.add(line(7.0, number / 20_000))
    telemetry.add(b"x" * 1_000_000)
    assert len(telemetry.points()) <= 201
    assert len(telemetry._line) < 2000


def test_time_does_not_go_back() -> None:
    telemetry = reported(falling(4.0, steps=10))
    telemetry.add(line(1.0, 0.1))
    assert telemetry.last[1] != 1.0


# -- the sample ----------------------------------------------------------------------------------------------
def test_one_in_ten_is_in_the_sample_by_the_runs_seed_alone() -> None:
    chosen = [in_sample(seed, number) for seed in range(100) for number in range(100)]
    assert sum(chosen) == pytest.approx(len(chosen) / SAMPLE, rel=0.1)
    assert [in_sample(1, n) for n in range(50)] != [in_sample(2, n) for n in range(50)]


def test_a_sampled_training_goes_on_and_the_reason_is_remembered() -> None:
    ended, sampled = TrainingMonitor(Telemetry(60.0), Rule()), TrainingMonitor(Telemetry(60.0), Rule(), True)
    for loss in (7.0, math.nan, math.nan, 5.0, 4.0):
        ended.see(line(loss, 0.5))
        assert sampled.see(line(loss, 0.5)) == ""
    assert ended.reason == sampled.reason == NOT_FINITE


def test_without_a_rule_nothing_ends() -> None:
    monitor = TrainingMonitor(Telemetry(60.0))
    assert [monitor.see(line(math.nan, 0.5)) for _ in range(3)] == ["", "", ""]
    assert monitor.reason == ""
