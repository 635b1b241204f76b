# EXPECT: outcome=no_artifact says=held
# /dev/shm, and the memory that memfd_create and anonymous shared mappings take.
import errno

try:
    with open("/dev/shm/full", "wb", buffering=0) as file:
        for _ in range(2048):
            if file.write(b"x" * (1 << 20)) < 1 << 20:
                raise OSError(errno.ENOSPC, "short write")
    print("ESCAPED: 2 GiB in /dev/shm")
except OSError as error:
    print("held: /dev/shm", errno.errorcode[error.errno])
