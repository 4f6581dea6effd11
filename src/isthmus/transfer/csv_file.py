"""CSV files, in pieces of whole lines."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pcsv

from isthmus.transfer.cells import zoned
from isthmus.transfer.model import Columns, Layout, Piece
from isthmus.values.errors import ConfigError

PIECE_BYTES = 24_000_000
_LONGEST_LINE = 4_000_000
_BLOCK_BYTES = 4 << 20
_PACKED = {b"\x1f\x8b": "gzip", b"PK": "zip", b"\x28\xb5": "zstandard"}


class CsvFile:
    """A CSV file: names of its columns, and its rows piece by piece."""

    def __init__(self, file: Path, layout: Layout) -> None:
        self.file, self._encoding = file, layout.encoding
        try:
            self.size = file.stat().st_size
            with file.open("rb") as opened:
                head = opened.read(_LONGEST_LINE)
        except OSError as error:
            raise ConfigError(f"{file}: {error.strerror}") from error
        packed = next((name for sign, name in _PACKED.items() if head.startswith(sign)), None)
        if packed or head[:2] in {b"\xff\xfe", b"\xfe\xff"}:
            raise ConfigError(f"{file}: is {packed or 'UTF-16'}; give it as plain UTF-8 text (CSV UTF-8)")
        mark = 3 if head.startswith(b"\xef\xbb\xbf") else 0
        line = head[mark:].split(b"\n", 1)[0]
        if not line.strip():
            raise ConfigError(f"{file}:1:1: is empty; its first line names the columns")
        text = self._decoded(line)
        self.delimiter = layout.delimiter or max(",;\t", key=text.count)
        if layout.header:
            self.names, self.begin, self.first_line = list(layout.header), mark, 1
        else:
            self.names = [name.strip() for name in next(csv.reader([text.rstrip("\r")], delimiter=self.delimiter))]
            self.begin, self.first_line = mark + len(line) + 1, 2
        twice = next((n for i, n in enumerate(self.names) if n and n in self.names[:i]), None)
        if twice:
            raise ConfigError(f"{file}:1:{self.names.index(twice) + 1}: the column {twice!r} stands there twice")
        self.wanted: Sequence[str] = self.names

    @property
    def comma(self) -> bool:
        """Whether a comma may be a decimal one."""
        return self.delimiter != ","

    def _decoded(self, line: bytes) -> str:
        try:
            return line.decode(self._encoding)
        except UnicodeDecodeError as error:
            raise ConfigError(
                f"{self.file}:1:1: byte {error.start + 1} of the first line is not UTF-8; "
                "save the file as UTF-8, or say --encoding latin-1"
            ) from None

    def place(self, name: str) -> int:
        """Number of a column, from 1."""
        return self.names.index(name) + 1 if name in self.names else 1

    def pieces(self, start: int = 0, line: int = 0) -> Iterator[Piece]:
        """Pieces from a position on, which is the end of an earlier piece; from the first row when it is 0."""
        at, line = (start, line) if start else (self.begin, self.first_line)
        with self.file.open("rb") as opened:
            opened.seek(at)
            rest = b""
            while data := opened.read(PIECE_BYTES):
                cut = data.rfind(b"\n") + 1
                if not cut and len(rest) + len(data) > _LONGEST_LINE + PIECE_BYTES:
                    raise ConfigError(f"{self.file}:{line}:1: a line of more than {_LONGEST_LINE} bytes is no row")
                if not cut:
                    rest += data
                    continue
                whole, rest = rest + data[:cut], data[cut:]
                rows = whole.count(b"\n")
                yield Piece(at, at + len(whole), line, rows, whole)
                at, line = at + len(whole), line + rows
            if rest:
                yield Piece(at, at + len(rest), line, 1, rest)

    def columns(self, piece: Piece) -> Columns:
        """The cells of a piece, as texts."""
        return self._columns(piece, {}) or self._sifted(piece)

    def quick(self, piece: Piece, time: str, value: str) -> Columns | None:
        """The same with times and numbers as such, for half of the work; None where a cell is anything else."""
        line = piece.data[: piece.data.find(b"\n")].decode(self._encoding, "replace")
        first = next(csv.reader([line.rstrip("\r")], delimiter=self.delimiter), [])
        types = {value: pa.float64()}
        if len(first) == len(self.names) and zoned(first[self.names.index(time)]):
            types[time] = pa.timestamp("ns", "UTC")
        return self._columns(piece, types)

    def _columns(self, piece: Piece, types: Mapping[str, Any]) -> Columns | None:
        data = piece.data
        if self._encoding != "utf-8":
            data = data.decode(self._encoding).encode()
        try:
            table = self._table(data, types)
        except pa.ArrowInvalid:
            return None
        if table.num_rows != piece.rows:
            return None
        line = np.arange(piece.line, piece.line + piece.rows, dtype=np.int64)
        cells = {name: table.column(name).combine_chunks() for name in self.wanted}
        return Columns(cells, line, self._text(piece, line))

    def _table(self, data: bytes, types: Mapping[str, Any]) -> Any:
        block = (
            _BLOCK_BYTES if types else len(data) + 1
        )  # with its columns in the processor's cache it takes 2/3 of the time
        return pcsv.read_csv(
            pa.BufferReader(data),
            read_options=pcsv.ReadOptions(column_names=self.names, use_threads=False, block_size=block),
            parse_options=pcsv.ParseOptions(delimiter=self.delimiter),
            convert_options=pcsv.ConvertOptions(
                column_types={**dict.fromkeys(self.names, pa.string()), **types},
                include_columns=list(self.wanted),
                strings_can_be_null=False,
                null_values=[],
                quoted_strings_can_be_null=False,
            ),
        )

    def _text(self, piece: Piece, line: Any) -> Any:
        lines: list[bytes] = []

        def text(row: int) -> str:
            if not lines:
                lines.extend(piece.data.split(b"\n"))
            return lines[int(line[row]) - piece.line].rstrip(b"\r").decode(self._encoding, "replace")

        return text

    def _sifted(self, piece: Piece) -> Columns:
        """Line by line: blank lines are passed over, lines that are no rows are told."""
        spoilt: list[tuple[int, int, str, str, str]] = []
        rows: list[list[str]] = []
        kept: list[int] = []
        for number, raw in enumerate(piece.data.split(b"\n"), piece.line):
            raw = raw.rstrip(b"\r")  # noqa: PLW2901  the same line without its end
            if not raw.strip():
                continue
            try:
                cells = next(csv.reader([raw.decode(self._encoding)], delimiter=self.delimiter, strict=True))
            except UnicodeDecodeError as error:
                column = raw[: error.start].count(self.delimiter.encode()) + 1
                problem = f"byte {error.start + 1} of this line is not UTF-8; save the file as UTF-8, or say --encoding latin-1"
                name = self.names[column - 1] if column <= len(self.names) else ""
                spoilt.append((number, column, name, problem, f"0x{raw[error.start]:02X}"))
                continue
            except csv.Error as error:
                spoilt.append((number, 1, "", f"is no CSV: {error}", raw[:80].decode(self._encoding, "replace")))
                continue
            if len(cells) != len(self.names):
                problem = f"has {len(cells)} cells, the first line names {len(self.names)} columns"
                spoilt.append((number, len(cells), "", problem, raw[:80].decode(self._encoding, "replace")))
                continue
            rows.append(cells)
            kept.append(number)
        line = np.array(kept, np.int64)
        index = {name: self.names.index(name) for name in self.wanted}
        found = {name: pa.array([cells[i] for cells in rows], pa.string()) for name, i in index.items()}
        return Columns(found, line, self._text(piece, line), spoilt)
