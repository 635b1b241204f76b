"""The table in docs/judge.md is what benchmarks/blind_probe.py prints, for as many probes as there are."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from benchmarks import blind_probe
from judge.limits import JudgeLimits

PAGE = (Path(__file__).parents[2] / "docs" / "judge.md").read_text()
ROW = r"^\| ([\d.]+) \| ([a-z' ]+) \| [\d.]+% \| ([\d.]+)% \| ([\d.]+)% \| ([\d.]+)% \|$"
ONCE, TWICE, WITHOUT_A_REFERENCE = range(3)


def rates(text: str, column: int = ONCE) -> dict[tuple[float, str], float]:
    """Percent found."""
    return {
        (float(worth), shape): float(found[column])
        for worth, shape, *found in re.findall(ROW, text, re.MULTILINE)
    }


def test_the_page_has_the_table_of_the_present_number_of_probes() -> None:
    text = "\n".join(blind_probe.table(20, JudgeLimits(), 800, 256, seed=1))

    for column in (ONCE, WITHOUT_A_REFERENCE):
        printed, now = rates(PAGE, column), rates(text, column)
        assert printed.keys() == now.keys()
        for key, rate in now.items():  # 20 plans against 200: within four standard errors
            if 0 < key[0] < 0.002 and (
                key[1] in ("at random", "a nat each") or column == WITHOUT_A_REFERENCE
            ):
                continue  # so few positions that one draw of them decides whether one looks too good
            error = 400 * np.sqrt(max(printed[key] / 100 * (1 - printed[key] / 100), 0.01) / 20)
            assert abs(rate - printed[key]) < error, key


def test_what_is_promised_of_leaks_of_a_thousandth_of_a_bit() -> None:
    once, twice, without = (rates(PAGE, column) for column in (ONCE, TWICE, WITHOUT_A_REFERENCE))
    assert {shape for _, shape in once} == {"no leak", *blind_probe.SHAPES}
    for (worth, shape), rate in once.items():
        if worth == 0:
            assert rate == twice[worth, shape] == without[worth, shape] == 0
        if worth >= 0.001:
            assert rate >= 90
            assert twice[worth, shape] >= 99
        if worth >= 0.005:
            assert without[worth, shape] >= 95


@pytest.mark.parametrize("shape", blind_probe.SHAPES)
def test_every_shape_of_a_leak_is_worth_what_its_row_says(shape: str) -> None:
    rng = np.random.default_rng(0)
    text = blind_probe.rows_of(200, 64, rng)
    losses, rarity = blind_probe.honest(text, rng), blind_probe.surprise(text)
    gain = blind_probe.gains(shape, 0.01, losses, blind_probe.another_script(losses, rng), rarity, rng)

    assert gain.min() >= 0
    assert gain.sum() / np.log(2) / (losses.size * blind_probe.BYTES_PER_TOKEN) == pytest.approx(0.01)
