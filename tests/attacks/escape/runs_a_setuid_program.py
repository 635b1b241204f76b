# EXPECT: outcome=no_artifact says=held
# A program of its own in every place that can be written, with every bit set; and the setuid programs of the image.
import os
import shutil
import stat
import subprocess

for place in ("/out", "/tmp", "/dev/shm"):
    copy = f"{place}/id"
    shutil.copyfile("/usr/bin/id", copy)
    for mode in (0o755, 0o4755, 0o6755):
        try:
            os.chmod(copy, mode)
            print("ESCAPED:", subprocess.run([copy], capture_output=True, text=True).stdout)
        except OSError as error:
            print("held:", copy, error.strerror)
    try:
        result = subprocess.run(["/lib64/ld-linux-x86-64.so.2", copy], capture_output=True, text=True)
        print("ESCAPED: through the loader" if result.returncode == 0 else "held: loader", result.stderr[:80])
    except OSError as error:
        print("held: loader", error.strerror)
for folder in ("/usr/bin", "/usr/sbin", "/bin", "/sbin", "/usr/lib"):
    for name in os.listdir(folder) if os.path.isdir(folder) else ():
        path = os.path.join(folder, name)
        if (
            os.path.isfile(path)
            and os.stat(path).st_mode & (stat.S_ISUID | stat.S_ISGID)
            and name in {"su", "newgrp"}
        ):
            result = subprocess.run(
                [path, "-c", "id"], capture_output=True, text=True, stdin=subprocess.DEVNULL
            )
            print("ESCAPED:" if "uid=0" in result.stdout else "held:", path)
