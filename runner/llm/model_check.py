"""Checks of a language model before a run: the first prompt fits its window and the budget, and it answers one small
question. That call is reserved and settled like any other."""

from __future__ import annotations

import random
from pathlib import Path

from runner.clock import SystemClock
from runner.errors import PrerequisiteMissing, UsageError
from runner.llm import prompt
from runner.llm.messages import Message, at_most
from runner.llm.metered_client import Answer, CallOverBudget, MeteredClient, ModelsUnavailable
from runner.llm.prompt import Task
from runner.parsing.client import shared
from runner.protocols import Context, Notice
from runner.store.config import Config
from runner.store.ledger import Ledger
from runner.store.llm_budget import Caps
from runner.store.workspace import Workspace

_QUESTION = (
    Message("system", "This is a test of the connection."),
    Message("user", "Answer with the one word: yes"),
)
_ANSWER_TOKENS = 1024
"""Tokens; enough for a model that thinks before its one-word answer."""
_SHORTEST_ANSWER = 2048
"""Tokens that a model's window must hold in addition to the first prompt."""


def check_models(
    metered: MeteredClient, workspace: Workspace, *, deadline: float, call: bool = True
) -> Answer | None:
    """The answer to the small question, or None where `call` is false. `deadline` in monotonic seconds. Raises
    UsageError where the prompt does not fit, CallOverBudget where no answer to it could be paid for, PrerequisiteMissing where no
    model answers."""
    first = _first_prompt(metered, workspace)
    for model in metered.settings.models:
        window = metered.client.context_window(model)
        counted = metered.client.count(model, first)
        if window is not None and counted + _SHORTEST_ANSWER > window:
            raise UsageError(
                f"{model} reads {window} tokens at once, and the first prompt has about {counted}: choose another model, or "
                "shorten program.md and train.py"
            )
    if not any(metered.affordable(model, at_most(first)) for model in metered.settings.models):
        raise CallOverBudget
    if not call:
        return None
    try:
        answer = metered.ask_without_saved(
            _QUESTION, number=0, purpose="check", deadline=deadline, max_tokens=_ANSWER_TOKENS
        )
    except ModelsUnavailable as error:
        raise PrerequisiteMissing(
            f"no model answers ({error}); mend that first, or leave the question out with --no-call"
        ) from error
    metered.tell(Notice("model_answers", {"model": answer.model}))
    return answer


def try_model(config: Config, workspace: Workspace, ledger_file: Path, *, call: bool) -> str:
    """A sentence for `doctor` when the model of `config` passes the checks. Raises as `check_models` does."""
    from runner.llm.proposer_setup import call_settings, client_for

    clock = SystemClock()
    settings = call_settings(config, Caps(), client_for(config))
    ledger = Ledger(ledger_file)
    try:
        ledger.start_run("doctor", now=clock.time(), seed=0, settings={})
        metered = MeteredClient(
            client_for(config), ledger, "doctor", settings, clock=clock, rng=random.Random()
        )
        deadline = clock.monotonic() + 3 * settings.timeout_s
        answer = check_models(metered, workspace, deadline=deadline, call=call)
        if answer is None:
            return (
                f"{config.model}: its name, price, key and window are in order; it was not asked (--no-call)"
            )
        return f"{answer.model} answers; asking cost {ledger.spent('doctor').usd:.6f} dollars"
    finally:
        ledger.close()


def _first_prompt(metered: MeteredClient, workspace: Workspace) -> list[Message]:
    """The prompt of the first proposal, without history."""
    script = workspace.script.read_text(errors="replace") if workspace.script.exists() else ""
    context = Context(
        memo=workspace.read_memo(),
        best_source=script,
        best_val_bpb=None,
        noise_sigma=None,
        notes=workspace.read_notes(),
    )
    task = Task("propose", script, None, prompt.fresh_request())
    model = metered.settings.models[0]

    def count(text: str) -> int:
        return metered.client.count(model, [Message("user", text)]) if text else 0

    return prompt.messages(context, task, count, shared(), money="")
