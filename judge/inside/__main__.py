"""`python -m judge.inside /judge/request.json`: answer one question about one artifact, then exit.

Outside a container, AUTORESEARCH_JUDGE, AUTORESEARCH_ART and AUTORESEARCH_OUT replace the folders /judge, /art and /out.
"""

from __future__ import annotations

import os
import resource
import sys
from pathlib import Path

from judge.inside.serve import serve


def main() -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file would contain the hidden text
    judge, artifact, out = (
        Path(os.environ.get(f"AUTORESEARCH_{name}", default))
        for name, default in (("JUDGE", "/judge"), ("ART", "/art"), ("OUT", "/out"))
    )
    serve(Path(sys.argv[1]), judge / "rows.bin", artifact, out)
    sys.stderr.flush()
    os._exit(0)  # the answer is written; a program that broke the runtime must not delay the exit


if __name__ == "__main__":
    main()
