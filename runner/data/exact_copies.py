"""Texts that occur more than once, byte for byte: one of them is kept. Near copies are `common_substrings`' work."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def exact_copies(digests: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Which rows of `digests` (two words of a text's SHA-256 each) occur earlier, too."""
    order = np.lexsort((np.arange(len(digests)), digests[:, 1], digests[:, 0]))
    again = (digests[order[1:]] == digests[order[:-1]]).all(axis=1)
    copies = np.zeros(len(digests), bool)
    copies[order[1:][again]] = True
    return copies
