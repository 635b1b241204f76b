"""A data set in use stays what it was, two preparations do not meet, and nobody's files are lost."""

from __future__ import annotations

import gc
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from generated_text import LANGUAGE

from runner.data.dataset_lock import DatasetLock
from runner.data.errors import DataError
from runner.data.manifest import load_manifest, verify
from runner.data.prepare import prepare


def quiet(_: str) -> None:
    pass


def make(source: Path, folder: Path, **options: object) -> None:
    prepare(str(source), folder, **{"vocab_size": 300, "seq_len": 64, "progress": quiet, **options})  # type: ignore[arg-type]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source" / "a.txt"
    path.parent.mkdir()
    path.write_text(LANGUAGE.document(150_000, 1))
    return path


@pytest.fixture
def mine(dataset: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(dataset, tmp_path / "mine"))


def sevens(folder: Path) -> None:
    path = folder / "train" / "tokens.bin"
    path.write_bytes(b"\x07\x00" * (path.stat().st_size // 2))


def swapped(folder: Path) -> None:
    path = folder / "train" / "tokens.bin"
    shutil.copy(path, folder / "other")
    (folder / "other").replace(path)


CHANGES: dict[str, Callable[[Path], object]] = {
    "overwritten": sevens,
    "another file of the same bytes": swapped,
    "touched": lambda folder: os.utime(folder / "train" / "meta.json"),
    "removed": lambda folder: (folder / "train" / "tokenizer.json").unlink(),
    "a link": lambda folder: (
        (folder / "train" / "meta.json").rename(folder / "m"),
        (folder / "train" / "meta.json").symlink_to("../m"),
    ),
    "one more file": lambda folder: (folder / "train" / "more.bin").write_bytes(b"hidden text"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_training_split_that_changes_while_it_is_in_use_is_a_refusal(
    change: Callable[[Path], object], mine: Path
) -> None:
    used = DatasetLock(mine)
    used.require_unchanged()
    change(mine)
    with pytest.raises(DataError, match=r"train/.*(was changed while|is not of this data set)"):
        used.require_unchanged()


@pytest.mark.parametrize("name", ["overwritten", "removed", "a link", "one more file"])
def test_a_training_split_that_is_not_what_was_prepared_is_refused_before_the_first_training(
    name: str, mine: Path
) -> None:
    CHANGES[name](mine)
    with pytest.raises(DataError, match=r"is not what was prepared|is not of this data set"):
        DatasetLock(mine)


def test_data_in_use_cannot_be_replaced_and_afterwards_it_can(source: Path, tmp_path: Path) -> None:
    make(source, tmp_path / "d")
    before = load_manifest(tmp_path / "d")
    used = DatasetLock(tmp_path / "d")
    DatasetLock(tmp_path / "d").close()  # several may use it
    source.write_text(LANGUAGE.document(150_000, 2))
    with pytest.raises(DataError, match="a run is using the data"):
        make(source, tmp_path / "d")
    used.require_unchanged()
    assert load_manifest(tmp_path / "d") == before
    used.close()
    make(source, tmp_path / "d")
    assert load_manifest(tmp_path / "d") != before
    assert sorted(path.name for path in tmp_path.iterdir()) == [".d.lock", "d", "source"]


def test_a_user_that_was_killed_is_in_nobodys_way(source: Path, tmp_path: Path) -> None:
    make(source, tmp_path / "d")
    program = (
        "import sys; from pathlib import Path; from runner.data.dataset_lock import DatasetLock\n"
        "used = DatasetLock(Path(sys.argv[1])); print('in use', flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path / "d")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as user:
        assert user.stdout is not None
        user.stdout.readline()
        source.write_text(LANGUAGE.document(150_000, 3))
        with pytest.raises(DataError, match="a run is using"):
            make(source, tmp_path / "d")
        user.kill()
    make(source, tmp_path / "d")


def test_two_preparations_of_one_folder_take_turns(source: Path, tmp_path: Path) -> None:
    said: list[str] = []
    failures: list[BaseException] = []

    def prepare_it() -> None:
        try:
            make(source, tmp_path / "d", progress=said.append)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=prepare_it) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert verify(tmp_path / "d") == []
    assert sum("up to date" in sentence for sentence in said) == 2


@pytest.mark.parametrize(
    "what",
    ["a file of the user's", "one more file in a data set", "its own source", "below its source", "a file"],
)
def test_nothing_of_the_users_is_replaced(what: str, source: Path, tmp_path: Path) -> None:
    """`output_folder.put` would notice, too, but only after all the work."""
    folder = tmp_path / "thesis"
    thesis = folder / "thesis.tex"
    if what == "its own source":
        folder = thesis = source.parent
    elif what == "below its source":
        folder, thesis = source.parent / "out", source
    elif what == "a file":
        folder.write_text("years of work")
        thesis = folder
    else:
        if what == "one more file in a data set":
            make(source, folder)
            source.write_text(LANGUAGE.document(150_000, 4))
        folder.mkdir(exist_ok=True)
        thesis.write_text("years of work")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    given = source.parent if "source" in what else source
    said: list[str] = []
    with pytest.raises(DataError, match=r"--out"):
        make(given, folder, progress=said.append)
    assert said == [], "refused, but after work had begun"
    assert thesis.exists()
    assert {path: path.read_bytes() for path in before} == before


def test_what_a_killed_preparation_left_goes_and_what_looks_like_it_stays(
    source: Path, tmp_path: Path
) -> None:
    left, others = tmp_path / ".d.x1.partial", tmp_path / ".d.x2.partial"
    for folder in (left, others):
        folder.mkdir()
        (folder / "tokens.bin").write_text("x")
    (left / ".autoresearch-partial").touch()
    make(source, tmp_path / "d")
    assert not left.exists()
    assert others.exists()


@pytest.mark.parametrize("mask", [0o077, 0o027, 0o000])
def test_the_modes_do_not_depend_on_the_umask(mask: int, source: Path, tmp_path: Path) -> None:
    before = os.umask(mask)
    try:
        make(source, tmp_path / "d")
    finally:
        os.umask(before)
    found = {
        (path.is_dir(), path.stat().st_mode & 0o777)
        for path in [tmp_path / "d", *(tmp_path / "d").rglob("*")]
    }
    assert found == {(True, 0o755), (False, 0o644)}


def test_a_link_to_a_data_set_is_followed(source: Path, tmp_path: Path) -> None:
    make(source, tmp_path / "d")
    (tmp_path / "link").symlink_to("d")
    source.write_text(LANGUAGE.document(150_000, 5))
    make(source, tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert verify(tmp_path / "d") == []


@pytest.mark.parametrize("there", ["nothing", "an empty folder", "a data set"])
def test_what_is_put_into_the_folder_while_it_is_made_stays(there: str, source: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    if there == "an empty folder":
        folder.mkdir()
    elif there == "a data set":
        make(source, folder)
        source.write_text(LANGUAGE.document(150_000, 4))

    def meanwhile(line: str) -> None:
        if line.startswith("encoding"):
            folder.mkdir(exist_ok=True)
            (folder / "thesis.tex").write_text("years of work")

    with pytest.raises(DataError):
        make(source, folder, progress=meanwhile)
    assert (folder / "thesis.tex").read_text() == "years of work"
    assert [path.name for path in tmp_path.glob(".out.*.partial")] == []


def test_two_folders_of_which_one_begins_like_the_other_do_not_meet(source: Path, tmp_path: Path) -> None:
    def meanwhile(line: str) -> None:
        if line.startswith("encoding"):
            make(source, tmp_path / "out")

    make(source, tmp_path / "out.v2", progress=meanwhile)
    assert verify(tmp_path / "out") == verify(tmp_path / "out.v2") == []


def test_where_there_is_no_data_nothing_but_the_sentence_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dropped: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", dropped.append)
    with pytest.raises(DataError, match="--dataset PATH"):
        DatasetLock(tmp_path / "nowhere")
    gc.collect()
    assert dropped == [], "a finaliser failed, and wrote a traceback below the sentence"
