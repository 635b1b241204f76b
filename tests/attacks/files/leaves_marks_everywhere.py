# EXPECT: outcome=no_artifact
# The next candidate looks for them.
import contextlib
import os

for folder, names, _ in os.walk("/"):
    if folder.startswith(("/proc", "/sys")):
        names.clear()
        continue
    with contextlib.suppress(OSError), open(os.path.join(folder, "left-by-an-attack"), "w") as file:
        file.write("left-by-an-attack")
        print(folder)
