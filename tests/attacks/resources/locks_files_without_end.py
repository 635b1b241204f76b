# EXPECT: outcome=no_artifact says=held
# The kernel's record of a lock (192 bytes) counts to no container's memory. Bounded: 20 MB of them.
import fcntl
import os
import struct

made = 0
try:
    files = [os.memfd_create("locked") for _ in range(200)]
    for file in files:
        for at in range(0, 1000, 2):
            fcntl.fcntl(file, 37, struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, at, 1, 0))  # F_OFD_SETLK
            made += 1
    print("ESCAPED:", made, "locks")
except OSError as error:
    print("held:" if made == 0 else "ESCAPED:", error.strerror, made)
