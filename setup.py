"""Writes into a wheel and an sdist which commit they were built from; everything else is in pyproject.toml.

A wheel that is built from an sdist carries on what was written there. Without git metadata nothing is written.
"""

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist

ROOT = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT))  # a build back end does not look in the project's folder

from runner.resources import BUILD, commit_of  # noqa: E402


class BuildPy(build_py):
    def run(self) -> None:
        if self.editable_mode:
            super().run()
            return
        shutil.rmtree(self.build_lib, ignore_errors=True)  # else modules that are gone since would be in it
        super().run()
        record(Path(self.build_lib))


class SourceArchive(sdist):
    def make_release_tree(self, base_dir: str, files: Sequence[str]) -> None:
        super().make_release_tree(base_dir, files)
        record(Path(base_dir))


def record(tree: Path) -> None:
    if commit := commit_of(ROOT):
        (tree / "runner" / "resources" / BUILD).write_text(f"{commit}\n")


setup(cmdclass={"build_py": BuildPy, "sdist": SourceArchive})
