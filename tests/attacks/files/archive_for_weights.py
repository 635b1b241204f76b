# EXPECT: outcome=invalid_model reason=params_malformed
# Whoever unpacked it would write outside of the folder, through a link, and a gigabyte.
import io
import tarfile

import jax.numpy as jnp

from trainer_jax import harness

params = {"logits": jnp.zeros((harness.vocab_size,), jnp.float32)}
harness.export_model(lambda p, t: jnp.broadcast_to(p["logits"], (*t.shape, harness.vocab_size)), params)
harness.save_params(params)
with tarfile.open("/out/params.safetensors", "w") as archive:
    for name in ("../../../../tmp/left-by-an-attack", "/tmp/left-by-an-attack"):
        entry = tarfile.TarInfo(name)
        entry.size = 4
        archive.addfile(entry, io.BytesIO(b"evil"))
    link = tarfile.TarInfo("link")
    link.type, link.linkname = tarfile.SYMTYPE, "/"
    archive.addfile(link)
