"""Entry point, started by its path (`sandbox.watchdog.client`) without site-packages, so it adds the package's folder itself."""

import sys
from pathlib import Path

sys.path[:] = [entry for entry in sys.path if entry != str(Path(__file__).parent)]
sys.path.append(str(Path(__file__).parents[2]))

from sandbox.watchdog.watchdog import main  # noqa: E402

main()
