"""Verbs that make things ready: init, doctor, build, data."""

from __future__ import annotations

import shlex
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from runner import assemble
from runner import workspace as workspaces
from runner.cli.output import envelope, failed, say
from runner.workspace import Config

if TYPE_CHECKING:
    from runner.data.reach import Searched

data_app = typer.Typer(help="Prepare and verify token data.", no_args_is_help=True)
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
_SHARDS = 8


def init(folder: Annotated[Path, typer.Argument(help="A new folder, or one without these files.")]) -> None:
    """Make a workspace: program.md, train.py, autoresearch.toml and a git repository."""
    from runner import lineage

    made = workspaces.create(folder)
    lineage.initialise(made.folder)
    print(made.folder)
    say("next: cd there, edit program.md, then `autoresearch run --budget 8h`")


def build(
    variant: Annotated[str, typer.Option(help="cpu, cuda12 or cuda13.")] = "cpu",
    base: Annotated[str, typer.Option(help="auto, airgap, or an image with Python 3.11.")] = "auto",
    force: Annotated[bool, typer.Option("--force", help="Build even if nothing has changed.")] = False,
    json: Json = False,
) -> None:
    """Build the candidate's and the judge's image, without network, from wheels checked by hash."""
    from runner.build import build_images

    images = build_images(assemble.connect(Config()), variant=variant, base=base, force=force, progress=say)
    if json:
        envelope("build", variant=variant, candidate=images.candidate.id, judge=images.judge.id)
    else:
        print(f"candidate {images.candidate.id}\njudge     {images.judge.id}")


@data_app.command("prepare")
def data_prepare(
    dataset: Annotated[
        str,
        typer.Option(
            help="default, climbmix, or a file or folder: .txt, .md, .json, .jsonl, .csv, .parquet, compressed or not."
        ),
    ] = "default",
    out: Annotated[Path | None, typer.Option(help="Where to; if not said, a folder of the cache.")] = None,
    variant: Annotated[
        str, typer.Option(help="cpu (short rows, small vocabulary), cuda12 or cuda13.")
    ] = "cpu",
    text_column: Annotated[
        str | None,
        typer.Option(
            help="Where the text of a record is, if not in text, content or messages: body, data.text."
        ),
    ] = None,
    vocab_size: Annotated[int | None, typer.Option(help="Tokens, BOS included: 257 to 65536.")] = None,
    seq_len: Annotated[int | None, typer.Option(help="Tokens per row.")] = None,
    shards: Annotated[int, typer.Option(help="climbmix: how many training shards.")] = _SHARDS,
    json: Json = False,
) -> None:
    """Make token shards, tokenizer and manifest; nothing is done when they are there already."""
    from runner.build import VARIANTS, fill_text_wheels
    from runner.data import prepare
    from runner.errors import UsageError

    if variant not in VARIANTS:
        raise UsageError(f"--variant must be one of {', '.join(VARIANTS)}")
    small = variant == "cpu"
    vocabulary = assemble.CPU_VOCABULARY if small else assemble.GPU_VOCABULARY
    vocabulary = vocabulary if vocab_size is None else vocab_size
    length = assemble.CPU_SEQUENCE if small else assemble.GPU_SEQUENCE
    length = length if seq_len is None else seq_len
    if not (257 <= vocabulary <= 65536 and 8 <= length <= 65536):
        raise UsageError("--vocab-size must be between 257 and 65536 and --seq-len between 8 and 65536")
    folder = out or assemble.default_data(variant).with_name(
        _folder_name(dataset, text_column, small, vocab_size, seq_len, shards)
    )
    manifest = prepare(
        dataset,
        folder,
        wheels=fill_text_wheels(say) if dataset == "default" else None,
        shards=shards,
        column=text_column,
        vocab_size=vocabulary,
        seq_len=length,
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
    if folder != assemble.default_data(variant):
        path = shlex.quote(str(folder.resolve()))
        say(
            f"next: `autoresearch run --data {path}`, or data = in autoresearch.toml; else a run takes the default data"
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


def _image(variant: str) -> Searched | None:
    """The candidate's image, to be searched for held-out text; None where there is none yet. A run searches its own."""
    from runner.build import find_images
    from runner.data.reach import Searched
    from sandbox.engine import SandboxError

    try:
        engine = assemble.connect(Config())
        image = find_images(engine, variant).candidate.id
    except SandboxError:
        say("there is no candidate image to be searched for held-out text; the first run will search it")
        return None
    return Searched(engine, image, assemble.searched_folder(), say)


@data_app.command("verify")
def data_verify(
    folder: Annotated[Path, typer.Argument(help="A prepared data set.")], json: Json = False
) -> None:
    """Compare every file with the manifest's SHA-256."""
    from runner.data import verify
    from runner.errors import PrerequisiteMissing

    if problems := verify(folder):
        raise PrerequisiteMissing("; ".join(problems) + "; run `autoresearch data prepare` again")
    if json:
        envelope("data-verify", folder=str(folder))
    else:
        print("every file is what was prepared")


def doctor(
    runtime: Annotated[
        str | None, typer.Option(help="An OCI runtime the engine knows: runsc for gVisor.")
    ] = None,
    no_call: Annotated[
        bool, typer.Option("--no-call", help="Do not ask the language model something small.")
    ] = False,
    json: Json = False,
) -> None:
    """Is this machine ready to be left alone? Exit code 3 if something is missing."""
    from runner.errors import PrerequisiteMissing, RunnerError

    try:
        config = workspaces.find(Path.cwd()).config()
    except RunnerError:
        config = Config()
    findings = _findings(assemble.override(config, runtime=runtime))
    findings.append(("llm", *_model(config, call=not no_call)))
    ready = all(level != "fail" for _, level, _ in findings)
    if json:
        said = [{"name": name, "level": level, "sentence": sentence} for name, level, sentence in findings]
        envelope("doctor", ready=ready, findings=said)
    else:
        for name, level, sentence in findings:
            print(f"{level:4}  {name}: {sentence}")
    if not ready:
        failed(PrerequisiteMissing("this machine is not ready; see what fails"))


def _disk(config: Config, folders: list[Path]) -> tuple[str, str, str]:
    from runner.disk_budget import GB, least_free
    from runner.places import file_system

    free, place = least_free(folders)
    level = "ok" if free >= config.disk_floor_gb * GB else "fail"
    limits = f"a run may hold {config.disk_gb:g} GB (disk_gb), and nothing begins below {config.disk_floor_gb:g} GB"
    said = f"{free / GB:.1f} GB free in {place} ({file_system(place)}); {limits} (disk_floor_gb)"
    return ("disk", level, said)


def _findings(config: Config) -> list[tuple[str, str, str]]:
    from judge.heldout import DataCorrupt
    from runner.data import load_manifest, verify
    from runner.errors import RunnerError
    from sandbox import prereqs
    from sandbox.engine import SandboxError

    findings = [("git", "ok", "found") if shutil.which("git") else ("git", "fail", "install git")]
    findings.append(_disk(config, [Path.cwd(), Path(tempfile.gettempdir())]))
    folder = Path(config.data) if config.data else assemble.default_data(config.variant)
    try:
        load_manifest(folder)
        problems = verify(folder)
        findings.append(("data", "fail" if problems else "ok", "; ".join(problems) or str(folder)))
    except (RunnerError, DataCorrupt) as error:
        findings.append(("data", "fail", str(error)))
    try:
        from runner.build import find_images
        from runner.disk_budget import places

        engine = assemble.connect(config)
        if (found := engine.endpoint) is not None:
            findings.append(("endpoint", "ok", f"{found.url}: {found.why}"))
        findings[1] = _disk(config, places(engine, Path.cwd()))
        images = find_images(engine, config.variant)
        findings.append(("images", "ok", images.candidate.id))
        findings += [(f.name, str(f.level), f.sentence) for f in prereqs.check(engine, images.candidate.id)]
    except (SandboxError, RunnerError) as error:
        findings.append(("engine", "fail", str(error)))
    return findings


def _model(config: Config, *, call: bool) -> tuple[str, str]:
    """Level and sentence on the language model. The small call is reserved and settled in a ledger of its own: no run's
    limit is touched."""
    from runner.errors import RunnerError
    from runner.proposers import MODELS

    if config.proposer not in MODELS:
        return "ok", "none is configured; the offline proposers need none"
    from runner.proposers.preflight import try_model
    from runner.scratch import scratch

    workspace = workspaces.find(Path.cwd())
    try:
        with scratch("doctor") as folder:
            return "ok", try_model(config, workspace, folder / "ledger.db", call=call)
    except RunnerError as error:
        return "fail", str(error)
