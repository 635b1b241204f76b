# EXPECT: outcome=invalid_model reason=forbidden_op
# An unstable sort by a comparison that is always true: XLA's CPU sort then reads and writes outside of its buffer.
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
LINES = """%a = stablehlo.constant dense<0.0> : tensor<f32>
%v = stablehlo.broadcast_in_dim %a, dims = [] : (tensor<f32>) -> tensor<64xf32>
%r = "stablehlo.sort"(%v) <{dimension = 0 : i64, is_stable = false}> ({
^bb0(%p: tensor<f32>, %q: tensor<f32>):
%c = stablehlo.constant dense<true> : tensor<i1>
stablehlo.return %c : tensor<i1>
}) : (tensor<64xf32>) -> tensor<64xf32>"""
with mlir.make_ir_context():
    text = re.sub(
        r"(func\.func public @main.*\n)", rf"\1{LINES}\n", str(honest.mlir_module(serialized=False)), count=1
    )
    module = stablehlo.serialize_portable_artifact(ir.Module.parse(text), stablehlo.get_current_version())
harness._write(
    "model.stablehlo", bytes(dataclasses.replace(honest, mlir_module_serialized=module).serialize())
)
harness.save_params(params)
