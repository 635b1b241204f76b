# EXPECT: outcome=bad_artifact reason=not_regular
import os

from trainer_jax import harness

harness._write("model.stablehlo", b"x")
os.mkfifo("/out/params.safetensors")
