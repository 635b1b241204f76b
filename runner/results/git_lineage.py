"""The accepted lineage as commits on `autoresearch/<run>`, made with git's plumbing.

The user's branch, index and files are never touched, and no git configuration is needed or followed (`runner.results.git_plumbing`).
"""

from __future__ import annotations

from pathlib import Path

from runner.errors import PrerequisiteMissing
from runner.results import git_plumbing


def record(workspace: Path, run: str, source: bytes, message: str, *, at: float) -> str:
    """Commit `source` as train.py on the run's branch; returns the commit id (hex). Raises PrerequisiteMissing."""
    repository, branch = _repository(workspace), _branch(run)
    tree = _tree(repository, source)
    parent = repository.ask("rev-parse", "--verify", "--quiet", branch)
    if parent and repository.git("rev-parse", f"{parent}^{{tree}}") == tree:
        return parent  # recorded before a crash
    parents = ("-p", parent) if parent else ()
    commit = repository.git("commit-tree", tree, *parents, stdin=message.encode(), at=at)
    repository.git("update-ref", branch, commit, parent)  # an empty old value: must not be there yet
    return commit


def try_out(workspace: Path, run: str, source: bytes) -> None:
    """Do all that `record` will do, and leave no reference behind. A workspace without a repository gets one, as
    `initialise` makes it. Raises PrerequisiteMissing."""
    if git_plumbing.find(workspace) is None:
        git_plumbing.make(workspace)
    repository, branch = _repository(workspace), _branch(run)
    commit = repository.git("commit-tree", _tree(repository, source), stdin=b"can commits be made here?\n")
    if parent := repository.ask("rev-parse", "--verify", "--quiet", branch):
        repository.git("update-ref", branch, parent, parent)
    probe = f"{branch}-probe"
    repository.git("update-ref", probe, commit)
    repository.git("update-ref", "-d", probe, commit)


def initialise(workspace: Path) -> None:
    """A repository in a fresh workspace, unless it has one of its own."""
    if not (workspace / ".git").exists():
        git_plumbing.make(workspace)


def committed(file: Path, content: bytes) -> bool:
    """Whether the last commit of the repository around `file` holds it with this content; no, where that cannot be asked."""
    try:
        repository = git_plumbing.find(file.parent)
        if repository is None:
            return False
        blob = repository.ask("rev-parse", "--verify", "--quiet", f"HEAD:./{file.name}")
        return bool(blob) and blob == repository.git("hash-object", "--stdin", stdin=content)
    except PrerequisiteMissing:
        return False


def _repository(workspace: Path) -> git_plumbing.Repository:
    found = git_plumbing.find(workspace)
    if found is None:
        raise PrerequisiteMissing(f"{workspace} is in no git repository any more; `git init` there makes one")
    return found


def _branch(run: str) -> str:
    return f"refs/heads/autoresearch/{run}"


def _tree(repository: git_plumbing.Repository, source: bytes) -> str:
    blob = repository.git("hash-object", "-w", "--stdin", stdin=source)
    return repository.git("mktree", stdin=f"100644 blob {blob}\ttrain.py\n".encode())
