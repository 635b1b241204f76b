# EXPECT: outcome=no_artifact says=held
# There is no disk to be busy with: whatever can be written is memory with a size.
import os

for line in open("/proc/mounts"):
    _, place, kind, options = line.split()[:4]
    place = place.encode().decode("unicode_escape")
    target = os.path.join(place, "x") if os.path.isdir(place) else place
    try:
        with open(target, "ab") as file:
            file.write(b"")
    except OSError:
        continue
    finally:
        if os.path.isdir(place) and os.path.exists(target):
            os.unlink(target)
    known = kind in {"tmpfs", "proc", "devpts", "mqueue", "cgroup", "cgroup2", "sysfs", "devtmpfs"}
    print("held" if known else "ESCAPED", place, kind, options[:60])
