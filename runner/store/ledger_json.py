"""JSON as the ledger holds it. What cannot be read was written by somebody else, or the disk lost it."""

from __future__ import annotations

import json
from typing import Any

from runner.errors import PrerequisiteMissing


def loads(text: str) -> Any:
    """Raises PrerequisiteMissing for what is no JSON."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise PrerequisiteMissing(
            f"the ledger of this workspace is damaged ({error}); put back a copy of .autoresearch/ledger.db"
        ) from error
