"""What the blind container may see, and how much of a leak the probe finds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from judge import agreement, blind_probe
from judge.blind_probe import Plan
from judge.rows import Rows


def distinct(count: int, length: int) -> Rows:
    """Rows in which no token occurs twice, so that a token tells where it comes from; a quarter is not scored."""
    tokens = np.arange(count * (length + 1), dtype=np.int32).reshape(count, length + 1)
    document = np.where(np.arange(length) % 4 == 3, -1, 0) * np.ones((count, 1), np.int32)
    return Rows(tokens, document.astype(np.int32))


sizes = {"count": st.integers(4, 40), "length": st.integers(2, 16), "batch": st.integers(1, 9)}


def made(count: int, length: int, batch: int, probes: int, seed: int) -> tuple[Rows, Plan]:
    rows = distinct(count, length)
    return rows, blind_probe.plan(rows, probes, batch, np.random.default_rng(seed))


@settings(max_examples=60)
@given(**sizes, probes=st.integers(1, 300), seed=st.integers(0, 99))
def test_a_probe_shows_the_true_prefix_and_asks_for_a_scored_target(
    count: int, length: int, batch: int, probes: int, seed: int
) -> None:
    rows, plan = made(count, length, batch, probes, seed)

    assert len(plan.inputs) % batch == 0
    assert plan.probed.sum() == min(probes, probe_room(rows, seed, probes))
    for inputs, cut, row, target in zip(plan.inputs, plan.cut, plan.row, plan.target, strict=True):
        if row >= 0:
            assert rows.scored[row, cut]
            assert np.array_equal(inputs[: cut + 1], rows.tokens[row, : cut + 1])
            assert target == rows.tokens[row, cut + 1]
            assert target not in inputs
            assert not set(inputs[cut + 1 :]) & set(rows.tokens[row])


def probe_room(rows: Rows, seed: int, probes: int) -> int:
    """How many probes there can be: one in each row of one half, every scored position of the other half."""
    half = len(rows.tokens) // 2
    return min(half, probes) + int(rows.scored[0].sum()) * (len(rows.tokens) - half)


@settings(max_examples=60)
@given(**sizes, probes=st.integers(1, 300), seed=st.integers(0, 99))
def test_what_follows_a_cut_is_not_in_its_batch(
    count: int, length: int, batch: int, probes: int, seed: int
) -> None:
    rows, plan = made(count, length, batch, probes, seed)

    for start in range(0, len(plan.inputs), batch):
        block = slice(start, start + batch)
        members = plan.row[block][plan.probed[block]]
        assert len(set(members)) == len(members), "two cuts of one row share a batch"
        if count - count // 2 > batch:  # there are rows to borrow from that are not in the batch
            shown = set(plan.inputs[block].ravel())
            for row, cut in zip(plan.row[block], plan.cut[block], strict=True):
                assert row < 0 or not shown & set(rows.tokens[row, cut + 1 :])


@settings(max_examples=60)
@given(**sizes, probes=st.integers(1, 300), seed=st.integers(0, 99))
def test_what_follows_the_cut_of_half_of_the_rows_is_nowhere_in_the_container(
    count: int, length: int, batch: int, probes: int, seed: int
) -> None:
    rows, plan = made(count, length, batch, probes, seed)

    shown = set(plan.inputs.ravel())
    blind = [
        row
        for row in range(count)
        if (at := plan.cut[plan.row == row]).size and not shown & set(rows.tokens[row, at.max() + 1 :])
    ]
    assert len(blind) >= min(probes, count // 2)


def test_another_generator_makes_another_plan() -> None:
    rows = distinct(40, 16)
    first, other, again = (blind_probe.plan(rows, 200, 4, np.random.default_rng(seed)) for seed in (1, 2, 1))

    assert np.array_equal(first.inputs, again.inputs)
    assert not np.array_equal(first.inputs, other.inputs)
    assert len(set(first.cut[first.probed] % 8)) > 4, "the cuts are aligned"


@pytest.mark.parametrize("share", [0.0025, 0.01])
def test_the_power_is_the_one_that_the_documentation_promises(share: float) -> None:
    """A leak at a share f of the positions is missed with probability (1 - f)^K."""
    rows = distinct(200, 64)
    count, trials, found = 300, 150, 0
    for seed in range(trials):
        rng = np.random.default_rng(seed)
        leaky = rng.random(rows.scored.shape) < share
        plan = blind_probe.plan(rows, count, 16, rng)
        blind = np.full(plan.probed.sum(), 6.0)
        full = np.where(leaky[plan.row, plan.cut][plan.probed], 1.0, 6.0)
        found += not agreement.agrees(blind, full)

    power = 1 - (1 - share) ** count
    assert abs(found / trials - power) < 3.5 * (power * (1 - power) / trials) ** 0.5 + 1e-9


@pytest.mark.parametrize(
    ("difference", "agreed"),
    [
        (np.zeros(1000), True),
        (np.full(1000, 4e-4), True),
        (np.full(1000, 6e-4), False),
        (np.full(1000, -6e-4), False),
        (np.append(np.zeros(999), 0.02), False),
        (np.append(np.zeros(999), np.nan), False),
        (np.append(np.zeros(999), np.inf), False),
    ],
)
def test_the_two_scores_agree_or_do_not(difference: np.ndarray, agreed: bool) -> None:
    full = np.full(1000, 3.0)
    assert agreement.agrees(full + difference, full) is agreed


def test_the_blind_loss_is_normalised_whatever_the_logits() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(600, 50)).astype(np.float32)
    target = rng.integers(0, 50, 600)
    exact = -np.log(
        np.exp(logits.astype(np.float64)) / np.exp(logits.astype(np.float64)).sum(1, keepdims=True)
    )[np.arange(600), target]

    assert blind_probe.blind_nats(logits, target) == pytest.approx(exact, rel=1e-12)
    flat = np.full((3, 50), 1e30, np.float32)
    assert blind_probe.blind_nats(flat, np.zeros(3, np.int64)) == pytest.approx(np.log(50), rel=1e-12)


# ---- where the score looks too good ----------------------------------------------------------------------------
@settings(max_examples=60)
@given(**sizes, asked=st.integers(1, 300), fresh=st.integers(0, 99), seed=st.integers(0, 99))
def test_a_suspect_is_shown_as_any_probe_is(
    count: int, length: int, batch: int, asked: int, fresh: int, seed: int
) -> None:
    rows = distinct(count, length)
    rng = np.random.default_rng(seed)
    nats = rng.random((count, length)).astype(np.float32)
    suspects = blind_probe.suspicious(
        rows, nats, asked, nats + rng.random(nats.shape, np.float32) if seed % 2 else None
    )
    plan = blind_probe.again(rows, suspects, fresh, batch, rng)

    assert len(set(suspects)) == len(suspects) == min(asked, rows.scored.sum())
    assert set(suspects) <= set((plan.row * length + plan.cut)[plan.probed])
    assert plan.probed.sum() == min(asked + fresh, rows.scored.sum())
    positions = set(zip(plan.row[plan.probed].tolist(), plan.cut[plan.probed].tolist(), strict=True))
    assert len(positions) == plan.probed.sum()
    for start in range(0, len(plan.inputs), batch):
        block = slice(start, start + batch)
        members = plan.row[block][plan.probed[block]]
        assert len(set(members)) == len(members)
        for inputs, cut, row in zip(plan.inputs[block], plan.cut[block], plan.row[block], strict=True):
            if row >= 0:
                assert rows.scored[row, cut]
                assert np.array_equal(inputs[: cut + 1], rows.tokens[row, : cut + 1])
                assert not set(inputs[cut + 1 :]) & set(rows.tokens[row])
                if count > batch:
                    assert not set(plan.inputs[block].ravel()) & set(rows.tokens[row, cut + 1 :])


def test_suspects_are_where_a_rare_target_cost_little() -> None:
    tokens = np.zeros((20, 17), np.int32)
    tokens[:, 5], tokens[3, 9] = 1, 2
    rows = Rows(tokens, np.zeros((20, 16), np.int32))
    nats = np.full((20, 16), 0.5, np.float32)
    nats[:, 4] = 2.5  # a rare target that cost what it should
    nats[7, 4] = nats[3, 8] = 0.0
    assert set(blind_probe.suspicious(rows, nats, 2)) == {3 * 16 + 8, 7 * 16 + 4}


def test_suspects_are_also_where_the_best_model_was_worse() -> None:
    rng = np.random.default_rng(0)
    rows = Rows(np.zeros((20, 17), np.int32), np.zeros((20, 16), np.int32))
    reference = rng.random((20, 16)).astype(np.float32)
    nats = reference - 0.1
    nats[4, 4], nats[9, 2] = reference[4, 4] - 5, reference[9, 2] - 6
    nats[7, 7] = -9.0  # so cheap that its rarity alone names it
    assert set(blind_probe.suspicious(rows, nats, 4, reference)) >= {4 * 16 + 4, 9 * 16 + 2, 7 * 16 + 7}


def test_suspects_and_others_are_mixed() -> None:
    rows = distinct(40, 16)
    suspects = np.arange(0, 40 * 16, 16)
    plan = blind_probe.again(rows, suspects, 40, 4, np.random.default_rng(0))
    suspected = np.isin(plan.row * 16 + plan.cut, suspects)[plan.probed]

    assert suspected.sum() == 40
    assert 5 < suspected[:40].sum() < 35
    assert len(np.unique(np.diff(plan.row[plan.probed]))) > 10, "rows come in order"
