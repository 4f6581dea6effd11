"""Any table as a file: XLSX for people's programs, CSV for everything else. A route takes ``form: Form = "json"``, names its
model by ``response_model=`` and ``responses=FILES``, and ends with ``return await sheet(form, "stops", answer.stops)``.

What people wrote stays text: no cell of a workbook can be a formula here, and a CSV cell that a spreadsheet would take for one
begins with an apostrophe.
"""

from __future__ import annotations

import asyncio
import csv
import io
import math
import re
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Annotated, Any, Final, Literal
from xml.sax.saxutils import escape

import orjson
from fastapi import Query
from pydantic import BaseModel
from starlette.responses import Response

from isthmus.web.problems import Refused

Form = Annotated[
    Literal["json", "xlsx", "csv"],
    Query(alias="format", description="the same rows as a workbook (xlsx) or as comma-separated values"),
]
"""Of a route that has a table."""

XLSX: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
MEDIA_TYPES: Final = {"xlsx": XLSX, "csv": "text/csv; charset=utf-8"}
FILES: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "content": {
            "text/csv": {"schema": {"type": "string"}},
            XLSX: {"schema": {"type": "string", "format": "binary"}},
        }
    }
}
"""For ``responses=`` of such a route."""

MOST_ROWS: Final = 1_048_575
"""A worksheet holds one more, which is its head."""
MOST_CHARS: Final = 32_767
"""Of a cell; what is longer is cut in a workbook."""
_EXACT: Final = 2**53
_FORMULA: Final = re.compile(r"[=+\-@\t\r\n＝＋－＠]")
_NUMBER: Final = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?\Z")
_UNFIT: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_FIRST: Final = (1980, 1, 1, 0, 0, 0)
"""Every part of a workbook has this time, so that equal tables are equal files."""
_MEASURED: Final = 200

Row = BaseModel | Mapping[str, Any]
Cell = str | int | float | None


async def sheet(form: str, name: str, rows: Sequence[Row], columns: Sequence[str] = ()) -> Response:
    """The table as a file called ``name``; columns are those of the rows unless told.

    Cost: in a thread, about 1 µs a cell
    Raises: Refused (413) where it does not fit on a worksheet
    """
    if len(rows) > MOST_ROWS:
        raise Refused(f"{len(rows)} rows do not fit in one table; ask for less", 413, "too_large")
    body = await asyncio.to_thread(_made, form, name, rows, columns)
    headers = {"content-disposition": f'attachment; filename="{file_name(name)}.{form}"'}
    return Response(body, media_type=MEDIA_TYPES[form], headers=headers)


def file_name(name: str) -> str:
    """What every file system takes."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", name).strip("-.")[:120] or "table"


def _made(form: str, name: str, rows: Sequence[Row], columns: Sequence[str]) -> bytes:
    named = tuple(columns) or _columns(rows)
    cells = ([_cell(value) for value in _values(row, named)] for row in rows)
    return csv_bytes(named, cells) if form == "csv" else xlsx_bytes(name, named, cells)


def _columns(rows: Sequence[Row]) -> tuple[str, ...]:
    if not rows:
        return ()
    first = rows[0]
    return tuple(type(first).model_fields) if isinstance(first, BaseModel) else tuple(first)


def _values(row: Row, columns: Sequence[str]) -> list[Any]:
    if isinstance(row, BaseModel):
        return [getattr(row, column) for column in columns]
    return [row.get(column) for column in columns]


def _cell(value: Any) -> Cell:
    """A value as one cell: lists of words are joined, what is deeper is JSON, what is no number is empty."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, list | tuple) and all(isinstance(part, str | int | float) for part in value):
        return ", ".join(map(str, value))
    return orjson.dumps(value, default=_plain).decode()


def _plain(value: Any) -> Any:
    return value.model_dump() if isinstance(value, BaseModel) else str(value)


# CSV


def csv_bytes(columns: Sequence[str], rows: Iterable[Sequence[Cell]]) -> bytes:
    """UTF-8 with CR LF.

    Source: RFC 4180
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(columns)
    writer.writerows([_safe(cell) for cell in row] for row in rows)
    return out.getvalue().encode("utf-8", "replace")


def _safe(cell: Cell) -> Cell:
    """Text that a spreadsheet would run gets an apostrophe in front; a number stays one."""
    if isinstance(cell, str) and _FORMULA.match(cell) and not _NUMBER.match(cell):
        return "'" + cell
    return cell


# XLSX

_TYPES = (
    '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>'
    '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    '<Default Extension="xml" ContentType="application/xml"/>'
    '<Override PartName="/xl/workbook.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/>'
    '<Override PartName="/xl/worksheets/sheet1.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml"/>'
    '<Override PartName="/xl/styles.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.styles+xml"/></Types>'
)
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_RELS = (
    '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>'
    '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">{}</Relationships>'
)
_STYLES = (
    f'<?xml version="1.0" encoding="UTF-8" standalone="yes"?><styleSheet xmlns="{_MAIN}">'
    '<fonts count="2"><font><sz val="11"/><name val="Calibri"/></font><font><b/><sz val="11"/><name val="Calibri"/></font></fonts>'
    '<fills count="2"><fill><patternFill patternType="none"/></fill><fill><patternFill patternType="gray125"/></fill></fills>'
    '<borders count="1"><border><left/><right/><top/><bottom/><diagonal/></border></borders>'
    '<cellStyleXfs count="1"><xf numFmtId="0" fontId="0" fillId="0" borderId="0"/></cellStyleXfs>'
    '<cellXfs count="2"><xf numFmtId="0" fontId="0" fillId="0" borderId="0" xfId="0"/>'
    '<xf numFmtId="0" fontId="1" fillId="0" borderId="0" xfId="0" applyFont="1"/></cellXfs>'
    '<cellStyles count="1"><cellStyle name="Normal" xfId="0" builtinId="0"/></cellStyles></styleSheet>'
)


def xlsx_bytes(name: str, columns: Sequence[str], rows: Iterable[Sequence[Cell]]) -> bytes:
    """A workbook of one sheet whose head stays in view.

    Source: ECMA-376 part 1, clauses 18.2, 18.3 and 18.8
    """
    out = io.BytesIO()
    title = escape(_UNFIT.sub("", re.sub(r"[\[\]:*?/\\']", " ", name)).strip()[:31] or "Sheet1", {'"': "&quot;"})
    workbook = (
        f'<?xml version="1.0" encoding="UTF-8" standalone="yes"?><workbook xmlns="{_MAIN}" xmlns:r="{_OFFICE}">'
        f'<sheets><sheet name="{title}" sheetId="1" r:id="rId1"/></sheets></workbook>'
    )
    parts = {
        "[Content_Types].xml": _TYPES,
        "_rels/.rels": _RELS.format(
            f'<Relationship Id="rId1" Type="{_OFFICE}/officeDocument" Target="xl/workbook.xml"/>'
        ),
        "xl/workbook.xml": workbook,
        "xl/_rels/workbook.xml.rels": _RELS.format(
            f'<Relationship Id="rId1" Type="{_OFFICE}/worksheet" Target="worksheets/sheet1.xml"/>'
            f'<Relationship Id="rId2" Type="{_OFFICE}/styles" Target="styles.xml"/>'
        ),
        "xl/styles.xml": _STYLES,
    }
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as book:
        for part, text in parts.items():
            book.writestr(_info(part), text)
        with book.open(_info("xl/worksheets/sheet1.xml"), "w") as part_file:
            for piece in _worksheet(columns, rows):
                part_file.write(piece.encode())
    return out.getvalue()


def _info(part: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(part, _FIRST)
    info.compress_type = zipfile.ZIP_DEFLATED
    return info


def _worksheet(columns: Sequence[str], rows: Iterable[Sequence[Cell]]) -> Iterator[str]:
    rest = iter(rows)
    first = [row for row, _ in zip(rest, range(_MEASURED), strict=False)]
    widths = _widths(columns, first)
    yield (
        f'<?xml version="1.0" encoding="UTF-8" standalone="yes"?><worksheet xmlns="{_MAIN}"><sheetViews>'
        '<sheetView workbookViewId="0"><pane ySplit="1" topLeftCell="A2" activePane="bottomLeft" state="frozen"/></sheetView>'
        "</sheetViews>"
    )
    if widths:
        yield "<cols>"
        for n, width in enumerate(widths, 1):
            yield f'<col min="{n}" max="{n}" width="{width}" customWidth="1"/>'
        yield "</cols>"
    letters = [_letters(at) for at in range(len(columns))]
    head = "".join(_text(f"{letter}1", column, ' s="1"') for letter, column in zip(letters, columns, strict=True))
    yield f'<sheetData><row r="1">{head}</row>'
    for number, row in enumerate(chain(first, rest), 2):
        cells = "".join([_xml(f"{letter}{number}", cell) for letter, cell in zip(letters, row, strict=True)])
        yield f'<row r="{number}">{cells}</row>'
    yield "</sheetData></worksheet>"


def _letters(at: int) -> str:
    """How a sheet names its columns: A to Z, AA …"""
    name = ""
    at += 1
    while at:
        at, rest = divmod(at - 1, 26)
        name = chr(ord("A") + rest) + name
    return name


def _widths(columns: Sequence[str], rows: Sequence[Sequence[Cell]]) -> list[int]:
    longest = [len(column) for column in columns]
    for row in rows:
        for at, cell in enumerate(row):
            longest[at] = max(longest[at], len(str(cell)) if cell is not None else 0)
    return [min(60, chars + 2) for chars in longest]


def _xml(place: str, cell: Cell) -> str:
    """One cell. An integer that a spreadsheet would round is text."""
    if cell is None:
        return ""
    if isinstance(cell, str):
        return _text(place, cell)
    if isinstance(cell, int) and not -_EXACT <= cell <= _EXACT:
        return _text(place, str(cell))
    return f'<c r="{place}"><v>{cell!r}</v></c>'


def _text(place: str, text: str, style: str = "") -> str:
    good = escape(_UNFIT.sub("", text)[:MOST_CHARS])
    return f'<c r="{place}" t="inlineStr"{style}><is><t xml:space="preserve">{good}</t></is></c>'
