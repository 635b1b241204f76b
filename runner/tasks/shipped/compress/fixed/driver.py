"""Runs the codec: `driver.py encode` over the hidden files, `driver.py decode` over the archive alone.

An archive, and what was decoded, is a sequence of parts: the length of each in four bytes (little-endian), then its bytes.
"""

import sys
from pathlib import Path

import codec

ARCHIVE = "archive.bin"


def pack(parts):
    return b"".join(len(part).to_bytes(4, "little") + part for part in parts)


def unpack(data):
    parts = []
    while data:
        length = int.from_bytes(data[:4], "little")
        parts.append(data[4 : 4 + length])
        data = data[4 + length :]
    return parts


if sys.argv[1] == "encode":
    files = [path.read_bytes() for path in sorted(Path("/inputs/corpus").iterdir())]
    Path("/out", ARCHIVE).write_bytes(pack([codec.compress(data) for data in files]))
else:
    blobs = unpack(Path("/stages/encode", ARCHIVE).read_bytes())
    Path("/out/decoded.bin").write_bytes(pack([codec.decompress(blob) for blob in blobs]))
