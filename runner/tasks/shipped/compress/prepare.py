"""Writes the hidden corpus, and examples of the same kinds with other content: `prepare.py PUBLIC PRIVATE SEED`.

Everything is generated from a seed that only this machine knows. So no file is on the internet, in an image, or in a model's memory, and
whoever knows this program still cannot generate the hidden files again.
"""

import json
import math
import random
import struct
import sys
from pathlib import Path

HIDDEN, EXAMPLES = 2, 1
"""Files of each kind."""


def words(r, count):
    syllables = [
        r.choice("bcdfghjklmnprstvwz") + r.choice(["a", "e", "i", "o", "u", "ai", "ou"]) for _ in range(40)
    ]
    return [
        "".join(r.choices(syllables, k=r.choice([1, 2, 2, 3, 3, 4]))) + r.choice(["", "", "n", "s", "r", "t"])
        for _ in range(count)
    ]


def zipf(r, names):
    """A function that draws names, the first ones most often."""
    weights = [1 / (rank + 2) for rank in range(len(names))]
    return lambda: r.choices(names, weights)[0]


def text(r, size):
    vocabulary = words(r, 900)
    follows = {word: r.sample(vocabulary, 6) for word in vocabulary}
    draw, word, out = zipf(r, vocabulary), vocabulary[0], []
    length = 0
    while length < size:
        sentence = []
        for _ in range(r.randrange(5, 18)):
            word = r.choice(follows[word]) if r.random() < 0.55 else draw()
            sentence.append(word)
        line = " ".join(sentence).capitalize() + r.choice([". ", ". ", "? ", ".\n\n"])
        out.append(line)
        length += len(line)
    return "".join(out).encode()


def log(r, size):
    modules, messages = words(r, 12), [" ".join(words(r, r.randrange(3, 8))) for _ in range(25)]
    draw, at, out, length = zipf(r, messages), r.randrange(1_600_000_000, 1_700_000_000), [], 0
    while length < size:
        at += int(r.expovariate(0.2))
        level = r.choices(["INFO", "DEBUG", "WARNING", "ERROR"], [70, 20, 8, 2])[0]
        line = f"{at}.{r.randrange(1000):03d} {level:7} [{r.choice(modules)}] {draw()} id={r.getrandbits(32):08x} took={r.expovariate(0.05):.1f}ms\n"
        out.append(line)
        length += len(line)
    return "".join(out).encode()


def documents(r, size):
    keys, names, records, length = words(r, 9), words(r, 60), [], 0
    while length < size:
        record = {
            "id": len(records) + 1000,
            keys[0]: r.choice(names),
            keys[1]: round(r.gauss(50, 12), 2),
            keys[2]: r.random() < 0.7,
            keys[3]: {keys[4]: r.choice(names), keys[5]: r.sample(names, r.randrange(1, 4))},
            keys[6]: None if r.random() < 0.3 else r.randrange(10_000),
        }
        records.append(record)
        length += len(json.dumps(record)) + 2
    return json.dumps(records, indent=1 if r.random() < 0.5 else None).encode()


def table(r, size):
    places, out, length = words(r, 8), ["time,place,temperature,pressure,state\n"], 0
    temperature, pressure, at = 15.0, 1013.0, r.randrange(1_000_000)
    while length < size:
        temperature += r.gauss(0, 0.2)
        pressure += r.gauss(0, 0.4)
        at += 60
        line = f"{at},{places[at // 60 % 8]},{temperature:.2f},{pressure:.1f},{'ok' if r.random() < 0.96 else 'late'}\n"
        out.append(line)
        length += len(line)
    return "".join(out).encode()


def code(r, size):
    names, out, length = words(r, 80), [], 0
    draw = zipf(r, names)
    while length < size:
        arguments = ", ".join(r.sample(names, r.randrange(1, 4)))
        lines = [f"def {draw()}_{draw()}({arguments}):"]
        for _ in range(r.randrange(2, 7)):
            form = r.randrange(4)
            if form == 0:
                lines.append(f"    if {draw()} is None:\n        return {r.randrange(4)}")
            elif form == 1:
                lines.append(f"    {draw()} = {draw()}[{draw()}] {r.choice('+-*')} {r.randrange(100)}")
            elif form == 2:
                lines.append(
                    f"    for {draw()} in range({r.choice([2, 8, 10, 100])}):\n        {draw()}.append({draw()})"
                )
            else:
                lines.append(f"    {draw()} = {draw()}({draw()}, {draw()})")
        lines.append(f"    return {draw()}\n\n")
        block = "\n".join(lines)
        out.append(block)
        length += len(block)
    return "".join(out).encode()


def signal(r, size):
    """16-bit samples: three slow oscillations and noise."""
    waves = [(r.uniform(2000, 8000), r.uniform(0.002, 0.06), r.uniform(0, 6.3)) for _ in range(3)]
    samples = (
        int(sum(a * math.sin(f * t + p) for a, f, p in waves) + r.gauss(0, 25)) for t in range(size // 2)
    )
    return b"".join(struct.pack("<h", max(-32768, min(32767, each))) for each in samples)


def raster(r, size):
    """One byte a pixel: a slope, rectangles, little noise."""
    side = math.isqrt(size)
    boxes = [(*(r.randrange(side) for _ in range(4)), r.randrange(256)) for _ in range(12)]
    rows = []
    for y in range(side):
        row = bytearray((x + 2 * y) // 4 % 256 for x in range(side))
        for left, top, width, height, value in boxes:
            if top <= y < top + height:
                row[left : left + width] = bytes([value]) * len(row[left : left + width])
        for _ in range(side // 30):
            row[r.randrange(side)] = r.randrange(256)
        rows.append(bytes(row))
    return b"".join(rows)


KINDS = {
    "text": text,
    "log": log,
    "json": documents,
    "table": table,
    "code": code,
    "signal": signal,
    "raster": raster,
}


def write(folder, r, count):
    folder.mkdir(parents=True)
    for number in range(count * len(KINDS)):
        kind = list(KINDS)[number % len(KINDS)]
        (folder / f"{number:02d}-{kind}").write_bytes(KINDS[kind](r, r.randrange(10_000, 16_000)))


if __name__ == "__main__":
    public, private, seed = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    write(private / "inputs" / "corpus", random.Random(f"hidden {seed}"), HIDDEN)
    write(public / "examples", random.Random(f"examples {seed}"), EXAMPLES)
