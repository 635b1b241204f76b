# EXPECT: outcome=invalid_model reason=forbidden_op
# A Fourier transform of two over 64 columns: the rest of the result is whatever was in that memory.
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
%v = stablehlo.broadcast_in_dim %a, dims = [] : (tensor<f32>) -> tensor<64x64xf32>
%z = stablehlo.complex %v, %v : tensor<64x64xcomplex<f32>>
%r = stablehlo.fft %z, type = FFT, length = [2] : (tensor<64x64xcomplex<f32>>) -> tensor<64x64xcomplex<f32>>"""
with mlir.make_ir_context():
    text = re.sub(
        r"(func\.func public @main.*\n)", rf"\1{LINES}\n", str(honest.mlir_module(serialized=False)), count=1
    )
    module = stablehlo.serialize_portable_artifact(ir.Module.parse(text), stablehlo.get_current_version())
harness._write(
    "model.stablehlo", bytes(dataclasses.replace(honest, mlir_module_serialized=module).serialize())
)
harness.save_params(params)
