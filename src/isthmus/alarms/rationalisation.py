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
from typing import Any, Final

from isthmus.namespace.edit import flow
from isthmus.namespace.model import Alarm
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


@dataclass(frozen=True, slots=True)
class Declared:
    """An alarm as a line of the table: ``values`` by the names of `EDITABLE`; what this alarm cannot have is missing."""

    alarm: str
    path: str
    asset: str
    name: str
    kind: str
    unit: str
    values: Mapping[str, Value]


def declared(alarm: Alarm) -> Declared:
    """A line as the plant file says it; a rate as it was said, per second, minute or hour."""
    spec = alarm.spec
    values: dict[str, Value] = {"priority": spec.priority}
    if spec.limit is not None:
        per_s = spec.per_s if spec.kind == "rate" else 1.0
        values |= {"limit": _round(spec.limit * per_s), "deadband": _round(spec.deadband * per_s)}
    if spec.kind != "communication":  # a connection says its priority and nothing else
        values |= {
            "on_delay_s": spec.on_delay_s,
            "off_delay_s": spec.off_delay_s,
            "latch": spec.latch,
            "message": spec.message,
            "cause": spec.cause,
            "consequence": spec.consequence,
            "response": spec.response,
            "response_time_s": spec.response_s,
            "consequence_class": spec.consequence_class,
        }
    unit = spec.unit + {1.0: "/s", 60.0: "/min", 3600.0: "/h"}.get(spec.per_s, "") * (spec.kind == "rate")
    return Declared(alarm.key, alarm.path, alarm.asset, alarm.name, spec.kind, unit, values)


def _round(value: float) -> float:
    """A number that was divided and multiplied again, as it was written."""
    return float(f"{value:.12g}")


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
        cells = [one.alarm, one.asset, one.kind, one.unit, *(cell_of(one.values.get(name)) for name in EDITABLE)]
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
        if {"priority", "consequence_class"} <= changes.keys():
            problem = "the priority follows from consequence_class and response_time; change it or them, not both"
            self._report.add(problem, line=line, column=self._places["priority"], path=f"{name}.priority")
        return _Row(line, one, changes, self._places)

    def _cell(self, line: int, one: Declared, column: str, text: str, changes: dict[str, Value]) -> None:
        before = one.values.get(column)
        try:
            value = self._value(column, text)
            if value is not None and column not in one.values:
                raise ConfigError(f"an alarm of the kind {one.kind} has no {column}")
            if value is None and column in {"limit", "priority"} and before is not None:
                raise ConfigError("may not be empty; to take an alarm away, take it out of the plant file")
        except ConfigError as error:
            path = f"{one.alarm}.{column}"
            self._report.add(str(error), line=line, column=self._places[column], path=path, value=text)
            return
        if isinstance(before, str):  # block texts end in a line break, which no cell keeps
            before = before.replace("\r\n", "\n").strip()
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
        text = _bare(text).replace("\r\n", "\n")
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
    if one.kind == "communication":
        return [("connections", one.path.removeprefix("connections/"), "alarm")]
    if one.path == one.asset:  # an expression
        return (
            [("types", name, "alarms", one.name) for name in of_type(one.asset)]
            if one.asset
            else [("alarms", one.name)]
        )
    tag = one.path.removeprefix(one.asset).removeprefix("/")
    leaf = ("states", one.name.removeprefix("state:")) if one.kind == "state" else (one.name,)
    homes = [("assets", one.asset), *(("types", name) for name in of_type(one.asset))]
    return [(*home, "tags", tag, "alarms", *leaf) for home in homes]


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
            if one.kind == "communication" or (node is not None and node.value is not None):
                return spot
        return ()

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
            for row in some:
                self._own(tree, spot, row)
        return tree, tuple(row.alarm.alarm for some in groups.values() for row in some)

    def _refuse(self, row: _Row, column: str, problem: str) -> None:
        place = row.places.get(column, row.places["alarm"])
        self._report.add(problem, line=row.line, column=place, path=f"{row.alarm.alarm}.{column}")

    def _own(self, tree: dict[str, Any], spot: Spot, row: _Row) -> None:
        """What differs from the type, at the asset; the type goes on saying the rest."""
        own = next((s for s in spots(row.alarm, lambda _: ()) if len(s) == len(spot)), None)
        if own is None:
            problem = f"stands in the type {spot[1]} for all its assets; give all of them the same"
            self._refuse(row, next(iter(row.changes)), problem)
            return
        said = _said(row.changes)
        for column, value in row.changes.items():
            if value is None or value in (0.0, False):
                self._refuse(row, column, f"an asset cannot take away what its type {spot[1]} says; change all of them")
                return
        if "limit" in row.alarm.values:
            said.setdefault("limit", _plain_number(row.alarm.values["limit"]))
        _grow(tree, own, said)

    def _put(self, tree: dict[str, Any], spot: Spot, row: _Row) -> None:
        """Changes where the alarm is written."""
        node = self._document.find(spot)
        said = _said(row.changes)
        if row.alarm.kind == "communication":
            _grow(tree, spot[:-1], {spot[-1]: said["priority"]})
            return
        if node is None or not isinstance(node.value, dict):  # the short form
            short = "limit" if "limit" in row.alarm.values else "priority"
            before = {} if node is None else {short: plain_data(node)}
            _grow(tree, spot, {**before, **said}, whole=True)
            return
        for other, mine in (("consequence_class", "priority"), ("priority", "consequence_class")):
            if mine in said and said[mine] is not ABSENT and other in node.value:
                said[other] = ABSENT  # either way of telling the priority takes the other's place
        for column, value in row.changes.items():
            if value is None and _SECONDS.get(column, column) not in node.value:
                self._refuse(row, column, "is said by the type of the asset; change it for all of that type")
                return
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
            found[column] = _plain_number(value)
    return found


def _plain_number(value: Value) -> int | bool | float | str | None:
    """Whole numbers as people write them."""
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 2**53 else value


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
