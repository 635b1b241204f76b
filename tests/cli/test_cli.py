from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def autoresearch(*words: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "runner.cli", *words]
    variables = {**os.environ, **environment}
    return subprocess.run(
        command, cwd=cwd, env=variables, capture_output=True, text=True, check=False, timeout=120
    )


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    assert autoresearch("init", str(tmp_path / "w"), cwd=tmp_path).returncode == 0
    return tmp_path / "w"


def test_init_makes_a_workspace_and_never_overwrites(workspace: Path) -> None:
    assert (workspace / "train.py").read_bytes() == (ROOT / "trainer_jax" / "train.py").read_bytes()
    again = autoresearch("init", str(workspace), cwd=workspace)
    assert again.returncode == 2
    assert "exists already" in again.stderr


def test_a_template_is_what_train_py_begins_as(tmp_path: Path) -> None:
    assert autoresearch("init", "--template", "nnx", "w", cwd=tmp_path).returncode == 0
    assert (tmp_path / "w" / "train.py").read_bytes() == (ROOT / "trainer_jax" / "train_nnx.py").read_bytes()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--template", "nxn"), "there is no template 'nxn', only default, nnx; did you mean nnx?"),
        (("--template", "nnx", "--demo"), "leave out --demo or --template"),
    ],
)
def test_a_template_that_is_not_there_is_one_sentence(
    words: tuple[str, ...], says: str, tmp_path: Path
) -> None:
    refused = autoresearch("init", "w", *words, cwd=tmp_path)
    assert refused.returncode == 2
    assert says in refused.stderr
    assert not (tmp_path / "w").exists()


def test_a_workspace_for_a_demonstration_has_the_toy_and_its_data_and_says_so(tmp_path: Path) -> None:
    from runner.store.workspace import Workspace

    made = autoresearch("init", "--demo", "w", cwd=tmp_path, AUTORESEARCH_CACHE="cache")
    assert "starts from poor rates on purpose" in made.stderr
    workspace = Workspace(tmp_path / "w")
    assert workspace.script.read_bytes() == (ROOT / "trainer_jax" / "train_demo.py").read_bytes()
    config = workspace.config()
    assert (config.data, config.wall_clock) == (str(tmp_path / "cache" / "data" / "demo-cpu"), "30s")
    refused = autoresearch("run", "--budget", "10m", cwd=workspace.folder)
    assert refused.returncode == 3
    assert "data prepare" in refused.stderr
    assert "--demo" in refused.stderr


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("run", "--budget", "8"), 2, "not a duration"),
        (("run", "--budget", "30s"), 2, "too small"),
        (("run", "--proposer", "oracle", "--budget", "8h"), 2, "no proposer"),
        (("run", "--data", "/nowhere"), 3, "data prepare"),
        (("run", "--resume"), 2, "no run yet"),
        (("run", "--resume", "--wall-clock", "9s"), 2, "--wall-clock, --data: not used"),
        (("run", "--resume", "--api-base", "http://127.0.0.1:1"), 2, "--data, --api-base: not used"),
        (("try", "/nowhere.py"), 2, "cannot read"),
        (("ls",), 2, "no ledger"),
        (("nonsense",), 2, "No such command"),
        (("data", "prepare", "--dataset", "/nowhere"), 3, "nothing at"),
        (("data", "prepare", "--vocab-size", "3"), 2, "--vocab-size"),
        (("data", "prepare", "--demo", "--vocab-size", "300"), 2, "leave out --dataset"),
        (("data", "prepare", "--demo", "--variant", "cuda12"), 2, "leave out --dataset"),
    ],
)
@pytest.mark.usefixtures("images")
def test_bad_input_is_one_sentence_and_a_documented_code(
    words: tuple[str, ...], code: int, says: str, workspace: Path, dataset: Path
) -> None:
    if words[0] == "run" and "--data" not in words:
        words = (*words, "--data", str(dataset))
    result = autoresearch(*words, cwd=workspace)
    assert result.returncode == code, result.stderr
    assert says in result.stderr
    assert "Traceback" not in result.stderr


def test_under_json_an_error_is_json_too(tmp_path: Path) -> None:
    result = autoresearch("status", "--json", cwd=tmp_path)
    assert result.returncode == 2
    assert json.loads(result.stdout)["schema"] == "autoresearch/error/1"


def test_a_machine_that_is_not_ready_is_one_object_and_a_code(tmp_path: Path) -> None:
    result = autoresearch("doctor", "--json", cwd=tmp_path, DOCKER_HOST=f"unix://{tmp_path}/nobody.sock")
    assert result.returncode == 3
    answer = json.loads(result.stdout)
    assert (answer["schema"], answer["ready"]) == ("autoresearch/doctor/1", False)
    assert "engine" in {item["name"] for item in answer["findings"] if item["level"] == "fail"}
    assert "not ready" in result.stderr


def test_every_verb_is_documented(tmp_path: Path) -> None:
    listed = autoresearch("--help", cwd=tmp_path).stdout.partition("Commands:")[2]
    verbs = re.findall(r"^  (\w+)", listed, re.MULTILINE)
    assert len(verbs) >= 15
    documented = (ROOT / "docs" / "cli.md").read_text()
    for verb in verbs:
        assert f"`{verb}" in documented, verb


def test_every_exit_code_is_documented() -> None:
    from runner import errors

    documented = (ROOT / "docs" / "exit-codes.md").read_text()
    codes = {
        error.exit_code
        for error in vars(errors).values()
        if isinstance(error, type) and hasattr(error, "exit_code")
    }
    assert codes >= {1, 2, 3, 4, 5, 6}
    for code in codes:
        assert f"| {code} |" in documented


def test_every_link_in_the_documents_leads_somewhere() -> None:
    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            if not target.startswith("http"):
                assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_it_says_which_version_it_is(tmp_path: Path) -> None:
    result = autoresearch("--version", cwd=tmp_path)
    assert result.returncode == 0
    assert re.fullmatch(r"autoresearch \d+\.\d+\.\d+\S*( \([0-9a-f]{12}(-dirty)?\))?\n", result.stdout)


def test_the_shell_completes_verbs(tmp_path: Path) -> None:
    # the name of the variable follows from the program's; `python -m` has the same one
    asked = {"_AUTORESEARCH_COMPLETE": "complete_bash", "COMP_WORDS": "autoresearch st", "COMP_CWORD": "1"}
    result = autoresearch(cwd=tmp_path, **asked)
    assert result.returncode == 0
    assert set(result.stdout.split()) == {"status", "stop"}
