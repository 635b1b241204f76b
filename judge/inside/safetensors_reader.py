"""A strict safetensors reader for hostile files (format: https://github.com/huggingface/safetensors).

The library is not used because its limits are wide (100 MB of header) and it does not refuse duplicate names and NaN.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from judge.inside.refusal import Refused

MAX_HEADER = 1 << 20  # bytes
MAX_TENSORS = 10_000
MAX_RANK = 8
MAX_SIZE = 1 << 40  # elements
DTYPES = {  # no 64-bit types: jax would convert them to 32 bits
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "BF16": np.dtype(ml_dtypes.bfloat16),
    "I32": np.dtype("<i4"),
    "I16": np.dtype("<i2"),
    "I8": np.dtype("i1"),
    "U32": np.dtype("<u4"),
    "U16": np.dtype("<u2"),
    "U8": np.dtype("u1"),
    "BOOL": np.dtype("?"),
}


def load(path: Path, max_bytes: int) -> dict[str, np.ndarray]:
    """The weights by name. `max_bytes` is the largest file size. Raises Refused with params_malformed or not_finite."""
    if not path.is_file():
        raise Refused("params_malformed", "no file")
    size = path.stat().st_size
    if not 8 <= size <= max_bytes:
        raise Refused("params_malformed", "file size")
    with path.open("rb") as file:
        header_size = int.from_bytes(file.read(8), "little")
        if not 2 <= header_size <= min(MAX_HEADER, size - 8):
            raise Refused("params_malformed", "header size")
        header = _header(file.read(header_size))
        body = np.fromfile(file, np.uint8)
    spans = sorted(_span(entry, name) for name, entry in header.items())
    arrays: dict[str, np.ndarray] = {}
    at = 0
    for begin, end, name in spans:
        if begin != at or end > len(body):
            raise Refused("params_malformed", "a hole, an overlap or an end beyond the end")
        arrays[name] = _array(body[begin:end], header[name])
        at = end
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
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise Refused("params_malformed", "metadata")
    if len(header) > MAX_TENSORS:
        raise Refused("params_malformed", "tensor count")
    return header


def _span(entry: Any, name: str) -> tuple[int, int, str]:
    """Begin, end (byte offsets) and name of a tensor. Raises Refused unless its entry is well-formed and the offsets fit its
    shape."""
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise Refused("params_malformed", "entry")
    shape, offsets = entry["shape"], entry["data_offsets"]
    if not isinstance(entry["dtype"], str) or entry["dtype"] not in DTYPES:
        raise Refused("params_malformed", "dtype")
    if not _naturals(shape) or len(shape) > MAX_RANK or not _naturals(offsets) or len(offsets) != 2:
        raise Refused("params_malformed", "shape or offsets")
    if math.prod(max(item, 1) for item in shape) > MAX_SIZE:  # of empty tensors, too: numpy checks them so
        raise Refused("params_malformed", "shape")
    begin, end = offsets
    if end - begin != math.prod(shape) * DTYPES[entry["dtype"]].itemsize:
        raise Refused("params_malformed", "offsets")
    return begin, end, name


def _naturals(value: Any) -> bool:
    return isinstance(value, list) and all(type(item) is int and 0 <= item <= MAX_SIZE for item in value)


def _array(raw: np.ndarray, entry: dict[str, Any]) -> np.ndarray:
    """The tensor in the bytes `raw`. Raises Refused for NaN, infinity, and booleans other than 0 and 1."""
    dtype = DTYPES[entry["dtype"]]
    if dtype.kind == "b" and len(raw) and raw.max() > 1:
        raise Refused("params_malformed", "a truth value beyond 1")
    array = (
        np.frombuffer(raw.data, dtype).reshape(entry["shape"])
        if len(raw)
        else np.zeros(entry["shape"], dtype)
    )
    if dtype.kind not in "iub" and not np.isfinite(array).all():
        raise Refused("not_finite", "weights")
    return array
