"""The workspace that a snapshot is restored into, as its functions and classes see it."""

import types
from collections.abc import Callable, Mapping
from typing import Any

from tools.images.python_image.snapshots.codes import make_code, make_code_anywhere
from tools.images.python_image.snapshots.live import Named, resolve


class Home:
    """Answers what a snapshot's stand-ins stand for.

    The code's files get new names, so that no two codes of different lives of the image go by the
    same. `keep_source` is told those that are used.
    """

    def __init__(
        self,
        module: types.ModuleType,
        module_name: str,
        sources: Mapping[str, str],
        next_filename: Callable[[], str],
        keep_source: Callable[[str, str], None],
    ) -> None:
        self.module = module
        self.module_name = module_name
        self._sources = sources
        self._next_filename = next_filename
        self._keep_source = keep_source
        self._filenames: dict[str, str] = {}
        self._kept: dict[str, str] = {}

    def instead_of(self, named: object) -> Any:
        """What is to be called instead of a function that a pickle names."""
        if named is resolve:
            return self.resolve
        if named is make_code:
            return self.make_code
        return named

    def make_code(self, version: str, *arguments: Any) -> types.CodeType:
        """The code object. Raises ValueError where another version of Python made it."""
        return make_code_anywhere(lambda name: self._kept.get(name, ""), version, *arguments)

    def resolve(self, named: Named, argument: str) -> object:
        """What the stand-in stands for here."""
        match named:
            case "namespace":
                return self.module.__dict__
            case "module":
                return self.module
            case "module_name":
                return self.module_name
            case "filename":
                return self._filename(argument)

    def _filename(self, old: str) -> str:
        if old not in self._filenames:
            new = self._filenames[old] = self._next_filename()
            self._kept[new] = self._sources.get(old, "")
            self._keep_source(new, self._kept[new])
        return self._filenames[old]
