"""The verbs data prepare and data verify."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from runner import cache
from runner.cli.conversion import Command, Group
from runner.cli.options import Json, automatic_or
from runner.cli.output import envelope, say
from runner.evaluation import setup
from runner.store.config import Config

if TYPE_CHECKING:
    from runner.data.leak_check import ImageLeakCheck

data_app = typer.Typer(cls=Group, help="Prepare and verify token data.", no_args_is_help=True)


_SHARDS = 8


@data_app.command("prepare", cls=Command)
def data_prepare(
    dataset: Annotated[
        str,
        typer.Option(
            help="default, climbmix, or a file or folder: .txt, .md, .json, .jsonl, .csv, .parquet, compressed or not."
        ),
    ] = "default",
    out: Annotated[Path | None, typer.Option(help="Where to; if not said, a folder of the cache.")] = None,
    variant: Annotated[
        str,
        typer.Option(
            help="auto (what this machine trains on), cpu (short rows, small vocabulary), cuda12, cuda13."
        ),
    ] = "auto",
    text_column: Annotated[
        str | None,
        typer.Option(
            help="Where the text of a record is, if not in text, content or messages: body, data.text."
        ),
    ] = None,
    vocab_size: Annotated[int | None, typer.Option(help="Tokens, BOS included: 257 to 65536.")] = None,
    seq_len: Annotated[int | None, typer.Option(help="Tokens per row.")] = None,
    shards: Annotated[
        int | None, typer.Option(help=f"climbmix: how many training shards, {_SHARDS} if not said.")
    ] = None,
    demo: Annotated[
        bool,
        typer.Option("--demo", help="The default text for `init --demo`: short rows, little held-out text."),
    ] = False,
    json: Json = False,
) -> None:
    """Make token shards, tokenizer and manifest; nothing is done when they are there already."""
    from runner.data.prepare import HELD_OUT_BYTES, prepare
    from runner.data.sources import NAMED
    from runner.errors import UsageError
    from runner.images.wheelhouse import fill_text_wheels

    if shards is not None and dataset != "climbmix":
        raise UsageError("--shards is for --dataset climbmix alone")
    if text_column is not None and dataset in NAMED:
        raise UsageError(f"--text-column is for your own data, and --dataset is {dataset}")
    variant = "cpu" if demo and variant == "auto" else automatic_or(variant)
    small = variant == "cpu"
    if demo and not (dataset == "default" and small and vocab_size is None and seq_len is None):
        raise UsageError(
            "--demo is the default text in sizes of its own: leave out --dataset, --variant, --vocab-size and --seq-len"
        )
    vocabulary = setup.CPU_VOCABULARY if small else setup.GPU_VOCABULARY
    vocabulary = setup.DEMO_VOCABULARY if demo else vocabulary if vocab_size is None else vocab_size
    length = setup.CPU_SEQUENCE if small else setup.GPU_SEQUENCE
    length = setup.DEMO_SEQUENCE if demo else length if seq_len is None else seq_len
    if not (257 <= vocabulary <= 65536 and 8 <= length <= 65536):
        raise UsageError("--vocab-size must be between 257 and 65536 and --seq-len between 8 and 65536")
    shards = _SHARDS if shards is None else shards
    folder = out or (
        cache.demo_data()
        if demo
        else cache.default_data(variant).with_name(
            _folder_name(dataset, text_column, small, vocab_size, seq_len, shards)
        )
    )
    held_out = setup.DEMO_HELD_OUT_BYTES if demo else HELD_OUT_BYTES
    manifest = prepare(
        dataset,
        folder,
        wheels=fill_text_wheels(say) if dataset == "default" else None,
        shards=shards,
        column=text_column,
        vocab_size=vocabulary,
        seq_len=length,
        val_bytes=held_out,
        test_bytes=held_out,
        image=_image(variant),
        progress=say,
    )
    if json:
        sizes = {
            split: {"documents": s.documents, "tokens": s.tokens, "bytes": s.bytes}
            for split, s in manifest.splits.items()
        }
        envelope(
            "data",
            folder=str(folder),
            vocab_size=manifest.vocab_size,
            seq_len=manifest.seq_len,
            splits=sizes,
            skipped=manifest.skipped,
            shared_bytes=manifest.shared_bytes,
        )
    else:
        for split, size in manifest.splits.items():
            print(f"{split:5}  {size.documents} documents  {size.tokens} tokens  {size.bytes} bytes")
        print(folder)
    if demo and out is None:
        say("next: a workspace of `autoresearch init --demo DIR` uses it")
    elif folder != cache.default_data(variant):
        path = shlex.quote(str(folder.resolve()))
        say(
            f"next: `autoresearch run --data {path}`, or data = in autoresearch.toml; else a run uses the default data"
        )


def _folder_name(
    dataset: str, column: str | None, small: bool, vocab_size: int | None, seq_len: int | None, shards: int
) -> str:
    """A name that no other data set of this machine has: a path is known by its digest, a size that is not the usual one
    is named."""
    import hashlib

    name = dataset
    if dataset not in {"default", "climbmix"}:
        path = Path(dataset).resolve()
        digest = hashlib.sha256(f"{path}\n{column or ''}".encode(errors="surrogateescape")).hexdigest()
        name = f"{path.name}-{digest[:8]}"
    parts = [name, "cpu" if small else "gpu"]
    parts += [f"v{vocab_size}"] if vocab_size else []
    parts += [f"t{seq_len}"] if seq_len else []
    parts += [f"s{shards}"] if dataset == "climbmix" and shards != _SHARDS else []
    return "-".join(parts)


def _image(variant: str) -> ImageLeakCheck | None:
    """The candidate's image, to be searched for held-out text; None where there is none yet. A run searches its own."""
    from runner.data.leak_check import ImageLeakCheck
    from runner.images.build import find_images
    from sandbox.engine import SandboxError

    try:
        engine = setup.connect(Config())
        image = find_images(engine, variant).candidate.id
    except SandboxError:
        say("there is no candidate image to be searched for held-out text; the first run will search it")
        return None
    return ImageLeakCheck(engine, image, cache.searched_folder(), say)


@data_app.command("verify", cls=Command)
def data_verify(
    folder: Annotated[Path, typer.Argument(help="A prepared data set.")], json: Json = False
) -> None:
    """Compare every file with the manifest's SHA-256."""
    from runner.data.manifest import verify
    from runner.errors import PrerequisiteMissing

    if problems := verify(folder):
        raise PrerequisiteMissing("; ".join(problems) + "; run `autoresearch data prepare` again")
    if json:
        envelope("data-verify", folder=str(folder))
    else:
        print("every file is what was prepared")
