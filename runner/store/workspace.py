"""A workspace: `program.md`, `train.py`, `autoresearch.toml`, and `.autoresearch/` with the ledger and the artifacts."""

from __future__ import annotations

import shutil
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from runner.cache import demo_data
from runner.errors import UsageError
from runner.parsing.facts import MAX_NOTES_CHARS
from runner.resources import package_folder, resource
from runner.store import user_files
from runner.store.config import CONFIG, Config, config_from, default_toml, from_workspace
from runner.suggestions import unknown

STATE = ".autoresearch"
DEMO: Mapping[str, str | int] = {"wall_clock": "30s", "retests": 1}
"""Of a demonstration. The toy script ends by itself after some seconds: the wall clock is a limit for a busy machine. Its gains
are large beside its noise, so that one retest decides."""
TEMPLATES = {"default": "train.py", "nnx": "train_nnx.py"}
"""What a workspace's train.py begins as: names and files of trainer_jax."""
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Workspace:
    folder: Path

    @property
    def state(self) -> Path:
        return self.folder / STATE

    @property
    def ledger(self) -> Path:
        return self.state / "ledger.db"

    @property
    def script(self) -> Path:
        return self.folder / "train.py"

    @property
    def notes(self) -> Path:
        """What the agent writes down for itself."""
        return self.folder / "NOTES.md"

    @property
    def memo(self) -> Path:
        return self.folder / "program.md"

    def config(self) -> Config:
        """Raises UsageError for what is not TOML, not a known key or not of its type."""
        path = self.folder / CONFIG
        try:
            content = tomllib.loads(path.read_text(encoding="utf-8-sig"))
        except FileNotFoundError:
            return Config()
        except (
            ValueError,
            RecursionError,
        ) as error:  # also of a number too long, or brackets too deep, for the parser
            raise UsageError(f"{path} is not TOML: {error}") from error
        return config_from(from_workspace(content, self.folder))

    def read_notes(self) -> str:
        """Its beginning, as long as what a model may write there: a prompt with more could not be paid for."""
        return _text(self.notes, MAX_NOTES_CHARS)

    def read_memo(self) -> str:
        return _text(self.memo)

    def write_notes(self, text: str) -> None:
        """What a person wrote there is set aside (runner.store.user_files)."""
        user_files.put(self.state, self.notes, (text.rstrip() + "\n").encode(errors="replace"))

    def attempts(self, run: str, number: int) -> Path:
        return self.state / "experiments" / run / f"{number:04d}"


def _text(path: Path, most: int = -1) -> str:
    """The first `most` characters of a plain file; nothing where there is none, since a pipe would be waited for, for ever."""
    try:
        if not path.is_file():
            return ""
        with path.open(encoding="utf-8-sig", errors="replace") as file:
            return file.read(most)
    except OSError:
        return ""


def read_script(path: Path) -> bytes:
    """A training script without the byte order mark that some editors put first. Raises UsageError for what is no file that
    can be read, holds nothing, or is no UTF-8 text for its zeros."""
    if path.exists() and not path.is_file():  # a pipe would be waited for, for ever
        raise UsageError(
            f"{path} is {'a folder' if path.is_dir() else 'no regular file'}; name a training script"
        )
    try:
        source = path.read_bytes().removeprefix(_BOM)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    if not source.strip():
        raise UsageError(f"{path} is empty; `autoresearch init DIR` writes one to begin with")
    if source.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise UsageError(f"{path} is UTF-16; save it as UTF-8")
    return source


def around(start: Path) -> Workspace | None:
    """The workspace that `start` is in."""
    for folder in (start.resolve(), *start.resolve().parents):
        if (folder / CONFIG).is_file():
            return Workspace(folder)
    return None


def named(folder: Path | None) -> Workspace:
    """The workspace that `folder` is; without one, that of the present folder. Raises UsageError, for one that is not there too: a slip
    must not mean another workspace."""
    if folder is None:
        if (found := around(Path.cwd())) is not None:
            return found
        raise UsageError(
            "this is no workspace (no autoresearch.toml here or above); name one with -C DIR, or make one with `autoresearch "
            "init DIR`"
        )
    if not folder.is_dir():
        raise UsageError(f"there is no folder {folder}")
    if not (folder / CONFIG).is_file():
        raise UsageError(f"{folder} is no workspace (it has no {CONFIG})")
    return Workspace(folder.resolve())


def config_of(folder: Path | None) -> Config:
    """For a verb that needs no workspace: that of `folder`, else of the present folder, else the defaults. Raises UsageError, for a
    configuration that cannot be used too: the defaults would not be what was asked for."""
    return Config() if folder is None and around(Path.cwd()) is None else named(folder).config()


def create(folder: Path, *, demo: bool = False, template: str = "default") -> Workspace:
    """A new workspace, with the script of a template, or the toy script and its data set where it is for a demonstration. Nothing
    that is there is overwritten: raises UsageError, for an unknown template too."""
    if template not in TEMPLATES:
        raise UsageError(unknown("template", template, TEMPLATES))
    if demo and template != "default":
        raise UsageError("--demo has a train.py of its own; leave out --demo or --template")
    for name in ("program.md", "train.py", CONFIG):
        if (folder / name).exists():
            raise UsageError(f"{folder / name} exists already; choose another folder or move it away")
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(resource("program.md"), folder / "program.md")
    script = "train_demo.py" if demo else TEMPLATES[template]
    shutil.copyfile(package_folder("trainer_jax") / script, folder / "train.py")
    settings = {"data": str(demo_data().absolute()), "gpus": "none", **DEMO} if demo else {}
    (folder / CONFIG).write_text(default_toml(settings), encoding="utf-8")
    workspace = Workspace(folder.resolve())
    open_state(workspace)
    return workspace


def open_state(workspace: Workspace) -> None:
    """The folder for ledger and artifacts: private to its owner, and not git's business."""
    workspace.state.mkdir(mode=0o700, exist_ok=True)
    if not (
        ignored := workspace.state / ".gitignore"
    ).exists():  # the folder may be a link to one of the user's
        ignored.write_text("*\n")
