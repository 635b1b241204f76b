"""A safetensors reader that trusts nothing (format: https://github.com/huggingface/safetensors).

Own limits, because the library's are wide (100 MB of header) and because duplicate keys, holes, overlaps and NaN are
its readers' business, not its.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from judge.inside.refusal import Refused

_MAX_HEADER = 1 << 20
_MAX_TENSORS = 10_000
_MAX_RANK = 8
_DTYPES = {
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "BF16": np.dtype(ml_dtypes.bfloat16),
    "I64": np.dtype("<i8"),
    "I32": np.dtype("<i4"),
    "I16": np.dtype("<i2"),
    "I8": np.dtype("i1"),
    "U8": np.dtype("u1"),
    "BOOL": np.dtype("?"),
}


def load(path: Path, max_bytes: int) -> dict[str, np.ndarray]:
    """The weights by name. Raises Refused with params_malformed or not_finite."""
    size = path.stat().st_size
    if not 8 <= size <= max_bytes:
        raise Refused("params_malformed", "size")
    with path.open("rb") as file:
        header_size = int.from_bytes(file.read(8), "little")
        if not 2 <= header_size <= min(_MAX_HEADER, size - 8):
            raise Refused("params_malformed", "header size")
        header = _header(file.read(header_size))
        body = np.frombuffer(file.read(size - 8 - header_size), np.uint8)
    spans = sorted(
        (_span(name, entry, len(body)) for name, entry in header.items()), key=lambda span: span[1:3]
    )
    at = 0
    arrays = {}
    for name, begin, end, dtype, shape in spans:
        if begin != at:
            raise Refused("params_malformed", "a hole or an overlap")
        at = end
        arrays[name] = body[begin:end].view(dtype).reshape(shape) if end > begin else np.zeros(shape, dtype)
        if dtype.kind not in "iub" and not np.isfinite(arrays[name].astype(np.float32)).all():
            raise Refused("not_finite", "weights")
    if at != len(body):
        raise Refused("params_malformed", "bytes that no tensor owns")
    return arrays


def _header(raw: bytes) -> dict[str, Any]:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) != len(pairs):
            raise Refused("params_malformed", "duplicate keys")
        return dict(pairs)

    try:
        header = json.loads(raw.decode("utf-8"), object_pairs_hook=unique)
    except (ValueError, RecursionError) as error:
        raise Refused("params_malformed", "header") from error
    if not isinstance(header, dict):
        raise Refused("params_malformed", "header")
    header.pop("__metadata__", None)
    if not header or len(header) > _MAX_TENSORS:
        raise Refused("params_malformed", "tensor count")
    return header


def _span(name: str, entry: Any, body: int) -> tuple[str, int, int, np.dtype, tuple[int, ...]]:
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise Refused("params_malformed", "entry")
    dtype = _DTYPES.get(entry["dtype"]) if isinstance(entry["dtype"], str) else None
    shape, offsets = entry["shape"], entry["data_offsets"]
    if dtype is None or not _naturals(shape, _MAX_RANK) or not _naturals(offsets, 2) or len(offsets) != 2:
        raise Refused("params_malformed", "entry")
    begin, end = offsets
    if not begin <= end <= body or end - begin != math.prod(shape) * dtype.itemsize:
        raise Refused("params_malformed", "offsets")
    return name, begin, end, dtype, tuple(shape)


def _naturals(value: Any, longest: int) -> bool:
    return (
        isinstance(value, list)
        and len(value) <= longest
        and all(type(item) is int and 0 <= item < 1 << 40 for item in value)
    )
