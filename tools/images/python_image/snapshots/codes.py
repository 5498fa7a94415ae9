"""Code objects in snapshots: as they are for the same Python, from their source for another."""

import importlib.util
import types
from collections import deque
from collections.abc import Callable
from typing import Any

VERSION = importlib.util.MAGIC_NUMBER.hex()
"""What one version of Python compiled crashes another."""

# Where code's constructor has them, from Python 3.11 on.
_FILENAME, _QUALIFIED_NAME, _FIRST_LINE, _FREE_VARIABLES = 10, 12, 13, 16


def make_code(version: str, *arguments: Any) -> types.CodeType:
    """The code object, in the version of Python that compiled it. Raises ValueError elsewhere."""
    if version != VERSION:
        raise ValueError("its code is of another version of Python, and its source is not known")
    return types.CodeType(*arguments)


def make_code_anywhere(
    source_of: Callable[[str], str], version: str, *arguments: Any
) -> types.CodeType:
    """The same, compiled anew where the version is another and the source is known."""
    if version != VERSION:
        source = source_of(arguments[_FILENAME])
        wanted = [arguments[at] for at in (_QUALIFIED_NAME, _FIRST_LINE, _FREE_VARIABLES)]
        waiting = deque([compile(source, arguments[_FILENAME], "exec", dont_inherit=True)])
        while waiting:
            code = waiting.popleft()
            if [code.co_qualname, code.co_firstlineno, code.co_freevars] == wanted:
                return code
            waiting.extend(each for each in code.co_consts if isinstance(each, types.CodeType))
    return make_code(version, *arguments)
