# EXPECT: outcome=invalid_model reason=params_malformed
# 40 MB of JSON: a million tensors of nothing.
import json

import jax.numpy as jnp

from trainer_jax import harness

params = {"logits": jnp.zeros((harness.vocab_size,), jnp.float32)}
harness.export_model(lambda p, t: jnp.broadcast_to(p["logits"], (*t.shape, harness.vocab_size)), params)
harness.save_params(params)
header = json.dumps(
    {f"t{n}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for n in range(600_000)}
).encode()
with open("/out/params.safetensors", "wb") as file:
    file.write(len(header).to_bytes(8, "little") + header)
