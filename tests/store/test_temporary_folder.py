"""What a killed verb leaves goes, and nobody else's does."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from runner.results.garbage_collection import remove_abandoned_folders
from runner.store.temporary_folder import abandoned, scratch
from sandbox.owner import Owner, parse_owner, this_process

DIES = """
import os
from runner.store.temporary_folder import scratch
with scratch("try") as folder:
    (folder / "evaluation").mkdir()
    (folder / "evaluation" / "rows.bin").write_bytes(b"hidden")
    print(folder, flush=True)
    os.kill(os.getpid(), 9)
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def killed(home: Path) -> Path:
    environment = {**os.environ, "TMPDIR": str(home)}
    died = subprocess.run(
        [sys.executable, "-c", DIES], env=environment, capture_output=True, text=True, check=False
    )
    assert died.returncode == -9, died.stderr
    return Path(died.stdout.strip())


def test_what_a_killed_verb_left_goes_when_the_next_one_begins(home: Path) -> None:
    left = killed(home)
    assert (left / "evaluation" / "rows.bin").exists()
    with scratch("calibrate") as mine:
        assert not left.exists()
        assert list(home.iterdir()) == [mine]
        assert mine.stat().st_mode & 0o777 == 0o755
    assert list(home.iterdir()) == []


def test_gc_lists_it_and_takes_it_away(home: Path) -> None:
    left = killed(home)
    found = remove_abandoned_folders(dry_run=True)
    assert [(item.kind, item.name) for item in found] == [("scratch", str(left))]
    assert found[0].bytes > 6
    assert left.exists()
    assert remove_abandoned_folders(dry_run=False) == found
    assert not left.exists()


def test_a_living_verbs_folder_stays(home: Path) -> None:
    with scratch("try") as first, scratch("reproduce") as second:
        assert first.exists()
        assert second.exists()
        assert abandoned() == []


@pytest.mark.parametrize("owner", ["", "nonsense", "another user", "no file", "a link"])
def test_what_is_not_known_to_be_ours_stays(home: Path, owner: str) -> None:
    left = killed(home)
    if owner == "another user":
        dead = parse_owner((left / "owner").read_text().strip())
        assert dead is not None
        owner = str(Owner(dead.uid + 1, dead.boot_id, dead.pid, dead.start_time))
    if owner == "no file":
        (left / "owner").unlink()
    elif owner == "a link":
        left = left.rename(home / "elsewhere")
        (home / "autoresearch-try-link").symlink_to(left)
    else:
        (left / "owner").write_text(owner)
    assert abandoned() == []
    with scratch("try"):
        assert (left / "evaluation" / "rows.bin").exists()


def test_a_recycled_process_number_is_not_the_owner(home: Path) -> None:
    left, mine = killed(home), this_process()
    (left / "owner").write_text(str(Owner(mine.uid, mine.boot_id, mine.pid, mine.start_time - 1)))
    assert abandoned() == [left]
