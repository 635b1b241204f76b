# EXPECT: outcome=invalid_model reason=forbidden_op
# A graph that calls Python, exported with the exporter's own checks switched off.
import jax
import jax.numpy as jnp
from jax import export

from trainer_jax import harness

params = {"logits": jnp.zeros((harness.vocab_size,), jnp.float32)}


def forward(p, t):
    shape = (*t.shape, harness.vocab_size)
    logits = jnp.broadcast_to(p["logits"], shape)
    return jax.pure_callback(lambda y: y, jax.ShapeDtypeStruct(shape, jnp.float32), logits)


shapes = {name: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for name, leaf in params.items()}
tokens = jax.ShapeDtypeStruct((harness.eval_batch, harness.seq_len), jnp.int32)
checks = [
    export.DisabledSafetyCheck.custom_call(name)
    for name in ("xla_ffi_python_cpu_callback", "xla_python_cpu_callback")
]
try:
    program = export.export(jax.jit(forward), disabled_checks=checks)(shapes, tokens)
    blob = program.serialize()
except Exception as error:  # the exporter will not write callbacks: the same call by hand
    print("exporter:", str(error)[:200])
    import dataclasses
    import re

    from jax.interpreters import mlir
    from jaxlib.mlir import ir
    from jaxlib.mlir.dialects import stablehlo

    honest = export.export(
        jax.jit(lambda p, t: jnp.broadcast_to(p["logits"], (*t.shape, harness.vocab_size)))
    )(shapes, tokens)
    with mlir.make_ir_context():
        text = re.sub(
            r"( +)return (%\w+) : (.*)",
            r'\1%call = stablehlo.custom_call @"xla_ffi_python_cpu_callback"(\2) : (\3) -> \3\n\1return %call : \3',
            str(honest.mlir_module(serialized=False)),
            count=1,
        )
        module = stablehlo.serialize_portable_artifact(ir.Module.parse(text), stablehlo.get_current_version())
    blob = dataclasses.replace(honest, mlir_module_serialized=module).serialize()
harness._write("model.stablehlo", bytes(blob))
harness.save_params(params)
