"""The reader of params.safetensors: what the format allows is read exactly, all else is refused with a closed word."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save

from judge.inside.refusal import Refused
from judge.inside.safetensors_reader import MAX_HEADER, load

LIMIT = 1 << 20


def raw(header: Any, body: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + body


def entry(dtype: str = "F32", shape: Any = (2,), offsets: Any = (0, 8), **more: Any) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets, **more}


def read(folder: Path, content: bytes) -> dict[str, np.ndarray]:
    path = folder / "params.safetensors"
    path.write_bytes(content)
    return load(path, LIMIT)


ARRAYS = {
    "w": np.arange(6, dtype=np.float32).reshape(2, 3),
    "half": np.ones(3, np.float16),
    "brain": np.ones((2, 2), ml_dtypes.bfloat16),
    "scalar": np.array(3, np.int32),
    "none": np.zeros((0, 4), np.float32),
    "mask": np.array([True, False]),
    "bytes": np.arange(5, dtype=np.uint8),
}


def test_what_the_library_writes_is_read_exactly(tmp_path: Path) -> None:
    found = read(tmp_path, save(ARRAYS, metadata={"by": "us"}))

    assert found.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert found[name].dtype == array.dtype
        assert found[name].shape == array.shape
        assert np.array_equal(found[name], array)


EIGHT = b"\0" * 8
MALFORMED = {
    "nothing": b"",
    "seven bytes": b"\0" * 7,
    "a header longer than the file": (1 << 40).to_bytes(8, "little") + b"{}",
    "a header longer than allowed": raw(b"{}" + b" " * MAX_HEADER),
    "a negative header": b"\xff" * 8 + b"{}",
    "not JSON": raw(b"{x}"),
    "not UTF-8": raw(b'{"\xff": 1}'),
    "deep JSON": raw(b"[" * 100_000),
    "a list": raw([1]),
    "a number for an entry": raw({"w": 1}, EIGHT),
    "duplicate names": raw(
        b'{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},'
        b'"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}',
        EIGHT,
    ),
    "duplicate keys in an entry": raw(
        b'{"w":{"dtype":"F32","dtype":"I32","shape":[2],"data_offsets":[0,8]}}', EIGHT
    ),
    "another key": raw({"w": entry(more=1)}, EIGHT),
    "an unknown dtype": raw({"w": entry("F4")}, EIGHT),
    "64-bit floats": raw({"w": entry("F64", (1,))}, EIGHT),
    "a list for a dtype": raw({"w": entry(["F32"])}, EIGHT),  # type: ignore[arg-type]
    "a negative dimension": raw({"w": entry(shape=(-1, -2))}, EIGHT),
    "a truth value for a dimension": raw({"w": entry(shape=(True, 2))}, EIGHT),
    "a fraction for a dimension": raw({"w": entry(shape=(2.0,))}, EIGHT),
    "dimensions that overflow": raw({"w": entry(shape=(1 << 40,) * 8)}, EIGHT),
    "a dimension of a thousand digits": raw(
        b'{"w":{"dtype":"F32","shape":[' + b"9" * 1000 + b'],"data_offsets":[0,8]}}', EIGHT
    ),
    "empty but endless": raw({"w": entry(shape=(0, 1 << 40, 1 << 40, 1 << 40), offsets=(0, 0))}),
    "too many dimensions": raw({"w": entry(shape=(1,) * 8 + (2,))}, EIGHT),
    "one offset": raw({"w": entry(offsets=(8,))}, EIGHT),
    "offsets backwards": raw({"w": entry(offsets=(8, 0))}, EIGHT),
    "offsets beyond the end": raw({"w": entry(offsets=(8, 16))}, EIGHT),
    "offsets that disagree with the shape": raw({"w": entry(shape=(1,))}, EIGHT),
    "an overlap": raw({"a": entry(), "b": entry(offsets=(4, 12))}, EIGHT + b"\0" * 4),
    "a hole": raw({"a": entry(), "b": entry(offsets=(12, 20))}, b"\0" * 20),
    "bytes at the end": raw({"w": entry()}, EIGHT + b"\0"),
    "a body too short": raw({"w": entry()}, b"\0" * 7),
    "metadata that is no text": raw({"__metadata__": {"a": 1}, "w": entry()}, EIGHT),
    "too many tensors": raw({f"w{i}": entry(shape=(0,), offsets=(0, 0)) for i in range(10_001)}),
    "a truth value of 2": raw({"w": entry("BOOL", (8,))}, b"\2" * 8),
    "larger than allowed": b"\0" * (LIMIT + 1),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_file_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(Refused) as refusal:
        read(tmp_path, MALFORMED[name])
    assert refusal.value.reason == "params_malformed"


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float32, np.float16, ml_dtypes.bfloat16])
def test_weights_that_are_not_finite_are_refused(value: float, dtype: Any, tmp_path: Path) -> None:
    with pytest.raises(Refused) as refusal:
        read(tmp_path, save({"w": np.array([1.0, value], dtype)}))
    assert refusal.value.reason == "not_finite"


@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_a_damaged_file_is_read_or_refused_and_nothing_else(data: st.DataObject, tmp_path: Path) -> None:
    content = bytearray(save(ARRAYS))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    content = content[: data.draw(st.integers(0, len(content)))] if data.draw(st.booleans()) else content

    try:
        found = read(tmp_path, bytes(content))
    except Refused as refusal:
        assert refusal.reason in {"params_malformed", "not_finite"}
    else:
        assert all(np.isfinite(np.asarray(array, np.float64)).all() for array in found.values())
