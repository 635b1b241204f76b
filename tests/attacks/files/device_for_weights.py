# EXPECT: outcome=no_artifact says=held
import os
import stat

from trainer_jax import harness

harness._write("model.stablehlo", b"x")
for place in ("/out/params.safetensors", "/tmp/disk", "/dev/shm/disk"):
    for kind, device in ((stat.S_IFBLK, (8, 0)), (stat.S_IFBLK, (254, 0)), (stat.S_IFCHR, (1, 1))):
        try:
            os.mknod(place, kind | 0o666, os.makedev(*device))
            print("ESCAPED: made", place, device)
        except OSError as error:
            print("held:", place, error.strerror)
