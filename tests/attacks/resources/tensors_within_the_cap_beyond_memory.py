# EXPECT: outcome=invalid_model reason=out_of_memory
# Each tensor is allowed; several of them at once are more than the judge's container has.
import jax
import jax.numpy as jnp

from trainer_jax import harness

params = {"logits": jnp.zeros((harness.vocab_size,), jnp.float32)}


def forward(p, t):
    big = [jnp.sort(jnp.arange(1 << 27, dtype=jnp.int32) * (t[0, 0] + k)) for k in range(6)]  # 512 MiB each
    total = sum(b[t[0, 0]] for b in jax.lax.optimization_barrier(big))
    return jnp.broadcast_to(p["logits"] + total, (*t.shape, harness.vocab_size))


harness.export_model(forward, params)
harness.save_params(params)
