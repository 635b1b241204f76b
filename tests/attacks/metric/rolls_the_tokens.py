# EXPECT: outcome=invalid_model reason=not_causal
# jnp.roll by one in the wrong direction.
import jax
import jax.numpy as jnp

from trainer_jax import harness

V = harness.vocab_size
key = jax.random.key(0)
params = {"bigram": jax.random.normal(key, (V, V))}


def forward(p, x):
    return p["bigram"][x] + 8.0 * jax.nn.one_hot(jnp.roll(x, -1, axis=1), V)


harness.export_model(forward, params)
harness.save_params(params)
