"""Table files by their ending: Parquet, CSV, tabs, JSON lines, a batch at a time.

Parquet is read by pyarrow, the extra `tables`. CSV is too where pyarrow is there;
without it, and from a line on that pyarrow refuses, by Python's own reader, which is
slower and says what is wrong with which line. Both give the same rows.
"""

import contextlib
import io
import itertools
import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO

from llmgnn_jax.assets.named_path import named_path
from llmgnn_jax.data.sources.arrow_column import ArrowColumn
from llmgnn_jax.data.sources.column import Column
from llmgnn_jax.data.sources.compressed import GZIP, opened
from llmgnn_jax.data.sources.csv_table import DELIMITERS, csv_header, read_csv
from llmgnn_jax.data.sources.files import unreadable
from llmgnn_jax.data.sources.json_lines import keys_of, read_json_lines
from llmgnn_jax.data.sources.parquet_files import PARQUET, parquet_files
from llmgnn_jax.errors import UserError, excerpt, in_a_line

logger = logging.getLogger(__name__)

Batch = Mapping[str, Column]
"""Column name -> some consecutive rows."""

_JSON_LINES = ".jsonl"
ENDINGS = (PARQUET, *DELIMITERS, _JSON_LINES)
TABLES = tuple(f"{one}[{GZIP}]" if one != PARQUET else one for one in ENDINGS)
"""What table files end in, for people."""

_ARROW_ROWS = 1 << 20
_CSV_BYTES = 16 << 20
_PYTHON_ROWS = 65_536
# Of a file of JSON lines, those that tell which columns there are.
_LINES_LOOKED_AT = 1000


def ending_of(path: Path) -> str | None:
    """Which of `ENDINGS` a file's name has; None if none."""
    name = path.name.lower()
    plain = name.removesuffix(GZIP)
    found = next((one for one in ENDINGS if plain.endswith(one)), None)
    return None if found == PARQUET and plain != name else found


class TableFile:
    """A table in a file, or in the Parquet files of a folder.

    Attributes:
        path: The file or folder.
        names: Of the columns.
    """

    def __init__(self, path: Path) -> None:
        """Looks which columns there are.

        Raises:
            UserError: If the file cannot be read, or needs pyarrow where there is none.
        """
        self.path = path = named_path(path)
        ending = ending_of(path)
        if path.is_dir():
            ending = PARQUET
        if ending is None:
            raise UserError.field(
                path.name,
                expected=f"a file that ends in one of {', '.join(TABLES)}",
                got=path.suffix or "no ending",
            )
        if not path.exists():
            raise unreadable(path, FileNotFoundError(2, "No such file"))
        self._ending = ending
        self._delimiter = DELIMITERS.get(ending, "")
        self.names = tuple(self._names())

    def look_for(self, columns: Iterable[str]) -> None:
        """Adds all names of a file of JSON lines, if columns are not among the first.

        Raises:
            UserError: If the file is malformed.
        """
        if self._ending == _JSON_LINES and not set(self.names).issuperset(columns):
            self.names = tuple(keys_of(self.path))

    @property
    def name(self) -> str:
        """Of the file, without its endings."""
        name = self.path.name
        for ending in (GZIP, *ENDINGS):
            if name.lower().endswith(ending):
                name = name[: -len(ending)]
        return name

    def batches(self, columns: Sequence[str]) -> Iterator[Batch]:
        """Some of the columns, a batch of rows after another.

        Raises:
            UserError: If the file is malformed.
        """
        if self._ending == PARQUET:
            return self._parquet(columns)
        if self._ending == _JSON_LINES:
            return self._json_lines(columns)
        return self._csv(columns)

    def _names(self) -> Sequence[str]:
        if self._ending == PARQUET:
            first = parquet_files(self.path)[0]
            try:
                return list(_parquet(self.path).read_schema(first).names)
            except _arrow_errors() as error:
                raise _broken(first, error) from error
        if self._ending == _JSON_LINES:
            return keys_of(self.path, lines=_LINES_LOOKED_AT)
        names = csv_header(self.path, delimiter=self._delimiter, quoted=self._is_quoted)
        if not names:
            raise UserError.field(
                self.path.name,
                expected="a header, and a row for each interaction or entry",
                got="an empty file",
            )
        return names

    def _parquet(self, columns: Sequence[str]) -> Iterator[Batch]:
        parquet, first = _parquet(self.path), 1
        for path in parquet_files(self.path):
            try:
                with parquet.ParquetFile(path) as file:
                    lacking = set(columns) - set(file.schema_arrow.names)
                    if lacking:
                        raise UserError.field(
                            path.name,
                            expected=f"a column {min(lacking)}",
                            got=excerpt(", ".join(file.schema_arrow.names)),
                        )
                    for batch in file.iter_batches(_ARROW_ROWS, columns=list(columns)):
                        yield _arrow_batch(path, first, batch, columns)
                        first += batch.num_rows
            except _arrow_errors() as error:
                raise _broken(path, error) from error

    def _json_lines(self, columns: Sequence[str]) -> Iterator[Batch]:
        records = (record for _, record in read_json_lines(self.path))
        first, known, late = 1, set(self.names), Counter[str]()
        while batch := list(itertools.islice(records, _PYTHON_ROWS)):
            for record in batch:
                if not known.issuperset(record):
                    late.update(record.keys() - known)
            yield {
                name: Column(
                    self.path, name, first, [record.get(name) for record in batch]
                )
                for name in columns
            }
            first += len(batch)
        if late:
            found = (f"{name} ({count} rows)" for name, count in sorted(late.items()))
            logger.warning(
                "%s: not read, since none of the first %d lines has them and they are "
                "not named: %s",
                self.path.name,
                _LINES_LOOKED_AT,
                excerpt(", ".join(found)),
            )

    def _csv(self, columns: Sequence[str]) -> Iterator[Batch]:
        read, last = 0, None
        with contextlib.suppress(*_arrow_errors()), opened(self.path) as file:
            counted = _QuoteCounter(file)
            for batch in self._csv_by_arrow(counted, columns):
                if last is not None:
                    yield last
                    read += len(last[columns[0]])
                last = batch
            # Arrow takes a quote that nothing closes for a field up to the file's end.
            if not self._is_quoted or counted.quotes % 2 == 0:
                if last is not None:
                    yield last
                return
        yield from self._csv_by_python(columns, skipped=read)

    def _csv_by_arrow(
        self, file: "_QuoteCounter", columns: Sequence[str]
    ) -> Iterator[Batch]:
        import pyarrow as pa
        from pyarrow import csv

        reader = csv.open_csv(
            file,
            read_options=csv.ReadOptions(block_size=_CSV_BYTES),
            parse_options=csv.ParseOptions(
                delimiter=self._delimiter,
                quote_char='"' if self._is_quoted else False,
                newlines_in_values=self._is_quoted,
            ),
            # Text, whatever it looks like: what it means is decided in one place.
            convert_options=csv.ConvertOptions(
                include_columns=list(columns),
                column_types=dict.fromkeys(columns, pa.string()),
                strings_can_be_null=False,
            ),
        )
        first = 1
        for batch in reader:
            yield _arrow_batch(self.path, first, batch, columns)
            first += batch.num_rows

    def _csv_by_python(
        self, columns: Sequence[str], *, skipped: int
    ) -> Iterator[Batch]:
        blocks = read_csv(
            self.path, columns, delimiter=self._delimiter, quoted=self._is_quoted
        )
        first = 1
        for block in blocks:
            size = len(block.lines)
            known = min(max(skipped + 1 - first, 0), size)
            if known < size:
                yield {
                    name: Column(
                        self.path, name, first + known, block.columns[name][known:]
                    )
                    for name in columns
                }
            first += size

    @property
    def _is_quoted(self) -> bool:
        # Files with tabs are written without quotes, most of them.
        return self._delimiter == ","


class _QuoteCounter(io.RawIOBase):
    """The bytes of a file, and how many quotes were among those read so far."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self.quotes = file, 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        chunk = self._file.read(size)
        self.quotes += chunk.count(b'"')
        return chunk


def _arrow_batch(path: Path, first: int, batch: Any, columns: Sequence[str]) -> Batch:
    return {
        name: ArrowColumn(path, name, first, batch.column(name)) for name in columns
    }


def _arrow_errors() -> tuple[type[Exception], ...]:
    """What pyarrow raises, and what its absence does."""
    try:
        import pyarrow as pa
    except ImportError:
        return (ImportError,)
    return (pa.ArrowException, OSError)


def _parquet(path: Path) -> ModuleType:
    try:
        from pyarrow import parquet
    except ImportError as error:
        raise UserError.field(
            path.name,
            expected="pyarrow, which reads Parquet",
            got="none",
            fix="pip install 'llmgnn-jax[tables]'",
        ) from error
    module: ModuleType = parquet
    return module


def _broken(path: Path, error: Exception) -> UserError:
    return UserError.field(
        path.name, expected="a whole Parquet file", got=in_a_line(error)
    )
