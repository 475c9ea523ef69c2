"""The one error type that means "the user can fix this"."""


class UserError(ValueError):
    """A mistake in the user's input: printed on one line, exit code 2.

    Everything else that is raised is a defect of this package and keeps its traceback.
    """

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))

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


def in_a_line(error: Exception) -> str:
    """What code of others raised, as what "got" says: its kind, and its first line."""
    reason = next(iter(str(error).splitlines()), "no reason given")
    return f"{type(error).__name__} ({reason[:160]})"
