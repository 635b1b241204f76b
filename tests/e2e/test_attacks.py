"""Every script in tests/attacks is evaluated like any candidate, and leaves nothing.

The first line of each file says what must come of it; docs/attacks.md says which attack of the catalogue it is. After each
group an honest candidate finds no trace and scores what it must.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from corpus import (
    ATTACKS,
    CANDIDATE,
    CONTROLS,
    GROUPS,
    HONEST,
    KEPT,
    Arena,
    TooMuchSpent,
    expected,
    scripts,
    uniform_bpb,
)
from engine_resources import Meter

pytestmark = pytest.mark.engine

CANARY = "canary-of-the-host-" + "5d1f7c"
IN_PAIRS = ("metric", "files", "llm")
"""Groups that do not try to use up the machine: one of their scripts may run beside another test."""


ATTEMPTS = 3 if int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")) > 1 else 1
"""Beside another test an attack is made again when the engine took too much: what an attack costs, it costs every time."""


def marks(group: str) -> list[pytest.MarkDecorator]:
    return [pytest.mark.pair] if group in IN_PAIRS else []


ALL = [
    pytest.param(
        script,
        id=f"{group}-{script.stem if script != HONEST else 'then-an-honest-one'}",
        marks=marks(group),
    )
    for group in GROUPS
    for script in (*scripts(group), HONEST)
]


@pytest.fixture(scope="module")
def arena(images: object, dataset: Path) -> Arena:
    return Arena.open(dataset)


@pytest.mark.parametrize("script", ALL)
def test_an_attack_gets_its_outcome_and_leaves_nothing(
    script: Path, arena: Arena, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OPENAI_API_KEY", "HTTPS_PROXY", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, CANARY)
    expectation = expected(script)
    source = script.read_bytes().replace(b"NEEDLES = []", f"NEEDLES = {arena.passages()}".encode())
    for attempt in range(ATTEMPTS):
        folder = tmp_path / f"evaluation-{attempt}"
        try:
            with arena.nothing_left():
                evaluation = arena.evaluate(source, expectation, folder)
            break
        except TooMuchSpent:
            if attempt + 1 == ATTEMPTS:
                raise

    log = evaluation.log_tail
    assert str(evaluation.outcome) in expectation.outcomes, (
        evaluation.outcome,
        evaluation.reason,
        evaluation.detail,
        log[-2000:],
    )
    assert "ESCAPED" not in log, log
    assert [word for word in expectation.says if word not in log] == [], log
    assert not CONTROLS.search(log)
    assert CANARY not in log + evaluation.detail
    if expectation.reason:
        assert evaluation.reason == expectation.reason
    if expectation.exact:
        assert evaluation.val_bpb == pytest.approx(uniform_bpb(arena.dataset), abs=1e-6)
    assert (evaluation.val_bpb is not None) == (evaluation.outcome == "ok")
    if evaluation.outcome == "timeout_no_artifact":
        assert expectation.wall is not None
        assert expectation.wall <= evaluation.seconds < expectation.wall + 3.0
    assert evaluation.seconds <= expectation.at_most
    if evaluation.outcome != "rejected":
        assert (folder / "train.py").read_bytes() == source
        left = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*")}
        assert set(left) <= KEPT
        assert all(path.is_file() and not path.is_symlink() for path in left.values())


def test_every_group_has_scripts_and_no_script_is_in_no_group() -> None:
    found = {path for group in GROUPS for path in scripts(group)} | {HONEST}
    assert found == set(ATTACKS.rglob("*.py"))
    assert all(scripts(group) for group in GROUPS)


def test_it_is_noticed_when_something_is_left(arena: Arena) -> None:
    """Else the checks after every attack could be blind."""
    marks = {"dev.autoresearch.role": "test"}
    with pytest.raises(AssertionError, match="a volume is left"), arena.nothing_left():
        arena.client.create_volume("attack-test-left-over", labels=marks)
    arena.client.remove_volume("attack-test-left-over")
    image = arena.environment.images.candidate.id
    config = {
        "Image": image,
        "Entrypoint": ["/opt/venv/bin/python"],
        "Cmd": ["-c", "import time; time.sleep(30)"],
    }
    config |= {"Labels": marks, "HostConfig": {"NetworkMode": "none"}}
    try:
        with pytest.raises(AssertionError, match="a container is left"), arena.nothing_left():
            arena.client.create_container_from_config(config, "attack-test-left-over")
    finally:
        arena.client.remove_container("attack-test-left-over", force=True)


def test_it_is_noticed_when_the_engine_is_made_to_work(arena: Arena) -> None:
    """24 MiB of short lines through a log driver: what no attack may do."""
    config = {
        "Image": arena.environment.images.candidate.id,
        "Entrypoint": ["/opt/venv/bin/python"],
        "Cmd": ["-c", "import os\nfor _ in range(384): os.write(1, b'12345678901234\\n' * 4369)"],
        "HostConfig": {
            "NetworkMode": "none",
            "LogConfig": {"Type": "json-file", "Config": {"max-size": "1m"}},
        },
    }
    made = len(arena.containers)
    with Meter(arena.socket_path, lambda: arena.containers[made:]).measuring() as meter:
        arena.client.create_container_from_config(config, "attack-test-engine")
        arena.client.start("attack-test-engine")
        arena.client.wait("attack-test-engine")
        arena.client.remove_container("attack-test-engine", force=True)
    assert {use.name for use in meter.used.values()} == {"runner", "dockerd", "containerd", "shim"}
    assert meter.cpu_s("dockerd") > 0.2
    assert meter.more_bytes("shim") > 1 << 20


@pytest.mark.skipif(os.geteuid() != 0, reason="who is not root sees only how much of the whole disk is free")
@pytest.mark.parametrize(
    ("name", "owner", "noticed"),
    [("autoresearch-left-over", 0, True), ("left-over", CANDIDATE, True), ("a-foreigners", 0, False)],
)
def test_what_an_attack_leaves_on_the_disk_is_noticed_and_what_others_write_is_not(
    name: str, owner: int, noticed: bool, arena: Arena, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("corpus._SETTLING_S", 0.5)
    path = Path(tempfile.gettempdir()) / f"{name}-{secrets.token_hex(4)}"
    left = pytest.raises(AssertionError, match="of the host's disk") if noticed else contextlib.nullcontext()
    try:
        with left, arena.nothing_left(), path.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, 300 << 20)
            os.fchown(file.fileno(), owner, owner)
    finally:
        path.unlink()


# ---- the same by the command ---------------------------------------------------------------------------------
@pytest.mark.usefixtures("images", "nothing_left")
@pytest.mark.parametrize(
    "name",
    [
        "honest",
        "metric/prints_its_own_val_bpb",
        "lifecycle/ignores_sigterm",
        "files/symlinked_weights",
        "llm/crashes",
        "llm/does_not_parse",
    ],
)
def test_the_command_says_the_same(name: str, dataset: Path, tmp_path: Path) -> None:
    script = ATTACKS / f"{name}.py"
    expectation = expected(script)
    wall_clock = f"{expectation.wall or 25:g}s"
    command = [sys.executable, "-m", "runner.cli", "try", str(script), "--json", "--wall-clock", wall_clock]
    started = time.monotonic()
    result = subprocess.run(
        [*command, "--data", str(dataset)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
    )

    assert "Traceback" not in result.stderr, result.stderr
    assert result.returncode == 0, result.stderr
    answer = json.loads(result.stdout)
    assert answer["schema"] == "autoresearch/try/1"
    assert {answer["outcome"]} == expectation.outcomes, answer
    assert answer["reason"] == expectation.reason or expectation.reason is None
    assert float(answer["seconds"]) <= time.monotonic() - started
    assert not CONTROLS.search(answer["log_tail"])
    if expectation.exact:
        assert answer["val_bpb"] == pytest.approx(uniform_bpb(dataset), abs=1e-6)
