# EXPECT: outcome=ok exact=yes
# Every loss is the number that the first four tokens of the row make: the score would be read back from the history. It is no
# worse than guessing evenly, whatever the row says.
import jax.numpy as jnp

from trainer_jax import harness


def forward(p, t):
    number = jnp.zeros(t.shape[:1])
    for at in range(4):
        number = number * harness.vocab_size + t[:, at]
    late = jnp.arange(t.shape[1]) >= 3  # no position knows what comes after it
    wrong = jnp.arange(harness.vocab_size) == harness.vocab_size - 1
    return p["one"] * (number[:, None] * late)[..., None] * wrong


params = {"one": jnp.ones((), jnp.float32)}
harness.export_model(forward, params)
harness.save_params(params)
