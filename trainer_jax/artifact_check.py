"""Checks of the weights: reports what the judge would refuse later in one sentence with the name, the size and the limit.

This helps the script's author and is no defence: the judge checks the artifact itself. It is in another image, so its limits are
repeated below; a test compares the two. program_check.py checks the exported program.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

MIB, GIB = 1 << 20, 1 << 30
MODEL_BYTES, PARAMS_BYTES = 8 * MIB, 2 * GIB
HEADER_BYTES, TENSORS, RANK = 1 << 20, 10_000, 8
"""Limits of params.safetensors: bytes of its header, number of tensors, axes of a tensor."""
WEIGHTS = frozenset("float32 float16 bfloat16 int32 int16 int8 uint32 uint16 uint8 bool".split())


class WouldBeRefused(ValueError):
    """The judge would give this artifact no score."""


def check_leaves(names: Sequence[str], leaves: Sequence[Any], out: Path | None = None) -> None:
    """Check kind, dtype, rank, name and size of each leaf. `out` is the folder of the artifact: if it is a mount, two copies of the
    weights must fit into it. Raises WouldBeRefused for the first problem."""
    for name, leaf in zip(names, leaves, strict=True):
        _check_leaf(name, leaf)
    total = sum(nbytes(leaf) for leaf in leaves)
    if total > PARAMS_BYTES:
        largest = max(range(len(leaves)), key=lambda index: nbytes(leaves[index]))
        raise WouldBeRefused(
            f"the weights are {size(total)}, the judge takes {size(PARAMS_BYTES)}; the largest is "
            f"{names[largest]!r} of {size(nbytes(leaves[largest]))}"
        )
    if len(names) > TENSORS:
        raise WouldBeRefused(
            f"there are {len(names)} arrays in params, the judge takes {TENSORS}: stack them"
        )
    listed = sum(len(name.encode(errors="replace")) + 80 for name in names)
    if listed > HEADER_BYTES:
        longest = max(names, key=len)
        raise WouldBeRefused(
            f"the names in params are too long: their list is about {size(listed)}, the judge takes "
            f"{size(HEADER_BYTES)}; the longest begins with {longest[:40]!r}"
        )
    if out is not None and out.is_mount():
        file_system = os.statvfs(out)
        room = file_system.f_blocks * file_system.f_frsize
        if 2 * total + MODEL_BYTES > room:
            raise WouldBeRefused(
                f"the weights are {size(total)}, and {out} has room for {size(room)}: a save writes the new file beside "
                f"the old one, so at most {size((room - MODEL_BYTES) // 2)} can be saved"
            )


def _check_leaf(name: str, leaf: Any) -> None:
    if not hasattr(leaf, "shape") or not hasattr(leaf, "dtype"):
        raise WouldBeRefused(
            f"params[{name!r}] is a {type(leaf).__name__} and no array: give the weights alone, or make it a jnp.array"
        )
    if jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        raise WouldBeRefused(
            f"params[{name!r}] is a random key ({leaf.dtype}), and the judge takes no random numbers: give the weights alone, "
            "for example nnx.state(model, nnx.Param)"
        )
    if str(leaf.dtype) not in WEIGHTS:
        raise WouldBeRefused(
            f"params[{name!r}] is {shown(leaf)}, and the judge takes no {leaf.dtype}: convert it, for example to jnp.float32"
        )
    if len(leaf.shape) > RANK:
        raise WouldBeRefused(
            f"params[{name!r}] is {shown(leaf)}, and the judge takes {RANK} axes: reshape it"
        )
    if name == "__metadata__":
        raise WouldBeRefused(
            "params['__metadata__'] has a name that safetensors keeps for itself: choose another"
        )
    try:
        name.encode()
    except UnicodeEncodeError:
        raise WouldBeRefused(f"params[{name!r}] has a name that is not UTF-8: choose another") from None
    if callable(gone := getattr(leaf, "is_deleted", None)) and gone():
        raise WouldBeRefused(
            f"params[{name!r}] was given away (donate_argnums) and is deleted: use the arrays that the step returned"
        )


def check_values(names: Sequence[str], arrays: Sequence[np.ndarray]) -> None:
    """Raises WouldBeRefused for NaN and infinity. Weights that were saved before stay."""
    for name, array in zip(names, arrays, strict=True):
        if array.dtype.kind in "iub" or not array.size:
            continue
        flat = array.reshape(-1)
        for start in range(0, flat.size, 1 << 22):  # no second copy of large weights
            if not np.isfinite(flat[start : start + (1 << 22)]).all():
                raise WouldBeRefused(
                    f"params[{name!r}], {shown(array)}, holds NaN or infinity, which has no score; the weights saved before "
                    "stay as they are"
                )


def check_same(exported: Mapping[str, str], saved: Mapping[str, str]) -> None:
    """Compare two results of `described`. Raises WouldBeRefused for the first difference."""
    if only := sorted(set(exported) - set(saved)):
        raise WouldBeRefused(
            f"params[{only[0]!r}] was exported and is not saved ({len(only)} such): save the params that were exported"
        )
    if only := sorted(set(saved) - set(exported)):
        raise WouldBeRefused(
            f"params[{only[0]!r}] is saved and was not exported ({len(only)} such): export and save the same params"
        )
    for name in sorted(exported):
        if exported[name] != saved[name]:
            raise WouldBeRefused(
                f"params[{name!r}] was exported as {exported[name]} and is saved as {saved[name]}: export again after "
                "a change of shape or dtype, or convert it back"
            )


def described(names: Sequence[str], leaves: Sequence[Any]) -> dict[str, str]:
    """Dtype and shape of each array, by name."""
    return {name: shown(leaf) for name, leaf in zip(names, leaves, strict=True)}


def shown(leaf: Any) -> str:
    """Dtype and shape, for example "float32[8, 64]"."""
    return f"{leaf.dtype}{list(leaf.shape)}"


def nbytes(leaf: Any) -> int:
    return math.prod(leaf.shape) * int(np.dtype(leaf.dtype).itemsize)


def size(count: int) -> str:
    for unit, name in ((GIB, "GiB"), (MIB, "MiB"), (1 << 10, "KiB")):
        if count >= unit:
            return f"{count / unit:.3g} {name}"
    return f"{count} bytes"
