from __future__ import annotations

import pytest

from runner.parsing.client import shared
from runner.parsing.facts import Facts, Rejection
from runner.parsing.static_check import check

PARENT = '"""Doc."""\nimport jax\nSEED = 42\nLR = 0.1\nkey = jax.random.key(7)\n'


def facts(text: str = PARENT) -> Facts:
    return shared().facts(text)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (b"\xff\xfe", Rejection.NOT_UTF8),
        (b"x = (", Rejection.SYNTAX_ERROR),
        (b"x = 1\0", Rejection.SYNTAX_ERROR),
        (b"#" * 200_001, Rejection.TOO_LARGE),
        (b"import requests", Rejection.UNKNOWN_IMPORT),
        (b"(" * 5000 + b")" * 5000, Rejection.SYNTAX_ERROR),
    ],
)
def test_what_cannot_run_is_rejected_before_minutes_are_spent(source: bytes, reason: Rejection) -> None:
    assert check(source, shared()).rejection is reason


def test_comments_docstrings_and_formatting_do_not_make_a_new_script() -> None:
    same = PARENT.replace('"""Doc."""', "# nothing").replace("LR = 0.1", "LR   =   0.1  # the rate")
    assert check(same.encode(), shared(), seen={facts().fingerprint}).rejection is Rejection.DUPLICATE


@pytest.mark.parametrize(
    ("old", "new"), [("SEED = 42", "SEED = 137"), ("key(7)", "key(8)"), ("key(7)", "key(7 + 1)")]
)
def test_a_change_of_nothing_but_the_seed_is_refused(old: str, new: str) -> None:
    found = check(PARENT.replace(old, new).encode(), shared(), seen={facts().fingerprint}, parent=facts())
    assert found.rejection is Rejection.SEED_ONLY


def test_a_real_change_passes() -> None:
    assert (
        check(
            PARENT.replace("0.1", "0.2").encode(), shared(), seen={facts().fingerprint}, parent=facts()
        ).rejection
        is None
    )
