# EXPECT: outcome=invalid_model reason=not_causal
# Predicts each token from the token that follows it.
import jax
import jax.numpy as jnp

from trainer_jax import harness


def forward(params, tokens):
    following = jnp.concatenate([tokens[:, 1:], tokens[:, -1:]], axis=1)
    return params["scale"] * jax.nn.one_hot(following, harness.vocab_size)


params = {"scale": jnp.float32(20.0)}
harness.export_model(forward, params)
harness.save_params(params)
