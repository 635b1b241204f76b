"""The verb doctor."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from runner import cache
from runner.cli.options import Gpus, Json, Workspace
from runner.cli.output import envelope, failed
from runner.evaluation import setup
from runner.store import workspace as workspaces
from runner.store.config import CONFIG, Config, override

Finding = tuple[str, str, str]
"""Name, level (ok, warn, fail) and sentence."""


def doctor(
    runtime: Annotated[
        str | None, typer.Option(help="An OCI runtime the engine knows: runsc for gVisor.")
    ] = None,
    gpus: Gpus = None,
    no_call: Annotated[
        bool, typer.Option("--no-call", help="Do not ask the language model something small.")
    ] = False,
    workspace: Workspace = None,
    json: Json = False,
) -> None:
    """Is this machine ready to be left alone? Exit code 3 if something is missing."""
    from runner.errors import PrerequisiteMissing, RunnerError

    place = workspaces.around(Path.cwd()) if workspace is None else workspaces.named(workspace)
    findings, config = list[Finding](), Config()
    if place is not None:
        try:
            config = place.config()
            findings.append(("configuration", "ok", str(place.folder / CONFIG)))
        except RunnerError as error:
            findings.append(("configuration", "fail", f"{error} (the findings below are for the defaults)"))
    findings += _findings(
        override(config, runtime=runtime, gpus=gpus), Path.cwd() if place is None else place.folder
    )
    if place is not None:
        findings += _ledger(place)
    findings.append(("llm", *_model(config, place, call=not no_call)))
    ready = all(level != "fail" for _, level, _ in findings)
    if json:
        said = [{"name": name, "level": level, "sentence": sentence} for name, level, sentence in findings]
        envelope("doctor", ready=ready, findings=said)
    else:
        for name, level, sentence in findings:
            print(f"{level:4}  {name}: {sentence}")
    if not ready:
        failed(PrerequisiteMissing("this machine is not ready; see what fails"))


def _ledger(place: workspaces.Workspace) -> list[Finding]:
    """Whether the whole ledger of this workspace can be read, where there is one."""
    from runner.errors import RunnerError
    from runner.store.ledger import Ledger

    if not (path := place.ledger).exists():
        return []
    try:
        Ledger(path, read_only=True, check=True).close()
    except RunnerError as error:
        return [("ledger", "fail", str(error))]
    return [("ledger", "ok", f"{path} is whole")]


def _disk(config: Config, folders: list[Path]) -> Finding:
    from runner.store.disk_floor import GB, least_free
    from runner.store.filesystem import file_system

    free, place = least_free(folders)
    level = "ok" if free >= config.disk_floor_gb * GB else "fail"
    limits = f"a run may hold {config.disk_gb:g} GB (disk_gb), and nothing begins below {config.disk_floor_gb:g} GB"
    said = f"{free / GB:.1f} GB free in {place} ({file_system(place)}); {limits} (disk_floor_gb)"
    return ("disk", level, said)


def _findings(config: Config, place: Path) -> list[Finding]:
    """`place` is where attempts would be written."""
    from runner.cli.doctor_gpus import gpu_findings
    from runner.errors import RunnerError
    from runner.evaluation.device_selection import host_of, resolve
    from sandbox import prerequisites
    from sandbox.engine import SandboxError
    from sandbox.nvml import NvmlProbe

    variant = "cpu" if config.variant == "auto" else config.variant
    findings = [("git", "ok", "found") if shutil.which("git") else ("git", "fail", "install git")]
    findings.append(_disk(config, [place, Path(tempfile.gettempdir())]))
    try:
        from runner.images.build import find_images
        from runner.store.disk_floor import written_folders

        engine = setup.connect(config)
        if (found := engine.endpoint) is not None:
            findings.append(("endpoint", "ok", f"{found.url}: {found.why}"))
        findings[1] = _disk(config, written_folders(engine, place))
        probe = NvmlProbe()
        devices = resolve(config, host_of(engine, probe))
        variant = devices.variant
        findings.append(("devices", "ok", devices.sentence))
        images = find_images(engine, variant)
        findings.append(("images", "ok", images.candidate.id))
        findings += [
            (f.name, str(f.level), f.sentence) for f in prerequisites.check(engine, images.candidate.id)
        ]
        findings += gpu_findings(engine, devices, probe, images.candidate.id)
    except (SandboxError, RunnerError) as error:
        findings.append(("engine", "fail", str(error)))
    return [*findings, _data(config, variant)]


def _data(config: Config, variant: str) -> Finding:
    from judge.heldout import DataCorrupt
    from runner.data.manifest import verify
    from runner.errors import RunnerError

    folder = Path(config.data) if config.data else cache.default_data(variant)
    try:
        problems = verify(folder)
        setup.require_preset(folder, "cpu" if variant == "cpu" else "gpu", variant)
    except (RunnerError, DataCorrupt) as error:
        return ("data", "fail", str(error))
    return ("data", "fail" if problems else "ok", "; ".join(problems) or str(folder))


def _model(config: Config, place: workspaces.Workspace | None, *, call: bool) -> tuple[str, str]:
    """Level and sentence on the language model. The small call is reserved and settled in a ledger of its own: no run's
    limit is touched."""
    from runner.errors import RunnerError
    from runner.proposers.registry import MODELS

    if config.proposer not in MODELS or place is None:
        return "ok", "none is configured; the offline proposers need none"
    from runner.llm.model_check import try_model
    from runner.store.temporary_folder import scratch

    try:
        with scratch("doctor") as folder:
            return "ok", try_model(config, place, folder / "ledger.db", call=call)
    except RunnerError as error:
        return "fail", str(error)
