# EXPECT: outcome=ok exact=yes
# The same logits everywhere: must score exactly log2(V) * tokens / bytes, by the manifest.
import jax.numpy as jnp

from trainer_jax import harness


def forward(params, tokens):
    return jnp.broadcast_to(params["logits"], (*tokens.shape, harness.vocab_size))


params = {"logits": jnp.zeros((harness.vocab_size,), jnp.float32)}
harness.export_model(forward, params)
harness.save_params(params)
