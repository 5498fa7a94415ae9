"""Start a Python image from a shell."""

import argparse
import sys
from pathlib import Path

from tools.images.python_image.launcher import run


def main() -> int:
    """Read the command line, run the image, and return its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.images.python_image",
        description="A live Python image. Whoever can connect to it runs code as you.",
    )
    parser.add_argument("--endpoint", default="tcp://127.0.0.1:5600", help="default: %(default)s")
    parser.add_argument("--name", default="python", help="default: %(default)s")
    parser.add_argument("--state-dir", type=Path, required=True, help="where its identity is kept")
    arguments = parser.parse_args()
    return run(arguments.endpoint, arguments.name, arguments.state_dir)


if __name__ == "__main__":
    sys.exit(main())
