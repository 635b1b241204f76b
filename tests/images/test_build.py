"""Which images count as built already."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.images import build
from runner.images.build import build_images, recipe_digest
from sandbox.engine import LABEL, BuildContext
from sandbox.fake_engine import FakeEngine


def test_images_on_another_base_than_the_named_one_are_built_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, said = FakeEngine(), list[str]()
    old, new = (engine.build(BuildContext("FROM scratch", {"a": raw})).id for raw in (b"1", b"2"))
    for role in ("candidate", "judge"):
        labels = {f"{LABEL}.image": role, f"{LABEL}.recipe": recipe_digest("cpu"), f"{LABEL}.base": old}
        engine.build(BuildContext("FROM scratch", {}, tags=(f"autoresearch/{role}:cpu",), labels=labels))
    for base in ("auto", old):
        build_images(engine, base=base, progress=said.append)
    assert said == ["the cpu images are up to date"] * 2
    monkeypatch.setattr(build, "fill_wheelhouse", lambda *_: tmp_path)
    images = build_images(engine, base=new, progress=said.append)
    assert images.candidate.labels[f"{LABEL}.base"] == images.judge.labels[f"{LABEL}.base"] == new
