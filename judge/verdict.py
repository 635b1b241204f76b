"""The result of judging: a score, or a closed reason."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray


class Reason(StrEnum):
    """Why an artifact has no score: a closed set. Nothing else about a refusal reaches the agent."""

    MODEL_MALFORMED = "model_malformed"
    """model.stablehlo is not a program that jax.export wrote."""
    SIGNATURE = "signature"
    """Not f(params, int32[B, T]) -> floating[B, T, V] with the B, T and V of the data."""
    FORBIDDEN_OP = "forbidden_op"
    """An op or attribute outside the allow-list, a custom call, an effect or a second device."""
    PROGRAM_TOO_LARGE = "program_too_large"
    """Beyond a limit of `ProgramLimits`: ops, depth, constants, tensors or the file."""
    PARAMS_MALFORMED = "params_malformed"
    """params.safetensors is missing, too large or not in the format."""
    PARAMS_MISMATCH = "params_mismatch"
    """Names, shapes or dtypes of the weights differ from the program's."""
    NOT_FINITE = "not_finite"
    """NaN or infinity in the weights or the logits."""
    NOT_CAUSAL = "not_causal"
    """A prediction changed when later text, or other rows of the batch, changed."""
    NOT_DETERMINISTIC = "not_deterministic"
    """The same input gave two different answers."""
    TOO_SLOW = "too_slow"
    """No answer within `JudgeLimits.wall_clock_s`."""
    OUT_OF_MEMORY = "out_of_memory"
    CRASHED = "crashed"
    """The judge's container died while it compiled or ran the program."""


@dataclass(frozen=True, slots=True, eq=False)
class Verdict:
    """A score, or the reason why there is none, or neither if the infrastructure failed (`infrastructure` says how).

    `document_nats` and `document_bytes` are float64[D] and int64[D]: summed cross-entropy (nats) and exact UTF-8 bytes of each
    document, in the order of the data set. `position_nats` is float32[N, T], the cross-entropy (nats) of each target of the
    rows: the reference of later verdicts, for the host only. `uniform_bpb` is the score of a uniform model on the same text.
    `seconds` is how long judging took, for the operator only.
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
