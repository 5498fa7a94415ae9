"""Exceptions in snapshots: with their cause and context, which pickle leaves out.

They come back without a traceback, which is about frames that are gone.
"""

from typing import Any

from tools.images.python_image.static import is_a

_CAUSE, _CONTEXT, _SUPPRESSES = (
    BaseException.__dict__[name].__get__
    for name in ("__cause__", "__context__", "__suppress_context__")
)


def reduce_exception(error: BaseException, reduced: Any) -> Any:
    """What the exception says of itself, and what it follows."""
    if not isinstance(reduced, tuple) or len(reduced) > 3:
        return reduced  # it has ways of its own
    cause, context, suppresses = _CAUSE(error), _CONTEXT(error), _SUPPRESSES(error)
    is_group = is_a(error, BaseExceptionGroup)
    if cause is None and context is None and not suppresses and not is_group:
        return reduced
    maker, arguments, *state = reduced
    # In this order: setting the cause suppresses the context.
    later = {"__cause__": cause, "__context__": context, "__suppress_context__": suppresses}
    if is_group:
        # What is in it may follow it, and a list would then be empty when the group is made.
        arguments = tuple(tuple(each) if type(each) is list else each for each in arguments)
        later["args"] = error.args
    return maker, arguments, (state[0] if state else None, later), None, None, fill_exception


def fill_exception(error: Any, contents: tuple[object, dict[str, object]]) -> None:
    """Give an exception its state and what it follows, which may follow it in turn."""
    state, later = contents
    if state is not None:
        error.__setstate__(state)
    for name, value in later.items():
        setattr(error, name, value)
