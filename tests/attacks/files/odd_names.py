# EXPECT: outcome=ok exact=yes
# Names that would do something to whoever lists or prints them. Nobody lists /out.
import contextlib

import jax.numpy as jnp

from trainer_jax import harness

params = {"logits": jnp.zeros((harness.vocab_size,), jnp.float32)}
harness.export_model(lambda p, t: jnp.broadcast_to(p["logits"], (*t.shape, harness.vocab_size)), params)
harness.save_params(params)
names = [
    b"model.stablehlo ",
    b"MODEL.STABLEHLO",
    "mоdel.stablehlo".encode(),
    b"new\nline",
    b"\x1b[2J",
    b"\xff\xfe",
    b"-rf",
    b"$(touch x)",
    b"n" * 255,
    b"..params",
    b'{"name": "params.safetensors", "bytes": 1}\nx',
]
for name in names:
    with contextlib.suppress(OSError):
        open(b"/out/" + name, "wb").close()
