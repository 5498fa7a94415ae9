"""Objects that pickle takes by a name: by value, where a new image does not have the name."""

import copyreg
import functools
import gc
import operator
import pickle
import sys
import typing
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import cloudpickle  # type: ignore[import-untyped]

from tools.images.python_image.snapshots.lost import CannotKeepError
from tools.images.python_image.static import HEAP_TYPE, ancestors, class_dict

_CACHED = type(functools.cache(len))
# What later Pythons make only by their constructors, which know more of these options.
_OPTIONS: Mapping[type, Iterable[str]] = {
    typing.ParamSpec: ("bound", "covariant", "contravariant", "infer_variance", "default"),
    typing.TypeVarTuple: ("default",),
}
_HOW = ("__reduce__", "__reduce_ex__")


def may_go_by_name(kind: type) -> bool:
    """Whether instances may say that a name is all there is of them.

    What is written in C and was there before the program began gives names of its own module.
    """
    return kind in copyreg.dispatch_table or any(
        cls.__flags__ & HEAP_TYPE and any(how in class_dict(cls) for how in _HOW)
        for cls in ancestors(kind)
    )


def has_lasting_name(value: object, name: str) -> bool:
    """Whether a new image finds the object by its name too."""
    module_name = pickle.whichmodule(value, name)  # type: ignore[attr-defined]  # left out
    if module_name == "__main__" or module_name in cloudpickle.list_registry_pickle_by_value():
        return False
    try:
        found = operator.attrgetter(name)(sys.modules[module_name])
    except (AttributeError, KeyError):
        return False
    return found is value


def reduce_by_value(value: Any, name: str, renamed: Callable[[object], object]) -> Any:
    """How an object is taken apart that only goes by a name here.

    `renamed` says what stands for the name of a module. Raises CannotKeepError.
    """
    kind = type(value)
    if kind is _CACHED:
        # The attribute that is left out says how the cache was made, and is made with it.
        own = {key: item for key, item in vars(value).items() if key != "cache_parameters"}
        return make_cached, _cached(value, name), _renamed_module(own, renamed)
    if kind in _OPTIONS:
        options = {
            option: getattr(value, f"__{option}__")
            for option in _OPTIONS[kind]
            if hasattr(value, f"__{option}__")
        }
        module = {"__module__": renamed(value.__module__)}
        return make_with_options, (kind, value.__name__, options), (None, module)
    try:
        object.__new__(kind)
    except TypeError:
        reason = f"pickle takes it by its name {name}, which a new image does not have"
        raise CannotKeepError(reason) from None
    state = value.__getstate__()
    if type(state) is dict:
        state = _renamed_module(state, renamed)
    return copyreg._reconstructor, (kind, object, None), state  # type: ignore[attr-defined]  # noqa: SLF001


def make_cached(function: Callable[..., object], parameters: Mapping[str, Any]) -> object:
    """The function with a cache that is empty."""
    return functools.lru_cache(**parameters)(function)


def make_with_options(
    kind: Callable[..., object], name: str, options: Mapping[str, object]
) -> object:
    """What a constructor makes that takes options by their names."""
    return kind(name, **options)


def _cached(value: Any, name: str) -> tuple[object, dict[str, Any]]:
    function = value.__wrapped__
    # Whatever wraps a function once more may say that it wraps another one.
    if not any(each is function for each in gc.get_referents(value)):
        raise CannotKeepError(f"the function that {name} caches is not its __wrapped__")
    return function, value.cache_parameters()


def _renamed_module(
    state: dict[str, object], renamed: Callable[[object], object]
) -> dict[str, object]:
    if "__module__" in state:
        return {**state, "__module__": renamed(state["__module__"])}
    return state
