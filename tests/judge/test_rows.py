"""Every token of every document is a target exactly once, in rows that are the same for everybody."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from judge.rows import pack

BOS = 9
documents = st.lists(st.lists(st.integers(0, BOS - 1), max_size=40), min_size=1, max_size=30)


def stream(texts: list[list[int]]) -> np.ndarray:
    return np.array([token for text in texts for token in (BOS, *text)], np.uint16)


@given(documents, st.integers(1, 12))
def test_every_token_of_every_document_is_a_target_exactly_once(texts: list[list[int]], seq_len: int) -> None:
    rows = pack(stream(texts), BOS, seq_len)

    found: dict[int, list[tuple[int, ...]]] = {}
    for row, document in zip(rows.tokens, rows.document, strict=True):
        assert row[0] == BOS
        piece: list[int] = []
        for t in range(seq_len):
            assert (document[t] == -1) == (row[t + 1] == BOS)
            if document[t] >= 0:
                piece.append(int(row[t + 1]))
            if piece and (t + 1 == seq_len or document[t + 1] != document[t] or row[t + 2] == BOS):
                assert row[t + 1 - len(piece)] == BOS, "a piece without BOS before it"
                found.setdefault(int(document[t]), []).append(tuple(piece))
                piece = []
    for number, text in enumerate(texts):
        cut = [tuple(text[at : at + seq_len]) for at in range(0, len(text), seq_len)]
        assert sorted(found.get(number, [])) == sorted(cut)


@given(documents, st.integers(1, 12))
def test_packing_is_the_same_every_time_and_wastes_no_row(texts: list[list[int]], seq_len: int) -> None:
    first, again = pack(stream(texts), BOS, seq_len), pack(stream(texts), BOS, seq_len)

    assert np.array_equal(first.tokens, again.tokens)
    assert np.array_equal(first.document, again.document)
    assert first.tokens.shape[1] == seq_len + 1
    assert first.scored.any(axis=1).all()
