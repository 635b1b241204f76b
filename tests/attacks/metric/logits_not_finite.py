# EXPECT: outcome=invalid_model reason=not_finite
# NaN is not worse than anything, so a careless comparison keeps it.
import jax
import jax.numpy as jnp

from trainer_jax import harness

V = harness.vocab_size
key = jax.random.key(0)
params = {"bigram": jax.random.normal(key, (V, V))}


def forward(p, x):
    return jnp.where(p["bigram"][x] > 3.0, jnp.nan, p["bigram"][x])


harness.export_model(forward, params)
harness.save_params(params)
