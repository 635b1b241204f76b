# EXPECT: outcome=no_artifact says=held
# /out itself cannot become another folder.
import os

for action in (
    lambda: os.rename("/out", "/tmp/out"),
    lambda: os.rmdir("/out"),
    lambda: os.symlink("/data", "/out"),
    lambda: os.chmod("/", 0o777),
):
    try:
        action()
        print("ESCAPED: /out was replaced")
    except OSError as error:
        print("held:", error.strerror)
