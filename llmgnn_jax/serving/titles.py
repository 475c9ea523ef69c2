"""Finding an item by what a person types: an id, a title, or part of one."""

import difflib
import re
import unicodedata
from collections.abc import Sequence

from llmgnn_jax.errors import UserError

_YEAR = re.compile(r"\s*\(\d{4}\)\s*$")
_SHOWN = 8


class TitleIndex:
    """Items by id and title.

    Args:
        ids: External ids.
        titles: Titles in the same order, "" where unknown.
    """

    def __init__(self, ids: Sequence[str], titles: Sequence[str]) -> None:
        self._ids, self._titles = ids, titles
        self._by_id = {one: number for number, one in enumerate(ids)}
        self._folded = [_fold(title) for title in titles]
        self._by_title: dict[str, list[int]] = {}
        for number, folded in enumerate(self._folded):
            # Both with and without the year; a title is often known without.
            for form in {folded, without_year(folded)} - {""}:
                self._by_title.setdefault(form, []).append(number)

    def find(self, query: str) -> int:
        """The item that is meant: by id, by title, or by the only title that has it.

        Raises:
            UserError: If several titles fit (it lists them) or none does (it names the
                nearest).
        """
        wanted = query.strip()
        if wanted in self._by_id:
            return self._by_id[wanted]
        folded = _fold(wanted)
        found = self._by_title.get(folded, [])
        if not found and folded:
            found = [
                number for number, title in enumerate(self._folded) if folded in title
            ]
        if len(found) == 1:
            return found[0]
        if found:
            more = f", and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
            listed = "; ".join(
                f"{self._ids[i]} = {self._titles[i]}" for i in found[:_SHOWN]
            )
            raise UserError.field(
                f"item {query!r}",
                expected="one item",
                got=f"{len(found)} that fit ({listed}{more})",
                fix="give the id or the whole title with its year",
            )
        forms = difflib.get_close_matches(folded, self._by_title, n=3)
        # A title is near with its year and without: named once.
        near = dict.fromkeys(self._titles[self._by_title[form][0]] for form in forms)
        if not near:
            ids = {_fold(one): one for one in self._ids}
            # Any two ids of one shop have much in common.
            forms = difflib.get_close_matches(folded, ids, n=3, cutoff=0.8)
            near = dict.fromkeys(ids[form] for form in forms)
        raise UserError.field(
            f"item {query!r}",
            expected="an item's id or title",
            got="one that is not there",
            fix=f"did you mean {' or '.join(map(repr, near))}?" if near else "",
        )


def without_year(title: str) -> str:
    """A title as it is often called: "Heat (1995)" is "Heat"."""
    return _YEAR.sub("", title)


def _fold(title: str) -> str:
    """Without what does not matter: case, spaces, how an accent is composed."""
    return " ".join(unicodedata.normalize("NFC", title).casefold().split())
