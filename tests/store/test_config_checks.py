"""Every value of autoresearch.toml that makes no sense is refused: file, key and what is allowed, in one sentence."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any

import pytest

from runner.errors import UsageError
from runner.store.config import CONFIG, Config, config_from, override, recorded_config
from runner.store.config_checks import RULES, problem

SENSELESS = {
    "variant": ["cuda14", "", "CPU", "gpu"],
    "runtime": ["run sc", "-x", "a,b"],
    "wall_clock": ["", "0s", "0.01s", "-5m", "5", "8760h"],
    "compile_check": ["", "on", "0s", "oof", "0.1s"],
    "cpus": [-1, 5000],
    "gpus": ["0", "cuda:0", "GPU-a,,", "GPU-a,GPU-a", "al", "GPU a", "0-3", "-1", ",", "0,x", "1:", "\u0663"],
    "memory_gb": [-1.0, 0.01, 1e9, float("nan"), float("inf")],
    "pids": [0, -1, 16, 10**9],
    "disk_gb": [0, -5, 0.001, 1e12, float("nan")],
    "disk_floor_gb": [-0.1, 1e12, float("nan")],
    "baseline_repeats": [1, 0, -3, 10**9],
    "between": ["25:00-8", "08:00-08:00", "20:00", "20:00-08:00 x"],
    "parallel": [-1, 10**6],
    "retests": [-1, 10**9],
    "judge_wall_clock": ["", "0s", "10ms", "48h"],
    "proposer": ["", "tpee", "tpe:1", "scripted", "scripted:", "command: ", "llm:gpt-5", "Random"],
    "model": ["openai/gpt 5", " ", "a,b"],
    "fallback_models": ["openai/gpt 5", "a,,b", ",", "a, a"],
    "api_base": ["localhost:8000", "http://127.0.0.1:port/v1", "http:///v1", " http://h", "ftp://h", "http://h:0"],
    "price_in": ["-3", "nan", "three", " ", "1e9"],
    "price_out": ["-3", "inf"],
    "cost_tracking": ["", "of", "yes"],
    "llm_timeout": ["", "0s", "5", "48h"],
    "max_output_tokens": [0, 255, 10**12],
    "repairs": [-1, 10**6],
}  # fmt: skip
SENSIBLE: dict[str, list[Any]] = {
    "data": ["", "/a folder"],
    "variant": ["auto", "cpu", "cuda12", "cuda13"],
    "runtime": ["", "runsc", "io.containerd.runsc.v1", "nvidia-container-runtime"],
    "wall_clock": ["1s", "5m", "1h30m", "7d"],
    "compile_check": ["off", "60s"],
    "cpus": [0, 4096],
    "gpus": ["", "auto", "all", "none", "8", "0,", "0,2:1", "GPU-1", "GPU-0a-1, MIG-GPU-9/1/2"],
    "memory_gb": [0, 0.5, 6, 512.0],
    "pids": [64, 4096],
    "disk_gb": [0.1, 1000],
    "disk_floor_gb": [0, 0.0, 3],
    "baseline_repeats": [2, 10],
    "between": ["", "20:00-08:00", "9:30-17:00"],
    "courtesy": [True, False],
    "parallel": [0, 1, 16],
    "retests": [0, 4],
    "early_stopping": [True, False],
    "judge_wall_clock": ["1s", "10m"],
    "proposer": ["tpe", "hybrid", "scripted:my folder", "command:./agent.sh --fast"],
    "model": ["", "openai/gpt-5", "ollama/qwen3-coder:30b"],
    "fallback_models": ["", "openai/gpt-5, anthropic/x"],
    "api_base": ["", "http://127.0.0.1:8000/v1", "https://h"],
    "cost_tracking": ["on", "off"],
    "llm_timeout": ["3m"],
    "max_output_tokens": [256, 100_000],
    "repairs": [0, 3],
}
KEYS = [field.name for field in fields(Config)]


def test_every_key_has_a_rule_and_its_default_obeys_it() -> None:
    assert list(RULES) == KEYS
    assert {key: problem(key, value) for key, value in vars_of(Config()).items()} == dict.fromkeys(KEYS, "")


def vars_of(config: Config) -> dict[str, Any]:
    return {key: getattr(config, key) for key in KEYS}


@pytest.mark.parametrize(
    ("key", "value"),
    [(key, value) for key, values in SENSELESS.items() for value in values],
    ids=lambda value: json.dumps(value),
)
def test_a_value_that_makes_no_sense_is_refused_with_file_key_and_what_is_allowed(
    key: str, value: Any
) -> None:
    both = {"price_in": "1", "price_out": "1"} if key.startswith("price") else {}
    with pytest.raises(UsageError) as refused:
        config_from({**both, key: value})
    said = str(refused.value)
    assert said.startswith(f"{CONFIG}: {key}: ")
    assert len(said.splitlines()) == 1
    assert any(
        word in said for word in ("only", "not one of", "is not", "give", "named twice", "no time", "write")
    )


@pytest.mark.parametrize(
    ("key", "value"),
    [(key, value) for key, values in SENSIBLE.items() for value in values],
    ids=lambda value: json.dumps(value),
)
def test_a_value_that_makes_sense_is_taken(key: str, value: Any) -> None:
    assert getattr(config_from({key: value}), key) == value


def test_a_price_is_two_prices() -> None:
    assert config_from({"price_in": "3", "price_out": "0"}).price_out == "0"
    with pytest.raises(UsageError, match=f"{CONFIG}: price_in and price_out belong together"):
        config_from({"price_in": "3"})


@pytest.mark.parametrize(
    ("value", "says"),
    [("http://u:sk-secret1@h/v1", "no name, password"), ("http://h/v1?key=sk-secret1", "no name, password"), ("sk-secret1", "no URL")],
)  # fmt: skip
def test_a_secret_in_a_url_is_not_repeated(value: str, says: str) -> None:
    with pytest.raises(UsageError, match=says) as refused:
        config_from({"api_base": value})
    assert "secret1" not in str(refused.value)


@pytest.mark.parametrize(
    ("content", "meant"),
    [({"wall_clok": "5m"}, "wall_clock"), ({"variant": "cuda14"}, "cuda1"), ({"cost_tracking": "of"}, "off")],
)
def test_what_was_probably_meant_is_named(content: dict[str, Any], meant: str) -> None:
    with pytest.raises(UsageError, match=f"did you mean {meant}"):
        config_from(content)


def test_an_option_is_held_to_the_same_rule_and_named_as_the_option() -> None:
    with pytest.raises(UsageError, match=r"^--wall-clock: '0.1s' is not allowed, only 1s to 168h"):
        override(Config(), wall_clock="0.1s")
    with pytest.raises(UsageError, match=r"^--fallback-model: 'a b' is not"):
        override(Config(), fallback_models="a b")
    assert override(Config(pids=5), wall_clock="9s", gpus=None) == Config(pids=5, wall_clock="9s")


def test_what_an_older_version_accepted_does_not_stop_a_resume() -> None:
    assert recorded_config({"pids": 16, "memory_gb": 0.3}) == Config(pids=16, memory_gb=0.3)
    with pytest.raises(UsageError, match="pids must be a whole number"):
        recorded_config({"pids": "16"})
