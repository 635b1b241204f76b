"""Texts that broke the reading of proposals, and their kin: each gets a word, and the run goes on."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.simulated_run import SimulatedRun, source
from runner.parsing.client import shared
from runner.parsing.facts import BadAnswer, Facts, Rejection
from runner.proposers.choose_constants import ALL_TRIED
from runner.proposers.tpe import TpeProposer
from runner.protocols import PROPOSER_RAISED, Context, Proposal

TRAIN = (Path(__file__).parents[2] / "trainer_jax" / "train.py").read_text()
BIG = 190_000
TEXTS = {
    "4000 hex digits": "x = 0x" + "f" * 4000,
    "400 elif": "a = 0\nif a: pass\n" + "elif a: pass\n" * 400,
    "a sum of 400 terms": "x = " + "+".join(["1"] * 400),
    "a sum of 5000 terms": "x = " + "+".join(["1"] * 5000),
    "2500 brackets": "x = " + "[" * 2500 + "]" * 2500,
    "a sum of 90000 terms": "x = " + "+".join(["1"] * 90_000),
    "f-strings in f-strings": "x = " + "f'{" * 150 + "1" + "}'" * 150,
    "lambdas": "x = " + "lambda:" * 20_000 + "1",
    "not": "x = " + "not " * 40_000 + "1",
    "minus": "x = " + "-" * BIG + "1",
    "powers": "x = 2" + "**2" * 60_000,
    "if else": "x = " + "1 if a else " * 15_000 + "1",
    "comparisons": "x = " + "<".join("a" * 90_000),
    "attributes": "a" + ".a" * 90_000,
    "subscripts": "a" + "[0]" * 60_000,
    "calls": "f" + "()" * 90_000,
    "decorators": "@a\n" * 60_000 + "def f(): pass\n",
    "blocks": "".join(" " * depth + "with a:\n" for depth in range(99)) + " " * 99 + "pass\n",
    "tries": "".join(" " * depth + "try:\n" for depth in range(99)),
    "dictionaries": "x = " + "{1:" * 190 + "1" + "}" * 190,
    "a giant tuple": "x = (" + "1," * 90_000 + ")",
    "many constants": "".join(f"C{number} = {number}  # tune: int 0 99999\n" for number in range(5000)),
    "imports": "\n".join(f"import a{number}" for number in range(12_000)),
    "short lines": "\n" * BIG,
    "form feeds": "\x0c" * BIG,
    "tabs": "\t" * BIG,
    "null bytes": "x = 1\0",
    "one long name": "a" * BIG + " = 1",
    "names of all scripts": "é" * 60_000 + " = 1",
    "lone surrogates": "x = '\ud800\udfff'",
    "a mark of byte order": "\ufeffx = 1\n",
    "named characters": "x = '" + "\\N{DIGIT ONE}" * 10_000 + "'",
    "escapes": "x = '" + "\\" * 90_000 + "'",
    "quotes": "'" * BIG,
    "stars": "print(" + "*" * 90_000 + "a)",
    "walrus": "x = " + "(y := " * 190 + "1" + ")" * 190,
    "comprehensions": "x = " + "[a for a in " * 90 + "b" + "]" * 90,
    "match": "match a:\n    case " + "|".join(["1"] * 60_000) + ":\n        pass\n",
    "another encoding": "# coding: unicode_escape\n# \\u000a import os\n",
    "hostile ranges": "".join(
        f"A{number} = 1.0  # tune: {words}\n"
        for number, words in enumerate(
            ["log nan 1", "log 0 1", "log 1e-400 1", "float -1e400 1e400", "float -inf inf", "int 0 1e308", "log 1 1",
             "cat", "cat " + "a " * 400, "cat nan inf", "int 1", "log 1e-300 1e300", "float", "int x y", "cat " + "9" * 400]
        )
    ),
}  # fmt: skip
FITTING = ("elif", "terms", "hex", "giant", "mark", "named")


@pytest.mark.parametrize("name", TEXTS)
def test_a_script_is_read_or_gets_a_word(name: str) -> None:
    found = shared().facts(TEXTS[name])
    assert isinstance(found, Facts)
    assert found.rejection in {None, Rejection.SYNTAX_ERROR, Rejection.UNREADABLE, Rejection.NOT_UTF8}
    assert found.rejection is not None or len(found.fingerprint) == 64


@pytest.mark.parametrize(
    "name", ["4000 hex digits", "400 elif", "a sum of 400 terms", "a sum of 5000 terms", "a giant tuple"]
)
def test_a_script_that_python_runs_is_not_refused_for_its_size(name: str) -> None:
    assert shared().facts(TEXTS[name]).rejection is None


def test_a_script_in_another_encoding_is_refused() -> None:
    """What is a comment to a parser of UTF-8 would be code."""
    assert shared().facts(TEXTS["another encoding"]).rejection is Rejection.NOT_UTF8
    assert shared().facts("# -*- coding: utf-8 -*-\nx = 1\n").rejection is None


def test_the_largest_honest_script_is_read_with_room_to_spare() -> None:
    """A 200 kB script takes a tenth of the limit (benchmarks/reading.py); here it only has to pass."""
    functions = TRAIN.split("\n\n\n")
    big, number = TRAIN, 0
    while len(big) + len(TRAIN) < 199_000:
        number += 1
        big += "\n\n\n" + "\n\n\n".join(functions[2:]).replace("def ", f"def a{number}_")
    found = shared().facts(big)
    assert found.rejection is None, found.detail
    assert found.nodes > 30_000


# -- nodes are measured honestly ---------------------------------------------------------------------------------------
def test_a_script_hidden_in_text_is_not_a_simple_script() -> None:
    honest = shared().facts(TRAIN)
    import base64
    import zlib

    packed = base64.b85encode(zlib.compress(TRAIN.encode(), 9)).decode()
    for hidden in (
        f"exec({TRAIN!r})",
        f"exec({TRAIN.encode()!r})",
        "exec(''.join([" + ", ".join(repr(TRAIN[at : at + 8]) for at in range(0, len(TRAIN), 8)) + "]))",
        f"import base64, zlib\nexec(zlib.decompress(base64.b85decode({packed!r})))",
        f"import sys\n{TRAIN!r}\nexec(open(__file__).readline())",
        "exec(open(__file__).read().replace('#~', ''))\n"
        + "".join(f"#~{line}\n" for line in TRAIN.splitlines()),
        f"exec((0x{TRAIN.encode().hex()}).to_bytes({len(TRAIN)}, 'big'))",
        "exec(x" + "".join(f".{'a' * 50}{number}" for number in range(400)) + ")",
    ):
        found = shared().facts(hidden)
        assert found.rejection is None, found.detail
        assert found.nodes > honest.nodes, hidden[:40]


def test_comments_and_formatting_of_an_honest_script_cost_nothing() -> None:
    assert shared().facts(TRAIN + "# a remark\n" * 50).nodes == shared().facts(TRAIN).nodes


# -- tunable constants -------------------------------------------------------------------------------------------------
def test_a_range_that_no_number_fits_into_makes_no_constant() -> None:
    found = shared().facts(TEXTS["hostile ranges"]).constants
    assert [constant.name for constant in found] == ["A9"], "cat nan inf: two words"
    text = TEXTS["hostile ranges"]
    context = Context("", text, 2.0, 0.01, best_constants=found)
    for seed in range(20):
        proposal = TpeProposer(seed).propose(context)
        assert proposal.source is not None or proposal == ALL_TRIED


@pytest.mark.parametrize(
    ("line", "literal"),
    [
        ("A = 3  # tune: int 1 9", "3"),
        ("A = (3)  # tune: int 1 9", "3"),
        ("A = -3  # tune: int -9 9", "-3"),
        ("A = (\n    3\n)  # tune: int 1 9", "3"),
        ("é = 1; B = 2\nA = 'é'  # tune: cat é e", "'é'"),
        ("\x0cA = 3  # tune: int 1 9", None),
        ("A = 3; B = 4  # tune: int 1 9", None),
        ("A = 3  # tune: int 1 9\nA = 4", None),
        ("A = B = 3  # tune: int 1 9", None),
        ("if 1:\n    A = 3  # tune: int 1 9", None),
        ("A = [3]  # tune: int 1 9", None),
        ("A = 3  # tune: int 1 9\r\nB = 1", "3"),
        ("x = 1\rA = 3  # tune: int 1 9", "3"),
        ("\ufeffA = 3  # tune: int 1 9", "3"),
    ],
)
def test_a_constant_stands_where_it_is_said_to_stand(line: str, literal: str | None) -> None:
    found = shared().facts(line).constants
    said = [line.encode()[constant.start : constant.end].decode() for constant in found]
    assert said == ([] if literal is None else [literal])


# -- answers -----------------------------------------------------------------------------------------------------------
def block(search: str, replace: str) -> str:
    return f"<<<<<<< SEARCH\n{search}\n=======\n{replace}\n>>>>>>> REPLACE\n"


LINES = TRAIN.split("\n")
WRONG = "\n".join([*LINES[100:130], "# a remark that is not there", *LINES[131:160]])


@pytest.mark.parametrize(
    "text",
    [
        block(WRONG, "x"),
        block("\n".join(f"not there {number}" for number in range(100)), "x"),
        "```" + " " * 100_000,
        "```python" + "\t" * 100_000 + "\n",
        "*" * 100_000 + "TITLE:",
        "TITLE" + "* " * 50_000,
        "#" * 100_000,
        "NOTES" + " " * 100_000,
        "EXPECTED_GAIN: " + "1" * 100_000 + "e" + "9" * 1000,
        "<" * 100_000,
        "<think " * 50_000,
        "<|channel|>" * 30_000,
        "=" * 100_000,
        block("x", "# ..." + " " * 100_000 + "(the rest"),
        block("\n" * 20_000, "x"),
        block("LR = 1", "LR = 2") * 3000,
        "\n".join("<<<<<<< SEARCH" for _ in range(20_000)),
        "\x1b]" * 100_000,
        "x" * 500_000,
        "\n" * 100_000,
        "TITLE: " + "\ud800" * 1000,
    ],
    ids=lambda text: ascii(text[:20]),
)
def test_an_answer_that_cannot_be_used_says_why(text: str) -> None:
    with pytest.raises(BadAnswer) as caught:
        shared().answer(text, TRAIN)
    assert "the answer cannot be read" not in str(caught.value)


def test_a_long_search_with_one_line_wrong_is_answered_with_the_nearest_lines() -> None:
    with pytest.raises(BadAnswer, match="The nearest lines are") as caught:
        shared().answer(block(WRONG, "x"), TRAIN)
    assert LINES[130] in str(caught.value)


# -- whole runs --------------------------------------------------------------------------------------------------------
def test_a_night_of_hostile_proposals_goes_on_to_its_end(tmp_path: Path) -> None:
    names = ["2500 brackets", "4000 hex digits", "a sum of 400 terms", "minus", "another encoding"]
    simulated = SimulatedRun(tmp_path, [*(source(2.1, TEXTS[name]) for name in names), source(1.5)])
    simulated.loop().go()
    found = simulated.ledger.experiments("simulated")
    assert [e.status for e in found[1:7]] == ["rejected", "discard", "discard", "rejected", "discard", "keep"]
    assert found[4].reason == "unreadable"
    assert all(e.facts.fingerprint for e in found if e.status in {"keep", "discard"})


class Raising:
    """Raises, or returns, what nobody should."""

    name = "raising"

    def __init__(self, *made: object) -> None:
        self.made = made

    def propose(self, context: Context) -> Proposal:
        if context.number > len(self.made):
            return Proposal(None, "none", failure="the scripted proposals are used up")
        made = self.made[context.number - 1]
        if isinstance(made, BaseException):
            raise made
        return made  # type: ignore[return-value]


class Evil(Exception):
    def __str__(self) -> str:
        raise ValueError


WRONG_TYPES: list[object] = [
    RecursionError("deep"),
    MemoryError(),
    Evil(),
    UnicodeEncodeError("utf-8", "\ud800", 0, 1, "no"),
    AssertionError("\x1b[31m\ud800" * 1000),
    None,
    "x = 1",
    Proposal(b"x = 1", "bytes"),  # type: ignore[arg-type]
]
ODD_FIELDS: list[object] = [
    Proposal(source(2.1), 7),  # type: ignore[arg-type]
    Proposal(source(2.2), "t", expected_gain=float("nan"), risk="\ud800"),
    Proposal(source(2.3), "t" * 100_000, expected_gain=10**400, parent=10**30),
    Proposal(source(2.4), "\ud800\x1b[2J", hypothesis="\ud800" * 9, notes="n\ud800" * 100_000, category="\0"),
    Proposal(source(2.5), "t", parent=True),
    Proposal("x" * 10_000_000, "large"),
    Proposal(source(2.6), "t", edits="no edits", notices=[7]),  # type: ignore[arg-type, list-item]
]


@pytest.mark.parametrize("made", [WRONG_TYPES, ODD_FIELDS], ids=["raised", "fields"])
def test_whatever_a_proposer_raises_or_returns_is_an_experiment_and_the_run_goes_on(
    tmp_path: Path, made: list[object]
) -> None:
    simulated = SimulatedRun(tmp_path, [])
    simulated.proposals = Raising(*made)  # type: ignore[assignment]
    reason = simulated.loop().go()
    found = simulated.ledger.experiments("simulated")[1:]
    assert reason == "the proposer has nothing more to propose"
    assert len(found) == len(made) + 1
    if made is WRONG_TYPES:
        assert {e.status for e in found} == {"proposer_failed"}
        assert [e.reason for e in found[:5]] == [PROPOSER_RAISED] * 5
    else:
        assert [e.status for e in found[:-1]] == [
            "proposer_failed", "discard", "proposer_failed", "discard", "proposer_failed", "rejected", "discard",
        ]  # fmt: skip
        assert all(len(e.title) <= 200 for e in found)
        assert found[1].expected_gain is None
    assert len(simulated.workspace.read_notes()) <= 20_000


# -- a ledger of before ------------------------------------------------------------------------------------------------
def test_the_facts_of_an_older_ledger_are_read_once(tmp_path: Path) -> None:
    simulated = SimulatedRun(tmp_path, [source(1.5), source(1.4)])
    simulated.loop(max_experiments=1).go()
    written = [e.facts for e in simulated.ledger.experiments("simulated")]
    simulated.ledger._db.execute("UPDATE experiments SET fingerprint = 'old', nodes = 1")
    simulated.ledger._db.execute("UPDATE scripts SET facts = NULL")
    simulated.loop(max_experiments=2).go()
    found = simulated.ledger.experiments("simulated")
    assert [e.facts for e in found[:2]] == written
    assert [e.fingerprint for e in found[:2]] == [facts.fingerprint for facts in written]
    assert found[0].nodes == written[0].nodes
