# EXPECT: outcome=invalid_model reason=program_too_large
# Forty functions that each call the next one twice: a small file, and 2^40 ops where every call is written out.
import dataclasses
import re

import jax
import jax.numpy as jnp
from jax.interpreters import mlir
from jaxlib.mlir import ir
from jaxlib.mlir.dialects import stablehlo

from trainer_jax import harness

params = {"logits": jnp.zeros((harness.vocab_size,), jnp.float32)}
shapes = {"logits": jax.ShapeDtypeStruct((harness.vocab_size,), jnp.float32)}
tokens = jax.ShapeDtypeStruct((harness.eval_batch, harness.seq_len), jnp.int32)
honest = jax.export.export(
    jax.jit(lambda p, t: jnp.broadcast_to(p["logits"], (*t.shape, harness.vocab_size)))
)(shapes, tokens)
KIND = "(tensor<f32>) -> tensor<f32>"
levels = [
    f"func.func private @f{n}(%x: tensor<f32>) -> tensor<f32> {{\n"
    f"%y = func.call @f{n + 1}(%x) : {KIND}\n%z = func.call @f{n + 1}(%y) : {KIND}\nreturn %z : tensor<f32>\n}}"
    for n in range(40)
]
levels.append(
    "func.func private @f40(%x: tensor<f32>) -> tensor<f32> {\n"
    "%y = stablehlo.sine %x : tensor<f32>\nreturn %y : tensor<f32>\n}"
)
call = f"%one = stablehlo.constant dense<1.0> : tensor<f32>\n%called = func.call @f0(%one) : {KIND}\n"
with mlir.make_ir_context():
    text = str(honest.mlir_module(serialized=False))
    text = re.sub(r"(func\.func public @main.*\n)", rf"\1{call}", text, count=1)
    text = text.rstrip().removesuffix("}") + "\n".join(levels) + "\n}"
    module = stablehlo.serialize_portable_artifact(ir.Module.parse(text), stablehlo.get_current_version())
harness._write(
    "model.stablehlo", bytes(dataclasses.replace(honest, mlir_module_serialized=module).serialize())
)
harness.save_params(params)
