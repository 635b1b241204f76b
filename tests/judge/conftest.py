from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import model_zoo
import numpy as np
import pytest
from local_engine import LocalEngine

from judge.heldout import HeldOut
from judge.judge import Judge, JudgeLimits
from judge.rows import pack
from judge.verdict import Verdict
from sandbox.spec import Lease


@pytest.fixture(scope="session")
def heldout() -> HeldOut:
    """About 60 rows of 32 tokens. Token i has i % 4 + 1 bytes."""
    tokens = model_zoo.text(40)
    starts = np.flatnonzero(tokens == model_zoo.BOS)
    token_bytes = np.append(np.arange(model_zoo.V - 1) % 4 + 1, 0)
    document_bytes = np.add.reduceat(token_bytes[tokens], starts)
    return HeldOut("val", model_zoo.V, model_zoo.T, pack(tokens, model_zoo.BOS, model_zoo.T), document_bytes)


@pytest.fixture
def judged(heldout: HeldOut, tmp_path: Path) -> Callable[..., Verdict]:
    """Judge an artifact with an engine of this process (or the one given)."""

    def judge(
        artifact: Path,
        engine: LocalEngine | None = None,
        seed: int = 0,
        reference: np.ndarray | None = None,
        **limits: object,
    ) -> Verdict:
        scratch = tmp_path / f"scratch-{len(list(tmp_path.iterdir()))}"
        scratch.mkdir()
        return Judge(
            engine or LocalEngine(),  # type: ignore[arg-type]
            "sha256:0",
            {"val": heldout},
            eval_batch=model_zoo.B,
            limits=JudgeLimits(**{"probes": 600, **limits}),  # type: ignore[arg-type]
            rng=lambda: np.random.default_rng(seed),
        ).score(
            artifact,
            "val",
            run="r",
            experiment="1",
            attempt=1,
            lease=Lease((0,)),
            scratch=scratch,
            reference=reference,
        )

    return judge
