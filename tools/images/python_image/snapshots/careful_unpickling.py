"""An unpickler that makes of each object what still can be made."""

import io
import pickle
from collections.abc import Callable
from typing import Any, ClassVar

from tools.images.python_image.printing import describe_error
from tools.images.python_image.snapshots.exceptions import fill_exception
from tools.images.python_image.snapshots.home import Home
from tools.images.python_image.snapshots.lost import Lost
from tools.images.python_image.static import HEAP_TYPE, ancestors, class_name

_PureUnpickler: Any = pickle._Unpickler  # noqa: SLF001 - its only name
# What the functions that make things make.
_MADE = {"_make_function": "function", "Home.make_code": "code", "_make_skeleton_enum": "EnumType"}
_Operation = Callable[["CarefulUnpickler"], None]


class CarefulUnpickler(_PureUnpickler):  # type: ignore[misc]  # typeshed leaves it out
    """Where a class is gone, or has another shape, its objects are made as far as they fit.

    `notes` say what does not; what cannot be made at all is a `Lost`.
    """

    dispatch: ClassVar[dict[int, _Operation]] = dict(_PureUnpickler.dispatch)

    def __init__(self, graph: bytes, home: Home) -> None:
        super().__init__(io.BytesIO(graph))
        self._home = home
        self.has_lost = False
        self.notes: list[tuple[object, str]] = []
        # What did not fit may when everything has its state: a hash may need that.
        self._again: list[tuple[Any, str, tuple[object, ...]]] = []

    def load(self) -> Any:
        """The next object."""
        loaded = super().load()
        again, self._again = self._again, []
        for target, method, arguments in again:
            try:
                getattr(target, method)(*arguments)
            except Exception as error:  # noqa: BLE001 - whatever user code raises
                self._note(target, f"an element does not fit: {describe_error(error)}")
        return loaded

    def find_class(self, module: str, name: str) -> Any:
        """What the pickle names, or a `Lost`."""
        try:
            found = super().find_class(module, name)
        except Exception as error:  # noqa: BLE001 - an import runs code
            return self._lose(name, f"{module}.{name} is not there: {describe_error(error)}")
        if found is Lost:
            self.has_lost = True
        if found is fill_exception:
            return self._fill_exception
        return self._home.instead_of(found)

    def _lose(self, name: str, reason: str) -> Lost:
        self.has_lost = True
        return Lost(name, "", reason)

    def _note(self, target: object, reason: str) -> None:
        if not isinstance(target, Lost):
            self.notes.append((target, f"{class_name(target)}: {reason}"))

    def _make(self, maker: Any, arguments: Any, call: Callable[[], object]) -> object:
        """What the call makes, or what can be made without it."""
        if isinstance(maker, Lost):
            return Lost(maker.class_name, "", maker.reason)
        try:
            return call()
        except Exception as error:  # noqa: BLE001 - whatever user code raises
            cause = next((each for each in arguments if isinstance(each, Lost)), None)
            reason = describe_error(error) if cause is None else cause.reason
        name = getattr(maker, "__qualname__", class_name(maker))
        if name == "_make_skeleton_class":
            return self._make_without_lost_bases(maker, arguments, reason)
        if isinstance(maker, type):
            made = _made_bare(maker, arguments)
            if made is not None:
                # An exception is all in its arguments and attributes.
                if not issubclass(maker, BaseException):
                    self._note(made, f"it cannot be made as it was: {reason}")
                return made
        return self._lose(_MADE.get(name, name), reason)

    def _make_without_lost_bases(self, maker: Any, arguments: Any, reason: str) -> object:
        kind, name, bases, *rest = arguments
        left = tuple(base for base in bases if not isinstance(base, Lost))
        try:
            made: object = maker(kind, name, left, *rest)
        except Exception as error:  # noqa: BLE001 - as above
            return self._lose(name, describe_error(error))
        gone = ", ".join(base.class_name for base in bases if isinstance(base, Lost))
        self._note(made, f"{name} has lost its superclass {gone}: {reason}")
        return made

    def _load_reduce(self) -> None:
        arguments = self.stack.pop()
        maker = self.stack[-1]
        self.stack[-1] = self._make(maker, arguments, lambda: maker(*arguments))

    def _load_newobj(self) -> None:
        arguments = self.stack.pop()
        cls = self.stack.pop()
        self.append(self._make(cls, arguments, lambda: cls.__new__(cls, *arguments)))

    def _load_newobj_ex(self) -> None:
        named = self.stack.pop()
        arguments = self.stack.pop()
        cls = self.stack.pop()
        self.append(self._make(cls, arguments, lambda: cls.__new__(cls, *arguments, **named)))

    def _load_build(self) -> None:
        state = self.stack.pop()
        self._build(self.stack[-1], state)

    def _fill_exception(self, error: object, contents: tuple[object, dict[str, object]]) -> None:
        state, later = contents
        if state is not None:
            self._build(error, state)
        if not isinstance(error, Lost):
            self._set_all(error, later)

    def _build(self, target: object, state: object) -> None:
        if isinstance(target, Lost):
            return
        setter = getattr(target, "__setstate__", None)
        if setter is not None:
            try:
                setter(state)
            except Exception as error:  # noqa: BLE001 - as above
                self._note(target, f"__setstate__ failed: {describe_error(error)}")
            else:
                return
        attributes, slots = state if isinstance(state, tuple) and len(state) == 2 else (state, None)
        for part in (attributes, slots):
            if isinstance(part, dict):
                self._set_all(target, part)

    def _set_all(self, target: object, attributes: dict[Any, Any]) -> None:
        own = getattr(target, "__dict__", None)
        for name, value in attributes.items():
            try:
                # As the fast one does: without asking the class where there is a __dict__.
                if isinstance(own, dict) and not hasattr(type(target), str(name)):
                    own[name] = value
                else:
                    setattr(target, name, value)
            except Exception as error:  # noqa: BLE001 - as above
                reason = value.told() if isinstance(value, Lost) else describe_error(error)
                self._note(target, f"it has no place for `{name!s:.80}`: {reason}")

    def _load_appends(self) -> None:
        items = self.pop_mark()
        for item in items:
            self._fill("append", item)

    def _load_append(self) -> None:
        item = self.stack.pop()
        self._fill("append", item)

    def _load_additems(self) -> None:
        items = self.pop_mark()
        for item in items:
            self._fill("add", item)

    def _load_setitems(self) -> None:
        items = self.pop_mark()
        for key, value in zip(items[::2], items[1::2], strict=True):
            self._fill("__setitem__", key, value)

    def _load_setitem(self) -> None:
        value = self.stack.pop()
        self._fill("__setitem__", self.stack.pop(), value)

    def _load_frozenset(self) -> None:
        items = self.pop_mark()
        kept = set()
        reasons = []
        for item in items:
            try:
                kept.add(item)
            except Exception as error:  # noqa: BLE001 - as above
                reasons.append(describe_error(error))
        self.append(frozenset(kept))
        for reason in reasons:
            self._note(self.stack[-1], f"an element does not fit: {reason}")

    def _fill(self, method: str, *arguments: object) -> None:
        target = self.stack[-1]
        if isinstance(target, Lost):
            return
        try:
            getattr(target, method)(*arguments)
        except Exception:  # noqa: BLE001 - as above
            self._again.append((target, method, arguments))

    dispatch[pickle.REDUCE[0]] = _load_reduce
    dispatch[pickle.NEWOBJ[0]] = _load_newobj
    dispatch[pickle.NEWOBJ_EX[0]] = _load_newobj_ex
    dispatch[pickle.BUILD[0]] = _load_build
    dispatch[pickle.APPEND[0]] = _load_append
    dispatch[pickle.APPENDS[0]] = _load_appends
    dispatch[pickle.ADDITEMS[0]] = _load_additems
    dispatch[pickle.SETITEM[0]] = _load_setitem
    dispatch[pickle.SETITEMS[0]] = _load_setitems
    dispatch[pickle.FROZENSET[0]] = _load_frozenset


def _made_bare(cls: type, arguments: Any) -> object | None:
    """An object of the class that its constructor did not see; None where there can be none."""
    try:
        if issubclass(cls, BaseException):
            builtin = next(each for each in ancestors(cls) if not each.__flags__ & HEAP_TYPE)
            return builtin.__new__(cls, *arguments)
        return object.__new__(cls)
    except Exception:  # noqa: BLE001 - of exceptions, as odd as their arguments are
        return None
