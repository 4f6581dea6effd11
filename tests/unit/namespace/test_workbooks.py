"""Workbooks as tag lists: the same tags, the same messages, with sheet and cell."""

from __future__ import annotations

import csv
import io

import openpyxl
import pytest

from isthmus.namespace.workbook import cell_of
from isthmus.values.errors import Findings

PLANT = "plant: {enterprise: acme, site: lyon}\nconnections:\n  plc1: {driver: modbus-tcp, host: 10.0.0.1}\n"
TOP = PLANT + "tag_files: [tags.xlsx]\n"
ROWS = [
    ["path", "connection", "address", "unit", "range_low", "range_high", "deadband", "alarm_high", "description"],
    ["hall/oven/t1", "plc1", "hr 0 float32", "°C", 0, 300.5, "0,5", 250, "upper zone, left"],
    ["hall/oven/t2", "plc1", "hr 2 float32", "°C", 0, 300.5, 0.5, 250.0, None],
]

pytestmark = [pytest.mark.mission("M45"), pytest.mark.real("openpyxl")]


def workbook(rows, sheet="Tags", first=None):
    book = openpyxl.Workbook()
    page = book.active
    if first:
        page.title = first
        page.append(["notes"])
        page = book.create_sheet(sheet)
    page.title = sheet
    for row in rows:
        page.append(row)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def tags(namespace, data):
    namespace.apply(TOP, namespace.current().version, "ann", "", files={"tags.xlsx": data})
    return {t.path: t for t in namespace.current().tags if t.kind != "system"}


@pytest.mark.parametrize(
    "data",
    [
        workbook(ROWS),
        workbook(ROWS, first="Read me"),
        workbook([["# exported"], [], *ROWS, [None] * 12]),
        workbook(ROWS, sheet="List 1"),
    ],
    ids=["plain", "a sheet named tags", "comments and blank rows", "the first sheet"],
)
def test_a_workbook_is_a_tag_list(namespace, data):
    found = tags(namespace, data)
    t1 = found["hall/oven/t1"]
    assert (t1.unit, t1.low, t1.high, t1.limits, t1.address) == ("°C", 0, 300.5, {"high": 250}, "hr 0 float32")
    assert t1.description == "upper zone, left"
    assert namespace.edge_model("edge-1").tags.deadband == [0.5, 0.5]


def mistakes(namespace, rows):
    """The same rows as a workbook and as CSV: what is said of them."""
    with pytest.raises(Findings) as told:
        tags(namespace, workbook(rows))
    out = io.StringIO()
    csv.writer(out, delimiter=";").writerows(["" if c is None else c for c in row] for row in rows)
    with pytest.raises(Findings) as plain:
        tags(namespace, out.getvalue().encode())
    return told.value.findings, plain.value.findings


@pytest.mark.parametrize(
    ("row", "column", "value", "cell"),
    [
        (1, 4, "hot", "E2"),
        (2, 1, "plc9", "B3"),
        (2, 2, "zz 1", "C3"),
        (0, 3, "colour", "D1"),
        (2, 0, "hall/oven/t1", "A3"),
    ],
    ids=["a number", "a connection", "an address", "a column", "a path twice"],
)
def test_a_mistake_is_told_as_in_csv_and_with_sheet_and_cell(namespace, row, column, value, cell):
    rows = [list(r) for r in ROWS]
    rows[row][column] = value
    sheet, plain = mistakes(namespace, rows)
    assert [(f.line, f.column, f.path, f.value) for f in sheet] == [(f.line, f.column, f.path, f.value) for f in plain]
    assert f"tags.xlsx[Tags]!{cell}" in [f.where for f in sheet]
    assert [f.problem.replace("tags.xlsx[Tags]", "tags.xlsx") for f in sheet] == [f.problem for f in plain]


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"\xd0\xcf\x11\xe0" + bytes(600), "save it as .xlsx"),
        (b"PK\x03\x04 nothing else", "no workbook that can be read"),
        (workbook(ROWS)[:-300], "no workbook that can be read"),
        (workbook([]), "is empty"),
    ],
    ids=["an old workbook", "no workbook", "a truncated one", "an empty one"],
)
def test_what_is_no_workbook_is_said(namespace, data, told):
    with pytest.raises(Findings, match=told) as error:
        tags(namespace, data)
    assert len(error.value.findings) == 1
    assert error.value.findings[0].where.startswith("tags.xlsx")


def test_cells_have_the_names_of_spreadsheets():
    assert [cell_of("a.xlsx[T]", 7, n) for n in (1, 26, 27, 703)] == [
        f"a.xlsx[T]!{c}7" for c in ("A", "Z", "AA", "AAA")
    ]
    assert cell_of("a.csv", 7, 1) == "a.csv"
