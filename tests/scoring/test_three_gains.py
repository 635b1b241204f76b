"""The example in docs/keep-rule.md is what the verbs say of that very run."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from benchmarks.simulated_run import SimulatedRun, source
from runner.cli import main
from sandbox.engine import LABEL

PAGE = (Path(__file__).parents[2] / "docs" / "keep-rule.md").read_text()
SECTION = PAGE.partition("## The three gains of one experiment")[2].partition("\n## ")[0]


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> SimulatedRun:
    rng = random.Random(4)
    sources = [source(1.95, "step = 1\n"), source(2.02, "worse = 1\n"), source(1.93, "step = 2\n")]
    simulated = SimulatedRun(
        tmp_path_factory.mktemp("example"), sources, noise=lambda _: rng.gauss(0.0, 0.004)
    )
    simulated.loop().go()
    (simulated.workspace.folder / "autoresearch.toml").write_text("")
    return simulated


@pytest.mark.parametrize("verb", ["ls", "best"])
def test_what_the_verbs_say_is_in_the_page(
    verb: str, example: SimulatedRun, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main([verb, "-C", str(example.workspace.folder)])
    lines = [line for line in capsys.readouterr().out.splitlines() if "proposer_failed" not in line]
    assert len(lines) >= 3
    shown = lines if verb == "ls" else lines[:2]
    assert f"    $ autoresearch {verb}\n" + "".join(f"    {line}\n" for line in shown) in SECTION


def test_the_image_claims_what_the_page_says_and_it_is_the_sum_of_the_expected_gains(
    example: SimulatedRun,
) -> None:
    kept = example.ledger.index("simulated").kept
    claimed = float(example.engine.image(str(kept[-1].tag)).labels[f"{LABEL}.snapshot.gain"])
    assert f"gain claimed {claimed:.4f}" in SECTION
    expected = [-float(e.expected_delta or 0.0) for e in kept[1:]]
    assert claimed == pytest.approx(sum(expected))
    assert f"{expected[0]:.4f} expected\n  of experiment 1 and {expected[1]:.4f} of experiment 3" in SECTION


def test_runs_of_a_confirmation_count_and_are_not_in_the_score(example: SimulatedRun) -> None:
    for experiment in example.ledger.index("simulated").kept:
        search = [a.val_bpb for a in experiment.counted if a.confirmation is None and a.val_bpb]
        confirming = [a.val_bpb for a in experiment.counted if a.confirmation is not None and a.val_bpb]
        assert experiment.val_bpb == pytest.approx(sum(search) / len(search))
        assert len(confirming) == (experiment.number != 1)
    assert f"{search[0]:.4f} decided it and is its score, {confirming[0]:.4f} belongs to" in SECTION
