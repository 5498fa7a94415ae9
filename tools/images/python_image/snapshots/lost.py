"""What stands where something could not be kept."""

from tools.images.python_image.printing import cut
from tools.images.python_image.snapshots.short_prints import SHORT, short_print
from tools.images.python_image.static import MAX_NAME, class_name

MAX_REASON = 500  # characters


class CannotKeepError(Exception):
    """The object cannot be kept; the message is the reason."""


class Lost:
    """An object that could not be kept or made again: what it was, and why."""

    __slots__ = ("class_name", "print_string", "reason")

    def __init__(self, class_name: str, print_string: str, reason: str) -> None:
        # It may come from a snapshot, and so from anyone.
        self.class_name = cut(class_name, MAX_NAME).text
        self.print_string = cut(print_string, SHORT).text
        self.reason = cut(reason, MAX_REASON).text

    def __reduce__(self) -> tuple[type, tuple[str, str, str]]:
        return Lost, (self.class_name, self.print_string, self.reason)

    def __repr__(self) -> str:
        return f"<lost {self.class_name} {self.print_string}: {self.reason}>"

    def told(self) -> str:
        """What is said of it in a reason: class, print string, and why."""
        return cut(f"{self.class_name} {self.print_string}: {self.reason}", MAX_REASON).text


def lost_from(value: object, reason: str) -> Lost:
    """What stands for the object. Runs user code, as printing does."""
    return Lost(class_name(value), short_print(value), reason)
