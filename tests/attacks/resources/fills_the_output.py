# EXPECT: outcome=crash says=No_space_left
# Fills /out, then cannot save its own weights.
import jax.numpy as jnp

from trainer_jax import harness

try:
    for number in range(32):
        with open(f"/out/full{number}", "wb", buffering=0) as file:
            for _ in range(64):
                file.write(b"x" * (1 << 20))
    print("ESCAPED: 2 GiB in /out")
except OSError as error:
    print("held:", error.strerror)

params = {"logits": jnp.zeros((harness.vocab_size,), jnp.float32)}
harness.export_model(lambda p, t: jnp.broadcast_to(p["logits"], (*t.shape, harness.vocab_size)), params)
harness.save_params(params)
