"""What an artifact may be, and what judging it may cost."""

from __future__ import annotations

from dataclasses import dataclass

from sandbox.spec import GIB, MIB


@dataclass(frozen=True, slots=True)
class ProgramLimits:
    """Caps on the artifact, checked before anything is compiled. Bytes, unless the name says otherwise."""

    model_bytes: int = 8 * MIB
    params_bytes: int = 2 * GIB
    ops: int = 200_000
    """Also with every function call written out: calls of calls double at every level."""
    depth: int = 64
    """Of regions in regions, and of calls in calls."""
    constant_bytes: int = 1 * MIB
    """Constants that repeat one value are free: they are as small in the file as they are to compile."""
    tensor_bytes: int = 4 * GIB
    """Of any one tensor: a `broadcast` of a few bytes of file can ask for terabytes."""


@dataclass(frozen=True, slots=True)
class JudgeLimits:
    """`wall_clock_s` and `memory_bytes` are for each of the containers; `probes` is how many blind positions are asked at
    first, `suspects` how many afterwards where the score looks too good, `fresh` how many among those at random
    (docs/judge.md says what these numbers find)."""

    wall_clock_s: float = 120.0
    memory_bytes: int = 6 * GIB
    probes: int = 2304
    suspects: int = 512
    fresh: int = 512
    program: ProgramLimits = ProgramLimits()
