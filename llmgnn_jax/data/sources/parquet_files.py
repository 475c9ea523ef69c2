"""Which Parquet files a table is in: one, or those of a folder."""

from pathlib import Path

from llmgnn_jax.errors import UserError, excerpt

PARQUET = ".parquet"


def holds_parquet(folder: Path) -> bool:
    """Whether Parquet files lie in a folder, or in partitions below it."""
    return any(folder.glob(f"*{PARQUET}")) or bool(_partitions(folder))


def parquet_files(path: Path) -> list[Path]:
    """The file itself, or those of a folder, in the order of their names.

    Raises:
        UserError: If a folder has none, or partitions: what their names say of each
            row would not be read.
    """
    if not path.is_dir():
        return [path]
    if partitions := _partitions(path):
        raise UserError.field(
            str(path),
            expected=f"files that end in {PARQUET} in one folder",
            got=f"partitions: {excerpt(', '.join(partitions))}",
            fix="write them as one file: pyarrow.parquet.write_table("
            f"pyarrow.parquet.read_table({path.name!r}), 'all{PARQUET}')",
        )
    files = sorted(path.glob(f"*{PARQUET}"))
    if not files:
        raise UserError.field(
            str(path), expected=f"files that end in {PARQUET}", got="none"
        )
    return files


def _partitions(folder: Path) -> list[str]:
    """Folders as Hive and Spark name them, COLUMN=VALUE, with Parquet files below."""
    found = (one for one in sorted(folder.glob("*=*")) if one.is_dir())
    return [one.name for one in found if any(one.rglob(f"*{PARQUET}"))]
