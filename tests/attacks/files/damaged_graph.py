# EXPECT: outcome=invalid_model reason=model_malformed
import jax.numpy as jnp

from trainer_jax import harness

params = {"logits": jnp.zeros((harness.vocab_size,), jnp.float32)}
harness.export_model(lambda p, t: jnp.broadcast_to(p["logits"], (*t.shape, harness.vocab_size)), params)
harness.save_params(params)
whole = open("/out/model.stablehlo", "rb").read()
with open("/out/model.stablehlo", "wb") as file:
    file.write(whole[: len(whole) // 2] + bytes(255 - byte for byte in whole[len(whole) // 2 :]))
