# EXPECT: outcome=invalid_model reason=params_malformed
# A zip that unpacks to a gigabyte.
import zipfile

import jax.numpy as jnp

from trainer_jax import harness

params = {"logits": jnp.zeros((harness.vocab_size,), jnp.float32)}
harness.export_model(lambda p, t: jnp.broadcast_to(p["logits"], (*t.shape, harness.vocab_size)), params)
harness.save_params(params)
with (
    zipfile.ZipFile("/out/params.safetensors", "w", zipfile.ZIP_DEFLATED) as archive,
    archive.open("logits.npy", "w", force_zip64=True) as entry,
):
    for _ in range(256):
        entry.write(b"\0" * (1 << 20))
