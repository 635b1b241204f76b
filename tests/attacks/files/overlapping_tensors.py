# EXPECT: outcome=invalid_model reason=params_malformed
# Two names for the same bytes, and a shape whose product wraps around in 64 bits.
import json

import jax.numpy as jnp

from trainer_jax import harness

params = {"logits": jnp.zeros((harness.vocab_size,), jnp.float32)}
harness.export_model(lambda p, t: jnp.broadcast_to(p["logits"], (*t.shape, harness.vocab_size)), params)
harness.save_params(params)
size = harness.vocab_size * 4
header = json.dumps(
    {
        "logits": {"dtype": "F32", "shape": [harness.vocab_size], "data_offsets": [0, size]},
        "again": {"dtype": "F32", "shape": [harness.vocab_size], "data_offsets": [0, size]},
        "wraps": {"dtype": "F32", "shape": [1 << 32, 1 << 32], "data_offsets": [size, size]},
    }
).encode()
with open("/out/params.safetensors", "wb") as file:
    file.write(len(header).to_bytes(8, "little") + header + b"\0" * size)
