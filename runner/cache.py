"""Where wheels, default data and search results are kept between runs."""

from __future__ import annotations

import os
from pathlib import Path

from runner.errors import PrerequisiteMissing


def cache_folder() -> Path:
    """Where the wheelhouse and the default data live: $AUTORESEARCH_CACHE, or XDG's cache folder. Raises
    PrerequisiteMissing where there is no home."""
    if chosen := os.environ.get("AUTORESEARCH_CACHE"):
        return Path(chosen)
    if chosen := os.environ.get("XDG_CACHE_HOME"):
        return Path(chosen) / "autoresearch"
    try:
        return Path.home() / ".cache" / "autoresearch"
    except RuntimeError as error:  # neither HOME nor an entry for this user
        raise PrerequisiteMissing(
            "no home folder is known for this user: set HOME, or AUTORESEARCH_CACHE to a folder for wheels and data"
        ) from error


def default_data(variant: str) -> Path:
    """Where `autoresearch data prepare` puts the default data set for this kind of image."""
    return cache_folder() / "data" / ("default-cpu" if variant == "cpu" else "default-gpu")


def demo_data() -> Path:
    """Where `autoresearch data prepare --demo` puts the data set of a demonstration."""
    return cache_folder() / "data" / "demo-cpu"


def searched_folder() -> Path:
    """What was searched for held-out text and found clean is remembered here."""
    return cache_folder() / "searched"
