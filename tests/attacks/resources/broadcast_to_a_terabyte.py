# EXPECT: outcome=invalid_model reason=program_too_large
import jax.numpy as jnp

from trainer_jax import harness, program_check

program_check.check_program = lambda *_: None  # its help is for the honest

params = {"logits": jnp.zeros((harness.vocab_size,), jnp.float32)}


def forward(p, t):
    huge = jnp.broadcast_to(p["logits"][0], (1 << 20, 1 << 18))
    return jnp.broadcast_to(p["logits"] + jnp.sin(huge).sum(), (*t.shape, harness.vocab_size))


harness.export_model(forward, params)
harness.save_params(params)
