"""Rationalisation as a table: every alarm of the plant as CSV, and a table that was worked on as an edit of the plant file.

The text of the plant file stays as it is but for what changed: comments and layout survive, and nothing is applied here.

Source: ANSI/ISA-18.2-2016 and IEC 62682, clause 9 (rationalization): what is recorded of each alarm
"""

from __future__ import annotations

import csv
import io
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from isthmus.namespace.edit import flow
from isthmus.namespace.plantfile import Document, Node, Report, did_you_mean, plain_data
from isthmus.values.errors import ConfigError, Findings
from isthmus.values.messages.alarms import PRIORITIES

MAX_BYTES: Final = 32_000_000
MAX_ROWS: Final = 200_000
MAX_TEXT_CHARS: Final = 1000
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
"""How a cell begins that a spreadsheet would compute."""

CONTEXT: Final = ("alarm", "asset", "kind", "unit")
"""Columns that say which alarm it is; but for `alarm` they are not read back."""
EDITABLE: Final = (
    "limit",
    "priority",
    "deadband",
    "on_delay_s",
    "off_delay_s",
    "latch",
    "message",
    "cause",
    "consequence",
    "response",
    "response_time_s",
    "consequence_class",
)
COLUMNS: Final = (*CONTEXT, *EDITABLE)
_SECONDS: Final = {"on_delay_s": "on_delay", "off_delay_s": "off_delay", "response_time_s": "response_time"}
_NUMBERS: Final = frozenset({"limit", "deadband", *_SECONDS})
_TEXTS: Final = frozenset({"message", "cause", "consequence", "response", "consequence_class"})

Value = float | bool | str | None


class Declared(Protocol):
    """An alarm as the plant file has it. ``values`` by the names of `EDITABLE`; what is not said is missing or None."""

    @property
    def alarm(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def asset(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def unit(self) -> str: ...
    @property
    def declared(self) -> Mapping[str, Any]: ...


@dataclass(frozen=True, slots=True)
class Edited:
    """The plant file's text as the table wants it, and which alarms differ."""

    text: str
    alarms: tuple[str, ...]


# --- out -----------------------------------------------------------------------------------------------------------------


def lines(definitions: Iterable[Declared], delimiter: str = ",") -> Iterator[str]:
    """The table, line by line, the first naming the columns."""
    yield _line(COLUMNS, delimiter)
    for one in definitions:
        cells = [one.alarm, one.asset, one.kind, one.unit, *(cell_of(one.declared.get(name)) for name in EDITABLE)]
        yield _line([guarded(cell, name) for cell, name in zip(cells, COLUMNS, strict=True)], delimiter)


def _line(cells: Iterable[str], delimiter: str) -> str:
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter, lineterminator="\r\n").writerow(cells)
    return out.getvalue()


def cell_of(value: Any) -> str:
    """A value as a cell: truths as yes and no, whole numbers without a point."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)
    return str(value)


def guarded(cell: str, column: str = "") -> str:
    """A text that no spreadsheet takes for a formula; `_bare` is its inverse."""
    return f"'{cell}" if column not in _NUMBERS and cell.startswith((*_FORMULA, "'")) else cell


def _bare(cell: str) -> str:
    return cell.removeprefix("'")


# --- in ------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Row:
    line: int
    alarm: Declared
    changes: dict[str, Value]  # by column
    places: Mapping[str, int]


def edit_plant(text: str, data: bytes, definitions: Iterable[Declared], where: str = "alarms.csv") -> Edited:
    """The plant file's text with what a table changes.

    What a type of asset says is changed there when the table gives all its assets the same, else at the asset.
    Raises: Findings naming line and column of the table for everything that is wrong; ConfigError where the text is laid
            out so that it cannot be edited
    """
    known = {one.alarm: one for one in definitions}
    report = Report(where)
    rows = _read(data, where, known, report)
    report.check()
    document = Document(text, "plant.yaml")
    wanted, changed = _Places(document, known.values(), report).wanted(rows)
    report.check()
    if not changed:
        return Edited(text, ())
    return Edited(rewritten(document, wanted), changed)


def _decoded(data: bytes, where: str, report: Report) -> str:
    """UTF-8, or Latin-1 as older spreadsheets write it."""
    if len(data) > MAX_BYTES:
        report.add(f"larger than {MAX_BYTES // 1_000_000} MB", value=f"{len(data) / 1e6:.1f} MB")
    elif data[:2] in {b"\xff\xfe", b"\xfe\xff"}:
        report.add("is UTF-16; save it as UTF-8 (in a spreadsheet: CSV UTF-8)", line=1, column=1)
    elif b"\0" in data:
        report.add("is no text: it has a zero byte", line=data.count(b"\n", 0, data.index(b"\0")) + 1, column=1)
    report.check()
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _read(data: bytes, where: str, known: Mapping[str, Declared], report: Report) -> list[_Row]:
    text = _decoded(data, where, report)
    delimiter = max(",;\t", key=text.split("\n", 1)[0].count)
    reader = _Cells(delimiter, known, report)
    found: list[_Row] = []
    for line, cells in _records(text, delimiter, report):
        if reader.columns is None:
            if not reader.head(line, cells):
                return []
            continue
        if len(found) >= MAX_ROWS:
            report.add(f"has more than {MAX_ROWS} alarms; divide it", line=line, column=1)
            break
        row = reader.row(line, cells)
        if row is not None and row.changes:
            found.append(row)
    if reader.columns is None and not report.errors:
        report.add("is empty; its first line names the columns, among them alarm", line=1, column=1)
    return found


def _records(text: str, delimiter: str, report: Report) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            report.add(f"is no CSV: {error}", line=line, column=1)
            return
        if any(cell.strip() for cell in cells):
            yield line, cells


class _Cells:
    """Turns the cells of a line into what they change."""

    def __init__(self, delimiter: str, known: Mapping[str, Declared], report: Report) -> None:
        self._comma, self._known, self._report = delimiter != ",", known, report
        self._met: dict[str, int] = {}
        self.columns: list[str] | None = None
        self._places: dict[str, int] = {}

    def head(self, line: int, cells: Sequence[str]) -> bool:
        """Take the names of the columns."""
        columns = [cell.strip().lower() for cell in cells]
        while columns and not columns[-1]:
            columns.pop()
        before = len(self._report.errors)
        for i, column in enumerate(columns):
            if column not in COLUMNS:
                self._report.add(
                    "no column of this table" + did_you_mean(column, COLUMNS),
                    line=line, column=i + 1, path="header", value=column,
                )  # fmt: skip
            elif column in columns[:i]:
                self._report.add("this column stands here twice", line=line, column=i + 1, path="header", value=column)
        if "alarm" not in columns:
            self._report.add("the first line names the columns; alarm is missing", line=line, column=1, path="header")
        self.columns, self._places = columns, {name: i + 1 for i, name in enumerate(columns)}
        return len(self._report.errors) == before

    def row(self, line: int, cells: list[str]) -> _Row | None:
        """What a line changes; None where it is refused."""
        columns = self.columns or []
        if any(cell.strip() for cell in cells[len(columns) :]):
            self._report.add(
                f"this row has more cells than the {len(columns)} columns", line=line, column=len(columns) + 1
            )
            return None
        given = dict(zip(columns, [*cells, *[""] * (len(columns) - len(cells))], strict=False))
        name = _bare(given["alarm"].strip())
        one = self._known.get(name)
        if one is None or name in self._met:
            problem = (
                f"this alarm stands here twice, first in line {self._met[name]}"
                if one is not None
                else "the plant has no such alarm"
            )
            self._report.add(problem, line=line, column=self._places["alarm"], path="alarm", value=name)
            return None
        self._met[name] = line
        changes: dict[str, Value] = {}
        for column in EDITABLE:
            if column in given:
                self._cell(line, one, column, given[column].strip(), changes)
        return _Row(line, one, changes, self._places)

    def _cell(self, line: int, one: Declared, column: str, text: str, changes: dict[str, Value]) -> None:
        before = one.declared.get(column)
        try:
            value = self._value(column, text)
            if value is None and column == "limit" and before is not None:
                raise ConfigError("a limit cannot be taken away here; take the alarm out of the plant file")
            if value is not None and column == "limit" and before is None:
                raise ConfigError("this alarm has no limit")
        except ConfigError as error:
            path = f"{one.alarm}.{column}"
            self._report.add(str(error), line=line, column=self._places[column], path=path, value=text)
            return
        if value != before and not (value is None and before in (None, "", 0.0, False)):
            changes[column] = value

    def _value(self, column: str, text: str) -> Value:
        if not text:
            return None
        if column in _NUMBERS:
            number = self._number(text)
            if column != "limit" and number < 0:
                raise ConfigError("may not be negative")
            return number
        if column == "latch":
            found = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}.get(text.lower())
            if found is None:
                raise ConfigError("must be yes or no")
            return found
        text = _bare(text)
        if column == "priority" and text not in PRIORITIES:
            raise ConfigError("must be one of " + ", ".join(PRIORITIES) + did_you_mean(text, PRIORITIES))
        if len(text) > MAX_TEXT_CHARS:
            raise ConfigError(f"longer than {MAX_TEXT_CHARS} characters")
        return text

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
        if not abs(number) < 1e300:  # neither infinite nor no number
            raise ConfigError("must be a number")
        return number


# --- where it stands in the plant file -----------------------------------------------------------------------------------

Spot = tuple[str, ...]


class _Absent:
    """Takes a key away."""


ABSENT: Final = _Absent()


def spots(one: Declared, of_type: Callable[[str], Sequence[str]]) -> list[Spot]:
    """Where an alarm may be written down, the one that outranks the others first."""
    if one.path.startswith("connections/"):
        return [("connections", one.path.split("/")[1], "alarm")]
    if not one.asset and not one.path:
        return [("alarms", one.name)]
    tag = one.path.removeprefix(one.asset).strip("/") if one.path != one.asset else ""
    within: Spot = ("tags", tag, "alarms") if tag else ("alarms",)
    homes: list[Spot] = [("assets", one.asset), *(("types", name) for name in of_type(one.asset))]
    leaves: list[Spot] = [("states", one.name), (one.name,)] if one.kind == "state" else [(one.name,)]
    return [(*home, *within, *leaf) for home in homes for leaf in leaves]


class _Places:
    """Which values of the plant file a table's rows stand for."""

    def __init__(self, document: Document, definitions: Iterable[Declared], report: Report) -> None:
        self._document, self._report = document, report
        self._spots = {one.alarm: self._found(one) for one in definitions}
        self._shared = Counter(spot for spot in self._spots.values() if spot)

    def _chain(self, asset: str) -> list[str]:
        """The type of an asset and what it extends."""
        found: list[str] = []
        name = self._text(("assets", asset, "type"))
        while name and name not in found:
            found.append(name)
            name = self._text(("types", name, "extends"))
        return found

    def _text(self, spot: Spot) -> str:
        node = self._document.find(spot)
        return "" if node is None or isinstance(node.value, dict | list) else node.text

    def _found(self, one: Declared) -> Spot:
        """Where it is written; empty where it is nowhere in this file."""
        for spot in spots(one, self._chain):
            node = self._document.find(spot)
            if node is not None and node.value is not None:
                return spot
        return ("connections", one.path.split("/")[1], "alarm") if one.path.startswith("connections/") else ()

    def wanted(self, rows: Sequence[_Row]) -> tuple[dict[str, Any], tuple[str, ...]]:
        """The changes as a tree of the document's keys, and the alarms that differ by them."""
        tree: dict[str, Any] = {}
        groups: dict[Spot, list[_Row]] = defaultdict(list)
        for row in rows:
            spot = self._spots[row.alarm.alarm]
            if not spot:
                self._report.add(
                    "is not written in the plant file itself (a tag list beside it may have it); change it there",
                    line=row.line,
                    column=row.places["alarm"],
                    path="alarm",
                    value=row.alarm.alarm,
                )
                continue
            groups[spot].append(row)
        for spot, some in groups.items():
            same = all(row.changes == some[0].changes for row in some)
            if spot[0] != "types" or (same and len(some) == self._shared[spot]):
                self._put(tree, spot, some[0])
                continue
            whole = self._section(spot)
            for row in some:
                own = next(s for s in spots(row.alarm, lambda _: ()) if len(s) == len(spot))
                _grow(tree, own, {**whole, **_said(row.changes)})
        return tree, tuple(row.alarm.alarm for some in groups.values() for row in some)

    def _section(self, spot: Spot) -> dict[str, Any]:
        """What is written at a place, the short form written out."""
        node = self._document.find(spot)
        data = None if node is None else plain_data(node)
        return dict(data) if isinstance(data, dict) else {} if data is None else {self._short(spot): data}

    @staticmethod
    def _short(spot: Spot) -> str:
        """What a bare value at this place means."""
        return "priority" if spot[0] == "connections" else "limit"

    def _put(self, tree: dict[str, Any], spot: Spot, row: _Row) -> None:
        node = self._document.find(spot)
        said = _said(row.changes)
        if node is None or not isinstance(node.value, dict):
            _grow(tree, spot, {**self._section(spot), **said}, whole=True)
            return
        for key, value in said.items():
            if value is ABSENT and key not in node.value:  # what it inherits is outranked by saying nothing
                said[key] = ""
        _grow(tree, spot, said)


def _said(changes: Mapping[str, Value]) -> dict[str, Any]:
    """Changes by the names of the plant file."""
    found: dict[str, Any] = {}
    for column, value in changes.items():
        if value is None:
            found[_SECONDS.get(column, column)] = ABSENT
        elif column in _SECONDS:
            found[_SECONDS[column]] = f"{cell_of(value)} s"
        else:
            found[column] = int(value) if isinstance(value, float) and value.is_integer() else value
    return found


@dataclass(frozen=True, slots=True)
class _Whole:
    """Replaces what stands there, whatever it is."""

    value: dict[str, Any]


def _grow(tree: dict[str, Any], spot: Spot, value: dict[str, Any], *, whole: bool = False) -> None:
    value = {key: one for key, one in value.items() if not (whole and one is ABSENT)}
    for key in spot[:-1]:
        tree = tree.setdefault(key, {})
    if whole:
        tree[spot[-1]] = _Whole(value)
    else:
        tree.setdefault(spot[-1], {}).update(value)


# --- the edit ------------------------------------------------------------------------------------------------------------


def rewritten(document: Document, wanted: Mapping[str, Any]) -> str:
    """The document's text with a tree of changes in it, everything else byte for byte as it was.

    Raises: ConfigError if it is laid out so that the result would say something else
    """
    edits: list[tuple[int, int, str]] = []
    _walk(document.text, document.root, wanted, edits)
    text = document.text
    for start, stop, new in sorted(edits, reverse=True):
        text = text[:start] + new + text[stop:]
    expected = _applied(plain_data(document.root), wanted)
    try:
        said = plain_data(Document(text, document.where).root)
    except Findings:
        said = None
    if said != expected:
        raise ConfigError(
            "plant: the text is laid out in a way that cannot be edited here; change these alarms by hand"
        )
    return text


def _applied(data: Any, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Plain data with the changes made."""
    found = dict(data) if isinstance(data, dict) else {}
    for key, value in wanted.items():
        if value is ABSENT:
            found.pop(key, None)
        elif isinstance(value, _Whole):
            found[key] = value.value
        elif isinstance(value, dict):
            found[key] = _applied(found.get(key), value)
        else:
            found[key] = value
    return found


def _plain(value: Any) -> Any:
    """A tree of changes as the data it makes where nothing stands yet."""
    if isinstance(value, _Whole):
        return value.value
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items() if one is not ABSENT}
    return value


def _walk(text: str, node: Node, wanted: Mapping[str, Any], edits: list[tuple[int, int, str]]) -> None:
    inside = node.value if isinstance(node.value, dict) else {}
    gone = [key for key, value in wanted.items() if value is ABSENT and key in inside]
    if gone and node.flow:  # what is left is written anew: commas on both sides belong to somebody
        edits.append((node.start, node.stop, flow(_applied(plain_data(node), wanted))))
        return
    edits += [_removed(text, node, key) for key in gone]
    new: dict[str, Any] = {}
    for key, value in wanted.items():
        child = inside.get(key)
        if value is ABSENT:
            continue
        if child is None:
            new[key] = _plain(value)
        elif isinstance(value, dict) and isinstance(child.value, dict):
            _walk(text, child, value, edits)
        else:
            edits.append(_replaced(text, node, key, child, flow(_plain(value))))
    if new:
        edits.append(_inserted(text, node, new))


def _removed(text: str, node: Node, key: str) -> tuple[int, int, str]:
    """The lines of a key of a block mapping."""
    begin = text.rfind("\n", 0, (node.keys or {})[key].start) + 1
    end = text.find("\n", _content(text, node.value[key])[1])
    return begin, len(text) if end < 0 else end + 1, ""


def _content(text: str, node: Node) -> tuple[int, int]:
    """Where a value is written; block texts end behind their line break."""
    stop = node.stop
    while stop > node.start and text[stop - 1] in "\r\n \t":
        stop -= 1
    return node.start, stop


def _replaced(text: str, parent: Node, key: str, child: Node, new: str) -> tuple[int, int, str]:
    start, stop = _content(text, child)
    if start == stop:  # a key with nothing behind it
        at = text.index(":", (parent.keys or {})[key].stop) + 1
        return at, at, f" {new}"
    return start, stop, new


def _inserted(text: str, node: Node, new: Mapping[str, Any]) -> tuple[int, int, str]:
    """New keys at the end of a mapping that has some."""
    if not isinstance(node.value, dict):
        raise ConfigError(
            "plant: the text is laid out in a way that cannot be edited here; change these alarms by hand"
        )
    entries = [f"{flow(key)}: {flow(value)}" for key, value in new.items()]
    if node.flow:
        close = node.stop - 1
        inside = text[node.start + 1 : close].rstrip()
        at = node.start + 1 + len(inside)
        comma = "" if not node.value or inside.endswith(",") else ", "
        return at, at, comma + ", ".join(entries)
    newline = "\r\n" if "\r\n" in text else "\n"
    column = next(iter((node.keys or {}).values())).column - 1
    stop = node.stop
    while stop > 0 and text[stop - 1] in "\r\n \t":
        stop -= 1
    end = text.find("\n", stop)
    at = len(text) if end < 0 else end - 1 if end > stop and text[end - 1] == "\r" else end
    return at, at, "".join(f"{newline}{' ' * column}{entry}" for entry in entries)
