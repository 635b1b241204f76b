"""Our own seccomp profiles: allow-lists, because the engine's default differs between versions.

Modelled on moby's default profile (https://docs.docker.com/engine/security/seccomp/) and narrower: no ptrace,
process_vm_*, kcmp or pidfd_getfd (a same-uid process could take over PID 1 and outlive an in-container timer), no
io_uring, userfaultfd, perf_event_open or bpf, no keyrings, no mount family, no new namespaces, no huge pages, no sync,
no inotify, no file locks and no sockets but AF_UNIX: what IP sockets buffer and what locks take is memory that no
container's limit counts. Docker 20.10's default lets io_uring and AF_VSOCK through.

seccomp.json is for all containers but the judge's and the stages of tasks. seccomp_judge.json is for those that run a candidate's
program on hidden data. It lacks calls by which two of them could communicate through files that both may read: queries of the page cache and reads that
do not wait for the disk. Both files can be used alone: `docker run --security-opt seccomp=FILE`.
"""

from __future__ import annotations

import functools
import json
from pathlib import Path

from sandbox.spec import Role

FILE = Path(__file__).resolve().with_name("seccomp.json")
JUDGE_FILE = FILE.with_name("seccomp_judge.json")
_ON_HIDDEN_DATA = frozenset({Role.JUDGE_BLIND, Role.JUDGE_SCORE, Role.STAGE})


def of(role: Role) -> str:
    """The profile of a container with this role."""
    return profile(JUDGE_FILE if role in _ON_HIDDEN_DATA else FILE)


@functools.cache
def profile(file: Path = FILE) -> str:
    """The profile as JSON text, as Docker's API requires (only the command line accepts a path)."""
    rules = json.loads(file.read_text())
    for rule in rules["syscalls"]:
        rule.pop("comment", None)
    return json.dumps(rules, separators=(",", ":"))


def file_of(text: str) -> Path:
    """The file from which `profile` made `text`."""
    return next(file for file in (FILE, JUDGE_FILE) if profile(file) == text)
