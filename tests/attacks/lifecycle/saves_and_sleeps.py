# EXPECT: outcome=ok exact=yes wall=6
# A kill at the wall clock is no failure: what was saved is judged.
import time

import jax.numpy as jnp

from trainer_jax import harness

params = {"logits": jnp.zeros((harness.vocab_size,), jnp.float32)}
harness.export_model(lambda p, t: jnp.broadcast_to(p["logits"], (*t.shape, harness.vocab_size)), params)
harness.save_params(params)
time.sleep(60)
