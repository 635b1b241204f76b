# EXPECT: outcome=ok exact=yes wall=6
# A child exchanges the weights as fast as it can, until it is killed. They are read when nobody is left to exchange them;
# both versions are well-formed and score the same, so anything else is a file that was read while it changed.
import os

import numpy as np
from safetensors.numpy import save

import jax.numpy as jnp

from trainer_jax import harness

params = {"logits": jnp.zeros((harness.vocab_size,), jnp.float32)}
harness.export_model(lambda p, t: jnp.broadcast_to(p["logits"], (*t.shape, harness.vocab_size)), params)
harness.save_params(params)
versions = [save({"logits": np.full(harness.vocab_size, value, np.float32)}) for value in (0.0, 1.0)]
if os.fork() == 0:
    while True:
        for content in versions:
            with open("/out/.swap", "wb") as file:
                file.write(content)
            os.rename("/out/.swap", "/out/params.safetensors")
os.wait()
