"""Classes and their methods, as a browser shows them. Runs no code of the classes."""

import dis
import inspect
import linecache
import textwrap
import tokenize
import types
import typing
from collections.abc import Iterable, Iterator, Mapping

from protocol.errors import excerpt
from protocol.limits import PRINT_CHARACTERS
from tools.images.python_image.answers import ClassBrowsed, ClassInfo, MethodInfo
from tools.images.python_image.class_index import ClassIndex
from tools.images.python_image.commands import BrowseClass
from tools.images.python_image.failures import RefusedError
from tools.images.python_image.printing import MAX_ENTRY, cut
from tools.images.python_image.static import ancestors, class_dict, is_a, module_of, name_of

_BUILTIN_METHODS = (
    types.MethodDescriptorType,
    types.WrapperDescriptorType,
    types.ClassMethodDescriptorType,
    types.BuiltinFunctionType,
)
_METHODS = (types.FunctionType, property, classmethod, staticmethod, *_BUILTIN_METHODS)
_CLASS_SIDE = (classmethod, staticmethod, types.ClassMethodDescriptorType)
_GETTER = property.__dict__["fget"]
# In JSON one takes up to six bytes.
_LISTED_CHARACTERS = 2_000_000
_OVERHEAD = 100  # characters around those of a class
_SLOTS = (types.MemberDescriptorType, types.GetSetDescriptorType)


def describe_classes(classes: Iterable[type], index: ClassIndex) -> list[ClassInfo]:
    """The classes with the beginnings of their comments, as many as fit into one reply.

    One session's many classes must not keep the others from listing any.
    """
    described = []
    room = _LISTED_CHARACTERS
    for cls in classes:
        info = describe_class(cls, index, MAX_ENTRY)
        texts = (info.name, info.superclass, info.comment, info.package)
        room -= _OVERHEAD + sum(map(len, texts))
        if room < 0:
            break
        described.append(info)
    return described


def describe_class(
    cls: type, index: ClassIndex, comment_characters: int = PRINT_CHARACTERS
) -> ClassInfo:
    """What is said of every class."""
    parents = ancestors(cls)[1:2]
    comment = class_dict(cls).get("__doc__")
    return ClassInfo(
        name=_text(name_of(cls)),
        superclass=_text(name_of(parents[0])) if parents else "",
        comment=cut(comment, comment_characters).text if type(comment) is str else "",
        package=_text(module_of(cls)),
        is_system=index.is_system(cls),
    )


def browse_class(command: BrowseClass, index: ClassIndex) -> ClassBrowsed:
    """One class with what it defines itself. Raises RefusedError where there is none."""
    cls = index.find(command.class_name)
    methods = [_describe(*found) for found in _methods(cls)] if command.include_methods else []
    return ClassBrowsed(
        class_info=describe_class(cls, index),
        instance_methods=[method for method in methods if not method.is_class_method],
        class_methods=[method for method in methods if method.is_class_method],
        instance_vars=_instance_vars(cls) if command.include_instance_vars else None,
        class_vars=_class_vars(cls) if command.include_class_vars else None,
    )


def find_method(cls: type, name: str, *, on_class: bool) -> MethodInfo:
    """A method that the class itself defines. Raises RefusedError where it does not."""
    for found, member in _methods(cls):
        if found == name and is_a(member, *_CLASS_SIDE) == on_class:
            return _describe(found, member)
    heir = next((c for c in ancestors(cls)[1:] if name in class_dict(c)), None)
    hint = f"; {name_of(heir)} does" if heir else ""
    side = "class method" if on_class else "instance method"
    raise RefusedError(
        "method_not_found", f"{name_of(cls)} defines no {side} {excerpt(name)}{hint}"
    )


def _methods(cls: type) -> Iterator[tuple[str, object]]:
    for name, member in list(class_dict(cls).items()):
        if type(name) is str and is_a(member, *_METHODS):
            yield name, member


def _describe(name: str, member: object) -> MethodInfo:
    function = _function(member)
    takes_receiver = not is_a(member, staticmethod)
    return MethodInfo(
        name=_name(name),
        source=_source(function),
        category=_category(name, member),
        is_class_method=is_a(member, *_CLASS_SIDE),
        arguments=_arguments(function)[1 if takes_receiver else 0 :],
        comment=_text(function.__doc__) if function is not None else "",
    )


def _function(member: object) -> types.FunctionType | types.BuiltinFunctionType | None:
    """The function behind a descriptor, or the builtin; None where it is an object of a user."""
    if is_a(member, property):
        member = _GETTER.__get__(member)
    elif is_a(member, classmethod, staticmethod):
        member = member.__func__  # type: ignore[attr-defined]
    return member if is_a(member, types.FunctionType, *_BUILTIN_METHODS) else None  # type: ignore[return-value]


def _source(function: object) -> str:
    """The source of a Python function. `inspect.getsource` would ask every module for its file."""
    if not isinstance(function, types.FunctionType):
        return ""
    code = function.__code__
    lines = linecache.getlines(code.co_filename)[code.co_firstlineno - 1 :]
    try:
        block = inspect.getblock(lines)
    except (SyntaxError, tokenize.TokenError):
        # The file changed since.
        return ""
    return cut(textwrap.dedent("".join(block))).text


def _arguments(function: object) -> list[str]:
    """Names of the arguments, the receiver among them."""
    if isinstance(function, types.FunctionType):
        code = function.__code__
        count = code.co_argcount + code.co_kwonlyargcount
        count += bool(code.co_flags & inspect.CO_VARARGS)
        count += bool(code.co_flags & inspect.CO_VARKEYWORDS)
        return [_name(name) for name in code.co_varnames[:count]]
    try:
        return [_name(name) for name in inspect.signature(function).parameters]  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return []


def _category(name: str, member: object) -> str:
    if name.startswith("__") and name.endswith("__"):
        return "special"
    if is_a(member, property):
        return "properties"
    if is_a(member, staticmethod):
        return "static"
    return "private" if name.startswith("_") else "public"


def _instance_vars(cls: type) -> list[str]:
    """Slots, annotated names, and what the class's own methods assign to their first argument."""
    members = class_dict(cls)
    names = [name for name, member in members.items() if is_a(member, *_SLOTS)]
    annotations = members.get("__annotations__")
    if isinstance(annotations, Mapping):
        names += [
            name
            for name, kind in annotations.items()
            if type(name) is str and not _is_class_var(kind)
        ]
    for _, member in _methods(cls):
        function = _function(member)
        if isinstance(function, types.FunctionType) and not is_a(member, *_CLASS_SIDE):
            names += _assigned_to_receiver(function.__code__)
    return [_name(name) for name in dict.fromkeys(names) if name not in ("__dict__", "__weakref__")]


def _is_class_var(kind: object) -> bool:
    if type(kind) is str:
        return "ClassVar" in kind
    return kind is typing.ClassVar or typing.get_origin(kind) is typing.ClassVar


def _assigned_to_receiver(code: types.CodeType) -> Iterator[str]:
    receiver = code.co_varnames[:1]
    loaded: object = None
    for instruction in dis.get_instructions(code):
        if instruction.opname == "STORE_ATTR" and (loaded,) == receiver:
            yield str(instruction.argval)
        loaded = instruction.argval if instruction.opname.startswith("LOAD_FAST") else None
        # Newer interpreters load two variables by one instruction; the last is the receiver.
        if isinstance(loaded, tuple):
            loaded = loaded[-1]


def _class_vars(cls: type) -> list[str]:
    methods = {name for name, _ in _methods(cls)}
    return [
        _name(name)
        for name, member in class_dict(cls).items()
        if type(name) is str
        and name not in methods
        and not (name.startswith("__") and name.endswith("__"))
        and not is_a(member, *_SLOTS)
    ]


def _name(name: str) -> str:
    return cut(name, MAX_ENTRY).text


def _text(value: object) -> str:
    return cut(value).text if type(value) is str else ""
