"""The `stui` command."""

from tools.cli.command import main

__all__ = ["main"]
