"""Generated answers through the whole proposal path: answer, edits, facts, ledger row.

Mutated scripts and answers, grammar bombs, hostile unicode. None may cost the runner a second of its own CPU time (which is
also how long it could hold the interpreter) or its life, and each is a row with a closed status.
"""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from test_hostile_texts import TEXTS, TRAIN, block

from benchmarks.simulated_run import SimulatedRun
from runner.parsing.client import shared
from runner.parsing.facts import BadAnswer
from runner.protocols import Context, Proposal

IDEAS = [
    p.read_text() for p in sorted((Path(__file__).parents[2] / "benchmarks/upstream_ideas").glob("*.edit.md"))
]
TOKENS = (
    "(", ")", "[", "]", "{", "}", ":", ",", "\n", "\n    ", "\t", "f'{", "'", '"""', "\\", "lambda ", "not ", "-", "**",
    "+ ", "if ", " else ", "for ", " in ", "await ", "yield ", "with ", "try:", "except:", "class A", "def f", "@a\n", "*",
    "import ", "from . import ", "# tune: log ", "nan", "1e400", "0x", "9" * 50, "\ud800", "\u202e", "é", "\0", "\x0c", "\r",
    "\ufeff", "\u2028", "𝔘", "<<<<<<< SEARCH\n", "\n=======\n", "\n>>>>>>> REPLACE\n", "```", "~~~", "</think>", "<think>",
    "TITLE: ", "NOTES: ", "EXPECTED_GAIN: ", " " * 300, "a" * 300, "#", "...", "\\N{", "match a:\n case ", ":=", "<|channel|>",
)  # fmt: skip


def script(rng: random.Random) -> str:
    """A script: real and mutated, repeated tokens, or one of the texts that once did harm."""
    kind = rng.randrange(4)
    if kind == 0:
        return rng.choice(list(TEXTS.values()))
    if kind == 1:
        opening, closing = rng.choice(TOKENS), rng.choice(TOKENS)
        times = int(2 ** rng.uniform(0, 14))
        return f"x = {opening * times}1{closing * rng.choice([0, times])}"[:250_000]
    text = TRAIN
    for _ in range(rng.randint(1, 6)):
        start = rng.randrange(len(text) + 1)
        end = min(len(text), start + int(2 ** rng.uniform(0, 12)))
        middle = rng.choice(
            ["", rng.choice(TOKENS), text[start:end] * rng.randint(0, 3), rng.choice(TOKENS) * 200]
        )
        text = text[:start] + middle + text[end:]
    return text


def answer(rng: random.Random) -> str:
    kind = rng.randrange(5)
    if kind == 0:
        return f"TITLE: t\n```python\n{script(rng)}\n```"
    if kind == 1:
        lines = TRAIN.split("\n")
        start = rng.randrange(len(lines))
        wanted = lines[start : start + int(2 ** rng.uniform(0, 7))]
        if rng.random() < 0.5:
            wanted[rng.randrange(len(wanted))] += rng.choice(TOKENS)
        return "TITLE: t\n" + block("\n".join(wanted), script(rng)[:20_000])
    if kind == 2:
        return "".join(rng.choice(TOKENS) * int(2 ** rng.uniform(0, 10)) for _ in range(rng.randint(1, 40)))
    text = rng.choice(IDEAS)
    for _ in range(rng.randint(1, 5)):
        at = rng.randrange(len(text) + 1)
        text = text[:at] + rng.choice(TOKENS) * rng.choice([1, 1, 3, 1000]) + text[at + rng.randrange(30) :]
    return text


class Answers:
    """What a model that means harm would answer, read as a model's answers are."""

    name = "fuzz"

    def __init__(self, texts: Iterator[str]) -> None:
        self.texts = texts

    def propose(self, context: Context) -> Proposal:
        text = next(self.texts)
        if text.startswith("x = "):  # a whole script, as a command or a folder would give it
            return Proposal(text, text[:100])
        try:
            found = shared().answer(text, context.best_source)
        except BadAnswer as error:
            return Proposal(None, text[:100], failure=str(error))
        return Proposal(
            found.source, found.title, found.hypothesis, found.category, edits=found.edits, notes=found.notes
        )


def fuzz(folder: Path, seeds: range) -> None:
    simulated = SimulatedRun(folder, [])
    simulated.workspace.script.write_text(f"SCORE = 2.0\n{TRAIN}")
    rngs = [random.Random(seed) for seed in seeds]
    texts = ((script if rng.random() < 0.3 else answer)(rng) for rng in rngs)
    simulated.proposals = Answers(texts)  # type: ignore[assignment]
    simulated.train = lambda job: None  # type: ignore[assignment, method-assign, return-value]
    loop = simulated.loop()
    source = simulated.workspace.script.read_bytes()
    from runner.parsing.static_check import check

    stage = loop._stage
    stage.record(
        0, source, check(source, shared()), title="b", category="b", parent=None, status="keep", val_bpb=2.0
    )
    statuses = set()
    for seed in seeds:
        began = time.process_time()
        found = stage.propose()
        spent = time.process_time() - began
        assert spent < 1.0, f"seed {seed} took {spent:.2f} s of the runner"
        statuses.add(found.status)
        assert found.status in {"open", "rejected", "proposer_failed"}
        assert found.reason or found.status == "open"
    assert statuses == {"open", "rejected", "proposer_failed"}, "every way is tried"


def test_generated_texts_cost_the_runner_neither_its_time_nor_its_life(tmp_path: Path) -> None:
    fuzz(tmp_path, range(150))


@pytest.mark.slow
@pytest.mark.parametrize("start", range(1000, 11_000, 500))
def test_ten_thousand_of_them(tmp_path: Path, start: int) -> None:
    for number, begin in enumerate(itertools.count(start, 100)):
        if begin >= start + 500:
            break
        fuzz(tmp_path / str(number), range(begin, begin + 100))
