"""The wheel works without the checkout: built, installed into an environment of its own, and run with the sources hidden.

The environment has the checkout's dependencies (a path file that names .venv's site-packages; the editable finder of that folder
is not started by it) and the wheel. While the commands run, empty mounts in a mount namespace of their own lie over everything
that a checkout has and a wheel must bring, and the environment is read-only.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
HIDDEN_FOLDERS = ("runner", "sandbox", "judge", "trainer_jax", "requirements", "script", "tests", "docs")
HIDDEN_FILES = ("Dockerfile", "program.md", "pyproject.toml", "setup.py")
AUTHOR = ("-c", "user.name=test", "-c", "user.email=test@localhost")

pytestmark = [pytest.mark.engine, pytest.mark.usefixtures("images", "nothing_left")]


def run(command: list[str | Path], **options: Any) -> str:
    result = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, check=False, **options
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the files as they are now, committed there, with what an older build has left behind."""
    source = tmp_path_factory.mktemp("source")
    names = run(
        ["git", "-C", ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
    ).split("\0")
    for name in filter(None, names):
        if (ROOT / name).is_symlink() or (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, source / name, follow_symlinks=False)
    git = ["git", "-C", source, *AUTHOR]
    run([*git, "init", "-q"])
    run([*git, "add", "-A"])
    run([*git, "commit", "-q", "-m", "as it is"])
    stale = source / "build" / "lib" / "trainer_jax" / "gone_since.py"
    stale.parent.mkdir(parents=True)
    stale.write_text("")
    return source


@pytest.fixture(scope="module")
def wheel(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(source, tmp_path_factory.mktemp("wheel"))


def contents(archive: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(archive) as opened:
        return {name: opened.read(name) for name in opened.namelist() if not name.endswith("/RECORD")}


def built(source: Path, target: Path) -> Path:
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
    run([*pip, "--no-index", "--no-deps", wheel], umask=0o022)  # as an administrator has it
    return folder / "bin"


def elsewhere(installed: Path, folder: Path, *words: str | Path) -> str:
    """What the installed command prints, with the checkout's sources out of its sight (as root; else only outside of it)."""
    command: list[str | Path] = [installed / "autoresearch", *words]
    if os.geteuid() == 0:
        hide = [f'mount -t tmpfs none "{ROOT / name}"' for name in HIDDEN_FOLDERS]
        hide += [f'mount --bind /dev/null "{ROOT / name}"' for name in HIDDEN_FILES]
        place = installed.parent
        read_only = [f'mount --bind "{place}" "{place}"', f'mount -o remount,ro,bind "{place}"']
        script = " && ".join([*hide, *read_only, 'exec "$@"'])
        command = ["unshare", "--mount", "sh", "-c", script, "sh", *command]
    environment = {k: v for k, v in os.environ.items() if k not in {"PYTHONPATH", "VIRTUAL_ENV"}}
    return run(command, cwd=folder, env=environment, timeout=300)


def test_the_version_names_the_commit_it_was_built_from(installed: Path, tmp_path: Path) -> None:
    words = elsewhere(installed, tmp_path, "--version").split()
    assert words[:2] == ["autoresearch", "0.1.0"]
    assert len(words[2].strip("()")) == 12, words


def test_a_wheel_of_an_sdist_is_the_same(source: Path, wheel: Path, tmp_path: Path) -> None:
    """Also where the sdist was unpacked in a repository: that one's commit is not ours."""
    program = f"from setuptools import build_meta; build_meta.build_sdist({str(tmp_path)!r})"
    run([sys.executable, "-c", program], cwd=source)
    (archive,) = tmp_path.glob("*.tar.gz")
    somebody = tmp_path / "somebody"
    somebody.mkdir()
    run(["git", "init", "-q", somebody])
    run(["git", "-C", somebody, *AUTHOR, "commit", "-q", "--allow-empty", "-m", "theirs"])
    run(["tar", "-xzf", archive, "-C", somebody])
    (unpacked,) = somebody.glob("autoresearch*")
    assert not any(path.is_symlink() for path in unpacked.rglob("*"))
    again = contents(built(unpacked, tmp_path / "wheel"))
    assert again == contents(wheel)
    (unpacked / "runner" / "resources" / "build.txt").unlink()
    assert "runner/resources/build.txt" not in contents(built(unpacked, tmp_path / "unknown"))


def test_what_is_in_it_has_the_contents_and_no_jax(wheel: Path) -> None:
    files = contents(wheel)
    for name in ("Dockerfile", "program.md"):
        assert files[f"runner/resources/{name}"] == (ROOT / name).read_bytes()
    for name in ("image-cpu.lock", "image-cuda12.lock", "image-cuda13.lock", "text.lock"):
        assert files[f"runner/resources/{name}"] == (ROOT / "requirements" / name).read_bytes()
    assert "trainer_jax/gone_since.py" not in files
    (metadata,) = [raw.decode() for name, raw in files.items() if name.endswith("/METADATA")]
    needed = [line for line in metadata.splitlines() if line.startswith("Requires-Dist:")]
    always = [line for line in needed if "extra ==" not in line]
    assert len(always) > 10
    assert not any("jax" in line for line in always), always


def test_folders_of_the_same_names_where_one_stands_are_not_taken(installed: Path, tmp_path: Path) -> None:
    for name in ("trainer_jax", "judge"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("")
    (tmp_path / "trainer_jax" / "train.py").write_text("somebody else's")
    run([installed / "python", "-m", "runner.cli", "init", "w"], cwd=tmp_path)
    assert (tmp_path / "w" / "train.py").read_bytes() == (ROOT / "trainer_jax" / "train.py").read_bytes()


def test_any_user_may_read_what_root_installed(installed: Path) -> None:
    (site,) = (installed.parent / "lib").glob("python*/site-packages")
    files = [path for path in (site / "runner").rglob("*") if path.is_file()]
    assert len(files) > 50
    assert [path for path in files if path.is_symlink() or path.stat().st_mode & 0o444 != 0o444] == []


def test_an_environment_without_pip_is_told_what_it_lacks(installed: Path, tmp_path: Path) -> None:
    program = "import sys; sys.modules['pip'] = None\nfrom runner.cli import main\nmain(['data', 'prepare', '--out', 'data'])"
    environment = {**os.environ, "AUTORESEARCH_CACHE": str(tmp_path / "cache")}
    result = subprocess.run(
        [installed / "python", "-c", program],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert result.returncode == 3, result.stderr
    assert result.stderr.rstrip().endswith("python -m ensurepip"), result.stderr


def test_the_modules_are_those_of_the_wheel(installed: Path, tmp_path: Path) -> None:
    program = "import runner, sandbox, judge; print(runner.__file__, sandbox.__file__, judge.__file__)"
    places = run([installed / "python", "-c", program], cwd=tmp_path).split()
    assert all(Path(place).is_relative_to(installed.parent) for place in places), places


def test_it_makes_the_same_images_as_the_checkout(installed: Path, tmp_path: Path) -> None:
    answer = elsewhere(installed, tmp_path, "build")
    assert answer.split("\n") == run([sys.executable, "-m", "runner.cli", "build"], cwd=ROOT).split("\n")


def test_init_and_try_work_from_the_wheel_alone(installed: Path, dataset: Path, tmp_path: Path) -> None:
    made = (
        ("search", "train.py", ()),
        ("modules", "train_nnx.py", ("--template", "nnx")),
        ("toy", "train_demo.py", ("--demo",)),
    )
    for folder, script, words in made:
        elsewhere(installed, tmp_path, "init", *words, folder)
        for name, source in (("train.py", f"trainer_jax/{script}"), ("program.md", "program.md")):
            assert (tmp_path / folder / name).read_bytes() == (ROOT / source).read_bytes()
    answer = json.loads(
        elsewhere(installed, tmp_path / "toy", "try", "train.py", "--json", "--data", dataset)
    )
    assert answer["outcome"] == "ok", answer
    assert 0.1 < answer["val_bpb"] < 8


def test_what_a_wheel_brings_is_a_link_to_the_checkouts_own_file() -> None:
    """A copy would be changed in one place only."""
    links = [
        path
        for path in (ROOT / "runner" / "resources").iterdir()
        if path.suffix not in {".py", ""} or path.name == "Dockerfile"
    ]
    assert len(links) >= 6
    assert [path.name for path in links if not path.is_symlink() and path.name != "build.txt"] == []
