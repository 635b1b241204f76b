# EXPECT: outcome=invalid_model reason=signature
# Logits for fewer positions than there are tokens: the hard ones left out.
import jax
import jax.numpy as jnp

from trainer_jax import harness, program_check

program_check.check_logits = lambda *_: None  # its help is for the honest

V = harness.vocab_size
key = jax.random.key(0)
params = {"bigram": jax.random.normal(key, (V, V))}


def forward(p, x):
    return p["bigram"][x][:, : x.shape[1] // 2]


harness.export_model(forward, params)
harness.save_params(params)
