"""Which images count as built already."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.errors import PrerequisiteMissing
from runner.images import build
from runner.images.build import build_images, find_images, recipe_digest
from sandbox.engine import LABEL, BuildContext, ImageMissing
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


@pytest.mark.parametrize(("variant", "command"), [("cpu", "build`"), ("cuda12", "build --variant cuda12`")])
def test_images_that_are_not_built_are_named_with_the_command_that_builds_them(
    variant: str, command: str
) -> None:
    with pytest.raises(ImageMissing, match=f"for {variant} are not built; run `autoresearch {command}"):
        find_images(FakeEngine(), variant)


def test_a_base_that_the_engine_does_not_have_is_not_answered_with_build() -> None:
    with pytest.raises(PrerequisiteMissing, match=r"no image sha256:0 to build on: name another --base$"):
        build_images(FakeEngine(), base="sha256:0", progress=lambda _: None)
