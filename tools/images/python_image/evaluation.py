"""Running Python code in a namespace: the last expression is the value, as at a prompt."""

import ast
import linecache
import traceback
from collections import OrderedDict
from collections.abc import Callable
from types import CodeType

from msgspec import Struct

from tools.images.python_image.failures import Failure
from tools.images.python_image.interrupts import Interrupts
from tools.images.python_image.printing import MAX_ENTRY, cut, describe_error, error_message
from tools.images.python_image.static import class_name

_HANDLER_FILE = Interrupts.run.__code__.co_filename

MAX_STACK = 200
MAX_STACK_ENTRY = 2_000
MAX_SOURCES = 64 * 1024 * 1024  # characters


class Value(Struct, frozen=True):
    """What an evaluation gave."""

    value: object


class SourceKeeper:
    """Keeps the source of evaluated code where tracebacks and `inspect.getsource` look for it.

    The oldest is forgotten when all together exceed 64 Mi characters. `inspect.getsource` of a
    class does not find it: Python looks for that in the file of the class's module.
    """

    def __init__(self) -> None:
        self._sizes: OrderedDict[str, int] = OrderedDict()
        self._total = 0

    def keep(self, filename: str, source: str) -> None:
        """Keep the source of the code that is compiled under this name."""
        linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
        self._sizes[filename] = len(source)
        self._total += len(source)
        while self._total > MAX_SOURCES and len(self._sizes) > 1:
            oldest, size = self._sizes.popitem(last=False)
            linecache.cache.pop(oldest, None)
            self._total -= size


def evaluate(
    code: str,
    namespace: dict[str, object],
    filename: str,
    interrupted: Callable[[], bool],
    *,
    only_expression: bool = False,
) -> Value | Failure:
    """Run the code and give its value, None where it does not end in an expression.

    Runs user code, also where it only describes a failure. Raises KeyboardInterrupt alone, and
    only where `interrupted` says that it was meant.
    """
    try:
        steps = _compile(code, filename, only_expression=only_expression)
    except BaseException as error:  # the compiler may run out of stack
        if isinstance(error, KeyboardInterrupt) and interrupted():
            raise
        return _compile_failure(error, code)
    try:
        return Value(_run(steps, namespace))
    except BaseException as error:  # SystemExit must not end the image either
        if isinstance(error, KeyboardInterrupt) and interrupted():
            raise
        return evaluation_failure(error, filename)


def _compile(code: str, filename: str, *, only_expression: bool) -> tuple[CodeType, CodeType]:
    """The statements, and the expression behind them."""
    if only_expression:
        tree = ast.parse(code.strip(), filename, "eval")
        return compile("", filename, "exec"), compile(tree, filename, "eval", dont_inherit=True)
    module = ast.parse(code, filename)
    value = ast.Expression(ast.Constant(None, lineno=1, col_offset=0))
    if module.body and isinstance(module.body[-1], ast.Expr):
        value = ast.Expression(module.body.pop().value)  # type: ignore[attr-defined]
    return (
        compile(module, filename, "exec", dont_inherit=True),
        compile(value, filename, "eval", dont_inherit=True),
    )


def _run(steps: tuple[CodeType, CodeType], namespace: dict[str, object]) -> object:
    statements, expression = steps
    exec(statements, namespace)  # noqa: S102 - that is what an image is for
    return eval(expression, namespace)  # noqa: S307 - what an image is for


def _compile_failure(error: BaseException, code: str) -> Failure:
    details: dict[str, object] = {
        "class": class_name(error),
        "message": error_message(error),
        "stack": _bounded(traceback.format_exception_only(error)),
    }
    if isinstance(error, SyntaxError):
        details["message"] = cut(error.msg, MAX_ENTRY).text
        line, column = error.lineno or 0, error.offset or 0
        if line:
            details["line"] = line
        if line and column > 0:
            details["column"] = column
            before = code.splitlines(keepends=True)[: line - 1]
            details["position"] = sum(map(len, before)) + column
    return Failure("evaluation_error", f"{details['class']}: {details['message']}", details)


def evaluation_failure(error: BaseException, filename: str | None = None) -> Failure:
    """An error of user code. Its stack begins in the code of `filename`, not in the image's."""
    trace = error.__traceback__
    while filename and trace and trace.tb_frame.f_code.co_filename != filename:
        trace = trace.tb_next
    error.__traceback__ = trace
    try:
        stack = traceback.format_exception(error)
    except Exception as failure:  # noqa: BLE001 - parts of it are user code
        stack = [f"(the stack cannot be shown: {class_name(failure)})"]
    return Failure(
        "evaluation_error",
        describe_error(error),
        {"class": class_name(error), "message": error_message(error), "stack": _bounded(stack)},
    )


def interruption(error: KeyboardInterrupt, filename: str) -> Failure:
    """The end of an interrupted evaluation. Runs no user code."""
    trace = error.__traceback__
    while trace and trace.tb_frame.f_code.co_filename != filename:
        trace = trace.tb_next
    frames = traceback.extract_tb(trace)
    own = [frame for frame in frames if frame.filename != _HANDLER_FILE]
    details: dict[str, object] = {
        "class": "KeyboardInterrupt",
        "message": "",
        "stack": _bounded(traceback.format_list(own)),
    }
    return Failure("interrupted", "the evaluation was interrupted", details)


def _bounded(stack: list[str]) -> list[str]:
    if len(stack) > MAX_STACK:
        half = MAX_STACK // 2
        left_out = f"… ({len(stack) - 2 * half} entries)"
        stack = [*stack[:half], left_out, *stack[-half:]]
    return [cut(entry.rstrip("\n"), MAX_STACK_ENTRY).text for entry in stack]
