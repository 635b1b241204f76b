# EXPECT: outcome=too_slow judge=8
# The exported graph goes on computing after the wall clock: a loop whose end never comes.
import jax
import jax.numpy as jnp

from trainer_jax import harness

params = {"logits": jnp.zeros((harness.vocab_size,), jnp.float32)}


def forward(p, t):
    logits = jnp.broadcast_to(p["logits"], (*t.shape, harness.vocab_size))
    return jax.lax.while_loop(lambda y: y[0, 0, 0] < jnp.inf, lambda y: jnp.tanh(y + 0.1), logits)


harness.export_model(forward, params)
harness.save_params(params)
