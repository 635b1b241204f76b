# EXPECT: outcome=ok exact=yes
# An exit code is a word of the candidate's: it decides nothing beside a good artifact.
import jax.numpy as jnp

from trainer_jax import harness

params = {"logits": jnp.zeros((harness.vocab_size,), jnp.float32)}
harness.export_model(lambda p, t: jnp.broadcast_to(p["logits"], (*t.shape, harness.vocab_size)), params)
harness.save_params(params)
raise SystemExit(1)
