# EXPECT: outcome=bad_artifact reason=sparse says=EFBIG
# Weights of a terabyte that take no room; and as many as the limit of a file's size lets through.
import errno
import os

from trainer_jax import harness

harness._write("model.stablehlo", b"x")
weights = os.open("/out/params.safetensors", os.O_CREAT | os.O_WRONLY)
try:
    os.ftruncate(weights, 1 << 40)
    print("ESCAPED: a file of a terabyte")
except OSError as error:
    print("held:", errno.errorcode[error.errno])
os.ftruncate(weights, 32 << 20)
