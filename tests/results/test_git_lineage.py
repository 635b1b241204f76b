"""Commits are made in anybody's repository, and nothing that it has configured is run."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.errors import PrerequisiteMissing
from runner.results import git_lineage

SOURCE = b"x = 1\n"
STRANGER = 54321
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to somebody else")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A workspace that every user can reach (pytest's own folders are closed to others)."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        (place := Path(name) / "w").mkdir(mode=0o755)
        yield place


def git(folder: Path, *words: str) -> str:
    identity = ("-c", "user.name=x", "-c", "user.email=x@localhost", "-c", "safe.directory=*")
    done = subprocess.run(["git", "-C", str(folder), *identity, *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def recorded(workspace: Path, run: str = "simulated") -> str:
    git_lineage.try_out(workspace, run, SOURCE)
    first = git_lineage.record(workspace, run, SOURCE, "baseline\n", at=1_800_000_000.0)
    second = git_lineage.record(workspace, run, b"x = 2\n", "better\n", at=1_800_000_100.0)
    assert git(workspace, "rev-list", f"refs/heads/autoresearch/{run}").splitlines() == [second, first]
    assert git(workspace, "show", f"{second}:train.py") == "x = 2"
    assert not git(workspace, "for-each-ref", "refs/heads/autoresearch/*-probe")
    return second


@pytest.mark.parametrize("kind", ["sha1", "sha256"])
def test_either_hash_format_is_written(folder: Path, kind: str) -> None:
    git(folder, "init", "-q", f"--object-format={kind}")
    assert len(recorded(folder)) == {"sha1": 40, "sha256": 64}[kind]


def test_a_workspace_without_a_repository_gets_one(folder: Path) -> None:
    recorded(folder)
    assert (folder / ".git").is_dir()


def test_the_same_script_is_not_committed_twice(folder: Path) -> None:
    commit = recorded(folder)
    assert git_lineage.record(folder, "simulated", b"x = 2\n", "again\n", at=0.0) == commit


def test_work_trees_submodules_bare_and_surrounding_repositories_are_used(folder: Path) -> None:
    main, inner = folder / "main", folder / "main" / "deep" / "w"
    inner.mkdir(parents=True)
    git(main, "init", "-q")
    git(main, "commit", "-q", "--allow-empty", "-m", "first")
    recorded(inner, "inner")
    git(main, "worktree", "add", "-q", str(folder / "tree"))
    recorded(folder / "tree", "tree")
    git(folder, "-c", "protocol.file.allow=always", "clone", "-q", "--bare", str(main), str(folder / "bare"))
    recorded(folder / "bare", "bare")
    git(main, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(folder / "bare"), "sub")
    recorded(main / "sub", "sub")
    assert not (inner / ".git").exists()


@pytest.mark.parametrize(
    "name", ["with space", "new\nline", "co:lon", "ünï", os.fsdecode(b"not-utf8-\xff"), "-dash"]
)
def test_any_path_will_do(folder: Path, name: str) -> None:
    (folder / name).mkdir()
    recorded(folder / name)


def test_a_callers_git_variables_are_not_followed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (elsewhere := folder / "elsewhere").mkdir()
    git(elsewhere, "init", "-q")
    (mine := folder / "mine").mkdir()
    monkeypatch.setenv("GIT_DIR", str(elsewhere / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", "/nonexistent/index")
    monkeypatch.setenv("GIT_OBJECT_DIRECTORY", "/nonexistent")
    monkeypatch.setenv("GIT_DEFAULT_HASH", "sha256")
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "core.bare")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "nonsense")
    git_lineage.try_out(mine, "simulated", SOURCE)
    commit = git_lineage.record(mine, "simulated", SOURCE, "m\n", at=0.0)
    monkeypatch.undo()
    assert git(mine, "rev-parse", "autoresearch/simulated") == commit
    assert not git(elsewhere, "for-each-ref")


def laid_traps(workspace: Path, witness: Path) -> None:
    """Every way known by which a repository has git run a program."""
    program = workspace / ".git" / "trap"
    program.write_text(f"#!/bin/sh\nid -u >> {witness}\nexit 1\n")
    program.chmod(0o755)
    (hooks := workspace / ".git" / "hooks").mkdir(exist_ok=True)
    for name in (
        "reference-transaction",
        "post-index-change",
        "pre-commit",
        "commit-msg",
        "post-commit",
        "pre-auto-gc",
    ):
        shutil.copy(program, hooks / name)
    (included := workspace / ".git" / "more").write_text(f"[core]\n\thooksPath = {hooks}\n")
    settings = {
        "include.path": included,
        "core.fsmonitor": program,
        "core.sshCommand": program,
        "core.pager": program,
        "core.editor": program,
        "core.gitProxy": program,
        "core.askPass": program,
        "credential.helper": f"!{program}",
        "commit.gpgSign": "true",
        "gpg.program": program,
        "filter.x.clean": program,
        "alias.commit-tree": f"!{program}",
        "alias.rev-parse": f"!{program}",
        "extensions.partialClone": "origin",
        "remote.origin.url": f"ext::{program}",
        "remote.origin.promisor": "true",
        "remote.origin.uploadpack": program,
        "protocol.allow": "always",
        "protocol.ext.allow": "always",
    }
    git(workspace, "config", "core.repositoryFormatVersion", "1")
    for name, value in settings.items():
        git(workspace, "config", name, str(value))
    (workspace / ".git" / "info").mkdir(exist_ok=True)
    (workspace / ".git" / "info" / "attributes").write_text("* filter=x\n")


def test_nothing_that_a_repository_has_configured_is_run(folder: Path) -> None:
    git(folder, "init", "-q")
    laid_traps(folder, folder / "ran")
    recorded_traps(folder)
    assert not (folder / "ran").exists()


def recorded_traps(folder: Path) -> None:
    git_lineage.try_out(folder, "simulated", SOURCE)
    git_lineage.record(folder, "simulated", SOURCE, "m\n", at=0.0)
    # a branch whose commit is not there: git would fetch it from where the repository says
    reference = folder / ".git" / "refs" / "heads" / "autoresearch" / "lost"
    reference.write_text("1" * 40 + "\n")
    shutil.chown(reference, (folder / ".git").stat().st_uid)
    with pytest.raises(PrerequisiteMissing):
        git_lineage.record(folder, "lost", SOURCE, "m\n", at=0.0)
    assert not git_lineage.committed(folder / "train.py", SOURCE)


@AS_ROOT
def test_in_somebody_elses_repository_root_has_no_more_rights_than_they(folder: Path) -> None:
    git(folder, "init", "-q")
    laid_traps(folder, folder / "ran")
    for path in (folder, *folder.rglob("*")):
        os.chown(path, STRANGER, STRANGER)
    recorded_traps(folder)
    assert not (folder / "ran").exists()
    assert {path.lstat().st_uid for path in (folder / ".git").rglob("*")} == {STRANGER}
    (folder / ".git" / "logs").mkdir(exist_ok=True)
    (target := folder.parent / "of-root").write_text(
        ""
    )  # git appends to what it finds where its log should be
    target.chmod(0o600)
    shutil.rmtree(folder / ".git" / "logs")
    (logs := folder / ".git" / "logs" / "refs" / "heads" / "autoresearch").mkdir(parents=True)
    (logs / "linked").symlink_to(target)
    for path in (folder / ".git" / "logs", *(folder / ".git" / "logs").rglob("*")):
        os.chown(path, STRANGER, STRANGER, follow_symlinks=False)
    with pytest.raises(PrerequisiteMissing):
        git_lineage.record(folder, "linked", SOURCE, "m\n", at=0.0)
    assert target.read_text() == ""


@AS_ROOT
def test_anybody_else_is_refused_a_repository_that_is_not_theirs(folder: Path) -> None:
    git(folder, "init", "-q")
    os.chown(folder / ".git", STRANGER, STRANGER)
    program = f"""
import os
from pathlib import Path
from runner.results import git_lineage
from runner.errors import PrerequisiteMissing
os.setgid({STRANGER + 1}); os.setuid({STRANGER + 1})
try:
    git_lineage.record(Path({str(folder)!r}), "simulated", b"x", "m", at=0.0)
except PrerequisiteMissing as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=Path(git_lineage.__file__).parents[2],
        capture_output=True,
        text=True,
    )
    assert f"belongs to user {STRANGER}" in done.stdout, done.stderr


@AS_ROOT
@pytest.mark.parametrize("what", ["objects", "refs"])
def test_a_repository_that_cannot_be_written_is_found_out_before(folder: Path, what: str) -> None:
    git(folder, "init", "-q")
    for path in (folder, *folder.rglob("*")):
        os.chown(path, STRANGER, STRANGER)
    for path in (folder / ".git" / what, *(folder / ".git" / what).rglob("*")):
        path.chmod(0o555)
    with pytest.raises(PrerequisiteMissing, match="failed in"):
        git_lineage.try_out(folder, "simulated", SOURCE)


def test_a_branch_in_the_way_a_lock_and_a_broken_repository_are_found_out_before(folder: Path) -> None:
    git(folder, "init", "-q")
    git_lineage.record(folder, "simulated", SOURCE, "m\n", at=0.0)
    (lock := folder / ".git" / "refs" / "heads" / "autoresearch" / "simulated.lock").write_text("")
    with pytest.raises(PrerequisiteMissing, match="lock"):
        git_lineage.try_out(folder, "simulated", SOURCE)
    lock.unlink()
    git_lineage.try_out(folder, "simulated", SOURCE)
    git(folder, "branch", "-q", "-D", "autoresearch/simulated")
    git(folder, "commit", "-q", "--allow-empty", "-m", "x")
    git(folder, "branch", "autoresearch")
    with pytest.raises(PrerequisiteMissing, match="autoresearch"):
        git_lineage.try_out(folder, "simulated", SOURCE)
    (folder / ".git" / "HEAD").write_text("")
    with pytest.raises(PrerequisiteMissing, match="no repository that git can use"):
        git_lineage.try_out(folder, "simulated", SOURCE)
