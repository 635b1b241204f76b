"""The score of a codec: bytes of the archive and of the compressed codec.py, per byte of the hidden files, if all came back exactly.

Both files were written by the candidate, so anything may be in them: they are compared and counted, and nothing in them is believed.
"""

import json
import lzma
from pathlib import Path


def unpack(data, most):
    """At most `most` parts; None for what is no sequence of parts."""
    parts, at = [], 0
    while at < len(data):
        end = at + 4 + int.from_bytes(data[at : at + 4], "little")
        if at + 4 > len(data) or end > len(data) or len(parts) == most:
            return None
        parts.append(data[at + 4 : end])
        at = end
    return parts


def score(corpus, archive, decoded, source):
    """`corpus` maps the hidden files' names, NUMBER-KIND, to their bytes."""
    originals = list(corpus.values())
    blobs, restored = unpack(archive, len(originals)), unpack(decoded, len(originals))
    if blobs is None or len(blobs) != len(originals) or restored is None:
        return {"invalid": "malformed"}
    if restored != originals:
        return {"invalid": "not_exact"}
    total, count = sum(map(len, originals)), len(originals)
    own = len(lzma.compress(source, preset=9))
    sizes = [4 + len(blob) for blob in blobs]
    kinds = {}
    for name, size, original in zip(corpus, sizes, originals, strict=True):
        kind = kinds.setdefault(name.partition("-")[2], [0, 0])
        kind[0] += size
        kind[1] += len(original)
    return {
        "score": (len(archive) + own) / total,
        "items": [(size * count + own) / total for size in sizes],  # their mean is the score
        "details": {"codec": own / total}
        | {kind: round(out / into, 4) for kind, (out, into) in kinds.items()},
    }


if __name__ == "__main__":
    hidden = {path.name: path.read_bytes() for path in sorted(Path("/private/inputs/corpus").iterdir())}
    stages = Path("/stages")
    print(
        json.dumps(
            score(
                hidden,
                (stages / "encode/archive.bin").read_bytes(),
                (stages / "decode/decoded.bin").read_bytes(),
                Path("/work/codec.py").read_bytes(),
            )
        )
    )
