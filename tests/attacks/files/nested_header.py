# EXPECT: outcome=invalid_model reason=params_malformed
# JSON as deep as the header may be long: a recursive reader falls off its stack.
import jax.numpy as jnp

from trainer_jax import harness

params = {"logits": jnp.zeros((harness.vocab_size,), jnp.float32)}
harness.export_model(lambda p, t: jnp.broadcast_to(p["logits"], (*t.shape, harness.vocab_size)), params)
harness.save_params(params)
header = b'{"a":' + b"[" * 500_000 + b"]" * 500_000 + b"}"
with open("/out/params.safetensors", "wb") as file:
    file.write(len(header).to_bytes(8, "little") + header)
