"""Finding a user by the id that the data have."""

from collections.abc import Sequence

from llmgnn_jax.errors import UserError


class UserIndex:
    """Users by id.

    Args:
        ids: External ids, in the order of their slots.
    """

    def __init__(self, ids: Sequence[str]) -> None:
        self._slots = {one: slot for slot, one in enumerate(ids)}

    def find(self, user: str, *, fix: str = "") -> int:
        """The slot of a user.

        Args:
            user: External id.
            fix: What to do where there is none; an id that is nearly right is somebody
                else's, so none is suggested.

        Raises:
            UserError: If there is none.
        """
        if user not in self._slots:
            raise UserError.field(
                f"user {user!r}",
                expected="a user of the training data",
                got="one that is not there",
                fix=fix,
            )
        return self._slots[user]
