# EXPECT: outcome=ok exact=yes
# log-sum-exp without care rounds to the largest logit: at 1e9 every token would be free.
import jax.numpy as jnp

from trainer_jax import harness

params = {"logits": jnp.full((harness.vocab_size,), 1e9, jnp.float32)}
harness.export_model(lambda p, t: jnp.broadcast_to(p["logits"], (*t.shape, harness.vocab_size)), params)
harness.save_params(params)
