"""Writes into a wheel which commit it was built from; everything else is in pyproject.toml."""

import subprocess
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildPy(build_py):
    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        command = ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
        try:
            commit = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
        except OSError:
            commit = ""
        if commit:
            (Path(self.build_lib) / "runner" / "resources" / "build.txt").write_text(f"{commit}\n")


setup(cmdclass={"build_py": BuildPy})
