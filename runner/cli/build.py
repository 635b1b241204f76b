"""The verb build."""

from __future__ import annotations

from typing import Annotated

import typer

from runner.cli.options import Json, automatic_or
from runner.cli.output import envelope, say
from runner.evaluation import setup
from runner.store.config import Config


def build(
    variant: Annotated[
        str, typer.Option(help="auto (what this machine trains on), cpu, cuda12 or cuda13.")
    ] = "auto",
    base: Annotated[str, typer.Option(help="auto, airgap, or an image with Python 3.11.")] = "auto",
    force: Annotated[bool, typer.Option("--force", help="Build even if nothing has changed.")] = False,
    json: Json = False,
) -> None:
    """Build the candidate's and the judge's image, without network, from wheels checked by hash."""
    from runner.images.build import build_images

    variant = automatic_or(variant)
    images = build_images(setup.connect(Config()), variant=variant, base=base, force=force, progress=say)
    if json:
        envelope("build", variant=variant, candidate=images.candidate.id, judge=images.judge.id)
    else:
        print(f"candidate {images.candidate.id}\njudge     {images.judge.id}")
