"""The walk before compilation: what may be in a program, how large it may be, and that it is what it says it is."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import model_zoo
import numpy as np
import pytest
from altered_programs import (
    HEAD,
    LEAF,
    WEIGHTS,
    bigram,
    call_to,
    functions,
    inserted,
    load,
    made,
    question,
    refusal,
    rewritten,
)
from jax import export, lax
from model_zoo import BOS, B, T, V

from judge.inside import exported_program
from judge.inside.refusal import Refused
from judge.verdict import Reason


# ---- signature -----------------------------------------------------------------------------------------------
def test_the_judges_shape_is_accepted_in_every_float(tmp_path: Path) -> None:
    for dtype in (jnp.float32, jnp.bfloat16, jnp.float16):
        assert load(tmp_path, made(lambda p, x, d=dtype: p["bigram"][x].astype(d)))


SIGNATURES: dict[str, Callable[[], Any]] = {
    "too wide a vocabulary": lambda: made(lambda p, x: jnp.zeros((B, T, V + 1))),
    "too narrow a vocabulary": lambda: made(lambda p, x: jnp.zeros((B, T, V - 1))),
    "another length": lambda: made(tokens=jax.ShapeDtypeStruct((B, T + 1), np.int32)),
    "another batch": lambda: made(tokens=jax.ShapeDtypeStruct((B + 1, T), np.int32)),
    "another type of tokens": lambda: made(tokens=jax.ShapeDtypeStruct((B, T), np.uint32)),
    "integers for logits": lambda: made(lambda p, x: p["bigram"][x].astype(jnp.int32)),
    "complex logits": lambda: made(lambda p, x: p["bigram"][x].astype(jnp.complex64)),
    "two results": lambda: made(lambda p, x: (p["bigram"][x], x)),
    "a result in a list": lambda: made(lambda p, x: [p["bigram"][x]]),
    "no result": lambda: made(lambda p, x: ()),
    "tokens in a list": lambda: made(
        lambda p, x: p["bigram"][x[0]], tokens=[jax.ShapeDtypeStruct((B, T), np.int32)]
    ),
    "a third argument": lambda: export.export(jax.jit(lambda p, x, y: p["bigram"][x] + y))(
        {"bigram": jax.ShapeDtypeStruct((V, V), np.float32)},
        jax.ShapeDtypeStruct((B, T), np.int32),
        jax.ShapeDtypeStruct((), np.float32),
    ),
    "a keyword argument": lambda: export.export(jax.jit(lambda p, x: p["bigram"][x]))(
        {"bigram": jax.ShapeDtypeStruct((V, V), np.float32)}, x=jax.ShapeDtypeStruct((B, T), np.int32)
    ),
    "a symbolic batch": lambda: made(tokens=jax.ShapeDtypeStruct(export.symbolic_shape(f"b, {T}"), np.int32)),
    "another platform": lambda: made(platforms=["cuda"]),
    "two platforms": lambda: made(platforms=["cpu", "cuda"]),
}


@pytest.mark.parametrize("name", SIGNATURES)
def test_another_signature_is_refused(name: str, tmp_path: Path) -> None:
    assert refusal(tmp_path, SIGNATURES[name]()) is Reason.SIGNATURE


MISMATCHES = {
    "one weight more in the file": {**WEIGHTS, "more": np.zeros(2, np.float32)},
    "one weight less": {},
    "another name": {"bigrams": WEIGHTS["bigram"]},
    "another shape": {"bigram": np.zeros((V, V + 1), np.float32)},
    "another dtype": {"bigram": np.zeros((V, V), np.float16)},
}


@pytest.mark.parametrize("name", MISMATCHES)
def test_weights_that_are_not_the_programs_are_refused(name: str, tmp_path: Path) -> None:
    assert refusal(tmp_path, made(), weights=MISMATCHES[name]) is Reason.PARAMS_MISMATCH


def test_nested_weights_are_refused(tmp_path: Path) -> None:
    nested = {"a": {"bigram": WEIGHTS["bigram"]}}
    blob = made(lambda p, x: p["a"]["bigram"][x], nested)
    assert refusal(tmp_path, blob) is Reason.PARAMS_MISMATCH


def test_a_weight_that_the_program_does_not_use_is_allowed(tmp_path: Path) -> None:
    weights = {"bigram": WEIGHTS["bigram"], "idle": np.zeros(3, np.float32)}
    assert load(tmp_path, made(bigram, weights), weights)


def test_a_module_that_is_not_what_its_frame_says_is_refused(tmp_path: Path) -> None:
    """The frame announces [B, T, V] logits, the module inside it computes twice as many columns."""
    wide = made(lambda p, x: jnp.tile(p["bigram"], 2)[x])
    liar = dataclasses.replace(made(), mlir_module_serialized=wide.mlir_module_serialized)

    assert refusal(tmp_path, liar) is Reason.SIGNATURE


def test_a_module_that_takes_other_weights_than_its_frame_says_is_refused(tmp_path: Path) -> None:
    tall = made(lambda p, x: p["bigram"][x], {"bigram": np.zeros((V + 1, V), np.float32)})
    liar = dataclasses.replace(made(), mlir_module_serialized=tall.mlir_module_serialized)

    assert refusal(tmp_path, liar) is Reason.SIGNATURE


def test_a_program_that_expects_shapes_or_platforms_of_the_caller_is_refused(tmp_path: Path) -> None:
    blob = dataclasses.replace(made(), uses_global_constants=True)
    assert refusal(tmp_path, blob) is Reason.SIGNATURE


def test_a_second_device_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path, dataclasses.replace(made(), nr_devices=2)) is Reason.FORBIDDEN_OP


def test_a_program_that_brings_its_derivative_is_refused(tmp_path: Path) -> None:
    blob = bytes(made(lambda p, x: p["bigram"][x] * 2.0).serialize(vjp_order=1))
    assert refusal(tmp_path, blob) is Reason.FORBIDDEN_OP


# ---- ops -----------------------------------------------------------------------------------------------------
def custom_call(target: str, text: str = "") -> bytes:
    """The result is passed through a custom call that jax.export would not have written."""

    def edit(module: str) -> str:
        return re.sub(
            r"( +)return (%\w+) : (.*)",
            rf'\1%call = stablehlo.custom_call @"{target}"(\2) {text} : (\3) -> \3\n\1return %call : \3',
            module,
            count=1,
        )

    return rewritten(edit)


@pytest.mark.parametrize(
    "target",
    [
        "xla_ffi_python_cpu_callback",
        "xla_python_cpu_callback",
        "mosaic_gpu_v2",
        "tpu_custom_call",
        "triton_kernel_call_ffi",
        "__cudnn$fmhaSoftmax",
        "lapack_sgeqrf_ffi",
        "ApproxTopK",
        "AllocateBuffer",
        "annotate_device_placement",
        "Sharding",
        "",
    ],
)
def test_a_custom_call_is_refused_whatever_its_name(target: str, tmp_path: Path) -> None:
    assert refusal(tmp_path, custom_call(target)) is Reason.FORBIDDEN_OP


def test_a_custom_call_that_the_exporter_let_pass_is_refused(tmp_path: Path) -> None:
    def forward(p: Any, x: Any) -> Any:
        return p["bigram"][x] + jnp.linalg.qr(p["bigram"])[0][0, 0]

    everything = [export.DisabledSafetyCheck.custom_call("ALL")]
    assert refusal(tmp_path, made(forward, disabled_checks=everything)) is Reason.FORBIDDEN_OP


HIDDEN = {
    "in a loop": lambda p, x: lax.fori_loop(
        0, 3, lambda _, y: y + jax.random.normal(jax.random.key(0, impl="rbg"), y.shape), p["bigram"][x]
    ),
    "in a branch": lambda p, x: lax.cond(
        x[0, 0] == BOS, lambda y: y + lax.approx_max_k(y, V)[0], lambda y: y, p["bigram"][x]
    ),
    "in a function": lambda p, x: jax.jit(lambda y: y + lax.approx_max_k(y, V)[0])(p["bigram"][x]),
    "in a composite": lambda p, x: lax.composite(lambda y: y + 1, name="my.own")(p["bigram"][x]),
    "with a sharding": lambda p, x: lax.with_sharding_constraint(
        p["bigram"][x], jax.sharding.SingleDeviceSharding(jax.devices()[0])
    ),
}


@pytest.mark.parametrize("name", HIDDEN)
def test_a_forbidden_op_is_found_wherever_it_hides(name: str, tmp_path: Path) -> None:
    assert refusal(tmp_path, made(HIDDEN[name])) is Reason.FORBIDDEN_OP


OPS = {
    "rng": '%r = "stablehlo.rng"(%a, %b, %s) <{rng_distribution = #stablehlo<rng_distribution UNIFORM>}> '
    ": (tensor<f32>, tensor<f32>, tensor<1xi64>) -> tensor<4xf32>",
    "partition_id": "%r = stablehlo.partition_id : tensor<ui32>",
    "replica_id": "%r = stablehlo.replica_id : tensor<ui32>",
    "token": "%r = stablehlo.create_token : !stablehlo.token",
    "tuple": "%r = stablehlo.tuple %a : tuple<tensor<f32>>",
    "all_reduce": '%r = "stablehlo.all_reduce"(%a) <{replica_groups = dense<0> : tensor<1x1xi64>}> ({\n'
    "^bb0(%x: tensor<f32>, %y: tensor<f32>):\n%z = stablehlo.add %x, %y : tensor<f32>\n"
    "stablehlo.return %z : tensor<f32>\n}) : (tensor<f32>) -> tensor<f32>",
    "infeed": "%t = stablehlo.create_token : !stablehlo.token\n"
    '%r:2 = "stablehlo.infeed"(%t) : (!stablehlo.token) -> (tensor<f32>, !stablehlo.token)',
    "outfeed": "%t = stablehlo.create_token : !stablehlo.token\n"
    '%r = "stablehlo.outfeed"(%a, %t) : (tensor<f32>, !stablehlo.token) -> !stablehlo.token',
}


@pytest.mark.parametrize("name", OPS)
def test_an_op_that_is_no_data_flow_is_refused(name: str, tmp_path: Path) -> None:
    assert refusal(tmp_path, inserted(HEAD + OPS[name])) is Reason.FORBIDDEN_OP


ATTRIBUTES = {
    "host offload": (
        "jax.uses_shape_polymorphism = false",
        'mhlo.frontend_attributes = {_xla_compute_type = "host"}',
    ),
    "a sharding": ("jax.uses_shape_polymorphism = false", 'mhlo.sharding = "{replicated}"'),
    "two partitions": ("mhlo.num_partitions = 1", "mhlo.num_partitions = 2"),
    "two replicas": ("mhlo.num_replicas = 1", "mhlo.num_replicas = 2"),
    "aliasing": ("jax.result_info", "tf.aliasing_output"),
}


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_an_attribute_that_talks_to_the_compiler_is_refused(name: str, tmp_path: Path) -> None:
    blob = rewritten(lambda text: text.replace(*ATTRIBUTES[name]))
    assert refusal(tmp_path, blob) is Reason.FORBIDDEN_OP


ROTATIONS = np.exp(1j * np.outer(np.arange(T), np.arange(V))).astype(np.complex64)
PLAIN: dict[str, Callable[[Any], Any]] = {
    "erf": lambda y: jax.nn.gelu(y, approximate=False) + jax.scipy.special.erf(y),
    "top_k": lambda y: y + lax.top_k(y, 2)[0][..., :1],
    "sort": lambda y: jnp.sort(y, axis=-1),
    "cumulative": lambda y: jnp.cumsum(y, axis=1) + lax.cummax(y, axis=1),
    "ragged_dot": lambda y: lax.ragged_dot(
        y.reshape(-1, V), jnp.ones((2, V, V)), jnp.array([B * T, 0])
    ).reshape(B, T, V),
    "segment_sum": lambda y: y + jax.ops.segment_sum(y.reshape(-1, V), jnp.zeros(B * T, int), 3)[0],
    "checkpoint": lambda y: jax.grad(lambda y: jax.checkpoint(lambda y: jnp.sin(y) ** 2)(y).sum())(y),
    "switch": lambda y: lax.switch(1, [jnp.sin, jnp.cos], y),
    "map": lambda y: lax.map(jnp.tanh, y),
    "fp8": lambda y: y.astype(jnp.float8_e4m3fn).astype(jnp.float32),
    "random": lambda y: y + jax.random.normal(jax.random.key(0), y.shape),
    "special": lambda y: jnp.arcsinh(y) + jnp.arctan2(y, 2.0) + jnp.expm1(y) + jax.scipy.special.gammaln(y),
    "complex": lambda y: jnp.real(y * jnp.exp(1j * jnp.outer(jnp.arange(T), jnp.arange(V)))),
    "complex tables": lambda y: jnp.real(y * ROTATIONS + np.zeros((B, T, V), np.complex64)),
    "bits": lambda y: y + (lax.population_count(lax.bitcast_convert_type(y, jnp.uint32)) % 3),
}


@pytest.mark.parametrize("name", PLAIN)
def test_plain_jax_numpy_is_accepted(name: str, tmp_path: Path) -> None:
    assert load(tmp_path, made(lambda p, x: PLAIN[name](p["bigram"][x])))


@pytest.mark.parametrize("name", [*model_zoo.HONEST, *PLAIN])
def test_what_is_written_for_a_gpu_passes_the_same_walk(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No GPU is needed to lower for one; only running it needs one."""
    monkeypatch.setattr(export, "default_export_platform", lambda: "cuda")
    params = {n: np.asarray(w) for n, w in model_zoo.init(0).items()}
    forward = model_zoo.HONEST.get(name) or (lambda p, x: PLAIN[name](p["bigram"][x]))

    assert load(tmp_path, made(forward, params, platforms=["cuda"]), params)


# ---- size ----------------------------------------------------------------------------------------------------
def deep(levels: int) -> Callable[..., Any]:
    def forward(p: Any, x: Any) -> Any:
        step = lambda y: y * 2.0  # noqa: E731
        for _ in range(levels):
            step = lambda y, inner=step: lax.fori_loop(0, 2, lambda _, z: inner(z), y)  # noqa: E731
        return step(p["bigram"][x])

    return forward


def many(p: Any, x: Any) -> Any:
    y = p["bigram"][x]
    for _ in range(600):
        y = jnp.sin(y)
    return y


def broadcast_bomb(p: Any, x: Any) -> Any:
    huge = jnp.broadcast_to(p["bigram"][0, 0], (1 << 20, 1 << 20))
    return p["bigram"][x] + huge.sum()


def big_constant(p: Any, x: Any) -> Any:
    return p["bigram"][x] + jnp.asarray(np.random.default_rng(0).normal(size=(600, 512)), jnp.float32).sum()


def several_constants(p: Any, x: Any) -> Any:
    tables = np.random.default_rng(0).normal(size=(3, 200, 512))
    return p["bigram"][x] + sum(jnp.asarray(table, jnp.float32).sum() for table in tables)


def uniform_constant(p: Any, x: Any) -> Any:
    return (
        p["bigram"][x]
        + jnp.full((1024, 1024), 0.5).sum()
        + jnp.asarray(np.ones((1024, 512), np.float32)).sum()
    )


@pytest.mark.parametrize(
    ("forward", "limits"),
    [
        (many, {"ops": 500}),
        (deep(5), {"depth": 4}),
        (broadcast_bomb, {}),
        (big_constant, {}),
        (several_constants, {}),
        (bigram, {"model_bytes": 100}),
    ],
    ids=["ops", "depth", "broadcast bomb", "constant", "constants", "file"],
)
def test_a_program_beyond_a_cap_is_refused(forward: Any, limits: dict[str, int], tmp_path: Path) -> None:
    assert refusal(tmp_path, made(forward), **limits) is Reason.PROGRAM_TOO_LARGE


def nested_loops(p: Any, x: Any) -> Any:
    def loop(levels: int, y: Any) -> Any:
        body = (lambda z: loop(levels - 1, z)) if levels else jnp.sin
        return lax.while_loop(lambda z: z[0, 0, 0] > 2.0, body, y)

    return loop(6, p["bigram"][x])


def test_regions_in_regions_are_counted(tmp_path: Path) -> None:
    assert refusal(tmp_path, made(nested_loops), depth=6) is Reason.PROGRAM_TOO_LARGE
    assert load(tmp_path, made(nested_loops))


def test_ops_that_nothing_calls_are_counted_too(tmp_path: Path) -> None:
    """They cost the walk and the compiler's reader their time all the same."""
    idle = "\n".join(f"%y{i} = stablehlo.sine %x : tensor<f32>" for i in range(200))
    blob = functions([LEAF, f"{idle}\nreturn %x : tensor<f32>"])

    assert refusal(tmp_path, blob, ops=150) is Reason.PROGRAM_TOO_LARGE
    assert load(tmp_path, blob)


@pytest.mark.parametrize("kind", ["tensor<?xf32>", "!stablehlo.token", "tuple<tensor<f32>>", "tensor<*xf32>"])
def test_what_is_no_tensor_of_a_fixed_shape_is_refused(kind: str, tmp_path: Path) -> None:
    function = f"func.func private @idle(%x: {kind}) -> {kind} {{\nreturn %x : {kind}\n}}"
    try:
        blob = rewritten(lambda text: text.rstrip().removesuffix("}") + function + "\n}")
    except ValueError:
        pytest.fail(f"{kind} cannot be written in a portable artifact: the case tests nothing")

    assert refusal(tmp_path, blob) is Reason.FORBIDDEN_OP


def test_constants_of_complex_numbers_are_counted_and_one_value_repeated_is_free(tmp_path: Path) -> None:
    kilobyte = {"constant_bytes": 1024}
    table = np.arange(200).astype(np.complex64)
    one = np.full(200, 1 + 2j, np.complex64)
    assert refusal(tmp_path, made(lambda p, x: bigram(p, x) + (x[0, 0] * table).real.sum()), **kilobyte) is (
        Reason.PROGRAM_TOO_LARGE
    )
    assert load(tmp_path, made(lambda p, x: bigram(p, x) + (x[0, 0] * one).real.sum()), **kilobyte)


def test_within_the_caps_the_same_programs_pass(tmp_path: Path) -> None:
    for forward in (many, deep(5), uniform_constant):
        assert load(tmp_path, made(forward))


def test_calls_that_double_at_every_level_are_counted_written_out(tmp_path: Path) -> None:
    levels = [call_to(f"f{i + 1}") for i in range(40)]

    assert refusal(tmp_path, functions([*levels, LEAF])) is Reason.PROGRAM_TOO_LARGE
    assert load(tmp_path, functions([*levels[:3], LEAF]))


def test_a_long_chain_of_calls_is_refused(tmp_path: Path) -> None:
    chain = [call_to(f"f{i + 1}", times=1) for i in range(100)]

    assert refusal(tmp_path, functions([*chain, LEAF])) is Reason.PROGRAM_TOO_LARGE


def test_functions_that_call_each_other_for_ever_are_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path, functions([call_to("f1"), call_to("f0")])) is Reason.PROGRAM_TOO_LARGE


# ---- damage --------------------------------------------------------------------------------------------------
NO_BODY = "func.func private @nowhere(tensor<f32>) -> tensor<f32>"
HOLLOW = {
    "a function without a body": NO_BODY,
    "a module": "module @another {}",
    "a module without a name": "module {}",
    "a module with functions": f"module @another {{ {NO_BODY} }}",
}


@pytest.mark.parametrize("name", HOLLOW)
def test_what_holds_no_program_is_refused(name: str, tmp_path: Path) -> None:
    """XLA reads the first block of a function without a body: a segmentation fault."""
    blob = rewritten(lambda text: text.rstrip().removesuffix("}") + HOLLOW[name] + "\n}")
    assert refusal(tmp_path, blob) is Reason.MODEL_MALFORMED


def test_what_is_no_program_is_refused(tmp_path: Path) -> None:
    blob = bytes(made().serialize())
    for content in (
        b"",
        b"\0",
        b"MLIR",
        b"\0" * 4096,
        blob[:100],
        blob[: len(blob) // 2],
        blob[1:],
        b"\xff" * 999,
    ):
        assert refusal(tmp_path, content) is Reason.MODEL_MALFORMED
    (tmp_path / "model.stablehlo").unlink()
    with pytest.raises(Refused):
        exported_program.load(tmp_path / "model.stablehlo", WEIGHTS, question())
