# EXPECT: outcome=no_artifact says=ENOSPC,inodes
import errno
import os

try:
    with open("/tmp/full", "wb", buffering=0) as file:
        for _ in range(2048):
            if file.write(b"x" * (1 << 20)) < 1 << 20:
                raise OSError(errno.ENOSPC, "short write")
    print("ESCAPED: 2 GiB in /tmp")
except OSError as error:
    print("held: /tmp", errno.errorcode[error.errno])
os.unlink("/tmp/full")
count = 0
try:
    for count in range(20_000):
        open(f"/tmp/n{count}", "x").close()
    print("ESCAPED: 20000 files in /tmp")
except OSError as error:
    print("held: inodes end at", count, errno.errorcode[error.errno])
