"""The accepted lineage as commits on `autoresearch/<run>`, made with git's plumbing.

The user's branch, index and files are never touched, and no git configuration is needed.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from runner.errors import PrerequisiteMissing


def record(workspace: Path, run: str, source: bytes, message: str, *, at: float) -> str:
    """Commit `source` as train.py on the run's branch; returns the commit id (hex). Raises PrerequisiteMissing."""
    branch = f"refs/heads/autoresearch/{run}"
    blob = _git(workspace, ["hash-object", "-w", "--stdin"], source)
    tree = _git(workspace, ["mktree"], f"100644 blob {blob}\ttrain.py\n".encode())
    parent = _git(workspace, ["rev-parse", "--verify", "--quiet", branch], check=False)
    if parent and _git(workspace, ["rev-parse", f"{parent}^{{tree}}"]) == tree:
        return parent  # recorded before a crash
    command = ["commit-tree", tree, *(["-p", parent] if parent else [])]
    commit = _git(workspace, command, message.encode(), at=at)
    _git(workspace, ["update-ref", branch, commit, parent or "0" * 40])
    return commit


def initialise(workspace: Path) -> None:
    """A repository in a fresh workspace; a workspace inside a repository of its own is left as it is."""
    if not (workspace / ".git").exists():
        _git(workspace, ["init", "--quiet", "--initial-branch=main"])


def committed(file: Path, content: bytes) -> bool:
    """Whether the last commit of the repository around `file` holds it with this content."""
    blob = _git(file.parent, ["rev-parse", "--verify", "--quiet", f"HEAD:./{file.name}"], check=False)
    return bool(blob) and blob == _git(file.parent, ["hash-object", "--stdin"], content)


def _git(
    workspace: Path, arguments: list[str], stdin: bytes = b"", *, check: bool = True, at: float = 0.0
) -> str:
    identity = {
        "GIT_AUTHOR_NAME": "autoresearch",
        "GIT_AUTHOR_EMAIL": "autoresearch@localhost",
        "GIT_COMMITTER_NAME": "autoresearch",
        "GIT_COMMITTER_EMAIL": "autoresearch@localhost",
        "GIT_AUTHOR_DATE": f"@{at:.0f} +0000",
        "GIT_COMMITTER_DATE": f"@{at:.0f} +0000",
    }
    try:
        result = subprocess.run(
            ["git", "-C", str(workspace), "-c", "safe.directory=*", *arguments],
            input=stdin,
            capture_output=True,
            check=False,
            env={**os.environ, **identity},
        )
    except FileNotFoundError as error:
        raise PrerequisiteMissing("git is not installed; `apt-get install git`") from error
    if result.returncode and check:
        raise PrerequisiteMissing(
            f"git {arguments[0]} failed: {result.stderr.decode(errors='replace').strip()[:300]}"
        )
    return result.stdout.decode().strip()
