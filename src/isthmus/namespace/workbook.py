"""Workbooks (XLSX) as tag lists, read row by row; and as what a tag list is written into."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from isthmus.namespace.plantfile import Report

_MAX_UNPACKED = 500_000_000
_OLD = b"\xd0\xcf\x11\xe0"


def is_workbook(data: bytes) -> bool:
    """Whether these are the bytes of a workbook, of whatever age, and not of text."""
    return data.startswith((b"PK\x03\x04", _OLD))


def cell_of(where: str, line: int, column: int) -> str:
    """A place in a file; in a sheet with the name of the cell."""
    if not where.endswith("]") or not line or not column:
        return where
    letters = ""
    while column:
        column, rest = divmod(column - 1, 26)
        letters = chr(65 + rest) + letters
    return f"{where}!{letters}{line}"


def read_sheet(data: bytes, where: str, report: Report) -> tuple[str, Iterator[tuple[int, list[str]]]]:
    """The sheet named tags, else the first: where it is, and its rows as text with the line each stands in.

    What is wrong goes into the report; then there are no rows.
    """
    if data.startswith(_OLD):
        report.add("is an old workbook (.xls) or an encrypted one; save it as .xlsx or as CSV", where=where)
        return where, iter(())
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as packed:
            unpacked = sum(part.file_size for part in packed.infolist())
        if unpacked > _MAX_UNPACKED:
            report.add(f"is a workbook of {unpacked / 1e6:.0f} MB unpacked; divide it", where=where)
            return where, iter(())
        from openpyxl import load_workbook

        book = load_workbook(io.BytesIO(data), read_only=True, data_only=True, keep_links=False)
        names = book.sheetnames
        name = next((n for n in names if n.strip().casefold() == "tags"), names[0])
        sheet = book[name]
        sheet.reset_dimensions()  # some programs write wrong ones
        return f"{where}[{name}]", _rows(book, sheet, f"{where}[{name}]", report)
    except Exception as error:  # whatever the library meets in broken bytes is one thing for the user
        report.add(f"is no workbook that can be read: {str(error)[:200]}", where=where)
        return where, iter(())


def _rows(book: Any, sheet: Any, where: str, report: Report) -> Iterator[tuple[int, list[str]]]:
    line = 0
    try:
        for line, row in enumerate(sheet.iter_rows(values_only=True), 1):
            cells = [_text(value) for value in row]
            if any(cell.strip() for cell in cells) and not cells[0].startswith("#"):
                yield line, cells
    except Exception as error:  # as above: the sheet is read while we go
        report.add(
            f"is broken behind this line: {str(error)[:200]}",
            where=cell_of(where, line + 1, 1),
            line=line + 1,
            column=1,
        )
    finally:
        book.close()


def _text(value: object) -> str:
    """A cell as a list would write it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return str(value)


def write_sheet(file: Path, rows: Sequence[Sequence[str | float | None]]) -> None:
    """Rows as a workbook with one sheet."""
    from openpyxl import Workbook
    from openpyxl.cell import WriteOnlyCell

    book = Workbook(write_only=True)
    sheet = book.create_sheet("tags")
    for row in rows:
        cells = []
        for value in row:
            cell = WriteOnlyCell(sheet, value)
            if isinstance(value, str):
                cell.data_type = "s"  # a text that begins with = is no formula
            cells.append(cell)
        sheet.append(cells)
    book.save(file)
    book.close()
