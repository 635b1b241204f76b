# EXPECT: outcome=invalid_model reason=signature
# What log_softmax makes of integers is nobody's promise.
import jax
import jax.numpy as jnp

from trainer_jax import harness, program_check

program_check.check_logits = lambda *_: None  # its help is for the honest

V = harness.vocab_size
key = jax.random.key(0)
params = {"bigram": jax.random.normal(key, (V, V))}


def forward(p, x):
    return p["bigram"][x].astype(jnp.int32)


harness.export_model(forward, params)
harness.save_params(params)
