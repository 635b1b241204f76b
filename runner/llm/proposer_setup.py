"""Builds the LLM proposer from configuration and command line. Models, prices and limits are checked before any call."""

from __future__ import annotations

import random
from collections.abc import Callable

from runner.clock import Clock
from runner.durations import parse_duration
from runner.errors import PrerequisiteMissing, UsageError
from runner.llm.llm_proposer import LlmProposer
from runner.llm.messages import Client
from runner.llm.metered_client import CallSettings, MeteredClient
from runner.llm.prices import FREE, MILLION, Price, UnknownPrice
from runner.proposers.tpe import TpeProposer
from runner.protocols import Notice
from runner.store.config import Config
from runner.store.ledger import Ledger
from runner.store.llm_budget import Caps


def client_for(config: Config) -> Client:
    """The real one."""
    from runner.llm.litellm_client import LitellmClient

    return LitellmClient(config.api_base, config.model)


def call_settings(config: Config, caps: Caps, client: Client) -> CallSettings:
    """Raises UsageError for a missing or invalid setting, PrerequisiteMissing for a missing key or an unusable proxy."""
    models = [name.strip() for name in (config.model, *config.fallback_models.split(",")) if name.strip()]
    if not config.model:
        raise UsageError(
            f"the proposer {config.proposer} needs a model: give --model provider/name, as litellm names it "
            "(for example anthropic/claude-sonnet-4-5, openai/gpt-5, ollama/qwen3-coder)"
        )
    if config.cost_tracking == "off" and caps.max_usd is not None:
        raise UsageError(
            "--max-cost cannot hold with --cost-tracking off: leave one of them out, or use --max-tokens"
        )
    if why := client.unusable_proxy():
        raise PrerequisiteMissing(f"{why}; mend the variable, or unset it")
    for model in models:
        if why := client.unknown_provider(model):
            raise UsageError(why)
        if missing := client.missing_keys(model):
            raise PrerequisiteMissing(
                f"{model} needs {' and '.join(missing)} in the environment; it stays with the runner, no container sees it"
            )
    return CallSettings(
        models=models,
        prices={model: _price(config, model, client) for model in models},
        caps=caps,
        max_output_tokens=config.max_output_tokens,
        timeout_s=parse_duration(config.llm_timeout),
    )


def llm_proposer(
    config: Config,
    caps: Caps,
    client: Client,
    *,
    ledger: Ledger,
    run: str,
    clock: Clock,
    seed: int,
    rng: random.Random,
    tell: Callable[[Notice], None] | None = None,
    to_end: Callable[[], bool] = lambda: False,
) -> LlmProposer:
    """`tell` is called with each notice that becomes an event; `to_end` returns whether the run is to end."""
    settings = call_settings(config, caps, client)
    metered = MeteredClient(client, ledger, run, settings, clock=clock, rng=rng, tell=tell)
    return LlmProposer(metered, TpeProposer(seed), clock=clock, repairs=config.repairs, to_end=to_end)


def _price(config: Config, model: str, client: Client) -> Price:
    """A price given on the command line is that of `model`; a fallback model has litellm's."""
    if config.cost_tracking == "off":
        return FREE
    given = _given(config)
    if given is not None and model == config.model:
        return given
    try:
        return client.price(model)
    except UnknownPrice as error:
        if given is not None:
            return given
        raise UsageError(
            f"the price of {model} is not known ({error}), so --max-cost could not hold: give dollars per million tokens, "
            "for example --price-in 3 --price-out 15 (0 and 0 for a server of your own), or --cost-tracking off"
        ) from None


def _given(config: Config) -> Price | None:
    if not config.price_in and not config.price_out:
        return None
    if not (config.price_in and config.price_out):
        raise UsageError("--price-in and --price-out belong together: dollars per million tokens of each")
    prompt, completion = (float(text) / MILLION for text in (config.price_in, config.price_out))
    return Price(prompt, completion, cached=prompt, cache_write=2 * prompt)
