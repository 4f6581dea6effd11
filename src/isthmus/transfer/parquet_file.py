"""Parquet files, in pieces of rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from isthmus.transfer.model import Columns, Piece
from isthmus.values.errors import ConfigError

PIECE_ROWS = 500_000
_PIECE_CELLS = 4_000_000


class ParquetFile:
    """A Parquet file: names of its columns, and its rows piece by piece. A position is a number of rows."""

    comma = False

    def __init__(self, file: Path) -> None:
        self.file = file
        try:
            with pq.ParquetFile(file) as opened:
                schema, self.size = opened.schema_arrow, opened.metadata.num_rows
                self._groups = [opened.metadata.row_group(i).num_rows for i in range(opened.metadata.num_row_groups)]
        except OSError as error:
            raise ConfigError(f"{file}: {error.strerror or str(error)[:200]}") from error
        except pa.ArrowException as error:
            raise ConfigError(f"{file}: is no whole Parquet file: {str(error)[:200]}") from error
        self.names: list[str] = list(schema.names)
        self.wanted: Sequence[str] = self.names

    def place(self, name: str) -> int:
        """Number of a column, from 1."""
        return self.names.index(name) + 1 if name in self.names else 1

    def pieces(self, start: int = 0, line: int = 0) -> Iterator[Piece]:
        """Pieces from a position on; ``line`` is told by the position."""
        step = max(1, min(PIECE_ROWS, _PIECE_CELLS // max(1, len(self.wanted))))
        at, first = 0, 0
        while first < len(self._groups) and at + self._groups[first] <= start:
            at += self._groups[first]
            first += 1
        groups = list(range(first, len(self._groups)))
        if not groups:
            return
        try:
            with pq.ParquetFile(self.file, memory_map=False) as opened:
                for batch in opened.iter_batches(step, row_groups=groups, columns=list(self.wanted), use_threads=False):
                    skip = min(max(start - at, 0), batch.num_rows)
                    some = batch.slice(skip)
                    at += batch.num_rows
                    if some.num_rows:
                        yield Piece(at - some.num_rows, at, at - some.num_rows + 1, some.num_rows, some)
        except (OSError, pa.ArrowException) as error:
            raise ConfigError(f"{self.file}: row {at + 1}: cannot be read: {str(error)[:200]}") from error

    def quick(self, piece: Piece, time: str, value: str) -> Columns | None:
        """There is no quicker way: the columns have types."""
        return None

    def columns(self, piece: Piece) -> Columns:
        """The cells of a piece; a line is the number of a row, from 1."""
        cells = {name: piece.data.column(name) for name in self.wanted}
        line = np.arange(piece.line, piece.line + piece.rows, dtype=np.int64)

        def text(row: int) -> str:
            return "; ".join(f"{name}={column[row].as_py()}" for name, column in cells.items())

        return Columns(cells, line, text)


def is_parquet(file: Path) -> bool:
    """By its first bytes, or its name when it is too short to have any.

    Raises: ConfigError if it cannot be opened
    """
    try:
        with file.open("rb") as opened:
            return opened.read(4) == b"PAR1" or file.suffix.lower() in {".parquet", ".pq"}
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}") from error


Source = Any
"""A CsvFile or a ParquetFile."""
