"""Take every defence away, one at a time, and see that its test goes red.

    script/mutate                # all of them (an hour or two on two cores)
    script/mutate configuration judge  # some groups
    script/mutate --check        # only that every text and every test named in the table is there

Works on a throw-away copy of the tree. Exit code 1 if any test stayed green, if a text is not where the table says it
is, or if a test is red before anything was taken away.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from defences import GROUPS, ROOT, Defence


def problems() -> list[str]:
    """Rows of the table that name a text or a test that is not there, or a text that may be meant elsewhere."""
    found = []
    for defence in (row for rows in GROUPS.values() for row in rows):
        if not (ROOT / defence.file).is_file():
            found.append(f"{defence.what}: there is no {defence.file}")
        elif not (count := (ROOT / defence.file).read_text().count(defence.text)):
            found.append(f"{defence.what}: the text {defence.text!r} is not in {defence.file}")
        elif count > 1 and not defence.every:
            found.append(
                f"{defence.what}: the text {defence.text!r} is in {defence.file} {count} times; name more of it"
            )
        path, _, name = defence.test.partition("::")
        if not (ROOT / path).is_file() or (name and not _has(ROOT / path, name)):
            found.append(f"{defence.what}: there is no test {defence.test}")
    return found


def _has(path: Path, name: str) -> bool:
    return (
        re.search(rf"^def {re.escape(name.partition('[')[0])}\(", path.read_text(), re.MULTILINE) is not None
    )


def red(tree: Path, tests: list[str], *, limit_s: float = 1800) -> str | None:
    """The first failing test and why it fails, or None when all pass. Raises RuntimeError when they could not be run."""
    names = [test.removesuffix("::") for test in tests]
    command = [sys.executable, "-m", "pytest", "-x", "-q", "--no-header", "-p", "no:cacheprovider", *names]
    environment = {**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
    result = subprocess.run(
        command, cwd=tree, env=environment, capture_output=True, text=True, timeout=limit_s, check=False
    )
    if result.returncode == 0:
        if " skipped" in result.stdout and " passed" not in result.stdout:
            raise RuntimeError(f"skipped: {result.stdout[-500:]}")
        return None
    found = re.search(r"^(?:FAILED|ERROR) (\S+)", result.stdout, re.MULTILINE)
    if result.returncode != 1 or found is None:
        raise RuntimeError(result.stdout[-1500:] + result.stderr[-1500:])
    why = re.search(r"^E +(.+)", result.stdout, re.MULTILINE)
    return found.group(1) + (f" ({why.group(1)})" if why else "")


def without(tree: Path, defence: Defence) -> str | None:
    """The test that goes red when `defence` is taken away, and why, or None."""
    path = tree / defence.file
    whole = path.read_text()
    path.write_text(whole.replace(defence.text, defence.replacement))
    try:
        return red(tree, [defence.test])
    finally:
        path.write_text(whole)


def copy_of_the_tree(folder: Path) -> Path:
    tree = folder / "tree"
    names = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        capture_output=True,
        check=True,
    )
    for name in filter(None, names.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, tree / name)
    return tree


def main(words: list[str]) -> int:
    wrong = problems()
    for problem in wrong:
        print(f"STALE  {problem}")
    if "--check" in words or wrong:
        return 1 if wrong else 0
    if unknown := set(words) - set(GROUPS):
        print(f"there is no group {', '.join(unknown)}; groups are {', '.join(GROUPS)}", file=sys.stderr)
        return 2
    green, started = 0, time.monotonic()
    rows = [row for name in words or GROUPS for row in GROUPS[name]]
    with tempfile.TemporaryDirectory(prefix="autoresearch-mutate-") as folder:
        tree = copy_of_the_tree(Path(folder))
        if already := red(tree, sorted({row.test for row in rows}), limit_s=3600):
            print(f"RED    fails with every defence in place: {already}")
            return 1
        print("| taken away | in | red |\n|---|---|---|", flush=True)
        for row in rows:
            failed = without(tree, row)
            green += failed is None
            seen = f"`{failed.split(' ')[0]}`" if failed else f"**GREEN**: {row.test}"
            print(f"| {row.what} | {row.file} | {seen.replace('|', chr(92) + '|')} |", flush=True)
    print(f"\n{len(rows)} defences taken away, {green} unnoticed, {time.monotonic() - started:.0f} s")
    return 1 if green else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
