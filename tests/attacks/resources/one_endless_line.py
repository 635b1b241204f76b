# EXPECT: outcome=no_artifact
# A line without an end, of NUL bytes and broken UTF-8.
import os

for _ in range(1024):
    os.write(1, b"\x00\xff\xc3\x28\xed\xa0\x80\xf0" * 8192)
