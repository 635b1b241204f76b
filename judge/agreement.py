"""Whether the blind losses of a model agree with those of its full score: if not, it looks at what it is asked to predict."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# An honest program gives a row the same result whatever the other rows of the batch hold. The tolerance is for a device that
# chooses other kernels in the other container. A leak of MEAN_NATS at every position is worth MEAN_NATS / ln 2 / (bytes per
# token): less than 0.0003 bits per byte at the 2.5 bytes per token of the default data.
MAX_NATS = 0.01
MEAN_NATS = 0.0005


def agrees(blind: NDArray[np.float64], full: NDArray[np.float64]) -> bool:
    """Whether blind and full loss (nats) at the probed positions are finite and equal within MAX_NATS and MEAN_NATS."""
    difference = np.abs(blind - full)
    return bool(
        np.isfinite(difference).all() and difference.max() <= MAX_NATS and difference.mean() <= MEAN_NATS
    )
