# EXPECT: outcome=bad_artifact reason=hard_linked
import os

import jax.numpy as jnp

from trainer_jax import harness

params = {"logits": jnp.zeros((harness.vocab_size,), jnp.float32)}
harness.export_model(lambda p, t: jnp.broadcast_to(p["logits"], (*t.shape, harness.vocab_size)), params)
harness.save_params(params)
os.link("/out/params.safetensors", "/out/second-name")
