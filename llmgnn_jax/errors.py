"""The one error type that means "the user can fix this"."""

# More of a damaged file would hide what is wrong with it.
_LONGEST_EXCERPT = 400


class UserError(ValueError):
    """A mistake in the user's input: printed on one line, exit code 2.

    Everything else that is raised is a defect of this package and keeps its traceback.
    What a terminal would obey or cannot show is written as an escape.
    """

    def __init__(self, message: str) -> None:
        line = " ".join(message.split())
        if not line.isprintable():
            line = "".join(
                one if one.isprintable() else ascii(one)[1:-1] for one in line
            )
        super().__init__(line)

    @classmethod
    def field(
        cls, name: str, *, expected: str, got: object, fix: str = ""
    ) -> "UserError":
        """Builds the standard sentence: field, what was expected, what came, the fix.

        Args:
            name: The field, file or option at fault, as the user wrote it.
            expected: What would have been accepted.
            got: What came instead.
            fix: What to do about it; may be empty.
        """
        message = f"{name}: expected {expected}, got {got}"
        return cls(f"{message}; {fix}" if fix else message)


def excerpt(found: object) -> str:
    """What stands in a file, for a message: if it is long, how it begins."""
    text = str(found)
    if len(text) <= _LONGEST_EXCERPT:
        return text
    return f"{text[:_LONGEST_EXCERPT]}... ({len(text)} characters)"


def in_a_line(error: Exception) -> str:
    """What code of others raised, as what "got" says: its kind, and its first line."""
    reason = next(iter(str(error).splitlines()), "no reason given")
    return f"{type(error).__name__} ({reason[:160]})"
