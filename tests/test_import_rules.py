"""Which room may import what. The folder a file is in says what it can reach."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.simulated_run import SimulatedRun, source

ROOT = Path(__file__).parents[1]
HOST = ("runner", "sandbox", "judge")
CONTAINER = ROOT / "judge" / "inside"
LLM_MODULE = ROOT / "runner" / "llm" / "litellm_client.py"


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


def importers(name: str, environment: tuple[str, ...] = HOST) -> set[Path]:
    return {path for room in environment for path in modules(room) if name in imported(path)}


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


@pytest.fixture(scope="module")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace in which a run has kept its experiment 1."""
    run = SimulatedRun(tmp_path_factory.mktemp("run"), [source(1.9, "better = 1\n")])
    run.loop().go()
    (run.workspace.folder / "autoresearch.toml").write_text("")
    return run.workspace.folder


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["status"],
        ["status", "-C", "."],
        ["ls"],
        ["ls", "--runs"],
        ["show", "1"],
        ["best", "--run", "simulated"],
        ["logs", "1"],
    ],
)
def test_the_quick_verbs_load_nothing_heavy(arguments: list[str], finished_run: Path) -> None:
    """A benchmark would be noise here; what costs the time is the imports, and those can be counted."""
    program = (
        "import sys\nfrom runner.cli import main\n"
        "try:\n    main(sys.argv[1:])\nexcept SystemExit:\n    pass\n"
        "print(sorted({n.partition('.')[0] for n in sys.modules}), file=sys.stderr)"
    )
    result = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=finished_run,
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout, result.stderr
    loaded = set(ast.literal_eval(result.stderr.strip().splitlines()[-1]))
    heavy = {
        "litellm",
        "docker",
        "matplotlib",
        "jax",
        "pyarrow",
        "tokenizers",
        "libcst",
        "numpy",
        "pydantic",
        "requests",
        "pynvml",
    }
    assert loaded & heavy == set()


def test_modules_stay_short() -> None:
    for room in (*HOST, "trainer_jax"):
        for path in (ROOT / room).rglob("*.py"):
            limit = {"train.py": 450, "train_nnx.py": 490}.get(path.name, 400)
            assert len(path.read_text().splitlines()) <= limit, path


PARSING = ROOT / "runner" / "parsing"
CHILD_ONLY = {
    PARSING / f"{name}.py" for name in ("worker", "python_parser", "fingerprint", "answers", "edits", "diffs")
}


NAMES_OF_THE_USER = {
    ROOT / "runner" / name for name in ("llm/litellm_client.py", "llm/prices.py", "suggestions.py")
}
"""These compare a name that the user gave with those of a table."""


@pytest.mark.parametrize("name", ["ast", "difflib", "libcst", "tokenize", "parso", "symtable", "codeop"])
def test_only_the_readers_child_parses(name: str) -> None:
    assert importers(name) - NAMES_OF_THE_USER <= CHILD_ONLY


def test_nobody_but_the_child_imports_what_reads_texts() -> None:
    inside = {f"runner.parsing.{path.stem}" for path in CHILD_ONLY}
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


BELOW = {"errors", "exit_codes", "clock", "durations", "protocols", "cache", "suggestions", "nightly_window"}
"""Modules of the runner that every package may import."""
MAY_IMPORT = {
    "parsing": set(),
    "resources": set(),
    "data": set(),
    "images": {"resources"},
    "store": {"parsing", "resources"},
    "scoring": {"data", "images", "store"},
    "evaluation": {"data", "images", "parsing", "scoring", "store"},
    "tasks": {"images", "parsing", "store"},
    "results": {"data", "evaluation", "scoring", "store"},
    "proposers": {"parsing", "store"},
    "llm": {"parsing", "proposers", "resources", "store"},
    "report": {"parsing", "scoring", "store"},
    "display": {"scoring", "store"},
    "search": {
        "display",
        "evaluation",
        "llm",
        "parsing",
        "proposers",
        "report",
        "results",
        "scoring",
        "store",
    },
    "cli": {
        "data",
        "display",
        "evaluation",
        "images",
        "llm",
        "proposers",
        "report",
        "resources",
        "results",
        "scoring",
        "search",
        "store",
        "tasks",
    },
}
"""The packages of the runner and what each may import beside itself. docs/architecture.md draws it."""


def imported_packages(path: Path) -> set[str]:
    """The parts of the runner that a file imports anywhere, by the name that follows `runner.`."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == "runner":
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("runner."):
            found.add(str(node.module).split(".")[1])
        elif isinstance(node, ast.Import):
            found |= {a.name.split(".")[1] for a in node.names if a.name.startswith("runner.")}
    return found


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_a_package_imports_only_what_lies_below_it(package: str) -> None:
    paths = sorted((ROOT / "runner" / package).rglob("*.py"))
    assert paths, "the rule looks at nothing"
    for path in paths:
        assert imported_packages(path) <= MAY_IMPORT[package] | BELOW | {package}, path


def test_every_package_of_the_runner_is_in_the_table_and_says_what_it_is_for() -> None:
    folders = {path.parent.name for path in (ROOT / "runner").glob("*/__init__.py")}
    assert folders == set(MAY_IMPORT)
    for name in folders:
        text = (ROOT / "runner" / name / "__init__.py").read_text()
        assert len((ast.get_docstring(ast.parse(text)) or "").split()) > 20, name


def test_the_arrows_go_one_way() -> None:
    done: set[str] = set()
    while left := {name for name in MAY_IMPORT if name not in done}:
        free = {name for name in left if MAY_IMPORT[name] <= done}
        assert free, f"these import each other: {sorted(left)}"
        done |= free


def test_what_lies_below_everything_imports_no_package() -> None:
    for name in BELOW - {"protocols"}:  # its types name one of parsing's, for the type checker alone
        assert imported_packages(ROOT / "runner" / f"{name}.py") <= BELOW, name
