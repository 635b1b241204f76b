"""What the backends would believe blindly is refused or taken back, and what jax.numpy writes is not."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from altered_programs import HEAD, inserted, load, made, refusal, rewritten
from jax import lax
from model_zoo import B, T, V

from judge.verdict import Reason


def beside(lines: str, function: str) -> bytes:
    """`lines` at the beginning of main, and a function @f0 of one number."""

    def edit(module: str) -> str:
        module = re.sub(r"(func\.func public @main.*\n)", rf"\1{HEAD}{lines}\n", module, count=1)
        callee = f"func.func private @f0(%x: tensor<f32>) -> tensor<f32> {{\n{function}\n}}"
        return module.rstrip().removesuffix("}") + callee + "\n}"

    return rewritten(edit)


# ---- sorts -----------------------------------------------------------------------------------------------------
VECTOR = "%v = stablehlo.broadcast_in_dim %a, dims = [] : (tensor<f32>) -> tensor<8xf32>\n"
PAIR = "(tensor<f32>, tensor<f32>) -> tensor<i1>"


def sort(comparator: str, stable: str = "true") -> str:
    return (
        f'{VECTOR}%r:2 = "stablehlo.sort"(%v, %v) <{{dimension = 0 : i64, is_stable = {stable}}}> ({{\n'
        "^bb0(%p: tensor<f32>, %q: tensor<f32>, %s1: tensor<f32>, %s2: tensor<f32>):\n"
        f"{comparator}\nstablehlo.return %c : tensor<i1>\n}}) : (tensor<8xf32>, tensor<8xf32>) -> (tensor<8xf32>, "
        "tensor<8xf32>)"
    )


def compared(how: str, order: str, left: str = "%p", right: str = "%q") -> str:
    return f"%c = stablehlo.compare {how}, {left}, {right}, {order} : {PAIR}"


SENSELESS = {
    "always": "%c = stablehlo.constant dense<true> : tensor<i1>",
    "not greater": compared("LE", "TOTALORDER"),
    "unequal": compared("NE", "TOTALORDER"),
    "NaN is less than nothing": compared("LT", "FLOAT"),
    "a value with itself": compared("LT", "TOTALORDER", "%p", "%p"),
    "one key with another": compared("LT", "TOTALORDER", "%p", "%s2"),
    "the other way round": compared("LT", "TOTALORDER", "%q", "%p"),
    "not the leading key": compared("LT", "TOTALORDER", "%s1", "%s2"),
    "with something of outside": compared("LT", "TOTALORDER", "%p", "%a"),
    "another function on each side": "%n = stablehlo.negate %q : tensor<f32>\n" + compared("LT", "TOTALORDER", "%p", "%n"),
    "both ways": compared("LT", "TOTALORDER").replace("%c", "%x", 1) + "\n"
    + compared("GT", "TOTALORDER").replace("%c", "%y", 1) + "\n%c = stablehlo.or %x, %y : tensor<i1>",
    "a tie that is none": compared("LT", "TOTALORDER").replace("%c", "%x", 1) + "\n"
    + compared("NE", "TOTALORDER").replace("%c", "%e", 1) + "\n"
    + compared("LT", "TOTALORDER", "%s1", "%s2").replace("%c", "%y", 1)
    + "\n%z = stablehlo.and %e, %y : tensor<i1>\n%c = stablehlo.or %x, %z : tensor<i1>",
}  # fmt: skip


@pytest.mark.parametrize("name", SENSELESS)
def test_a_sort_by_any_other_comparison_than_jaxs_own_is_refused(name: str, tmp_path: Path) -> None:
    assert refusal(tmp_path, inserted(HEAD + sort(SENSELESS[name]))) is Reason.FORBIDDEN_OP


@pytest.mark.parametrize("how", ["LT", "GT"])
def test_the_same_sort_in_the_total_order_is_loaded(how: str, tmp_path: Path) -> None:
    assert load(tmp_path, inserted(HEAD + sort(compared(how, "TOTALORDER"))))


def test_a_comparison_whose_parts_double_is_refused_at_once(tmp_path: Path) -> None:
    """Sixty lines that each use the one before twice: written out they are a binary tree."""
    lines = [compared("LT", "TOTALORDER").replace("%c", "%k0", 1)]
    lines += [f"%k{n + 1} = stablehlo.and %k{n}, %k{n} : tensor<i1>" for n in range(60)]
    lines += ["%c = stablehlo.or %k60, %k60 : tensor<i1>"]

    assert refusal(tmp_path, inserted(HEAD + sort("\n".join(lines)))) is Reason.FORBIDDEN_OP


FLOATS = ["float32", "bfloat16", "float16", "float8_e4m3fn", "float8_e5m2", "complex64"]
DTYPES = [*FLOATS, "int32", "uint8", "bool"]


def sorted_in_every_way(y: Any) -> list[Any]:
    """Every way in which jax sorts numbers of this type."""
    number = jnp.arange(y.shape[-1]) * jnp.ones(y.shape, jnp.int32)
    half = jnp.real(y).astype(jnp.float32)
    found = [
        jnp.sort(y),
        jnp.sort(y, descending=True),
        jnp.argsort(y),
        jnp.argsort(y, descending=True),
        jnp.argsort(y, stable=False),
        lax.sort(y, is_stable=False),
        *lax.sort((y, number), num_keys=1),
        *lax.sort((number % 3, y, half), num_keys=3),
        jnp.lexsort((y, number % 5)),
    ]
    if not jnp.issubdtype(y.dtype, jnp.complexfloating):
        found += lax.top_k(y, 3)
    return found


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_sort_of_jax_is_loaded(dtype: str, tmp_path: Path) -> None:
    def forward(p: Any, x: Any) -> Any:
        y = p["bigram"][x].astype(dtype)
        return p["bigram"][x] + sum(
            jnp.real(part).astype(jnp.float32).sum() for part in sorted_in_every_way(y)
        )

    assert load(tmp_path, made(forward))


def test_what_is_made_of_sorts_is_loaded(tmp_path: Path) -> None:
    def forward(p: Any, x: Any) -> Any:
        y = p["bigram"][x]
        return y + jnp.median(y) + jnp.quantile(y, 0.2) + jnp.unique(y, size=3)[0] + jax.random.permutation(
            jax.random.key(0), y
        )  # fmt: skip

    assert load(tmp_path, made(forward))


# ---- promises that are taken back --------------------------------------------------------------------------------
def answers(folder: Path, forward: Callable[..., Any]) -> tuple[np.ndarray, np.ndarray, str]:
    """What the loaded program answers, what jax answers, and the text of what was loaded."""
    weights = {"bigram": np.random.default_rng(0).integers(-4, 4, (V, V)).astype(np.float32)}
    tokens = np.random.default_rng(1).integers(0, V, (B, T)).astype(np.int32)
    loaded = load(folder, made(forward, weights), weights)
    got = np.asarray(jax.jit(loaded.call)(weights, tokens))
    return got, np.asarray(jax.jit(forward)(weights, tokens)), str(loaded.mlir_module())


def test_a_sort_is_stable_whatever_it_says(tmp_path: Path) -> None:
    def order(stable: bool) -> Callable[..., Any]:
        return lambda p, x: jnp.argsort(p["bigram"][x], stable=stable).astype(jnp.float32)

    got, _, text = answers(tmp_path, order(False))
    assert "is_stable = true" in text
    assert "is_stable = false" not in text
    assert np.array_equal(got, answers(tmp_path, order(True))[1])


def test_no_promise_is_believed_about_indices(tmp_path: Path) -> None:
    def forward(p: Any, x: Any) -> Any:
        y = p["bigram"].at[x].get(indices_are_sorted=True, unique_indices=True, mode="promise_in_bounds")
        return y.at[:, jnp.array([1, 2, 5])].add(3.0, indices_are_sorted=True, unique_indices=True)

    got, meant, text = answers(tmp_path, forward)
    assert "indices_are_sorted = true" not in text
    assert "unique_indices = true" not in text
    assert np.array_equal(got, meant)


@pytest.mark.parametrize("name", ["gelu", "top_k"])
def test_a_composite_of_jax_is_computed_by_its_decomposition(name: str, tmp_path: Path) -> None:
    def forward(p: Any, x: Any) -> Any:
        y = p["bigram"][x]
        return jax.nn.gelu(y, approximate=False) if name == "gelu" else y + lax.top_k(y, 2)[1][..., 1:]

    got, meant, text = answers(tmp_path, forward)
    assert "stablehlo.composite" not in text
    assert got == pytest.approx(meant, abs=1e-5)


def test_a_composite_under_a_known_name_gets_no_op_of_the_compilers(tmp_path: Path) -> None:
    """Its attribute would kill the compiler, and its name would be believed."""
    liar = (
        '%called = stablehlo.composite "chlo.top_k" %a {composite_attributes = {k = "x"}, decomposition = @f0, '
        "version = 1 : i32} : (tensor<f32>) -> tensor<f32>"
    )

    loaded = load(tmp_path, beside(liar, "return %x : tensor<f32>"))
    assert "stablehlo.composite" not in str(loaded.mlir_module())


# ---- numbers, attributes and regions ------------------------------------------------------------------------------
COMPLEX = (
    "%v = stablehlo.broadcast_in_dim %a, dims = [] : (tensor<f32>) -> tensor<4x8xf32>\n"
    "%z = stablehlo.complex %v, %v : tensor<4x8xcomplex<f32>>\n"
)


def fft(kind: str, length: str) -> str:
    return (
        f"{COMPLEX}%r = stablehlo.fft %z, type = {kind}, length = [{length}] : (tensor<4x8xcomplex<f32>>) -> "
        "tensor<4x8xcomplex<f32>>"
    )


BYTES = "%w = stablehlo.broadcast_in_dim %o, dims = [] : (tensor<ui8>) -> tensor<8xui8>\n"
BYTE = "%o = stablehlo.constant dense<3> : tensor<ui8>\n"
BLIND = {
    "a transform that is too short": fft("FFT", "4"),
    "an inverse that is too short": fft("IFFT", "4"),
    "a transform that is too long": fft("FFT", "16"),
    "a transform of nothing": fft("FFT", "0"),
    "a transform of the wrong dimensions": fft("FFT", "8, 4"),
    "bytes as truth values": BYTE + BYTES + "%r = stablehlo.bitcast_convert %w : (tensor<8xui8>) -> tensor<8x8xi1>",
    "truth values as bytes": "%t = stablehlo.constant dense<true> : tensor<8x8xi1>\n"
    "%r = stablehlo.bitcast_convert %t : (tensor<8x8xi1>) -> tensor<8xui8>",
    "half a complex number": COMPLEX
    + "%w = stablehlo.convert %z : (tensor<4x8xcomplex<f32>>) -> tensor<4x8xcomplex<f64>>\n"
    "%r = stablehlo.bitcast_convert %w : (tensor<4x8xcomplex<f64>>) -> tensor<4x8x2xcomplex<f32>>",
    "a stride that wraps around": VECTOR
    + "%r = stablehlo.slice %v [0:8:9223372036854775807] : (tensor<8xf32>) -> tensor<1xf32>",
    "a padding that wraps around": VECTOR + "%r = stablehlo.pad %v, %a, low = [-9223372036854775808], "
    "high = [9223372036854775807], interior = [0] : (tensor<8xf32>, tensor<f32>) -> tensor<7xf32>",
    "a window that wraps around": VECTOR + '%r = "stablehlo.reduce_window"(%v, %a) <{window_dimensions = array<i64: 2>, '
    "window_strides = array<i64: 4611686018427387904>}> ({\n^bb0(%p: tensor<f32>, %q: tensor<f32>):\n"
    "stablehlo.return %p : tensor<f32>\n}) : (tensor<8xf32>, tensor<f32>) -> tensor<1xf32>",
    "numbers of four bits": VECTOR + "%r = stablehlo.convert %v : (tensor<8xf32>) -> tensor<8xi4>",
    "numbers of two bits": VECTOR + "%r = stablehlo.convert %v : (tensor<8xf32>) -> tensor<8xui2>",
}  # fmt: skip


@pytest.mark.parametrize("name", BLIND)
def test_what_a_backend_would_not_check_is_refused(name: str, tmp_path: Path) -> None:
    reason = Reason.PROGRAM_TOO_LARGE if "wraps around" in name else Reason.FORBIDDEN_OP
    assert refusal(tmp_path, inserted(HEAD + BLIND[name])) is reason


@pytest.mark.parametrize(
    "attribute",
    ['xla_shape = "f32[1000000]"', 'backend_config = "x"', 'sharding = "{replicated}"', "unknown = 1 : i32"],
)
def test_an_attribute_that_is_not_the_ops_own_is_refused(attribute: str, tmp_path: Path) -> None:
    line = f"%r = stablehlo.add %a, %b {{{attribute}}} : tensor<f32>"
    assert refusal(tmp_path, inserted(HEAD + line)) is Reason.FORBIDDEN_OP


LOOP = (
    '%r1 = "stablehlo.while"(%p) ({\n^bb0(%w: tensor<f32>):\n'
    "%t = stablehlo.compare LT, %w, %w : (tensor<f32>, tensor<f32>) -> tensor<i1>\nstablehlo.return %t : tensor<i1>\n"
    "}, {\n^bb0(%w: tensor<f32>):\nstablehlo.return %w : tensor<f32>\n}) : (tensor<f32>) -> tensor<f32>"
)
MANY = (
    "%m = stablehlo.broadcast_in_dim %p, dims = [] : (tensor<f32>) -> tensor<9xf32>\n"
    "%n = stablehlo.slice %m [0:1] : (tensor<9xf32>) -> tensor<1xf32>\n"
    "%r1 = stablehlo.reshape %n : (tensor<1xf32>) -> tensor<f32>"
)
CALL = "%r1 = func.call @f0(%p) : (tensor<f32>) -> tensor<f32>"


def reduction(body: str) -> str:
    return (
        f'{VECTOR}%r = "stablehlo.reduce"(%v, %a) <{{dimensions = array<i64: 0>}}> ({{\n'
        f"^bb0(%p: tensor<f32>, %q: tensor<f32>):\n{body}\nstablehlo.return %r1 : tensor<f32>\n"
        "}) : (tensor<8xf32>, tensor<f32>) -> tensor<f32>"
    )


@pytest.mark.parametrize("body", [LOOP, MANY], ids=["a loop", "tensors"])
def test_a_reduction_holds_single_numbers_only(body: str, tmp_path: Path) -> None:
    assert refusal(tmp_path, inserted(HEAD + reduction(body))) is Reason.FORBIDDEN_OP


@pytest.mark.parametrize(
    ("inside", "loaded"), [("%r1 = stablehlo.sine %p : tensor<f32>", True), (MANY, False)]
)
def test_also_in_what_it_calls(inside: str, loaded: bool, tmp_path: Path) -> None:
    body = inside.replace("%p", "%x") + "\nreturn %r1 : tensor<f32>"

    blob = beside(reduction(CALL), body)
    if loaded:
        assert load(tmp_path, blob)
    else:
        assert refusal(tmp_path, blob) is Reason.FORBIDDEN_OP


def test_a_reduction_by_a_function_of_jax_numpy_is_loaded(tmp_path: Path) -> None:
    def forward(p: Any, x: Any) -> Any:
        y = p["bigram"][x]
        return y + lax.reduce(y, -jnp.inf, jnp.logaddexp, (2,))[..., None] + jnp.argmax(y, -1)[..., None]

    assert load(tmp_path, made(forward))


@pytest.mark.parametrize("fft_of", [jnp.fft.fft, jnp.fft.ifft, jnp.fft.fft2, jnp.fft.rfft, jnp.fft.rfftn])
def test_the_transforms_of_jax_numpy_are_loaded(fft_of: Callable[..., Any], tmp_path: Path) -> None:
    def forward(p: Any, x: Any) -> Any:
        return (
            p["bigram"][x]
            + jnp.real(fft_of(p["bigram"][x])).sum()
            + jnp.fft.irfft(p["bigram"][x], 2 * V)[..., :V]
        )

    assert load(tmp_path, made(forward))
