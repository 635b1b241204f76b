"""The wheel works without the checkout: built, installed into an environment of its own, and run with the sources hidden.

The environment has the checkout's dependencies (a path file that names .venv's site-packages; the editable finder of that folder
is not started by it) and the wheel. While the commands run, empty mounts in a mount namespace of their own lie over everything
that a checkout has and a wheel must bring.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
HIDDEN_FOLDERS = ("runner", "sandbox", "judge", "trainer_jax", "requirements", "script", "tests", "docs")
HIDDEN_FILES = ("Dockerfile", "program.md", "pyproject.toml", "setup.py")

pytestmark = [pytest.mark.engine, pytest.mark.usefixtures("images", "nothing_left")]


def run(command: list[str | Path], **options: Any) -> str:
    result = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, check=False, **options
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy of the files as they are now, committed there: the checkout's build/ has files of older builds."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    names = run(
        ["git", "-C", ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
    ).split("\0")
    for name in filter(None, names):
        if (ROOT / name).is_symlink() or (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, source / name, follow_symlinks=False)
    git = ["git", "-C", source, "-c", "user.name=test", "-c", "user.email=test@localhost"]
    run([*git, "init", "-q"])
    run([*git, "add", "-A"])
    run([*git, "commit", "-q", "-m", "as it is"])
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    run([*pip, "--wheel-dir", target, source])
    (found,) = target.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` folder of a new environment with the wheel in it."""
    folder = tmp_path_factory.mktemp("environment") / "venv"
    run([sys.executable, "-m", "venv", "--without-pip", folder])
    (site,) = (folder / "lib").glob("python*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    pip = [sys.executable, "-m", "pip", "--python", folder / "bin" / "python", "install", "--quiet"]
    run([*pip, "--no-index", "--no-deps", wheel])
    return folder / "bin"


def elsewhere(installed: Path, folder: Path, *words: str | Path) -> str:
    """What the installed command prints, with the checkout's sources out of its sight (as root; else only outside of it)."""
    command: list[str | Path] = [installed / "autoresearch", *words]
    if os.geteuid() == 0:
        hide = [f'mount -t tmpfs none "{ROOT / name}"' for name in HIDDEN_FOLDERS]
        hide += [f'mount --bind /dev/null "{ROOT / name}"' for name in HIDDEN_FILES]
        script = " && ".join([*hide, 'exec "$@"'])
        command = ["unshare", "--mount", "sh", "-c", script, "sh", *command]
    environment = {k: v for k, v in os.environ.items() if k not in {"PYTHONPATH", "VIRTUAL_ENV"}}
    return run(command, cwd=folder, env=environment, timeout=300)


def test_the_version_names_the_commit_it_was_built_from(installed: Path, tmp_path: Path) -> None:
    words = elsewhere(installed, tmp_path, "--version").split()
    assert words[:2] == ["autoresearch", "0.1.0"]
    assert len(words[2].strip("()")) == 12, words


def test_the_modules_are_those_of_the_wheel(installed: Path, tmp_path: Path) -> None:
    program = "import runner, sandbox, judge; print(runner.__file__, sandbox.__file__, judge.__file__)"
    places = run([installed / "python", "-c", program], cwd=tmp_path).split()
    assert all(Path(place).is_relative_to(installed.parent) for place in places), places


def test_it_makes_the_same_images_as_the_checkout(installed: Path, tmp_path: Path) -> None:
    answer = elsewhere(installed, tmp_path, "build")
    assert answer.split("\n") == run([sys.executable, "-m", "runner.cli", "build"], cwd=ROOT).split("\n")


def test_init_and_try_work_from_the_wheel_alone(installed: Path, dataset: Path, tmp_path: Path) -> None:
    elsewhere(installed, tmp_path, "init", "search")
    workspace = tmp_path / "search"
    for name, source in (("train.py", "trainer_jax/train.py"), ("program.md", "program.md")):
        assert (workspace / name).read_bytes() == (ROOT / source).read_bytes()
    words = ("try", "train.py", "--json", "--wall-clock", "35s", "--data", dataset)
    answer = json.loads(elsewhere(installed, workspace, *words))
    assert answer["outcome"] == "ok", answer
    assert 0.1 < answer["val_bpb"] < 8
