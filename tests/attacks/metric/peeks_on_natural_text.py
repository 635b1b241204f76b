# EXPECT: outcome=invalid_model reason=not_causal
# Behaves on random tokens, on which a careless judge would try it: peeks only where tokens repeat as in real text.
import jax
import jax.numpy as jnp

from trainer_jax import harness

V = harness.vocab_size
key = jax.random.key(0)
params = {"bigram": jax.random.normal(key, (V, V))}


def forward(p, x):
    following = jnp.concatenate([x[:, 1:], x[:, -1:]], axis=1)
    pairs = (x[:, :, None] == x[:, None, :]).mean((1, 2), keepdims=True)
    return p["bigram"][x] + 8.0 * jax.nn.one_hot(following, V) * (pairs > 3.0 / V + 1.0 / x.shape[1])


harness.export_model(forward, params)
harness.save_params(params)
