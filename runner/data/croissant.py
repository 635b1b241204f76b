"""Croissant 1.1 metadata (https://docs.mlcommons.org/croissant/), so that other tools know what the files are."""

from __future__ import annotations

import json
from pathlib import Path

from runner.data.manifest import Manifest

_CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "sc": "https://schema.org/",
    "dct": "http://purl.org/dc/terms/",
    "conformsTo": "dct:conformsTo",
}


def write(path: Path, manifest: Manifest) -> None:
    """One cr:FileObject per file, with its SHA-256 and size."""
    document = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.1",
        "name": f"autoresearch-{manifest.name}",
        "description": f"Token data with a vocabulary of {manifest.vocab_size}: "
        + ", ".join(f"{s.tokens} tokens in {name}" for name, s in manifest.splits.items()),
        "distribution": [
            {
                "@type": "cr:FileObject",
                "@id": name,
                "name": name,
                "contentUrl": name,
                "contentSize": f"{entry['bytes']} B",
                "encodingFormat": "application/json"
                if name.endswith(".json")
                else "application/octet-stream",
                "sha256": entry["sha256"],
            }
            for name, entry in manifest.files.items()
        ],
    }
    path.write_text(json.dumps(document, indent=1) + "\n")
