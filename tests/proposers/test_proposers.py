from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from runner.errors import UsageError
from runner.parsing.client import shared
from runner.parsing.facts import Constant, Value
from runner.proposers.registry import absolute, make_proposer
from runner.proposers.tunable_constants import replace as replaced
from runner.protocols import Context, PastExperiment

SCRIPT = """\
# the learning rate
LR = 0.1  # tune: log 0.001 10
WIDTH = 64  # tune: cat 32 64 128
DEPTH = 4  # tune: int 1 8
DROP = 0.5  # tune: float 0 1
SECRET = 3

def f():
    LR = 7
    return LR
"""


def context(history: tuple[PastExperiment, ...] = (), number: int = 1, best: str = SCRIPT) -> Context:
    return Context("memo", best, 2.0, 0.01, history, 1000.0, number, best_constants=find(best))


def find(source: str) -> Sequence[Constant]:
    return shared().facts(source).constants


def replace(source: str, values: Mapping[str, Value]) -> str:
    return replaced(source, find(source), values)


def past(number: int, score: float | None, source: str, status: str = "discard") -> PastExperiment:
    facts = shared().facts(source)
    return PastExperiment(
        number,
        "t",
        "c",
        status,
        score,
        None,
        lambda: source,
        0,
        fingerprint=facts.fingerprint,
        read_constants=lambda: facts.constants,
    )


def test_only_constants_that_say_so_are_tuned() -> None:
    assert [(c.name, c.value, c.kind) for c in find(SCRIPT)] == [
        ("LR", 0.1, "log"), ("WIDTH", 64, "cat"), ("DEPTH", 4, "int"), ("DROP", 0.5, "float"),
    ]  # fmt: skip


def test_an_edit_keeps_comments_formatting_and_inner_names() -> None:
    assert replace(SCRIPT, {"LR": 0.25}) == SCRIPT.replace("LR = 0.1 ", "LR = 0.25 ")


def test_the_shipped_train_py_can_be_tuned() -> None:
    constants = find((Path(__file__).parents[2] / "trainer_jax" / "train.py").read_text())
    assert len(constants) >= 20
    for constant in constants:
        if constant.kind == "cat":
            assert constant.value in constant.choices, constant
        else:
            assert constant.low <= float(constant.value) <= constant.high, constant


@pytest.mark.parametrize("name", ["tpe", "random"])
def test_the_same_seed_and_history_give_the_same_proposal(name: str) -> None:
    first, second = (make_proposer(name, seed=5).propose(context()) for _ in range(2))
    assert first == second
    assert first.source not in {None, SCRIPT}
    assert make_proposer(name, seed=6).propose(context()) != first


@pytest.mark.parametrize("name", ["tpe", "random"])
def test_without_tunable_constants_the_proposer_says_so(name: str) -> None:
    assert "tune" in make_proposer(name, seed=1).propose(context(best="x = 1\n")).failure


def search(name: str, seed: int, trials: int = 40) -> float:
    """The best of a smooth function of the constants after some trials."""
    proposer = make_proposer(name, seed=seed)
    history: list[PastExperiment] = []
    best, best_score = SCRIPT, math.inf
    for number in range(trials):
        proposal = proposer.propose(context(tuple(history), number + 1, best))
        assert proposal.source is not None
        assert proposal.source not in {tried.source for tried in history}
        values = {c.name: c.value for c in find(proposal.source)}
        score = abs(math.log10(float(values["LR"]) / 2.0)) + abs(float(values["DEPTH"]) - 7) / 7
        score += abs(float(values["DROP"]) - 0.9) + abs(math.log2(float(values["WIDTH"]) / 128))
        history.append(past(number + 1, score, proposal.source))
        if score < best_score:
            best, best_score = proposal.source, score
    return best_score


def test_tpe_finds_more_than_chance() -> None:
    seeds = range(5)
    tpe, chance = ([search(name, seed) for seed in seeds] for name in ("tpe", "random"))
    assert statistics.median(tpe) < statistics.median(chance)


def changed(source: str | None, best: str = SCRIPT) -> dict[str, float]:
    assert source is not None
    before = {c.name: c.value for c in find(best)}
    return {c.name: float(c.value) for c in find(source) if c.value != before[c.name]}


def told(values: Sequence[Mapping[str, float]], scores: Sequence[float | None]) -> tuple[PastExperiment, ...]:
    return tuple(
        past(number, score, replace(SCRIPT, change))
        for number, (change, score) in enumerate(zip(values, scores, strict=True))
    )


def test_tpe_first_goes_to_the_constants_of_which_least_is_known() -> None:
    script = "".join(f"RATE_{letter} = 0.5  # tune: float 0 1\n" for letter in "ABCDEFGHIJKLMNOP")
    for seed in range(5):
        proposer, history, seen = make_proposer("tpe", seed=seed), list[PastExperiment](), set[str]()
        for number in range(8):
            source = proposer.propose(context(tuple(history), number, script)).source
            seen |= changed(source, script).keys()
            history.append(past(number, 2.0, source or ""))
        assert len(seen) == 16, seed


def test_tpe_changes_the_constant_that_made_a_difference_to_where_it_was_good() -> None:
    rates = [0.001 * 10 ** (4 * step / 11) for step in range(12)]
    history = told([{"LR": rate} for rate in rates], [abs(math.log10(rate / 2)) for rate in rates])
    proposals = [make_proposer("tpe", seed=seed).propose(context(history)).source for seed in range(20)]
    new = [changed(source).get("LR", 0.1) for source in proposals]
    assert sum(0.5 < rate < 8 for rate in new) >= 15, new


def test_tpe_keeps_away_from_where_trials_failed() -> None:
    rates = [0.02 * 1.5**step for step in range(15)]
    history = told([{"LR": rate} for rate in rates], [2.0 if rate < 0.5 else None for rate in rates])
    proposals = [make_proposer("tpe", seed=seed).propose(context(history)).source for seed in range(20)]
    assert sum(0.5 < changed(source).get("LR", 0.1) < 6 for source in proposals) <= 2


def test_tpe_takes_what_another_proposer_made_of_the_script() -> None:
    """A constant out of its range, gone, or of another kind teaches nothing, and neither does what does not parse."""
    others = (
        SCRIPT.replace("0.1 ", "99.0 "),
        SCRIPT.replace("LR = 0.1", "LR = 'auto'"),
        SCRIPT.replace("LR = 0.1  # tune: log 0.001 10", "LR = 'auto'  # tune: cat auto slow"),
        "x = 1\n",
        "def (",
        "",
    )
    history = told([{"DEPTH": depth} for depth in range(1, 9)], [2.0] * 8)
    history += tuple(past(9, None, source, "crash") for source in others)
    assert changed(make_proposer("tpe", seed=1).propose(context(history)).source)


def test_scripted_goes_through_a_folder_in_order(tmp_path: Path) -> None:
    (tmp_path / "1.py").write_text("# title: wider\nx = 1\n")
    (tmp_path / "2.py").write_text("x = 2\n")
    proposer = make_proposer(f"scripted:{tmp_path}", seed=0)
    assert [proposer.propose(context(number=n)).title for n in (1, 2)] == ["wider", "2"]
    assert proposer.propose(context(number=3)).source is None


def test_a_folder_of_scripts_is_found_from_another_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ideas").mkdir()
    (tmp_path / "ideas" / "1.py").write_text("x = 1\n")
    monkeypatch.chdir(tmp_path)
    spec = absolute("scripted:ideas")
    monkeypatch.chdir("/")
    assert make_proposer(spec, seed=0).propose(context()).title == "1"
    assert [absolute(other) for other in ("tpe", "command:./a b", "scripted:")] == [
        "tpe",
        "command:/a b",
        "scripted:",
    ]


@pytest.mark.parametrize("spec", ["llama", "scripted:/nowhere", ""])
def test_an_unknown_proposer_is_a_usage_error(spec: str) -> None:
    with pytest.raises(UsageError):
        make_proposer(spec, seed=0)
