"""From the losses (nats) of the held-out tokens to the score: bits per byte of the documents."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from judge.heldout import HeldOut
from judge.verdict import Verdict


def scored(data: HeldOut, nats: NDArray[np.float32]) -> Verdict:
    """`nats` is float32[N, T], the loss of each target of the rows. The losses whose target has bytes (docs/contracts.md, "Rows") are
    summed in float64 and divided by the bytes of the documents."""
    scored = data.rows.scored
    sums = np.bincount(
        data.rows.document[scored],
        weights=nats[scored].astype(np.float64),
        minlength=len(data.document_bytes),
    )
    return Verdict(
        val_bpb=float(sums.sum() / np.log(2) / data.document_bytes.sum()),
        document_nats=np.asarray(sums, np.float64),
        document_bytes=data.document_bytes,
        position_nats=nats,
        uniform_bpb=float(np.log2(data.vocab_size) * scored.sum() / data.document_bytes.sum()),
    )
