"""Limits of an artifact and of judging it."""

from __future__ import annotations

from dataclasses import dataclass

from sandbox.spec import GIB, MIB


@dataclass(frozen=True, slots=True)
class ProgramLimits:
    """Limits of the artifact, checked before anything is compiled. In bytes, except `ops` and `depth`."""

    model_bytes: int = 8 * MIB
    params_bytes: int = 2 * GIB
    ops: int = 200_000
    """Also with every function call inlined: nested calls can double the number at every level."""
    depth: int = 64
    """Of nested regions, and of nested calls."""
    constant_bytes: int = 1 * MIB
    """All constants together. One that repeats a single value counts nothing: it stays small in the file and in the compiler."""
    tensor_bytes: int = 4 * GIB
    """Of each tensor: a `broadcast` can make terabytes out of a few bytes of file."""


@dataclass(frozen=True, slots=True)
class JudgeLimits:
    """`wall_clock_s` and `memory_bytes` apply to each container. `probes` is the number of positions of the first blind probe;
    the second has `suspects` positions where the score looks too good and `fresh` random ones (docs/judge.md: what these detect)."""

    wall_clock_s: float = 120.0
    memory_bytes: int = 6 * GIB
    probes: int = 2304
    suspects: int = 512
    fresh: int = 512
    program: ProgramLimits = ProgramLimits()
