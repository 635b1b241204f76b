"""Held out means out of reach, on the real engine: by what every verb does before it trains."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from runner.data.errors import DataError
from runner.data.tokenizer import load_tokenizer
from runner.evaluation.setup import set_up
from runner.images import build
from runner.images.build import Images
from runner.store.config import Config
from sandbox.engine import BuildContext, Engine

pytestmark = pytest.mark.engine


@pytest.mark.usefixtures("nothing_left")
def test_text_baked_into_a_base_image_is_refused_before_anything_trains(
    engine: Engine, images: Images, dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = load_tokenizer(dataset / "train" / "tokenizer.json")
    tokens = np.fromfile(dataset / "heldout" / "val" / "tokens.bin", "<u2")[1:120]
    text = b"".join(table.tokens[token] for token in tokens if token != table.bos_id)
    leaky = engine.build(
        BuildContext(
            f"FROM {images.candidate.id}\nCOPY notes /opt/venv/lib/python3.11/site-packages/notes.txt\n",
            {"notes": b"some notes: " + text},
            labels={"dev.autoresearch.test": "leaky"},
        )
    )
    try:
        monkeypatch.setattr(build, "find_images", lambda *_: replace(images, candidate=leaky))
        with pytest.raises(
            DataError, match=r"/opt/venv/lib/python3.11/site-packages/notes.txt holds at least 128 bytes"
        ):
            set_up(Config(), data=dataset)
    finally:
        engine.remove_image(leaky.id)
