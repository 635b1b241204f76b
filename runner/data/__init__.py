"""Token data: text into shards, a tokenizer table and a manifest with the SHA-256 of everything.

The format is described in docs/contracts.md. Nothing heavy is imported before it is needed.
"""

from __future__ import annotations

from runner.data.errors import DataError
from runner.data.manifest import Manifest, Split, load_manifest, verify
from runner.data.prepare import prepare

__all__ = ["DataError", "Manifest", "Split", "load_manifest", "prepare", "verify"]
