from __future__ import annotations

import json
import shlex
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from runner.errors import UsageError
from runner.proposers.ablate import AblateProposer
from runner.proposers.registry import make_proposer
from runner.protocols import ALL_TRIED, Context, PastExperiment, Proposal

CONTEXT = Context("memo", "x = 1\n", 2.0, 0.01, (), 100.0, 3)


def ask(program: str, *, timeout_s: float = 20.0) -> Proposal:
    words = shlex.join([sys.executable, "-c", program])
    return make_proposer(f"command:{words}", seed=1, timeout_s=timeout_s).propose(CONTEXT)


def test_a_program_reads_the_context_and_prints_the_new_script() -> None:
    program = (
        "import json, sys; c = json.load(sys.stdin); assert c['schema'] == 'autoresearch/context/2'\n"
        "print('# title: more'); print(c['best_source'] + 'n = %d' % c['number'])"
    )
    proposal = ask(program)
    assert proposal.title == "more"
    assert proposal.source is not None
    assert "x = 1\nn = 3" in proposal.source


@pytest.mark.parametrize(
    ("program", "says"),
    [
        ("pass", "printed nothing"),
        ("import sys; sys.exit('oh no')", "ended with 1: oh no"),
        ("1/0", "ZeroDivision"),
    ],
)
def test_a_program_that_fails_is_a_failure_with_its_reason(program: str, says: str) -> None:
    proposal = ask(program)
    assert proposal.source is None
    assert says in proposal.failure


def test_a_program_that_hangs_is_killed_with_everything_it_started(tmp_path: Path) -> None:
    mark = tmp_path / "alive"
    child = f"import time, pathlib\nwhile True:\n    pathlib.Path({str(mark)!r}).touch(); time.sleep(0.05)"
    program = (
        f"import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', {child!r}]); time.sleep(60)"
    )
    assert "no answer within" in ask(program, timeout_s=1.5).failure
    assert mark.exists(), "the child never ran"
    time.sleep(0.2)
    mark.unlink()
    time.sleep(0.3)
    assert not mark.exists()


def test_a_command_that_is_none_is_a_usage_error() -> None:
    for spec in ("command:", "command:/nowhere/agent"):
        with pytest.raises(UsageError, match="PROGRAM"):
            make_proposer(spec, seed=1)


def past(number: int, source: str, parent: int | None, status: str = "keep") -> PastExperiment:
    return PastExperiment(number, f"idea {number}", "other", status, 2.0, None, lambda: source, parent)


def test_ablate_switches_one_accepted_change_off_and_keeps_the_others() -> None:
    lines = [f"x{i} = {i}" for i in range(20)]
    base = "\n".join(lines) + "\n"
    one = base.replace("x2 = 2\n", "x2 = 22\n")
    two = one.replace("x15 = 15\n", "x15 = 155\n")
    history = (past(0, base, None), past(1, one, 0), past(2, two, 1))
    context = Context("", two, 2.0, None, history, 1.0, 3)
    proposal = AblateProposer().propose(context)
    assert proposal.source == base.replace("x15 = 15\n", "x15 = 155\n")
    assert proposal.title == "without #1 (idea 1)"


def test_ablate_says_when_there_is_nothing_to_switch_off() -> None:
    context = Context("", "x = 1\n", 2.0, None, (past(0, "x = 1\n", None),), 1.0, 1)
    assert AblateProposer().propose(context).failure == ALL_TRIED


def test_a_program_is_told_no_time(tmp_path: Path) -> None:
    """What is left of the budget depends on how long judging took, and that on what the program read there."""
    seen = tmp_path / "seen.json"
    program = f"import sys; open({str(seen)!r}, 'w').write(sys.stdin.read()); print('x = 2')"
    words = shlex.join([sys.executable, "-c", program])
    asked = replace(CONTEXT, time_limit_s=123.456, trainings_left=7)
    make_proposer(f"command:{words}", seed=1, timeout_s=20.0).propose(asked)

    assert json.loads(seen.read_text())["trainings_left"] == 7
    assert "123.4" not in seen.read_text()


def test_an_answer_is_there_when_the_program_has_ended_whoever_still_holds_its_pipes() -> None:
    program = "import subprocess; print('y = 1'); subprocess.Popen(['sleep', '20'], start_new_session=True)"
    proposal = ask(program, timeout_s=15.0)
    assert proposal.source == "y = 1\n"


def test_words_that_are_not_closed_are_a_slip() -> None:
    with pytest.raises(UsageError, match="words"):
        make_proposer("command:'./agent", seed=1)
