# EXPECT: outcome=ok exact=yes
# 137 from inside is no out-of-memory and no lost container.
import os
import signal

import jax.numpy as jnp

from trainer_jax import harness

params = {"logits": jnp.zeros((harness.vocab_size,), jnp.float32)}
harness.export_model(lambda p, t: jnp.broadcast_to(p["logits"], (*t.shape, harness.vocab_size)), params)
harness.save_params(params)
os.kill(os.getpid(), signal.SIGKILL)
