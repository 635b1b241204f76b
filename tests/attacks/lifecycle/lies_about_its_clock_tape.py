# EXPECT: outcome=ok exact=yes
# clock.f64 and telemetry.jsonl are for replays and plots: nonsense in them changes no score.
import os

import jax.numpy as jnp

from trainer_jax import harness

params = {"logits": jnp.zeros((harness.vocab_size,), jnp.float32)}
harness.export_model(lambda p, t: jnp.broadcast_to(p["logits"], (*t.shape, harness.vocab_size)), params)
harness.save_params(params)
for name in ("clock.f64", "telemetry.jsonl"):
    if os.path.exists(f"/out/{name}"):
        os.unlink(f"/out/{name}")
    with open(f"/out/{name}", "wb") as file:
        file.write(b"\xff" * 4097)
