# EXPECT: outcome=invalid_model reason=params_malformed
# Half of the weights, under the final name.
import jax.numpy as jnp

from trainer_jax import harness

params = {"logits": jnp.zeros((harness.vocab_size,), jnp.float32)}
harness.export_model(lambda p, t: jnp.broadcast_to(p["logits"], (*t.shape, harness.vocab_size)), params)
harness.save_params(params)
whole = open("/out/params.safetensors", "rb").read()
with open("/out/params.safetensors", "wb") as file:
    file.write(whole[: len(whole) // 2])
