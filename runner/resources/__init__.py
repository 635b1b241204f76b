"""Files that are data to the runner: the Dockerfile, the lock files, the memo, and where the sources of the images are.

In a checkout the entries of this folder are links to the files at its top; in a wheel they are copies. Read through importlib.resources,
so both are found in the same way. Called by `images`, `store`, `llm` and `cli`. Nothing is ever written here.
"""

from __future__ import annotations

from pathlib import Path

BUILD = "build.txt"
"""In a wheel only: the commit it was built from (setup.py writes it)."""


def resource(name: str) -> Path:
    """A file of this folder: `Dockerfile`, `program.md`, `text.lock`, `image-VARIANT.lock`. Raises FileNotFoundError."""
    from importlib.resources import files

    path = Path(str(files(__name__) / name))
    if not path.is_file():
        raise FileNotFoundError(
            f"{name} is missing from {path.parent}: this installation of autoresearch is not whole, install it again"
        )
    return path


def package_folder(name: str) -> Path:
    """The folder of a package that goes into the images, `trainer_jax` or `judge`. Nothing of it is imported."""
    from importlib.util import find_spec

    spec = find_spec(name)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


def build_commit() -> str:
    """Which commit this is, `-dirty` where files were changed since: from the wheel, else from the checkout's git; empty
    where neither knows."""
    import subprocess

    try:
        return resource(BUILD).read_text().strip()
    except FileNotFoundError:
        checkout = package_folder("runner").parent
    if not (checkout / "pyproject.toml").is_file():
        return ""
    command = ["git", "-C", str(checkout), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return answer.stdout.strip()
