# EXPECT: outcome=bad_artifact reason=not_regular
import socket

from trainer_jax import harness

harness._write("model.stablehlo", b"x")
server = socket.socket(socket.AF_UNIX)
server.bind("/out/params.safetensors")
server.listen()
