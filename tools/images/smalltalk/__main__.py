"""`python -m tools.images.smalltalk ENDPOINT NAME STATE_DIR` starts a Smalltalk image."""

import sys
from pathlib import Path

from tools.images.smalltalk.launcher import run

ARGUMENTS = 3

if __name__ == "__main__":
    if len(sys.argv) != 1 + ARGUMENTS:
        sys.exit("usage: python -m tools.images.smalltalk ENDPOINT NAME STATE_DIR")
    endpoint, name, state_dir = sys.argv[1:]
    sys.exit(run(endpoint, name, Path(state_dir)))
