# EXPECT: outcome=no_artifact says=held,the_training_text_is_there
# Reads everything that can be read, files and other processes' environments, for passages of the hidden text. Whoever
# sends it puts them here, as hexadecimal; one of the training text comes first, to see that the search finds.
import contextlib
import os
import stat

NEEDLES = []
wanted = [bytes.fromhex(text) for text in NEEDLES]
known, hidden = wanted[:1], wanted[1:]
seen = {"known": [], "hidden": []}
for folder, names, files in os.walk("/"):
    if folder == "/":
        names[:] = [name for name in names if name not in {"sys"}]
    for name in files:
        path = os.path.join(folder, name)
        inside_proc = path.startswith("/proc/")
        if inside_proc and name not in {"environ", "cmdline", "mountinfo", "keys"}:
            continue
        with contextlib.suppress(OSError):
            if stat.S_ISREG(os.lstat(path).st_mode) and path != "/work/train.py":
                content = open(path, "rb").read(256 << 20)
                if any(needle in content for needle in known):
                    seen["known"].append(path)
                if any(needle in content for needle in hidden):
                    seen["hidden"].append(path)
for name in os.listdir("/data"):
    print("data:", name)
for word in ("heldout", "document_bytes", "token_bytes"):
    if any(word in name for _, folders, files in os.walk("/data") for name in (*folders, *files)):
        print("ESCAPED:", word)
print("the training text is there" if seen["known"] else "the search finds nothing at all")
print("ESCAPED" if seen["hidden"] or not hidden else "held", seen)
