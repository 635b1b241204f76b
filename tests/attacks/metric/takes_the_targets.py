# EXPECT: outcome=invalid_model reason=signature
# Two results: logits, and a loss of its own making.
import jax
import jax.numpy as jnp

from trainer_jax import harness, program_check

program_check.check_logits = lambda *_: None  # its help is for the honest

V = harness.vocab_size
key = jax.random.key(0)
params = {"bigram": jax.random.normal(key, (V, V))}


def forward(p, x):
    return p["bigram"][x], jnp.zeros(())


harness.export_model(forward, params)
harness.save_params(params)
