"""Options and arguments get the values, and bad ones the messages, that typer itself would give."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import pytest
import typer
from typer.core import TyperCommand, TyperGroup

from runner.cli.conversion import Command, Group
from runner.errors import UsageError


def upper(text: str | None) -> str | None:
    return text and text.upper()


def outcome(words: list[str], command: type[TyperCommand], group: type[TyperGroup]) -> Any:
    """What a verb was given, or what was said instead."""
    app, given = typer.Typer(cls=group, rich_markup_mode=None), []

    @app.callback()
    def common(level: int = 3) -> None:
        given.append(level)

    @app.command("verb", cls=command)
    def verb(
        number: int,
        run: str | None = None,
        last: Annotated[int | None, typer.Option(min=1, max=99)] = None,
        title: Annotated[str | None, typer.Option(callback=upper)] = None,
        parsed: Annotated[str | None, typer.Option(parser=str.swapcase)] = None,
        many: Annotated[list[str] | None, typer.Option()] = None,
        folder: Path | None = None,
        share: float | None = None,
        name: Annotated[str, typer.Option(envvar="A_NAME")] = "auto",
        quiet: bool = False,
    ) -> None:
        given.append((number, run, last, title, parsed, many, folder, share, name, quiet))

    try:
        app(args=words, prog_name="p", standalone_mode=False)
    except Exception as error:
        if not hasattr(error, "format_message"):
            raise
        return type(error), error.format_message()
    return given


@pytest.mark.parametrize("number", ["5", "007", "-1", " 5 ", "5.0", "1_0", "x", "9" * 30, "\u0663", "+5"])
def test_numbers(number: str) -> None:
    assert outcome(["verb", "--", number], Command, Group) == outcome(
        ["verb", "--", number], TyperCommand, TyperGroup
    )


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--run", "r"],
        ["--run", "ä"],
        ["--run", "\udcff"],
        ["--last", "1"],
        ["--last", "99"],
        ["--last", "0"],
        ["--last", "100"],
        ["--last", "x"],
        ["--title", "a"],
        ["--parsed", "a"],
        ["--many", "a", "--many", "b"],
        ["--folder", "f"],
        ["--share", "0.5"],
        ["--share", "x"],
        ["--quiet"],
        ["--frob"],
        ["extra"],
    ],
)
def test_options(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_NAME", "from the environment")
    words = ["verb", "1", *words]
    assert outcome(words, Command, Group) == outcome(words, TyperCommand, TyperGroup)


@pytest.mark.parametrize(
    "words", [["--", ""], ["1", "--run", ""], ["1", "--last="], ["1", "--many", "a", "--many", " "]]
)
def test_what_is_empty_is_refused_whatever_typer_would_make_of_it(words: list[str]) -> None:
    with pytest.raises(UsageError, match=r"^(NUMBER|--run|--last|--many) is empty"):
        outcome(["verb", *words], Command, Group)


@pytest.mark.parametrize(
    "words", [["--level", "4", "verb", "1"], ["--level", "x", "verb", "1"], ["verb"], []]
)
def test_the_program_and_what_is_missing(words: list[str]) -> None:
    assert outcome(words, Command, Group) == outcome(words, TyperCommand, TyperGroup)
