"""MovieLens as it is published since 2015: movies.csv, ratings.csv, tags.csv.

ml-latest-small, ml-latest, ml-20m, ml-25m and ml-32m have this layout; links.csv and
the genome files are not read. Harper and Konstan, "The MovieLens Datasets: History and
Context", 2015.
"""

from pathlib import Path

from llmgnn_jax.data.dataset import Dataset
from llmgnn_jax.data.sources.csv_table import read_csv
from llmgnn_jax.data.sources.films import Layout, read_films

FILES = ("movies.csv", "ratings.csv")

_LAYOUT = Layout(
    movies=FILES[0],
    ratings=FILES[1],
    tags="tags.csv",
    user="userId",
    movie="movieId",
    title="title",
    genres="genres",
    rating="rating",
    tag="tag",
    time="timestamp",
    blocks=read_csv,
)


def read_movielens_csv(folder: Path | str, *, name: str | None = None) -> Dataset:
    """Reads the CSV layout of MovieLens, see `read_films`.

    Args:
        folder: Holds movies.csv and ratings.csv, and tags.csv if there are tags.
        name: The dataset's name; the folder's name if not given.

    Raises:
        UserError: As `read_films`.
    """
    return read_films(Path(folder), _LAYOUT, name=name)
