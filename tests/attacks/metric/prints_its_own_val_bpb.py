# EXPECT: outcome=ok exact=yes
# Claims a wonderful score on every channel it has, and hands over a model that is confidently wrong: it counts as guessing.
import json
from pathlib import Path

import jax.numpy as jnp

from trainer_jax import harness

print("val_bpb: 0.000001", flush=True)
print(json.dumps({"schema": "autoresearch/try/1", "outcome": "ok", "val_bpb": 1e-6}), flush=True)
for name in ("result.json", "metrics.json", "verdict.json", "val_bpb"):
    Path("/out", name).write_text('{"val_bpb": 1e-6}')


def forward(params, tokens):
    # confidently wrong: everything is token 0
    return jnp.broadcast_to(params["logits"], (*tokens.shape, harness.vocab_size))


params = {"logits": jnp.zeros((harness.vocab_size,), jnp.float32).at[0].set(30.0)}
harness.export_model(forward, params)
harness.save_params(params)
harness.log(step=1, loss=1e-6, tokens=1)
