"""docs/attacks.md names, for every attack of the catalogue, a script or a test that is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from corpus import ATTACKS, GROUPS, expected, scripts

ROOT = Path(__file__).parents[2]
ROWS = re.findall(
    r"^\| (\d+)( G)? \| ([^|]+) \| ([^|]+) \|$", (ROOT / "docs" / "attacks.md").read_text(), re.M
)
NAMED = sorted({name for *_, cell in ROWS for name in re.findall(r"`([^`]+)`", cell)})


def test_every_attack_of_the_catalogue_has_a_row() -> None:
    assert [int(number) for number, *_ in ROWS] == list(range(1, 69))
    assert sum(not gpu for _, gpu, *_ in ROWS) >= 60


@pytest.mark.parametrize("name", NAMED)
def test_what_the_table_names_is_there(name: str) -> None:
    if "::" not in name:
        assert (ATTACKS / f"{name}.py").is_file()
        return
    file, _, test = name.partition("::")
    assert re.search(rf"^def {test}\(", (ROOT / file).read_text(), re.MULTILINE)


def test_every_script_is_in_the_table() -> None:
    there = {f"{group}/{script.stem}" for group in GROUPS for script in scripts(group)}
    assert there == {name for name in NAMED if "::" not in name}


@pytest.mark.parametrize("group", GROUPS)
def test_every_script_says_what_must_come_of_it(group: str) -> None:
    for script in scripts(group):
        found = expected(script)
        timed_out = "timeout_no_artifact" in found.outcomes
        assert found.wall is not None or not timed_out, f"{script.name} would wait for the whole wall clock"


@pytest.mark.parametrize("name", ["tarfile", "zipfile", "shutil.unpack_archive", "numpy.lib.npyio"])
def test_nothing_that_holds_an_artifact_can_unpack_an_archive(name: str) -> None:
    """What goes into an engine may be a tar; what comes out of a container never is."""
    into = {ROOT / "sandbox" / "images.py", ROOT / "sandbox" / "fake_engine.py"}
    for package in ("sandbox", "judge"):
        for path in (ROOT / package).rglob("*.py"):
            tree = ast.parse(path.read_text())
            words = {
                alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names
            }
            words |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
            words |= {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
            assert name not in words or path in into, path
            extracting = {word.rpartition(".")[2] for word in words} & {
                "extractall",
                "get_archive",
                "put_archive",
            }
            assert not extracting, path
