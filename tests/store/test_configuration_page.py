"""docs/configuration.md says of every key what the code says."""

from __future__ import annotations

import json
import re
from dataclasses import fields
from inspect import signature
from pathlib import Path
from typing import get_args

import pytest

from runner.cli.run import run
from runner.store.config import OPTIONS, READ_ON_RESUME, Config
from runner.store.config_checks import RULES

PAGE = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text()
Row = tuple[str, str, str, str]
"""Default, what is allowed, the option, what happens on resume."""


def of_the_code() -> dict[str, Row]:
    return {
        key.name: (
            json.dumps(key.default),
            RULES[key.name].allowed,
            OPTIONS.get(key.name, ""),
            "read again" if key.name in READ_ON_RESUME else "kept",
        )
        for key in fields(Config)
    }


def of_the_page(page: str) -> dict[str, Row]:
    found: dict[str, Row] = {}
    for line in re.findall(r"^\| (`.*) \|$", page, re.MULTILINE):
        key, default, meaning, allowed, option, resume = (cell.strip() for cell in line.split("|"))
        assert len(meaning.split()) > 3, f"{key} has no meaning"
        assert key not in found, f"{key} is there twice"
        found[key.strip("`")] = (default.strip("`"), allowed, option.strip("`"), resume)
    return found


def test_the_page_has_every_key_with_what_the_code_says_of_it() -> None:
    assert of_the_page(PAGE) == of_the_code()


@pytest.mark.parametrize(
    "said", ["| `pids` |", "| `512` |", "| 0, or 0.5 to 65,536 |", "| read again |", "| `--wall-clock` |"]
)
def test_a_page_that_lacks_a_key_or_says_something_else_is_noticed(said: str) -> None:
    assert said in PAGE
    assert of_the_page(PAGE.replace(said, "| `other` |", 1)) != of_the_code()


def test_the_options_are_those_of_run() -> None:
    named = {
        declared
        for parameter in signature(run, eval_str=True).parameters.values()
        for option in get_args(parameter.annotation)[1:]
        for declared in option.param_decls or [f"--{parameter.name.replace('_', '-')}"]
    }
    assert set(OPTIONS.values()) <= named
