"""MovieLens 1M and 10M: movies.dat and ratings.dat, with "::" between fields.

    ratings.dat  UserID::MovieID::Rating::Timestamp
    movies.dat   MovieID::Title::Genres, with "|" between genres
    users.dat    UserID::Gender::Age::Occupation::Zip-code    1M alone
    tags.dat     UserID::MovieID::Tag::Timestamp              10M alone

The files of 1M are Latin-1, those of 10M UTF-8. Harper and Konstan, "The MovieLens
Datasets: History and Context", 2015; the codes of ages and occupations are those of the
README of 1M.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from llmgnn_jax.data.dataset import Dataset
from llmgnn_jax.data.sources.files import stands_there
from llmgnn_jax.data.sources.films import Layout, Listed, read_films
from llmgnn_jax.data.sources.table import Block, read_blocks
from llmgnn_jax.data.sources.wording import clean

FILES = ("movies.dat", "ratings.dat")

_USERS = "users.dat"
# Accented Latin-1 is practically never valid UTF-8.
_ENCODINGS = ("utf-8", "latin-1")
_AGES = {
    "1": "under 18",
    "18": "18-24",
    "25": "25-34",
    "35": "35-44",
    "45": "45-49",
    "50": "50-55",
    "56": "56 and over",
}
_OCCUPATIONS = (
    *("other", "academic/educator", "artist", "clerical/admin"),
    *("college/grad student", "customer service", "doctor/health care"),
    *("executive/managerial", "farmer", "homemaker", "K-12 student", "lawyer"),
    *("programmer", "retired", "sales/marketing", "scientist", "self-employed"),
    *("technician/engineer", "tradesman/craftsman", "unemployed", "writer"),
)
_OCCUPATION_OF = {str(code): name for code, name in enumerate(_OCCUPATIONS)}


def read_movielens_dat(folder: Path | str, *, name: str | None = None) -> Dataset:
    """Reads the layout of MovieLens 1M and 10M, see `read_films`.

    `user_categorical` has gender, age (a range), occupation and zip_code where there is
    a users.dat.

    Args:
        folder: Holds movies.dat and ratings.dat, and users.dat or tags.dat.
        name: The dataset's name; the folder's name if not given.

    Raises:
        UserError: As `read_films`, and for a duplicate user or an unknown code.
    """
    folder = Path(folder)
    path = folder / _USERS
    listed = _read_users(path) if stands_there(path) else None
    return read_films(folder, _LAYOUT, name=name, listed=listed)


def _read_users(path: Path) -> Listed:
    index: dict[str, int] = {}
    profiles: dict[str, list[tuple[str, ...]]] = {
        field: [] for field in ("gender", "age", "occupation", "zip_code")
    }
    codes = {"age": _AGES, "occupation": _OCCUPATION_OF}
    for block in _blocks(path, ("UserID", *profiles)):
        block.add_ids("UserID", index)
        for field, rows in profiles.items():
            names = codes.get(field)
            for row, value in enumerate(block.columns[field]):
                if names is not None and value not in names:
                    raise block.error(
                        row,
                        field,
                        expected=f"one of {', '.join(names)}",
                        fix="they are codes of the README",
                    )
                rows.append((clean(names[value] if names else value),))
    return Listed(
        file=path.name,
        index=index,
        categorical={field: tuple(rows) for field, rows in profiles.items()},
    )


def _blocks(path: Path, columns: Sequence[str]) -> Iterator[Block]:
    return read_blocks(path, columns, delimiter="::", encodings=_ENCODINGS)


_LAYOUT = Layout(
    movies=FILES[0],
    ratings=FILES[1],
    tags="tags.dat",
    user="UserID",
    movie="MovieID",
    title="Title",
    genres="Genres",
    rating="Rating",
    tag="Tag",
    time="Timestamp",
    blocks=_blocks,
)
