# EXPECT: outcome=invalid_model reason=not_causal
# A summary of the block of 16 tokens that a position is in (karpathy/nanochat #844).
import jax
import jax.numpy as jnp

from trainer_jax import harness

V = harness.vocab_size
key = jax.random.key(0)
params = {"bigram": jax.random.normal(key, (V, V))}


def forward(p, x):
    blocks = jax.nn.one_hot(x, V).reshape(x.shape[0], -1, 16, V).mean(2)
    return p["bigram"][x] + 8.0 * jnp.repeat(blocks, 16, axis=1)


harness.export_model(forward, params)
harness.save_params(params)
