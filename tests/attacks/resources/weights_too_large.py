# EXPECT: outcome=bad_artifact reason=too_large
# A graph of more than the collector takes: what unrolled or closed-over weights come to.
from trainer_jax import harness

harness._write("params.safetensors", b"x")
harness._write("model.stablehlo", b"x" * ((8 << 20) + 1))
