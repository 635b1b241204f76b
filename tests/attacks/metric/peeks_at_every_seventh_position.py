# EXPECT: outcome=invalid_model reason=not_causal
# Seldom enough to be missed by a handful of probes.
import jax
import jax.numpy as jnp

from trainer_jax import harness

V = harness.vocab_size
key = jax.random.key(0)
params = {"bigram": jax.random.normal(key, (V, V))}


def forward(p, x):
    following = jnp.concatenate([x[:, 1:], x[:, -1:]], axis=1)
    return p["bigram"][x] + 8.0 * jax.nn.one_hot(following, V) * (jnp.arange(x.shape[1]) % 7 == 3)[:, None]


harness.export_model(forward, params)
harness.save_params(params)
