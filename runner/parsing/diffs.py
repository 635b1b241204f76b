"""What differs between two scripts, and a change undone. Runs in the parser's child process only: difflib is quadratic and worse."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from runner.parsing.edits import apply
from runner.protocols import Edit

_CONTEXT_LINES = 3


def unified(before: str, after: str, names: Sequence[str], context_lines: int) -> str:
    """A unified diff of two scripts; `names` are the names of both."""
    lines = difflib.unified_diff(
        before.splitlines(), after.splitlines(), names[0], names[1], n=context_lines, lineterm=""
    )
    return "\n".join(lines)


def reverted(best: str, after: str, before: str) -> str:
    """`best` with the change from `before` to `after` undone. Raises BadEdit when its lines are not there any more,
    SyntaxError or ValueError when what is left does not compile."""
    new, old = after.split("\n"), before.split("\n")
    matcher = difflib.SequenceMatcher(a=new, b=old, autojunk=False)
    edits = [
        Edit("\n".join(new[group[0][1] : group[-1][2]]), "\n".join(old[group[0][3] : group[-1][4]]))
        for group in matcher.get_grouped_opcodes(_CONTEXT_LINES)
    ]
    source = apply(best, edits)
    compile(source, "train.py", "exec", dont_inherit=True)
    return source
