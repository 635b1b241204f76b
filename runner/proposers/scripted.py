"""Your own versions, in the order of their file names: for tests, replays, and people who think for themselves.

NAME.py is a whole train.py; its title is what follows `# title:` on any line, else the file's name. NAME.edit.md is a
change in the form in which a model answers (a header and SEARCH/REPLACE blocks); it is applied to the best script when its
turn comes. One that does not fit there is an experiment that failed, with the reason; the next goes on.
"""

from __future__ import annotations

import re
from pathlib import Path

from runner.errors import UsageError
from runner.proposers.answer import BadAnswer, brief, read_text
from runner.protocols import USED_UP, Context, Proposal
from sandbox.text import one_line

EDIT = ".edit.md"


class ScriptedProposer:
    """Proposal n is the nth file of `folder`; it does not matter what came of the earlier ones."""

    name = "scripted"

    def __init__(self, folder: Path) -> None:
        self._files = sorted([*folder.glob("*.py"), *folder.glob(f"*{EDIT}")])
        if not self._files:
            raise UsageError(f"scripted:{folder} holds neither a .py nor a {EDIT} file")

    def propose(self, context: Context) -> Proposal:
        index = context.number - 1
        if index >= len(self._files):
            return Proposal(None, "scripted", failure=USED_UP)
        path = self._files[index]
        try:
            text = path.read_text(encoding="utf-8", errors="surrogateescape")
        except OSError as error:
            return Proposal(None, path.name, failure=f"{path.name} cannot be read: {error.strerror}")
        if path.name.endswith(EDIT):
            return edited(text, context.best_source, path.name)
        found = re.search(r"^# title: *(.+)$", text, re.MULTILINE)
        return Proposal(text, found.group(1).strip() if found else path.stem, category="scripted")


def edited(text: str, parent: str, name: str) -> Proposal:
    """The change that `text`, the content of the file `name`, makes to the script `parent`."""
    try:
        found = read_text(text, parent)
    except BadAnswer as error:
        title = re.search(r"^TITLE: *(.+)$", text, re.MULTILINE)
        return Proposal(
            None,
            one_line(title.group(1)) if title else name,
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
