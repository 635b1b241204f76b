"""The verbs of tasks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from runner.cli import main
from runner.tasks.shipped_tasks import named, shipped


def verb(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(["task", *words])
    said = capsys.readouterr()
    return int(ended.value.code or 0), said.out, said.err


def test_the_shipped_tasks_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = verb(capsys, "list", "--json")
    assert code == 0
    assert [task["name"] for task in json.loads(out)["tasks"]] == [task.name for task in shipped()]
    assert "compress" in verb(capsys, "list")[1]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["no-such-task"], "neither a shipped task (compress) nor a folder"),
        (["."], "has no task.toml"),
        (["compress", "--submission", "best"], "--submission best: compress has identity, start, library"),
    ],
)
def test_what_is_not_there_is_one_sentence(
    words: list[str],
    sentence: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, err = verb(capsys, "try", *words)
    assert code == 2
    assert sentence in err


@pytest.mark.engine
@pytest.mark.usefixtures("images", "nothing_left")
def test_known_submissions_of_compress_come_out_in_their_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AUTORESEARCH_CACHE", str(tmp_path / "cache"))
    scores = []
    for name in named("compress").calibration:
        code, out, err = verb(capsys, "try", "compress", "--submission", name, "--json")
        assert code == 0, err
        scores.append(json.loads(out)["score"])
    assert scores == sorted(scores, reverse=True)
    assert scores[0] > 0.99
    assert scores[-1] < 0.5
