# EXPECT: outcome=no_artifact says=the_end
# Three seconds of output through every descriptor that process 1 has, and every other way to where an engine might read.
import contextlib
import glob
import os
import time

PLACES = ["/dev/console", "/dev/tty", "/dev/stdout", "/dev/stderr", *glob.glob("/dev/pts/*")]
PLACES += [f"/proc/1/fd/{number}" for number in range(20) if number > 2] + [
    "/proc/1/fd/0",
    "/proc/1/fd/1",
    "/proc/1/fd/2",
]
found = []
for place in PLACES:
    with contextlib.suppress(OSError):
        if not os.path.realpath(place).startswith("/log/"):
            found.append(os.open(place, os.O_WRONLY | os.O_NONBLOCK))
with contextlib.suppress(OSError):
    os.write(0, b"x")
end = time.monotonic() + 3
while time.monotonic() < end:
    for fd in found:
        with contextlib.suppress(OSError):
            os.write(fd, b"\n" * 65536)
print("\nthe end")
