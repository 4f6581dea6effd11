"""Reads tag lists: CSV files and workbooks (XLSX) beside the plant file, one tag a row, as spreadsheets write them."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from isthmus.namespace.plantfile import Report, did_you_mean, read_scalar, without_value
from isthmus.namespace.workbook import cell_of, is_workbook, read_sheet
from isthmus.values.errors import ConfigError
from isthmus.values.plant.acquisition import ScaleSection
from isthmus.values.plant.alarms import AlarmsSection, LimitSection
from isthmus.values.plant.namespace import TagSection, state_number
from isthmus.values.schema import arms, members

MAX_LIST_BYTES = 64_000_000
MAX_ROWS = 500_000

_LIMITS = ("high_high", "high", "low", "low_low")
_PLAIN = (
    "kind",
    "unit",
    "deadband",
    "max_gap",
    "formula",
    "every",
    "retention",
    "resolution",
    "setpoint",
    "owner",
    "was",
)
COLUMNS: dict[str, str] = {
    "path": "Path of the tag; in the list of an asset it begins at the asset.",
    "connection": "The connection its address belongs to (`source` is understood as well).",
    "address": "Address in the device (`at` is understood as well).",
    "description": "For people.",
    "range_low": "Lowest sensible value.",
    "range_high": "Highest sensible value.",
    "decimals": "How many decimals people are shown.",
    "map": "`packml`, or states as in `0=Off|1=On`.",
    "factor": "Value = raw × factor + offset.",
    "offset": "See factor.",
    "raw_low": "Raw value that stands for eu_low.",
    "raw_high": "Raw value that stands for eu_high.",
    "eu_low": "What raw_low is in the unit.",
    "eu_high": "What raw_high is in the unit.",
    **{f"alarm_{name}": f"Alarm limit {name}." for name in _LIMITS},
    **{name: members(TagSection)[name].doc for name in _PLAIN},
}
"""Columns of a tag list with what they mean; `path` must be there."""

_ALIASES = {"source": "connection", "at": "address", "tag": "path", "low": "range_low", "high": "range_high"}
_OWN_OF_THE_ROW = ("path", "connection", "address", "description")
_NUMBERS = frozenset(
    {"range_low", "range_high", "factor", "offset", "raw_low", "raw_high", "eu_low", "eu_high"}
    | {f"alarm_{name}" for name in _LIMITS}
)


class Row(NamedTuple):
    """One tag of a list. ``section`` is shared by all rows that say the same."""

    line: int
    path: str
    connection: str
    address: str
    description: str
    section: TagSection
    columns: Mapping[str, int]
    where: str = ""
    """The file; of a workbook the sheet as well."""


def read_tag_list(data: bytes, where: str, encoding: str, report: Report) -> list[Row]:
    """The tags of a list; what is wrong with it goes into the report, naming file, line and column."""
    refused = len(report.errors)
    if is_workbook(data):
        where, rows = read_sheet(data, where, report)
        refused = len(report.errors) - refused
        delimiter = ";"  # a text cell may have a decimal comma: no comma divides the columns
    else:
        text = _decoded(data, where, encoding, report)
        if text is None:
            return []
        refused = 0
        delimiter = _delimiter(text.split("\n", 1)[0])
        rows = _lines(text, delimiter, where, report)
    before = len(report.errors)
    first = next(rows, None)
    if first is None:
        if not refused and len(report.errors) == before:
            report.add("is empty; its first line names the columns, among them path", where=where, line=1, column=1)
        return []
    columns = _header(first[1], first[0], where, report)
    if columns is None:
        return []
    reader = _Rows(columns, delimiter, where, report)
    found: list[Row] = []
    for line, cells in rows:
        if len(found) >= MAX_ROWS:
            report.add(f"has more than {MAX_ROWS} tags; divide it", where=where, line=line, column=1)
            break
        row = reader.read(line, cells)
        if row is not None:
            found.append(row)
    return found


def _decoded(data: bytes, where: str, encoding: str, report: Report) -> str | None:
    if len(data) > MAX_LIST_BYTES:
        report.add(
            f"larger than {MAX_LIST_BYTES // 1_000_000} MB; divide it", where=where, value=f"{len(data) / 1e6:.1f} MB"
        )
        return None
    if data[:2] in {b"\xff\xfe", b"\xfe\xff"}:
        report.add("is UTF-16; save it as UTF-8 (in a spreadsheet: CSV UTF-8)", where=where, line=1, column=1)
        return None
    if encoding == "latin-1":
        return data.decode("latin-1")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        start = error.start + (3 if data.startswith(b"\xef\xbb\xbf") else 0)
        begin = data.rfind(b"\n", 0, start) + 1
        report.add(
            f"byte {start - begin + 1} of this line is not UTF-8; save the file as UTF-8 (in a spreadsheet: CSV UTF-8), "
            "or declare it with encoding: latin-1",
            where=where,
            line=data.count(b"\n", 0, start) + 1,
            column=data.count(_delimiter(data[:begin].split(b"\n", 1)[0].decode("latin-1")).encode(), begin, start) + 1,
            value=f"0x{data[start]:02X} in {data[begin : start + 12].decode('latin-1').strip()!r}",
        )
        return None


def _delimiter(header: str) -> str:
    """The sign that stands most often between the names of the columns."""
    return max(",;\t", key=header.count)


def _lines(text: str, delimiter: str, where: str, report: Report) -> Iterator[tuple[int, list[str]]]:
    """Rows with the line each begins in; empty ones and comments are left out."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            report.add(f"is no CSV: {error}", where=where, line=line, column=1)
            return
        if any(cell.strip() for cell in cells) and not cells[0].startswith("#"):
            yield line, cells


def _header(cells: Sequence[str], line: int, where: str, report: Report) -> list[str] | None:
    columns = [_ALIASES.get(c.strip().lower(), c.strip().lower()) for c in cells]
    while columns and not columns[-1]:
        columns.pop()
    good = True
    for i, column in enumerate(columns):
        problem = ""
        if column not in COLUMNS:
            problem = "no column of a tag list" + did_you_mean(column, COLUMNS)
        elif column in columns[:i]:
            problem = "this column stands here twice"
        if problem:
            good = False
            report.add(
                problem,
                where=cell_of(where, line, i + 1),
                line=line,
                column=i + 1,
                path="header",
                value=cells[i].strip(),
            )
    if "path" not in columns:
        good = False
        report.add(
            "the first line names the columns; path is missing",
            where=where,
            line=line,
            column=1,
            path="header",
            value=", ".join(c.strip() for c in cells[:6]),
        )
    return columns if good else None


class _Rows:
    """Turns cells into rows; equal cells share one section."""

    def __init__(self, columns: list[str], delimiter: str, where: str, report: Report) -> None:
        self._columns, self._where, self._report = columns, where, report
        self._comma = delimiter != ","
        self._places = {name: i + 1 for i, name in enumerate(columns)}
        self._own = {name: columns.index(name) for name in _OWN_OF_THE_ROW if name in columns}
        self._shared = [(i, name) for i, name in enumerate(columns) if name not in _OWN_OF_THE_ROW]
        self._known: dict[tuple[str, ...], TagSection] = {}

    def read(self, line: int, cells: list[str]) -> Row | None:
        count = len(self._columns)
        if len(cells) < count:
            cells = cells + [""] * (count - len(cells))
        elif any(cell.strip() for cell in cells[count:]):
            self._refuse(line, count, "", f"this row has more cells than the {count} columns", cells[count].strip())
            return None
        own = {name: cells[i].strip() for name, i in self._own.items()}
        if not own["path"]:
            self._refuse(line, self._own["path"], "", "path is empty", "")
            return None
        key = tuple([cells[i].strip() for i, _ in self._shared])
        section = self._known.get(key)
        if section is None:
            before = len(self._report.errors)
            section = self._section(line, own["path"], key)
            if len(self._report.errors) == before:
                self._known[key] = section
        return Row(
            line,
            own["path"],
            own.get("connection", ""),
            own.get("address", ""),
            own.get("description", ""),
            section,
            self._places,
            self._where,
        )

    def _refuse(self, line: int, index: int, path: str, problem: str, value: str) -> None:
        where = cell_of(self._where, line, index + 1)
        self._report.add(problem, where=where, line=line, column=index + 1, path=path, value=value)

    def _section(self, line: int, path: str, key: tuple[str, ...]) -> TagSection:
        said: dict[str, Any] = {}
        for (index, name), text in zip(self._shared, key, strict=True):
            if not text:
                continue
            try:
                said[name] = self._cell(name, text)
            except (ConfigError, ValueError) as error:
                self._refuse(line, index, f"{path}.{name}", without_value(str(error)), text)
        try:
            return _tag(said)
        except ConfigError as error:
            self._refuse(line, self._own["path"], path, without_value(str(error)), path)
            return TagSection()

    def _cell(self, name: str, text: str) -> Any:
        if name in _NUMBERS:
            return self._number(text)
        if name == "decimals":
            return int(read_scalar(int, _int(text), text))
        if name == "map":
            return _states(text)
        hint = arms(members(TagSection)[name].hint)[0]
        if name == "deadband" and text != "every":
            number = text.rstrip().removesuffix("%")
            text = f"{self._number(number)}{'%' if number != text.rstrip() else ''}"
        return read_scalar(hint, text, text)

    def _number(self, text: str) -> float:
        """A decimal comma is understood where the comma does not divide the columns."""
        if self._comma and "," in text:
            if "." in text or text.count(",") > 1:
                raise ConfigError("a number with both . and , could mean two things; leave out the thousands sign")
            text = text.replace(",", ".")
        try:
            number = float(text)
        except ValueError:
            raise ConfigError("must be a number") from None
        return float(read_scalar(float, number, text))


def _int(text: str) -> Any:
    try:
        return int(text)
    except ValueError:
        return text


def _states(text: str) -> str | dict[int, str]:
    if text == "packml":
        return text
    found: dict[int, str] = {}
    for part in text.split("|"):
        number, sign, name = part.partition("=")
        if not sign or not name.strip() or state_number(number.strip()) in found:
            raise ConfigError("must be packml, or states as in 0=Off|1=On, each number once")
        found[state_number(number.strip())] = name.strip()
    return found


_GROUPS: dict[str, tuple[str, ...]] = {
    "range": ("range_low", "range_high"),
    "raw": ("raw_low", "raw_high"),
    "eu": ("eu_low", "eu_high"),
}


def _tag(said: dict[str, Any]) -> TagSection:
    """The section that the cells of a row add up to.

    Raises: ConfigError if they contradict each other
    """
    pairs: dict[str, tuple[float, float] | None] = {}
    for name, (low, high) in _GROUPS.items():
        if (low in said) != (high in said):
            raise ConfigError(f"{low} and {high} belong together")
        pairs[name] = (said.pop(low), said.pop(high)) if low in said else None
    factor, offset = said.pop("factor", None), said.pop("offset", None)
    scale = None
    if pairs["raw"] or pairs["eu"] or factor is not None or offset is not None:
        scale = ScaleSection(raw=pairs["raw"], eu=pairs["eu"], factor=factor, offset=offset)
    limits: dict[str, Any] = {n: LimitSection(limit=said.pop(f"alarm_{n}")) for n in _LIMITS if f"alarm_{n}" in said}
    return TagSection(range=pairs["range"], scale=scale, alarms=AlarmsSection(**limits) if limits else None, **said)


ReadFile = Callable[[str], bytes | None]
"""Gives a file beside the plant file by its name; None where there is none."""
