"""What the judge says of an artifact, and the data it was said on."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray


class Reason(StrEnum):
    """Why an artifact has no score. Closed; this word, and nothing else of the judge's, reaches the agent."""

    MODEL_MALFORMED = "model_malformed"
    """model.stablehlo is not a program that jax.export wrote."""
    SIGNATURE = "signature"
    """Not f(params, int32[B, T]) -> floating[B, T, V] with the B, T and V of the data."""
    FORBIDDEN_OP = "forbidden_op"
    """An op, custom call, effect or second device outside the allow-list."""
    PROGRAM_TOO_LARGE = "program_too_large"
    """Too many ops, too deep, or constants or intermediate tensors beyond the caps."""
    PARAMS_MALFORMED = "params_malformed"
    """params.safetensors breaks the format."""
    PARAMS_MISMATCH = "params_mismatch"
    """The weights' names, shapes or dtypes are not the program's."""
    NOT_FINITE = "not_finite"
    """NaN or infinity in the weights or the logits."""
    NOT_CAUSAL = "not_causal"
    """A position's prediction changed when the text after it, or the rows beside it, changed."""
    NOT_DETERMINISTIC = "not_deterministic"
    """The same input gave two answers."""
    TOO_SLOW = "too_slow"
    """No answer within the judge's own limit."""
    OUT_OF_MEMORY = "out_of_memory"
    CRASHED = "crashed"
    """The judge's container died while it compiled or ran the program."""


@dataclass(frozen=True, slots=True, eq=False)
class Verdict:
    """A score, or the reason why there is none; or, when `infrastructure` is set, neither.

    `document_nats` and `document_bytes` are float64[N] and int64[N]: summed cross-entropy (nats) and exact
    UTF-8 bytes of every scored document, in the order of the data set. `position_nats` is float32[N, T], the cross-entropy of
    every target of the rows: the reference of later verdicts, and for the host alone. `uniform_bpb` is what guessing all
    tokens evenly scores on the same text. `seconds` is for the operator only.
    """

    val_bpb: float | None = None
    reason: Reason | None = None
    infrastructure: str = ""
    document_nats: NDArray[np.float64] | None = None
    document_bytes: NDArray[np.int64] | None = None
    position_nats: NDArray[np.float32] | None = None
    uniform_bpb: float | None = None
    seconds: float = 0.0
    judge_version: str = ""

    @property
    def valid(self) -> bool:
        return self.val_bpb is not None
