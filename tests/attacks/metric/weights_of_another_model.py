# EXPECT: outcome=invalid_model reason=params_mismatch
import jax.numpy as jnp

from trainer_jax import harness, artifact_check

artifact_check.check_same = lambda *_: None  # its help is for the honest

params = {"logits": jnp.zeros((harness.vocab_size,), jnp.float32)}
harness.export_model(lambda p, t: jnp.broadcast_to(p["logits"], (*t.shape, harness.vocab_size)), params)
harness.save_params({"logits": params["logits"], "more": jnp.ones(3)})
