"""Upstream's training text, karpathy/climbmix-400b-shuffle: parquet shards from the hub, resumed where they broke off.

The last shard is pinned for validation and testing, as upstream does; the first ones are for training.
"""

from __future__ import annotations

import hashlib
import os
import re
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from http.client import HTTPException
from pathlib import Path

from runner.data import chunking, formats, sources
from runner.data.errors import DataError
from runner.data.skipped_records import Skipped
from runner.errors import UsageError

REPOSITORY = "karpathy/climbmix-400b-shuffle"
LAST_SHARD = 6542
_ATTEMPTS = 8
_BLOCK = 1 << 20


def corpus(folder: Path, shards: int, progress: Callable[[str], None]) -> sources.Corpus:
    """The first `shards` shards and the pinned last one. $HF_ENDPOINT names another hub. Raises DataError, UsageError."""
    if not 1 <= shards <= LAST_SHARD:
        raise UsageError(f"--shards must be between 1 and {LAST_SHARD}")
    folder.mkdir(parents=True, exist_ok=True)
    digests = {}
    names = [f"shard_{number:05d}.parquet" for number in (*range(shards), LAST_SHARD)]
    for name in names:
        progress(f"fetching {name}")
        digests[name] = fetch(_url(name), folder / name)

    skipped = Skipped()

    def pieces() -> Iterator[sources.Piece]:
        number = 0
        for name in names:
            last = name == names[-1]
            for chunks in formats.documents(folder / name, name, None, skipped):
                number += 1
                for text in chunking.pieces(chunks):
                    # of the pinned shard every second document is for testing
                    yield sources.Piece(number, text, ("val", "test")[number % 2] if last else "train")

    return sources.Corpus("climbmix", pieces, digests, skipped)


def fetch(url: str, path: Path) -> str:
    """Download to `path`, going on where an earlier attempt stopped; returns the SHA-256 (hex).

    The digest the hub announces (X-Linked-ETag or ETag of an LFS file) is checked; a finished file keeps its digest
    next to it. Raises DataError when the hub does not answer or the content is not what it announced.
    """
    note = path.with_suffix(".sha256")
    if path.exists() and note.exists() and _digest(path) == note.read_text().strip():
        return note.read_text().strip()
    partial = path.with_suffix(".partial")
    announced = ""
    for _ in range(_ATTEMPTS):
        try:
            announced = _continue(url, partial) or announced
        except (urllib.error.URLError, HTTPException, OSError) as error:
            problem = str(error)
            if isinstance(error, urllib.error.HTTPError) and error.code in {401, 403, 404}:
                break
        else:
            break
    else:
        raise DataError(
            f"could not fetch {path.name} after {_ATTEMPTS} attempts ({problem}); run this again to resume"
        )
    if not partial.exists():
        raise DataError(f"the hub does not have {path.name}; check the network or set HF_ENDPOINT")
    digest = _digest(partial)
    if announced and digest != announced:
        partial.unlink()
        raise DataError(f"{path.name} arrived damaged and was removed; run this again")
    partial.replace(path)
    note.write_text(digest + "\n")
    return digest


def _continue(url: str, partial: Path) -> str:
    """Fetch what is missing of `partial`; returns the announced SHA-256 or ""."""
    have = partial.stat().st_size if partial.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        response = urllib.request.urlopen(request, timeout=60)
    except urllib.error.HTTPError as error:
        if error.code == 416:  # nothing is missing
            return _sha256_in(error.headers.get("X-Linked-ETag") or error.headers.get("ETag") or "")
        raise
    with response, partial.open("ab" if response.status == 206 else "wb") as file:
        length = int(response.headers.get("Content-Length") or 0)
        got = 0
        while block := response.read(_BLOCK):
            file.write(block)
            got += len(block)
        if got < length:
            raise OSError("the connection broke off")
        return _sha256_in(response.headers.get("X-Linked-ETag") or response.headers.get("ETag") or "")


def _url(name: str) -> str:
    endpoint = os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
    return f"{endpoint}/datasets/{REPOSITORY}/resolve/main/{name}"


def _sha256_in(etag: str) -> str:
    found = re.fullmatch(r'(?:W/)?"?([0-9a-f]{64})"?', etag)
    return found.group(1) if found else ""


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
