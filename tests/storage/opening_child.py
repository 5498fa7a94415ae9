"""Opens a data directory as whoever runs it may: the sessions that it holds, or why it does not.

python -m tests.storage.opening_child DIRECTORY
"""

import logging
import sys
from pathlib import Path

from storage.store import CannotOpen
from tests.storage.data_house import House

if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    try:
        sessions = sorted(House(Path(sys.argv[1])).numbers())
        sys.stdout.write(f"sessions: {' '.join(sessions)}\n")
    except CannotOpen as refusal:
        sys.stdout.write(f"refused: {refusal}\n")
