"""Your own versions, in the order of their file names: for tests, replays, and hand-written experiments.

NAME.py is a whole train.py; its title is what follows `# title:` on any line, else the file's name. NAME.edit.md is a
change in the form in which a model answers (a header and SEARCH/REPLACE blocks); it is applied to the best script when its
turn comes. One that does not fit there is an experiment that failed, with the reason; the next goes on.
"""

from __future__ import annotations

from pathlib import Path

from runner.errors import UsageError
from runner.parsing.client import Parser, shared
from runner.parsing.facts import MAX_ANSWER_CHARS, BadAnswer
from runner.proposers.titles import brief, title_after
from runner.protocols import USED_UP, Context, Proposal

EDIT = ".edit.md"


class ScriptedProposer:
    """Proposal n is the nth file of `folder`; it does not matter what came of the earlier ones."""

    name = "scripted"

    def __init__(self, folder: Path, parser: Parser | None = None) -> None:
        self._parser = parser or shared()
        if not folder.is_dir():
            raise UsageError(
                f"scripted:{folder} names no folder; give scripted:FOLDER, a folder of .py and {EDIT} files"
            )
        self._files = sorted([*folder.glob("*.py"), *folder.glob(f"*{EDIT}")])
        if not self._files:
            raise UsageError(f"the folder {folder} of scripted: holds neither a .py nor a {EDIT} file")

    def propose(self, context: Context) -> Proposal:
        index = context.number - 1
        if index >= len(self._files):
            return Proposal(None, "scripted", failure=USED_UP)
        path = self._files[index]
        try:
            with path.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
                text = file.read(MAX_ANSWER_CHARS + 1)
        except OSError as error:
            return Proposal(None, path.name, failure=f"{path.name} cannot be read: {error.strerror}")
        if path.name.endswith(EDIT):
            return edited(text, context.best_source, path.name, self._parser)
        return Proposal(text, title_after("# title:", text) or path.stem, category="scripted")


def edited(text: str, parent: str, name: str, parser: Parser) -> Proposal:
    """The change that `text`, the content of the file `name`, makes to the script `parent`."""
    try:
        found = parser.answer(text, parent)
    except BadAnswer as error:
        return Proposal(
            None,
            title_after("TITLE:", text) or name,
            category="scripted",
            failure=f"{name} does not fit: {brief(str(error))}",
        )
    return Proposal(
        found.source,
        found.title,
        found.hypothesis,
        found.category,
        expected_gain=found.expected_gain,
        risk=found.risk,
        edits=found.edits,
    )
