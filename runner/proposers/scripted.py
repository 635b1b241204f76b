"""Your own versions, in the order of their file names: for tests, replays, and people who think for themselves.

The title is what follows `# title:` on any of the first lines, else the file's name.
"""

from __future__ import annotations

import re
from pathlib import Path

from runner.errors import UsageError
from runner.protocols import USED_UP, Context, Proposal


class ScriptedProposer:
    """Proposal n is the nth .py file of `folder`; it does not matter what came of the earlier ones."""

    name = "scripted"

    def __init__(self, folder: Path) -> None:
        self._files = sorted(folder.glob("*.py"))
        if not self._files:
            raise UsageError(f"scripted:{folder} holds no .py file")

    def propose(self, context: Context) -> Proposal:
        index = context.number - 1
        if index >= len(self._files):
            return Proposal(None, "scripted", failure=USED_UP)
        path = self._files[index]
        source = path.read_text(encoding="utf-8", errors="surrogateescape")
        found = re.search(r"^# title: *(.+)$", source, re.MULTILINE)
        return Proposal(source, found.group(1).strip() if found else path.stem, category="scripted")
