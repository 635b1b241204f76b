"""What is mounted into a container can be read there, or the engine says so before it starts one."""

from __future__ import annotations

import io
import os
import stat
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from sandbox.engine import BuildContext
from sandbox.images import context_blocks
from sandbox.mounts import make_folder, unreadable, write_file
from sandbox.outcome import Ending, Fault
from sandbox.spec import Mount

READ = "open('/out/report','w').write(open('/data/x').read())"


@pytest.fixture(params=[0o077, 0o027])
def narrow_umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


@pytest.mark.usefixtures("narrow_umask")
def test_modes_of_inputs_do_not_come_from_the_umask(tmp_path: Path) -> None:
    make_folder(tmp_path / "d")
    write_file(tmp_path / "d" / "f", b"x")
    assert [stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "d", tmp_path / "d" / "f")] == [
        0o755,
        0o644,
    ]
    assert unreadable([Mount(tmp_path / "d", "/data")]) == ""


@pytest.mark.usefixtures("narrow_umask")
def test_modes_in_an_image_do_not_come_from_the_umask(tmp_path: Path) -> None:
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "f").write_bytes(b"x")
    context = BuildContext("FROM scratch", {"a/b/c": b"x", "a/d": tmp_path / "p"})
    archive = io.BytesIO(b"".join(context_blocks(context)))
    with tarfile.open(fileobj=archive) as tar:
        modes = {member.name: member.mode for member in tar.getmembers()}
    folders = {name: mode for name, mode in modes.items() if name in {"a", "a/b", "a/d"}}
    assert folders == dict.fromkeys(("a", "a/b", "a/d"), 0o755)
    assert {modes[name] for name in modes if name not in folders} == {0o644}


@pytest.mark.parametrize(("name", "mode"), [("x", 0o600), ("x", 0o640), ("", 0o700), ("", 0o754)])
def test_an_input_that_cannot_be_read_is_nobodys_crash(
    engine, sandboxed, tmp_path: Path, name: str, mode: int
) -> None:  # type: ignore[no-untyped-def]
    make_folder(tmp_path / "d")
    write_file(tmp_path / "d" / "x", b"x")
    (tmp_path / "d" / name).chmod(mode)
    outcome = engine.run(sandboxed.job(READ, mounts=(Mount(tmp_path / "d", "/data"),)))
    assert outcome.ending is Ending.REFUSED
    assert outcome.fault is Fault.INFRASTRUCTURE
    assert "chmod -R a+rX" in outcome.detail
    (tmp_path / "d" / name).chmod(0o755)
    again = engine.run(sandboxed.job(READ, mounts=(Mount(tmp_path / "d", "/data"),)))
    assert again.files["report"].path.read_text() == "x"


def test_a_private_folder_above_an_input_is_no_hindrance(engine, sandboxed, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "home").mkdir(mode=0o700)
    make_folder(tmp_path / "home" / "d")
    write_file(tmp_path / "home" / "d" / "x", b"x")
    outcome = engine.run(sandboxed.job(READ, mounts=(Mount(tmp_path / "home" / "d", "/data"),)))
    assert outcome.files["report"].path.read_text() == "x"


@pytest.mark.parametrize(
    "name", ["with space", "new\nline", "co:lon", "com,ma", "ünï", "-dash", "$HOME", "a" * 250]
)
def test_an_input_on_an_odd_path_is_mounted(engine, sandboxed, tmp_path: Path, name: str) -> None:  # type: ignore[no-untyped-def]
    make_folder(tmp_path / name)
    write_file(tmp_path / name / "x", b"x")
    outcome = engine.run(sandboxed.job(READ, mounts=(Mount(tmp_path / name, "/data"),)))
    assert outcome.files["report"].path.read_text() == "x", outcome.detail


def test_a_path_that_no_engine_can_be_told_is_a_sentence(engine, sandboxed, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    make_folder(odd := tmp_path / os.fsdecode(b"\xff"))
    outcome = engine.run(sandboxed.job(READ, mounts=(Mount(odd, "/data"),)))
    assert outcome.ending is Ending.REFUSED
    assert "is not UTF-8" in outcome.detail


def test_what_is_not_there_and_a_link_to_nowhere_are_a_sentence(engine, sandboxed, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    job = sandboxed.job(READ)
    assert "cannot be found" in engine.run(replace(job, mounts=(Mount(tmp_path / "no", "/data"),))).detail
    make_folder(tmp_path / "d")
    (tmp_path / "d" / "link").symlink_to("/nowhere")  # its target is looked for inside the container
    assert unreadable([Mount(tmp_path / "d", "/data")]) == ""
