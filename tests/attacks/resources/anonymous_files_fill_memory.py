# EXPECT: outcome=oom
# memfd_create: files without a name or a file system's limit. They count as the container's memory.
import os

files = []
for number in range(64):
    files.append(os.memfd_create(f"m{number}"))
    for _ in range(64):
        os.write(files[-1], b"x" * (1 << 20))
print("ESCAPED: 4 GiB of anonymous files")
