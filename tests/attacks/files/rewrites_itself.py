# EXPECT: outcome=no_artifact says=held
# Another text in /work/train.py than the one that runs: what is kept would not be what was measured.
import os

for action in (
    lambda: open("/work/train.py", "a"),
    lambda: os.chmod("/work/train.py", 0o777),
    lambda: os.unlink("/work/train.py"),
    lambda: os.rename("/work/train.py", "/tmp/train.py"),
    lambda: os.link("/work/train.py", "/tmp/train.py"),
    lambda: open("/work/other.py", "w"),
    lambda: open("/data/meta.json", "a"),
    lambda: open("/proc/self/root/work/train.py", "a"),
    lambda: open("/proc/1/root/work/train.py", "a"),
):
    try:
        action()
        print("ESCAPED: changed")
    except OSError as error:
        print("held:", error.strerror)
