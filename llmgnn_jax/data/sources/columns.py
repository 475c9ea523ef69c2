"""Which column of a table is the user, the item, the value, the time and the text."""

import re
from collections.abc import Iterable, Mapping, Sequence

from llmgnn_jax.data.sources.table_file import TableFile
from llmgnn_jax.data.suggestions import did_you_mean
from llmgnn_jax.errors import UserError, excerpt

REQUIRED = ("user", "item")
OPTIONAL = ("value", "time", "text")
ROLES = (*REQUIRED, *OPTIONAL)

_SOMEONE = (
    *("user", "customer", "reviewer", "visitor", "member", "account", "client"),
    *("buyer", "person", "listener", "reader"),
)
_SOMETHING = (
    *("item", "movie", "film", "product", "book", "song", "track", "artist", "article"),
    *("business", "game", "recipe", "anime", "news", "restaurant"),
)
# In small letters, without what stands between words.
USUAL: Mapping[str, tuple[str, ...]] = {
    "user": (*_SOMEONE, *(f"{one}id" for one in _SOMEONE), "uid"),
    "item": (
        *_SOMETHING,
        *(f"{one}id" for one in _SOMETHING),
        *("iid", "asin", "parentasin", "sku", "isbn"),
    ),
    "value": (
        *("rating", "ratings", "value", "stars", "starrating", "score", "weight"),
        *("overall", "plays", "playcount", "quantity"),
    ),
    "time": (
        *("timestamp", "time", "date", "datetime", "ts", "unixtime", "unixreviewtime"),
        *("eventtime", "createdat", "orderedat", "reviewtime", "reviewdate"),
    ),
    "text": ("text", "review", "reviewtext", "reviewbody", "comment", "body"),
}
"""Role -> what its column is usually called."""


def roles_of(
    names: Sequence[str], said: Sequence[str], *, source: str
) -> dict[str, str]:
    """Role -> column, by what the user says and else by the usual names.

    Args:
        names: Of the table's columns.
        said: ROLE=COLUMN each; with nothing behind "=" there is no such column.
        source: The file, for errors.

    Returns:
        Of the roles that have a column, "user" and "item" at least.

    Raises:
        UserError: If what is said is malformed or names no column, a role that is
            needed has no column, or several columns could be a role's.
    """
    asked = _asked(names, said, source)
    taken = set(asked.values())
    found: dict[str, str] = {}
    for role in ROLES:
        if role in asked:
            if asked[role]:
                found[role] = asked[role]
            continue
        usual = [n for n in names if _bare(n) in USUAL[role] and n not in taken]
        if len(usual) > 1:
            raise UserError.field(
                source,
                expected=f"one column that is the {role}",
                got=f"{len(usual)} that may be: {excerpt(', '.join(usual))}",
                fix="rename all but one of them"
                if len(set(usual)) == 1
                else f"name it: --data.columns {role}={usual[0]}"
                + (f", or {role}= for none" if role in OPTIONAL else "")
                + f" (there are {excerpt(', '.join(names))})",
            )
        if usual:
            found[role] = usual[0]
        elif role in REQUIRED:
            given = [one for one in ROLES if _bare(asked.get(one, "")) in USUAL[role]]
            raise UserError.field(
                source,
                expected=f"a column that is the {role}, of a usual name such as "
                f"{role}_id",
                got=excerpt(", ".join(names)) or "no columns",
                fix=f"name it: --data.columns {role}=COLUMN"
                + "".join(f" ({asked[one]} is the {one})" for one in given),
            )
    for role, name in found.items():
        if names.count(name) > 1:
            raise UserError.field(
                source,
                expected=f"one column {name}",
                got=names.count(name),
                fix="rename all but one of them",
            )
        other = next(one for one in found if found[one] == name)
        if other != role:
            raise UserError.field(
                "--data.columns",
                expected=f"another column for {role} than for {other}",
                got=repr(name),
            )
    return found


def check_columns(
    table: TableFile, section: str, columns: Iterable[tuple[str, str]]
) -> None:
    """Passes only if a table has the columns that a section of a mapping names.

    Args:
        table: Which.
        section: Of the mapping.
        columns: A key of the section and the column that it names, each.

    Raises:
        UserError: Naming the first one that is not there, or there twice.
    """
    columns = list(columns)
    table.look_for(column for _, column in columns)
    for key, column in columns:
        if table.names.count(column) != 1:
            raise UserError.field(
                f"[{section}] {key}",
                expected=f"one column of {table.path.name}: "
                + excerpt(", ".join(table.names)),
                got=excerpt(repr(column)),
                fix=did_you_mean(column, set(table.names) - {column}),
            )


def _asked(names: Sequence[str], said: Sequence[str], source: str) -> dict[str, str]:
    """Role -> column, or "" for none, as the user says."""
    asked: dict[str, str] = {}
    for one in said:
        role, equals, column = one.partition("=")
        if role not in ROLES or not equals:
            raise UserError.field(
                "--data.columns",
                expected=f"NAME=COLUMN, NAME one of {', '.join(ROLES)}",
                got=repr(one),
                fix=did_you_mean(role, ROLES) if role not in ROLES else "",
            )
        if role in asked:
            raise UserError.field(
                "--data.columns", expected=f"{role} once", got=f"{one!r} again"
            )
        if not column and role in REQUIRED:
            raise UserError.field(
                "--data.columns", expected=f"a column for {role}", got=repr(one)
            )
        if column and column not in names:
            raise UserError.field(
                f"--data.columns {one}",
                expected=f"a column of {source}: {excerpt(', '.join(names))}",
                got=repr(column),
                fix=did_you_mean(column, names),
            )
        asked[role] = column
    return asked


def _bare(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
