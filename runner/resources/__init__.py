"""Files that are data to the runner: the Dockerfile, the lock files, the memo, and where the sources of the images are.

In a checkout the entries of this folder are links to the files at its top; in a wheel they are copies. Read through importlib.resources,
so both are found in the same way. Called by `images`, `store`, `llm` and `cli`. Nothing is ever written here.
"""

from __future__ import annotations

from pathlib import Path

from runner.errors import PrerequisiteMissing

VARIANTS = ("cpu", "cuda12", "cuda13")
"""Of the images: each has its lock file here."""
BUILD = "build.txt"
"""In a wheel or an sdist only: the commit it was built from (setup.py writes it)."""


def resource(name: str) -> Path:
    """A file of this folder: `Dockerfile`, `program.md`, `text.lock`, `image-VARIANT.lock`. Raises PrerequisiteMissing."""
    from importlib.resources import files

    path = Path(str(files(__name__) / name))
    if not path.is_file():
        raise _not_whole(path)
    return path


def package_folder(name: str) -> Path:
    """The folder of a package that goes into the images, `trainer_jax` or `judge`. Nothing of it is imported, and it is not
    looked for on the search path, where the folder that `python -m runner.cli` is started in comes first. Raises
    PrerequisiteMissing."""
    folder = _beside_runner() / name
    if not (folder / "__init__.py").is_file():
        raise _not_whole(folder)
    return folder


def build_commit() -> str:
    """Which commit this is, `-dirty` where files were changed since: from the wheel, else from the checkout's git; empty
    where neither knows."""
    try:
        return resource(BUILD).read_text().strip()
    except PrerequisiteMissing:
        return commit_of(_beside_runner())


def commit_of(checkout: Path) -> str:
    """The same of a folder; empty where it is no checkout of its own: a repository further up is somebody else's."""
    import subprocess

    if not (checkout / ".git").exists():
        return ""
    git = ["git", "--no-optional-locks", "-C", str(checkout)]
    try:
        answer = subprocess.run(
            [*git, "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"],
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError:
        return ""
    return answer.stdout.strip()


def _beside_runner() -> Path:
    """What the packages lie in: a checkout's top, or site-packages."""
    from importlib.resources import files

    return Path(str(files("runner"))).parent


def _not_whole(path: Path) -> PrerequisiteMissing:
    return PrerequisiteMissing(f"{path} is missing: autoresearch is not installed whole, install it again")
