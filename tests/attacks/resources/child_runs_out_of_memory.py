# EXPECT: outcome=ok says=held
# Only a child dies of the limit; what its parent hands over counts.
import os
import signal

if (child := os.fork()) == 0:
    with open("/proc/self/oom_score_adj", "w") as file:
        file.write("1000")
    hoard = []
    for _ in range(64):
        hoard.append(bytearray(b"x" * (64 << 20)))
    os._exit(0)
_, status = os.waitpid(child, 0)
print("held" if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL else "ESCAPED: 4 GiB")

import jax.numpy as jnp

from trainer_jax import harness

params = {"logits": jnp.zeros((harness.vocab_size,), jnp.float32)}
harness.export_model(lambda p, t: jnp.broadcast_to(p["logits"], (*t.shape, harness.vocab_size)), params)
harness.save_params(params)
