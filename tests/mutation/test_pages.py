"""What the security page promises has a test of that name, and the table of defences names what is there."""

from __future__ import annotations

import re
from pathlib import Path

import mutate
import pytest

ROOT = Path(__file__).parents[2]
NAMED = sorted(
    set(re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", (ROOT / "docs" / "security.md").read_text()))
)


@pytest.mark.parametrize(("file", "name"), NAMED, ids=[name for _, name in NAMED])
def test_a_promise_has_its_test(file: str, name: str) -> None:
    assert re.search(rf"^def {name}\(", (ROOT / file).read_text(), re.MULTILINE), (
        f"there is no {file}::{name}"
    )


def test_the_page_promises_something() -> None:
    assert len(NAMED) > 30


def test_every_defence_in_the_table_is_where_it_is_said_to_be() -> None:
    """Else `script/mutate` would take away nothing, or run nothing."""
    assert mutate.problems() == []


def test_a_stale_row_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    row = mutate.Defence(
        "x", "sandbox/configuration_check.py", "no such text", "", "tests/nowhere.py::test_x"
    )
    monkeypatch.setattr(mutate, "GROUPS", {"x": [row]})
    assert len(mutate.problems()) == 2


@pytest.mark.parametrize("every", [False, True])
def test_a_text_that_is_there_twice_is_noticed(every: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else another place than the one that is meant would be changed."""
    here = "tests/mutation/test_pages.py"
    row = mutate.Defence("x", here, "import ", "", f"{here}::test_the_page_promises_something", every)
    monkeypatch.setattr(mutate, "GROUPS", {"x": [row]})
    assert len(mutate.problems()) == (0 if every else 1)


@pytest.mark.parametrize("replacement", ["return 1 ", "return 2 "])
def test_a_defence_that_nobody_watches_is_reported(tmp_path: Path, replacement: str) -> None:
    (tmp_path / "unwatched.py").write_text("def f():\n    return 1 \n")
    (tmp_path / "test_it.py").write_text("from unwatched import f\n\ndef test_it():\n    assert f() == 1\n")
    row = mutate.Defence("x", "unwatched.py", "return 1 ", replacement, "test_it.py::test_it")
    failed = mutate.without(tmp_path, row)
    assert (failed is None) == (replacement == "return 1 ")
    assert (tmp_path / "unwatched.py").read_text() == "def f():\n    return 1 \n"
