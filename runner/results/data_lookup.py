"""Where the data set of a kept experiment is on this machine: known by the SHA-256 of its manifest, wherever it was moved."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from runner.cache import cache_folder
from runner.data.manifest import manifest_sha256
from runner.errors import CannotReproduce, PrerequisiteMissing

_MANIFEST = "manifest.json"


def locate(tag: str, sha256: str, *, named: Path | None, likely: Iterable[Path]) -> Path:
    """The folder whose manifest has `sha256`: `named`, which must have it, else the first of `likely` and of the prepared
    data sets in the cache. Raises CannotReproduce with the folder to name, or with what is missing."""
    if named is not None and _is(named, sha256):
        return named
    looked = list(dict.fromkeys([*likely, *_prepared()]))
    found = next((folder for folder in looked if _is(folder, sha256)), None)
    if named is not None:
        advice = f"{found} holds it" if found else "name the folder that holds it"
        raise CannotReproduce(
            f"{named} is not the data set that {tag} was measured on (manifest {sha256[:12]}…): {advice}"
        )
    if found is None:
        places = ", ".join(str(folder) for folder in looked) or "no folder"
        raise CannotReproduce(
            f"the data set that {tag} was measured on (manifest {sha256[:12]}…) is not in {places}: say where it is with "
            "--data DIR, or prepare the same data again"
        )
    return found


def _prepared() -> Iterator[Path]:
    try:
        yield from sorted(path.parent for path in (cache_folder() / "data").glob(f"*/{_MANIFEST}"))
    except (OSError, PrerequisiteMissing):  # no rights, no home
        return


def _is(folder: Path, sha256: str) -> bool:
    try:
        return manifest_sha256(folder / _MANIFEST) == sha256
    except OSError:
        return False
