"""Mutated programs: loaded, or refused with a closed reason; no other exception, no memory beyond the limit.

MLIR's own reader falls over some of them, and for a very few it never ends. The process that reads is alone in a container:
the verdicts are `crashed` and `too_slow`, and nothing of the host's waits for it but the judge's own wall clock.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import zoo
from programs import made, one_by_one

from judge.verdict import Reason

CLOSED = {str(reason) for reason in Reason} | {"loaded"}
DEATHS = {"signal 11", "signal 6", "signal 7", "signal 4", "signal 8"}
KIB = 1 << 20


@pytest.mark.parametrize("count", [600, pytest.param(12_000, marks=pytest.mark.slow)])
def test_a_mutated_program_is_loaded_or_refused_with_a_closed_reason(count: int, tmp_path: Path) -> None:
    bases = []
    for name in ("hashed_trigrams", "attention", "gated_recurrence", "token_choice"):
        bases.append(tmp_path / name)
        weights = {"bigram": zoo.init(0)["bigram"]} if name == "hashed_trigrams" else zoo.init(0)
        bases[-1].write_bytes(bytes(made(zoo.HONEST[name], weights).serialize()))

    found = one_by_one(tmp_path, "--mutate", "0", str(count), *bases, timeout=1800)

    came = Counter(item["came"] for item in found)
    print(came)
    assert len(found) == count
    assert set(came) <= CLOSED | DEATHS | {"hang"}, came
    assert sum(came[death] for death in DEATHS) < count / 50
    assert came["hang"] <= 3 + count / 1000
    assert came["model_malformed"] > count / 10
    assert max(item["seconds"] for item in found if item["came"] != "hang") < 20
    assert max(item["kib"] for item in found) < 2 * KIB
