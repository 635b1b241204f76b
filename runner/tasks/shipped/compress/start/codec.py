"""LZ77 with a Huffman code for each of its three streams: literals, lengths and distances.

compress(data: bytes) -> bytes and decompress(blob: bytes) -> bytes are all that is called.
"""

import heapq
from collections import Counter

WINDOW = 256  # tune: cat 256 512 1024 2048 4096 8192 16384
"""How far back a match may begin, in bytes."""
MIN_MATCH = 6  # tune: int 3 8
MAX_MATCH = 32  # tune: cat 16 32 64 128 256 512
CHAIN = 4  # tune: cat 1 2 4 8 16 32 64
"""Earlier places that are tried for each match."""


def compress(data):
    literals, lengths, distances = bytearray(), [], []
    run, at, places = 0, 0, {}
    while at < len(data):
        length, distance = longest_match(data, at, places)
        step = length or 1
        if length:
            lengths += [run, length]
            distances.append(distance)
            run = 0
        else:
            literals.append(data[at])
            run += 1
        for each in range(at, at + step):
            places.setdefault(data[each : each + MIN_MATCH], []).append(each)
        at += step
    streams = [bytes(literals), numbers_to_bytes(lengths), numbers_to_bytes(distances)]
    return b"".join(huffman_encode(stream) for stream in streams)


def decompress(blob):
    literals, blob = huffman_decode(blob)
    lengths, blob = huffman_decode(blob)
    distances, _ = huffman_decode(blob)
    lengths, distances = bytes_to_numbers(lengths), bytes_to_numbers(distances)
    out, at = bytearray(), 0
    for number, distance in enumerate(distances):
        run, length = lengths[2 * number : 2 * number + 2]
        out += literals[at : at + run]
        at += run
        for _ in range(length):
            out.append(out[-distance])
    return bytes(out + literals[at:])


def longest_match(data, at, places):
    """(length, distance) of the longest match that is tried; (0, 0) if none is long enough."""
    best, where = 0, 0
    for place in reversed(places.get(data[at : at + MIN_MATCH], [])[-CHAIN:]):
        if at - place > WINDOW:
            break
        length, most = 0, min(MAX_MATCH, len(data) - at)
        while length < most and data[place + length] == data[at + length]:
            length += 1
        if length > best:
            best, where = length, at - place
    return (best, where) if best >= MIN_MATCH else (0, 0)


def numbers_to_bytes(numbers):
    """Seven bits a byte, the lowest first; the eighth says that more follow."""
    out = bytearray()
    for number in numbers:
        left = number
        while left >= 128:
            out.append(left & 127 | 128)
            left >>= 7
        out.append(left)
    return bytes(out)


def bytes_to_numbers(data):
    numbers, value, shift = [], 0, 0
    for byte in data:
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            numbers.append(value)
            value, shift = 0, 0
    return numbers


def code_lengths(data):
    """Bits of each byte's code, by Huffman's algorithm; 0 for a byte that does not occur."""
    heap = [(count, byte, [byte]) for byte, count in sorted(Counter(data).items())]
    heapq.heapify(heap)
    bits = [0] * 256
    if len(heap) == 1:
        bits[heap[0][1]] = 1
    while len(heap) > 1:
        (a, first, left), (b, _, right) = heapq.heappop(heap), heapq.heappop(heap)
        for byte in left + right:
            bits[byte] += 1
        heapq.heappush(heap, (a + b, first, left + right))
    return bits


def canonical(bits):
    """Byte -> (code, its bits): codes in the order of their lengths, so that the lengths say them all."""
    codes, code, before = {}, 0, 0
    for length, byte in sorted((length, byte) for byte, length in enumerate(bits) if length):
        code <<= length - before
        codes[byte] = (code, length)
        code, before = code + 1, length
    return codes


def huffman_encode(data):
    """Four bytes for the size; which bytes occur (256 bits) and their codes' lengths (one byte each); the codes."""
    bits = code_lengths(data)
    codes = canonical(bits)
    text = "".join(f"{codes[byte][0]:0{codes[byte][1]}b}" for byte in data)
    text += "0" * (-len(text) % 8)
    there = int("1" + "".join("1" if each else "0" for each in bits), 2).to_bytes(33, "big")
    packed = int("1" + text, 2).to_bytes(len(text) // 8 + 1, "big")[1:] if text else b""
    return len(data).to_bytes(4, "little") + there[1:] + bytes(each for each in bits if each) + packed


def huffman_decode(blob):
    """What was encoded, and the rest of the blob."""
    size, there = int.from_bytes(blob[:4], "little"), int.from_bytes(blob[4:36], "big")
    bits, at = [0] * 256, 36
    for byte in range(256):
        if there >> (255 - byte) & 1:
            bits[byte] = blob[at]
            at += 1
    decode = {(length, code): byte for byte, (code, length) in canonical(bits).items()}
    out, code, length = bytearray(), 0, 0
    position = 8 * at
    while len(out) < size:
        code = code << 1 | blob[position >> 3] >> (7 - (position & 7)) & 1
        length, position = length + 1, position + 1
        if (length, code) in decode:
            out.append(decode[length, code])
            code, length = 0, 0
    return bytes(out), blob[(position + 7) // 8 :]
