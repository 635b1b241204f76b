from __future__ import annotations

import pytest

from runner.scoring.quantiles import CLAIM_QUANTILES, tabled
from runner.scoring.repeat_noise import Noise, pooled


def test_noise_is_pooled_over_every_script_that_ran_twice() -> None:
    noise = pooled([[1.0, 3.0], [10.0], [5.0, 5.0, 5.0]])
    assert noise is not None
    assert noise.freedom == 3
    assert noise.sigma == pytest.approx((2.0 / 3) ** 0.5)
    assert pooled([[1.0], [2.0]]) is None


@pytest.mark.parametrize(
    ("freedom", "claim", "repeat"),
    [(1, 636.6, 63.66), (2, 31.60, 9.925), (11, 4.587, 3.169), (9999, 3.291, 2.576)],
)
def test_what_is_known_of_the_noise_widens_every_interval(freedom: int, claim: float, repeat: float) -> None:
    """Student's t; between two lines of the table the wider one."""
    assert (tabled(CLAIM_QUANTILES, freedom), Noise(1.0, freedom).repeat_quantile) == (claim, repeat)
