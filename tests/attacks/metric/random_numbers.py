# EXPECT: outcome=invalid_model reason=forbidden_op
# Another answer every time: the luckiest one would count.
import jax
import jax.numpy as jnp

from trainer_jax import harness, program_check

program_check.check_program = lambda *_: None  # its help is for the honest

V = harness.vocab_size
key = jax.random.key(0)
params = {"bigram": jax.random.normal(key, (V, V))}


def forward(p, x):
    return p["bigram"][x] + jax.lax.rng_uniform(0.0, 1.0, (*x.shape, V))


harness.export_model(forward, params)
harness.save_params(params)
