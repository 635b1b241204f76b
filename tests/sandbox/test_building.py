"""Images are built from the bytes that were given, without network."""

from __future__ import annotations

import io
import os
import secrets
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.docker_engine import DockerEngine
from sandbox.engine import BuildContext, SandboxError
from sandbox.images import context_blocks


def members(context: BuildContext) -> dict[str, tarfile.TarInfo]:
    archive = io.BytesIO(b"".join(context_blocks(context)))
    with tarfile.open(fileobj=archive) as tar:
        return {member.name: member for member in tar.getmembers()}


def test_only_plain_files_are_sent_and_nothing_says_who_made_them(tmp_path: Path) -> None:
    folder = tmp_path / "package"
    (folder / "__pycache__").mkdir(parents=True)
    (folder / "__pycache__" / "a.pyc").write_bytes(b"x")
    (folder / "a.py").write_text("x")
    (folder / "a.py").chmod(0o4777)
    (folder / "secret").symlink_to("/etc/shadow")
    found = members(BuildContext("FROM scratch", {"p": folder, "b": b"bytes"}))
    assert set(found) == {"Dockerfile", "b", "p", "p/a.py"}
    for member in found.values():
        assert (member.uid, member.gid, member.uname, member.mtime) == (0, 0, "", 0)
        assert member.mode in {0o644, 0o755}


def test_the_same_files_make_the_same_context(tmp_path: Path) -> None:
    first, second = (
        b"".join(context_blocks(BuildContext("FROM scratch", {name: name.encode() for name in order})))
        for order in ("ab", "ba")
    )
    assert first == second


@pytest.fixture
def label(engine: DockerEngine) -> Iterator[dict[str, str]]:
    mark = {"dev.autoresearch.test": secrets.token_hex(4)}
    yield mark
    for image in engine.images(mark):
        engine.remove_image(image.id)


@pytest.mark.engine
def test_a_build_that_fails_says_why(engine: DockerEngine, candidate_image: str) -> None:
    command = '["/opt/venv/bin/python", "-c", "raise SystemExit(\'the reason\')"]'
    with pytest.raises(SandboxError, match="the reason"):
        engine.build(BuildContext(f"FROM {candidate_image}\nRUN {command}\n", {}))


@pytest.mark.engine
def test_a_build_has_no_network(engine: DockerEngine, candidate_image: str, label: dict[str, str]) -> None:
    command = '["/opt/venv/bin/python", "-c", "import os; print(os.listdir(\'/sys/class/net\'))"]'
    lines: list[str] = []
    context = BuildContext(f"FROM {candidate_image}\nRUN {command}\n", {}, labels={**label})
    engine.build(context, lines.append)
    assert "['lo']" in lines


@pytest.mark.engine
def test_a_root_file_system_becomes_an_image(engine: DockerEngine, tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(os.urandom(3 << 20))
    tag = f"autoresearch/test-{secrets.token_hex(4)}:1"
    made = engine.import_root(tmp_path, tag)
    try:
        assert engine.image(tag).id == made.id
        assert engine.client.inspect_image(made.id)["Size"] >= 3 << 20
    finally:
        engine.remove_image(made.id)
