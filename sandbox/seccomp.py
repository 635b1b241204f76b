"""Our own seccomp profile, seccomp.json: an allow-list, because the engine's default differs between versions.

Modelled on moby's default profile (https://docs.docker.com/engine/security/seccomp/) and narrower: no ptrace,
process_vm_*, kcmp or pidfd_getfd (a same-uid process could take over PID 1 and outlive an in-container timer), no
io_uring, userfaultfd, perf_event_open or bpf, no keyrings, no mount family, no new namespaces, and sockets
only of the families a single machine needs. Docker 20.10's default lets io_uring and AF_VSOCK through.

The file works by itself, too: `docker run --security-opt seccomp=sandbox/seccomp.json`.
"""

from __future__ import annotations

import functools
import json
from pathlib import Path

FILE = Path(__file__).resolve().with_name("seccomp.json")


@functools.cache
def profile() -> str:
    """The profile as the JSON text that Docker's API wants (a path would be the client's business)."""
    rules = json.loads(FILE.read_text())
    for rule in rules["syscalls"]:
        rule.pop("comment", None)
    return json.dumps(rules, separators=(",", ":"))
