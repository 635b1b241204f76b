# EXPECT: outcome=ok exact=yes says=held
# A compilation cache is code for whoever reads it next. There is none that outlives a container.
import os

import jax

jax.config.update("jax_compilation_cache_dir", "/tmp/cache")
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)

import jax.numpy as jnp

from trainer_jax import harness

params = {"logits": jnp.zeros((harness.vocab_size,), jnp.float32)}
harness.export_model(lambda p, t: jnp.broadcast_to(p["logits"], (*t.shape, harness.vocab_size)), params)
harness.save_params(params)
jax.jit(lambda x: jnp.sin(x) * 2)(jnp.ones(8)).block_until_ready()
for place in (
    "/root/.cache",
    "/home",
    "/var/cache",
    "/opt/venv/cache",
    "/data/cache",
    "/work/cache",
    "/judge",
):
    try:
        os.makedirs(f"{place}/jax", exist_ok=True)
        with open(f"{place}/jax/left-by-an-attack", "w") as file:
            file.write("left-by-an-attack")
        print("ESCAPED:", place)
    except OSError as error:
        print("held:", place, error.strerror)
with open("/tmp/cache/left-by-an-attack", "w") as file:
    file.write("left-by-an-attack")
