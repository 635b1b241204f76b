# EXPECT: outcome=invalid_model reason=params_malformed
# Whoever loaded it as a pickle (torch.load, numpy's allow_pickle) would run it.
import os
import pickle

import jax.numpy as jnp

from trainer_jax import harness

params = {"logits": jnp.zeros((harness.vocab_size,), jnp.float32)}
harness.export_model(lambda p, t: jnp.broadcast_to(p["logits"], (*t.shape, harness.vocab_size)), params)
harness.save_params(params)


class Payload:
    def __reduce__(self):
        return os.system, ("touch /tmp/left-by-an-attack /out/left-by-an-attack",)


with open("/out/params.safetensors", "wb") as file:
    pickle.dump(Payload(), file)
