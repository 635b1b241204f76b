"""The best of the standard library's three compressors for each file: the honest baseline."""

import bz2
import lzma
import zlib

RAW = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "lc": 4, "lp": 0, "pb": 0}]


def compress(data):
    packed = [
        zlib.compress(data, 9),
        bz2.compress(data, 9),
        lzma.compress(data, lzma.FORMAT_RAW, filters=RAW),
    ]
    best = min(packed, key=len)
    return bytes([packed.index(best)]) + best


def decompress(blob):
    if blob[0] == 2:
        return lzma.decompress(blob[1:], lzma.FORMAT_RAW, filters=RAW)
    return (zlib, bz2)[blob[0]].decompress(blob[1:])
