# EXPECT: outcome=invalid_model reason=signature
# One column less: one token less to be surprised by.
import jax
import jax.numpy as jnp

from trainer_jax import harness, program_check

program_check.check_logits = lambda *_: None  # its help is for the honest

V = harness.vocab_size
key = jax.random.key(0)
params = {"bigram": jax.random.normal(key, (V, V))}


def forward(p, x):
    return p["bigram"][x][..., :-1]


harness.export_model(forward, params)
harness.save_params(params)
