# EXPECT: outcome=invalid_model reason=not_causal
# The row beside it in the batch may be how its own text goes on.
import jax
import jax.numpy as jnp

from trainer_jax import harness

V = harness.vocab_size
key = jax.random.key(0)
params = {"bigram": jax.random.normal(key, (V, V))}


def forward(p, x):
    return p["bigram"][x] + p["bigram"][jnp.roll(x, -1, axis=0)]


harness.export_model(forward, params)
harness.save_params(params)
