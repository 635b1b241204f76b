"""The verb run."""

from __future__ import annotations

import secrets
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from runner.cli.options import DisplayName, Gpus, Workspace, seconds
from runner.cli.output import say
from runner.cli.signals import signals
from runner.errors import UsageError
from runner.proposers.registry import absolute
from runner.store import workspace as workspaces
from runner.store.config import LARGEST_NUMBER, override

if TYPE_CHECKING:
    from runner.search.session import Options

_JUDGE_GUESS_S = 15.0


def run(
    budget: Annotated[
        str | None, typer.Option(help="Wall clock of the whole search: 8h (the default), 90m.")
    ] = None,
    wall_clock: Annotated[str | None, typer.Option(help="Wall clock of one training: 5m, 40s.")] = None,
    compile_check: Annotated[
        str | None, typer.Option(help="Two steps of a new script first, in at most so long: 60s; or off.")
    ] = None,
    no_early_stopping: Annotated[
        bool, typer.Option("--no-early-stopping", help="Let every training run to its end.")
    ] = False,
    max_experiments: Annotated[
        int | None,
        typer.Option(help="End after so many proposals were trained.", min=1, max=LARGEST_NUMBER),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Of the llm proposer, as litellm names it: provider/name.")
    ] = None,
    fallback_model: Annotated[
        list[str] | None, typer.Option(help="Asked when the model fails; may be repeated.")
    ] = None,
    api_base: Annotated[str | None, typer.Option(help="URL of a model server of your own.")] = None,
    max_cost: Annotated[
        float | None,
        typer.Option(help="Dollars the model may cost in the whole run; the offline proposers cost nothing."),
    ] = None,
    max_tokens: Annotated[
        int | None,
        typer.Option(help="Limit of prompt and completion tokens of the whole run.", min=1, max=10**15),
    ] = None,
    price_in: Annotated[str | None, typer.Option(help="Dollars per million prompt tokens.")] = None,
    price_out: Annotated[str | None, typer.Option(help="Dollars per million completion tokens.")] = None,
    cost_tracking: Annotated[str | None, typer.Option(help="on, or off when nothing is to be paid.")] = None,
    llm_timeout: Annotated[str | None, typer.Option(help="Longest wait for one answer: 3m.")] = None,
    no_call: Annotated[
        bool, typer.Option("--no-call", help="Do not ask the model something small before the baseline.")
    ] = False,
    gpus: Gpus = None,
    between: Annotated[
        str | None, typer.Option(help="Train in this nightly window alone, in local time: 20:00-08:00.")
    ] = None,
    courtesy: Annotated[
        bool,
        typer.Option(
            "--courtesy", help="Between trainings let another run have the GPU or CPUs it waits for."
        ),
    ] = False,
    parallel: Annotated[
        int | None,
        typer.Option(
            help="Trainings at once, each on CPUs or a GPU of its own; on GPUs as many as there are.",
            min=1,
            max=1024,
        ),
    ] = None,
    runtime: Annotated[
        str | None, typer.Option(help="An OCI runtime the engine knows: runsc for gVisor.")
    ] = None,
    proposer: Annotated[
        str | None,
        typer.Option(help="tpe, random, repeat, ablate, scripted:FOLDER, command:PROGRAM, llm, hybrid."),
    ] = None,
    data: Annotated[Path | None, typer.Option(help="A prepared data set.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the newest run.")] = False,
    seed: Annotated[
        int | None,
        typer.Option(help="Of the run; training seeds follow from it.", min=0, max=LARGEST_NUMBER),
    ] = None,
    unsafe_unheld_limits: Annotated[
        bool,
        typer.Option(
            "--unsafe-unheld-limits", help="Run where the engine ignores limits: it may harm this machine."
        ),
    ] = False,
    workspace: Workspace = None,
    display: DisplayName = "auto",
    json: Annotated[bool, typer.Option("--json", help="One event a line on stdout.")] = False,
) -> None:
    """Search until the budget is used up. Ctrl-C ends it cleanly; --resume goes on."""
    from runner.search.session import session

    options = limit_options(budget, max_experiments, max_cost, max_tokens)
    place = workspaces.named(workspace)
    config = override(
        place.config(),
        wall_clock=wall_clock,
        compile_check=compile_check,
        early_stopping=False if no_early_stopping else None,
        gpus=gpus,
        between=between,
        courtesy=courtesy or None,
        parallel=parallel,
        runtime=runtime,
        proposer=absolute(proposer) if proposer else "llm" if model else None,
        data=str(data.resolve()) if data else None,
        model=model,
        fallback_models=",".join(fallback_model) if fallback_model else None,
        api_base=api_base,
        price_in=price_in,
        price_out=price_out,
        cost_tracking=cost_tracking,
        llm_timeout=llm_timeout,
    )
    if not resume:
        _refuse_unused(
            config.proposer,
            {"--model": model, "--fallback-model": fallback_model or None, "--api-base": api_base},
        )
    options = replace(
        options,
        resume=resume,
        seed=secrets.randbelow(1 << 31) if seed is None else seed,
        call=not no_call,
        unheld_limits=unsafe_unheld_limits,
    )
    if resume:
        fixed: dict[str, object] = {
            "--wall-clock": wall_clock,
            "--compile-check": compile_check,
            "--no-early-stopping": no_early_stopping or None,
            "--gpus": gpus,
            "--between": between,
            "--courtesy": courtesy or None,
            "--parallel": parallel,
            "--runtime": runtime,
            "--proposer": proposer,
            "--model": model,
            "--data": data,
            "--seed": seed,
            "--fallback-model": fallback_model or None,
            "--api-base": api_base,
            "--price-in": price_in,
            "--price-out": price_out,
            "--cost-tracking": cost_tracking,
            "--llm-timeout": llm_timeout,
        }
        if given := [name for name, value in fixed.items() if value is not None]:
            say(f"{', '.join(given)}: not used, a resumed run keeps what it was started with")
    with signals():
        session(place, config, options, display="json" if json else display)


def _refuse_unused(proposer: str, given: dict[str, object]) -> None:
    """Refuse model options with a proposer that asks no model. Raises UsageError."""
    from runner.proposers.registry import MODELS

    names = [name for name, value in given.items() if value is not None]
    if proposer not in MODELS and names:
        raise UsageError(
            f"{', '.join(names)}: the proposer {proposer} asks no model; give --model provider/name without --proposer, or "
            "with --proposer hybrid"
        )


def limit_options(
    budget: str | None, max_experiments: int | None, max_cost: float | None, max_tokens: int | None
) -> Options:
    """The limits of a run, for `run` and `resume`; None keeps the run's own. Raises UsageError."""
    from runner.search.session import Options

    if max_cost is not None and not 0 <= max_cost < float("inf"):
        raise UsageError("--max-cost is an amount of dollars, for example 5")
    return Options(
        budget_s=seconds("--budget", budget),
        max_experiments=max_experiments,
        resume=True,
        seed=0,
        judge_guess_s=_JUDGE_GUESS_S,
        max_usd=max_cost,
        max_tokens=max_tokens,
    )
