"""git's plumbing in an environment of our own: nothing that a repository or a user has configured is run.

A repository's configuration can name programs (hooks, core.fsmonitor, filters, remotes that are fetched from when an object
is missing), and its owner may be somebody else. So: no hooks, no transport, no configuration but the repository's own, no
GIT_* variable of the caller's; only commands that touch neither index nor work tree; and never with more rights than the
repository's owner has. Root runs git as that owner (who then also owns the new objects); anybody else is refused a
repository that is not theirs, as git itself does (CVE-2022-24765).
"""

from __future__ import annotations

import os
import pwd
import subprocess
from dataclasses import dataclass
from pathlib import Path

from runner.errors import PrerequisiteMissing

_TIMEOUT_S = 60.0
_SETTINGS = (
    "safe.directory=*",  # whose it is has been looked at: `find` refuses what git would
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.pager=cat",
    "commit.gpgSign=false",
    "gc.auto=0",
    "maintenance.auto=false",
)
_ENVIRONMENT = {
    "LC_ALL": "C",
    "HOME": "/nonexistent",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_SYSTEM": "/dev/null",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_ALLOW_PROTOCOL": "none",  # for a git that does not know GIT_NO_LAZY_FETCH: nothing to fetch with
    "GIT_AUTHOR_NAME": "autoresearch",
    "GIT_AUTHOR_EMAIL": "autoresearch@localhost",
    "GIT_COMMITTER_NAME": "autoresearch",
    "GIT_COMMITTER_EMAIL": "autoresearch@localhost",
}


@dataclass(frozen=True, slots=True)
class Repository:
    """The repository around `folder`. `uid` and `gid` are whose rights git gets; None: those of this process."""

    folder: Path
    uid: int | None = None
    gid: int | None = None

    def git(self, *arguments: str, stdin: bytes = b"", at: float = 0.0) -> str:
        """What git prints. Raises PrerequisiteMissing with git's own words."""
        code, out, err = self._run(arguments, stdin, at)
        if code:
            words = " ".join(err.decode(errors="replace").split())[:300]
            raise PrerequisiteMissing(f"git {arguments[0]} failed in {self.folder}: {words}")
        return out.decode(errors="replace").strip()

    def ask(self, *arguments: str, stdin: bytes = b"") -> str:
        """What git prints; empty where it fails. Raises PrerequisiteMissing where git cannot be run at all."""
        code, out, _ = self._run(arguments, stdin, 0.0)
        return "" if code else out.decode(errors="surrogateescape").strip("\n")

    def _run(self, arguments: tuple[str, ...], stdin: bytes, at: float) -> tuple[int, bytes, bytes]:
        settings = [word for setting in _SETTINGS for word in ("-c", setting)]
        dates = dict.fromkeys(("GIT_AUTHOR_DATE", "GIT_COMMITTER_DATE"), f"@{at:.0f} +0000")
        try:
            done = subprocess.run(
                ["git", *settings, "-C", str(self.folder), *arguments],
                input=stdin,
                capture_output=True,
                check=False,
                timeout=_TIMEOUT_S,
                cwd="/",  # where we were started may be gone, or closed to the repository's owner
                env={"PATH": os.environ.get("PATH") or os.defpath, **_ENVIRONMENT, **dates},
                user=self.uid,
                group=self.gid,
                extra_groups=None if self.uid is None else [],
            )
        except FileNotFoundError as error:
            raise PrerequisiteMissing("git is not installed; `apt-get install git`") from error
        except subprocess.TimeoutExpired as error:
            raise PrerequisiteMissing(
                f"git {arguments[0]} did not end within {_TIMEOUT_S:g} s in {self.folder}; is its disk away?"
            ) from error
        except (OSError, subprocess.SubprocessError) as error:
            whose = f" as user {self.uid}, whose repository it is" if self.uid is not None else ""
            raise PrerequisiteMissing(f"git cannot be run in {self.folder}{whose}: {error}") from error
        return done.returncode, done.stdout, done.stderr


def find(folder: Path) -> Repository | None:
    """The repository around `folder`, None where there is none. Raises PrerequisiteMissing where it is somebody else's."""
    marker = _marker(folder)
    if marker is None:
        return None
    found = _with_rights_of(folder, marker)
    for question in ("--absolute-git-dir", "--git-common-dir"):  # of a work tree or a submodule: elsewhere
        answer = found.ask("rev-parse", question)
        if not answer:
            try:
                why = found.git("rev-parse", question)
            except PrerequisiteMissing as error:
                why = str(error)
            raise PrerequisiteMissing(
                f"{marker} is no repository that git can use ({why}); mend it or move it away"
            )
        found = _with_rights_of(folder, folder / answer)
    return found


def make(folder: Path) -> Repository:
    """A new repository in `folder`, of its owner. Raises PrerequisiteMissing."""
    made = _with_rights_of(folder, folder)
    made.git("init", "--quiet", "--initial-branch=main", "--template=")
    return made


def _marker(folder: Path) -> Path | None:
    """What makes `folder` or one above it on the same file system a repository: a .git, or a bare one's own files."""
    for place in (folder, *folder.parents):
        if place.stat().st_dev != folder.stat().st_dev:  # git goes no further, either
            return None
        if os.path.lexists(place / ".git"):
            return place / ".git"
        if (place / "HEAD").is_file() and (place / "objects").is_dir() and (place / "refs").is_dir():
            return place
    return None


def _with_rights_of(folder: Path, place: Path) -> Repository:
    """git with the rights of the owner of `place`. Raises PrerequisiteMissing where we have none to give."""
    try:
        status = place.lstat()
    except OSError as error:
        raise PrerequisiteMissing(f"the repository {place} cannot be read: {error.strerror}") from error
    if status.st_uid == os.geteuid():
        return Repository(folder)
    if os.geteuid() == 0:
        return Repository(folder, status.st_uid, status.st_gid)
    raise PrerequisiteMissing(
        f"the repository {place} belongs to {_name(status.st_uid)}, and git would do there what they have configured: "
        "use a workspace of your own (`autoresearch init DIR`), or run as that user"
    )


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"
