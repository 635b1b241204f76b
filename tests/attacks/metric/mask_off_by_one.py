# EXPECT: outcome=invalid_model reason=not_causal
# Attention that sees one token too many.
import jax
import jax.numpy as jnp

from trainer_jax import harness

V = harness.vocab_size
key = jax.random.key(0)
params = {"bigram": jax.random.normal(key, (V, V))}


def forward(p, x):
    length = x.shape[1]
    y = p["bigram"][x]
    scores = jnp.einsum("btv,bsv->bts", y, y) / V
    weights = jax.nn.softmax(jnp.where(jnp.tril(jnp.ones((length, length), bool), 1), scores, -1e9))
    return y + jnp.einsum("bts,bsv->btv", weights, jax.nn.one_hot(x, V)) * 8.0


harness.export_model(forward, params)
harness.save_params(params)
