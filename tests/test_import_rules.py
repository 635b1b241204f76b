"""Which room may import what. The folder a file is in says what it can reach."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HOST = ("runner", "sandbox", "judge")
CONTAINER = ROOT / "judge" / "inside"
LLM_MODULE = ROOT / "runner" / "proposers" / "llm_client.py"


def modules(room: str) -> list[Path]:
    return sorted(path for path in (ROOT / room).rglob("*.py") if CONTAINER not in path.parents)


def imported(path: Path) -> set[str]:
    """Top-level names imported anywhere in the file, inside functions too."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module.partition(".")[0])
    return names


def importers(name: str, rooms: tuple[str, ...] = HOST) -> set[Path]:
    return {path for room in rooms for path in modules(room) if name in imported(path)}


def test_only_the_sandbox_imports_docker() -> None:
    found = importers("docker")
    assert found, "the rule looks at nothing"
    assert all(path.is_relative_to(ROOT / "sandbox") for path in found), found


@pytest.mark.parametrize("name", ["jax", "jaxlib", "flax", "optax"])
def test_the_host_never_imports_jax(name: str) -> None:
    assert importers(name) == set()


def test_the_host_never_imports_the_candidates_side() -> None:
    assert importers("trainer_jax") == set()


def test_the_sandbox_imports_neither_runner_nor_judge() -> None:
    assert importers("runner", ("sandbox",)) | importers("judge", ("sandbox",)) == set()


def test_the_judge_does_not_import_the_runner() -> None:
    assert importers("runner", ("judge",)) == set()


def test_only_one_module_imports_litellm() -> None:
    assert importers("litellm") <= {LLM_MODULE}


@pytest.mark.parametrize("name", ["pickle", "cloudpickle", "dill", "marshal", "shelve", "torch"])
def test_nothing_is_ever_unpickled(name: str) -> None:
    assert importers(name) == set()
    assert not any(name in imported(path) for path in CONTAINER.rglob("*.py"))


def test_the_container_half_of_the_judge_needs_no_host_package() -> None:
    allowed = set(sys.stdlib_module_names) | {"jax", "jaxlib", "numpy", "ml_dtypes", "judge"}
    for path in CONTAINER.rglob("*.py"):
        assert imported(path) <= allowed, path


@pytest.mark.parametrize("arguments", [["--help"], ["status"]])
def test_the_quick_verbs_load_nothing_heavy(arguments: list[str], tmp_path: Path) -> None:
    """A benchmark would be noise here; what costs the time is the imports, and those can be counted."""
    program = (
        "import sys\nfrom runner.cli import main\n"
        "try:\n    main(sys.argv[1:])\nexcept SystemExit:\n    pass\n"
        "print(sorted({n.partition('.')[0] for n in sys.modules}), file=sys.stderr)"
    )
    result = subprocess.run(
        [sys.executable, "-c", program, *arguments], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    loaded = set(ast.literal_eval(result.stderr.strip().splitlines()[-1]))
    heavy = {
        "litellm",
        "docker",
        "matplotlib",
        "jax",
        "pyarrow",
        "tokenizers",
        "libcst",
        "requests",
    }
    assert loaded & heavy == set()


def test_modules_stay_short() -> None:
    for room in (*HOST, "trainer_jax"):
        for path in (ROOT / room).rglob("*.py"):
            limit = 450 if path.name == "train.py" else 400
            assert len(path.read_text().splitlines()) <= limit, path


READER = ROOT / "runner" / "reader"
CHILD_ONLY = {READER / f"{name}.py" for name in ("child", "syntax", "answers", "edits", "differences")}


NAMES_OF_MODELS = {ROOT / "runner" / "proposers" / name for name in ("llm_client.py", "price_table.py")}
"""These compare the name of a model that the user gave with those of a table."""


@pytest.mark.parametrize("name", ["ast", "difflib", "libcst", "tokenize", "parso", "symtable", "codeop"])
def test_only_the_readers_child_parses(name: str) -> None:
    assert importers(name) - NAMES_OF_MODELS <= CHILD_ONLY


def test_nobody_but_the_child_imports_what_reads_texts() -> None:
    inside = {f"runner.reader.{path.stem}" for path in CHILD_ONLY}
    for room in HOST:
        for path in set(modules(room)) - CHILD_ONLY:
            found = {
                node.module if isinstance(node, ast.ImportFrom) else alias.name
                for node in ast.walk(ast.parse(path.read_text()))
                if isinstance(node, ast.Import | ast.ImportFrom)
                for alias in node.names
            }
            assert found & inside == set(), path
            calls = {
                ast.unparse(n.func) for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Call)
            }
            assert not calls & {"compile", "eval", "exec", "ast.parse"}, path
