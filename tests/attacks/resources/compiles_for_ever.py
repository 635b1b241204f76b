# EXPECT: outcome=timeout_no_artifact wall=5
# The clock does not wait for the compiler.
import jax
import jax.numpy as jnp

x = jnp.ones((64, 64))


def unrolled(y):
    for number in range(40_000):
        y = jnp.sin(y @ x) + number
    return y


jax.jit(unrolled)(x).block_until_ready()
