# EXPECT: outcome=no_artifact says=held
# What the next Python would run before its own first line.
import os
import site
import sys

places = [
    "/etc/ld.so.preload",
    "/usr/local/bin/python",
    "/work/jax.py",
    "/work/sitecustomize.py",
    *(f"{folder}/sitecustomize.py" for folder in site.getsitepackages()),
    *(f"{folder}/evil.pth" for folder in site.getsitepackages()),
    os.path.dirname(os.__file__) + "/os.py",
    sys.executable,
    sys.modules["json" if "json" in sys.modules else "os"].__file__,
]
for place in places:
    try:
        with open(place, "ab") as file:
            file.write(b"")
        print("ESCAPED:", place)
    except OSError as error:
        print("held:", place, error.strerror)
if "/work" in sys.path or "" in sys.path:
    print("ESCAPED: the script's own folder is searched for modules")
