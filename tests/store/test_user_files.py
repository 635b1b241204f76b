"""What we write into a workspace never takes the place of what somebody else put there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from runner.errors import UsageError
from runner.parsing.facts import MAX_NOTES_CHARS
from runner.store.user_files import put
from runner.store.workspace import Workspace, open_state


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    made = Workspace(tmp_path / "w")
    made.folder.mkdir()
    open_state(made)
    return made


def test_notes_of_a_person_are_set_aside_and_those_of_the_model_replaced(workspace: Workspace) -> None:
    workspace.notes.write_text("my lab notes")
    for text in ("first", "second"):
        workspace.write_notes(text)
    assert workspace.notes.read_text() == "second\n"
    workspace.notes.write_text("second, and a word of mine")
    workspace.write_notes("third")
    copies = {path.name: path.read_text() for path in workspace.folder.glob("NOTES.md.*")}
    assert copies == {
        "NOTES.md.before-1": "my lab notes",
        "NOTES.md.before-2": "second, and a word of mine",
    }


def test_a_moved_workspace_knows_its_own_files(workspace: Workspace, tmp_path: Path) -> None:
    workspace.write_notes("first")
    moved = Workspace(workspace.folder.rename(tmp_path / "elsewhere"))
    moved.write_notes("second")
    assert [path.name for path in moved.folder.glob("NOTES.md*")] == ["NOTES.md"]


@pytest.mark.parametrize("kind", ["folder", "link", "dangling", "pipe"])
def test_whatever_is_in_the_way_is_set_aside_as_it_is(kind: str, workspace: Workspace) -> None:
    mine = workspace.folder / "mine"
    mine.write_text("mine")
    if kind == "folder":
        workspace.notes.mkdir()
    elif kind == "pipe":
        os.mkfifo(workspace.notes)
    else:
        workspace.notes.symlink_to("mine" if kind == "link" else "nothing")
    before = workspace.notes.lstat()
    assert workspace.read_notes() == ("mine" if kind == "link" else "")
    workspace.write_notes("first")
    assert os.path.samestat(before, (workspace.folder / "NOTES.md.before-1").lstat())
    assert (workspace.notes.read_text(), mine.read_text()) == ("first\n", "mine")


def test_where_nothing_is_known_of_what_was_written_one_copy_too_many_is_kept(workspace: Workspace) -> None:
    put(workspace.state, workspace.notes, b"first")
    for damage in ("[" * 5000, "[1]", '{"NOTES.md": 3}'):
        (workspace.state / "written.json").write_text(damage)
        aside = put(workspace.state, workspace.notes, b"again" + damage.encode())
        assert aside is not None


def test_notes_longer_than_a_model_may_write_are_not_sent_to_one(workspace: Workspace) -> None:
    workspace.notes.write_text("x" * 10 * MAX_NOTES_CHARS)
    assert len(workspace.read_notes()) == MAX_NOTES_CHARS


def test_a_memo_that_is_no_file_is_not_waited_for(workspace: Workspace) -> None:
    os.mkfifo(workspace.memo)
    assert workspace.read_memo() == ""


@pytest.mark.parametrize(
    "text",
    ["a = " + "[" * 5000 + "]" * 5000, "cpus = " + "9" * 5000, 'data = "a\\u0000b"', "data = 'a\x00b'"],
)
def test_a_configuration_that_no_parser_takes_is_a_slip(text: str, workspace: Workspace) -> None:
    (workspace.folder / "autoresearch.toml").write_text(text)
    with pytest.raises(UsageError, match=r"autoresearch\.toml"):
        workspace.config()


def test_a_state_folder_that_is_a_link_keeps_what_is_there(tmp_path: Path) -> None:
    target = tmp_path / "scratch"
    target.mkdir()
    (target / ".gitignore").write_text("mine")
    (tmp_path / "w").mkdir()
    (tmp_path / "w" / ".autoresearch").symlink_to(target)
    open_state(Workspace(tmp_path / "w"))
    assert (target / ".gitignore").read_text() == "mine"


def test_a_link_that_was_put_in_place_of_ours_is_the_users(workspace: Workspace) -> None:
    workspace.write_notes("first")
    moved = workspace.notes.rename(workspace.folder / "mine")
    workspace.notes.symlink_to("mine")
    workspace.write_notes("second")
    assert (workspace.folder / "NOTES.md.before-1").is_symlink()
    assert (moved.read_text(), workspace.notes.read_text()) == ("first\n", "second\n")
