"""The table in docs/judge.md is what benchmarks/blind_probe.py prints, for as many probes as there are."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from benchmarks import blind_probe
from judge.limits import JudgeLimits

PAGE = (Path(__file__).parents[2] / "docs" / "judge.md").read_text()
ROW = r"^\| ([\d.]+) \| ([a-z ]+) \| [\d.]+% \| ([\d.]+)% \| ([\d.]+)% \|$"


def rates(text: str, *, verdicts: int = 1) -> dict[tuple[float, str], float]:
    """Percent found in one verdict, or in two."""
    return {
        (float(worth), shape): float(found[verdicts - 1])
        for worth, shape, *found in re.findall(ROW, text, re.MULTILINE)
    }


def test_the_page_has_the_table_of_the_present_number_of_probes() -> None:
    printed, now = (
        rates(PAGE),
        rates(
            "\n".join(blind_probe.table(20, JudgeLimits().probes, JudgeLimits().suspects, 800, 256, seed=1))
        ),
    )

    assert printed.keys() == now.keys()
    for key, rate in now.items():  # 20 plans against 200: within four standard errors
        if 0 < key[0] < 0.002 and key[1] == "at random":
            continue  # so few positions that one draw of them decides whether one looks too good
        error = 400 * np.sqrt(max(printed[key] / 100 * (1 - printed[key] / 100), 0.01) / 20)
        assert abs(rate - printed[key]) < error, key


def test_what_is_promised_of_leaks_beyond_two_thousandths_of_a_bit() -> None:
    once, twice = rates(PAGE), rates(PAGE, verdicts=2)
    assert {shape for _, shape in once} == {"no leak", *blind_probe.SHAPES}
    for (worth, shape), rate in once.items():
        if worth == 0:
            assert rate == 0
        if worth >= 0.002:
            assert twice[worth, shape] >= 95
            assert rate >= (75 if shape == "half of them" else 95)


@pytest.mark.parametrize("shape", blind_probe.SHAPES)
def test_every_shape_of_a_leak_is_worth_what_its_row_says(shape: str) -> None:
    rng = np.random.default_rng(0)
    losses = blind_probe.honest(blind_probe.rows_of(200, 64, rng), rng)
    gain = blind_probe.gains(shape, 0.01, losses, rng)

    assert gain.min() >= 0
    assert gain.sum() / np.log(2) / (losses.size * blind_probe.BYTES_PER_TOKEN) == pytest.approx(0.01)
