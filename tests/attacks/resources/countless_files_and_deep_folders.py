# EXPECT: outcome=ok says=held
# Nobody walks /out: fixed names are opened, and the rest goes with the volume.
import errno
import os

import jax.numpy as jnp

from trainer_jax import harness

params = {"logits": jnp.zeros((harness.vocab_size,), jnp.float32)}
harness.export_model(lambda p, t: jnp.broadcast_to(p["logits"], (*t.shape, harness.vocab_size)), params)
harness.save_params(params)
for top in ("/tmp", "/out"):
    os.chdir(top)
    depth = count = 0
    try:
        for depth in range(10_000):
            os.mkdir("d" * 200)
            os.chdir("d" * 200)
        print("ESCAPED: 10000 levels in", top)
    except OSError as error:
        print("held:", top, "levels end at", depth, errno.errorcode[error.errno])
    os.chdir(top)
    try:
        for count in range(100_000):
            open(f"{top}/n{count}", "x").close()
        print("ESCAPED: 100000 files in", top)
    except OSError as error:
        print("held:", top, "files end at", count, errno.errorcode[error.errno])
