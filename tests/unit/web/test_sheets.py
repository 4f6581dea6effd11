"""Tables as files: what a spreadsheet program reads back, and what can never run in one."""

from __future__ import annotations

import csv
import io
import re
from typing import Any

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from isthmus.web.problems import Refused
from isthmus.web.sheets import MOST_ROWS, file_name, sheet

pytestmark = pytest.mark.mission("M16")


class Stop(BaseModel):
    start: str
    asset: str
    seconds: float | None
    count: int
    reasons: list[str] = []


STOPS = [
    Stop(start="2026-11-12T13:22:12.000Z", asset="packaging/line1/filler", seconds=12.5, count=3, reasons=["a", "b"]),
    Stop(start="2026-11-12T13:25:00.000Z", asset="=1+1", seconds=None, count=-4),
]


def cells_of(body: bytes) -> list[tuple[Any, ...]]:
    """As openpyxl reads a workbook."""
    book = openpyxl.load_workbook(io.BytesIO(body), read_only=True)
    return [tuple(cell for cell in row) for row in book.active.iter_rows(values_only=True)]


def lines_of(body: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(body.decode("utf-8"), newline=""), strict=True))


@pytest.mark.real("openpyxl")
async def test_a_workbook_is_read_back_as_it_was_by_another_program() -> None:
    answer = await sheet("xlsx", "stops of line 1", STOPS)
    assert answer.headers["content-disposition"] == 'attachment; filename="stops-of-line-1.xlsx"'
    assert cells_of(bytes(answer.body)) == [
        ("start", "asset", "seconds", "count", "reasons"),
        ("2026-11-12T13:22:12.000Z", "packaging/line1/filler", 12.5, 3, "a, b"),
        ("2026-11-12T13:25:00.000Z", "=1+1", None, -4, ""),
    ]


@pytest.mark.real("openpyxl")
async def test_no_cell_of_a_workbook_is_a_formula() -> None:
    rows = [{"text": text} for text in ("=1+1", "+cmd|' /C calc'!A0", "@SUM(A1)", "-2+3", "\t=1", "{=1}")]
    answer = await sheet("xlsx", "texts", rows)
    book = openpyxl.load_workbook(io.BytesIO(bytes(answer.body)))
    kinds = {cell.data_type for row in book.active.iter_rows() for cell in row}
    assert "f" not in kinds
    assert [row[0] for row in cells_of(bytes(answer.body))[1:]] == [row["text"] for row in rows]


async def test_text_that_would_run_begins_with_an_apostrophe_in_csv_and_numbers_stay_numbers() -> None:
    rows: list[dict[str, Any]] = [
        {"a": '=HYPERLINK("x")', "b": -5},
        {"a": "@now", "b": "-5"},
        {"a": "\t=1", "b": "-5 mm"},
        {"a": 'safe, "quoted"\nand long', "b": 1e300},
    ]
    lines = lines_of(bytes((await sheet("csv", "t", rows)).body))
    assert lines == [
        ["a", "b"],
        ['\'=HYPERLINK("x")', "-5"],
        ["'@now", "-5"],
        ["'\t=1", "'-5 mm"],
        ['safe, "quoted"\nand long', "1e+300"],
    ]


@pytest.mark.real("openpyxl")
async def test_what_a_workbook_cannot_hold_is_told_or_left_out() -> None:
    rows = [{"n": float("nan"), "big": 2**60, "text": "a\x00b\ud800 ", "deep": {"x": [1, {"y": 2}]}, "flag": True}]
    head, row = cells_of(bytes((await sheet("xlsx", "[odd]/name*" + "x" * 40, rows)).body))
    assert head == ("n", "big", "text", "deep", "flag")
    assert row == (None, str(2**60), "ab ", '{"x":[1,{"y":2}]}', "true")
    assert cells_of(bytes((await sheet("xlsx", "", [], ("a", "b"))).body)) == [("a", "b")]
    with pytest.raises(Refused) as refused:
        await sheet("csv", "t", range(MOST_ROWS + 1))  # type: ignore[arg-type]  # only its length is looked at
    assert refused.value.status == 413


async def test_equal_tables_are_equal_files() -> None:
    assert (await sheet("xlsx", "t", STOPS)).body == (await sheet("xlsx", "t", STOPS)).body


@given(st.text())
def test_a_file_name_is_plain(name: str) -> None:
    made = file_name(name)
    assert made
    assert made.isascii()
    assert not set('/\\:*?"<>| \r\n;') & set(made)


@given(st.lists(st.tuples(st.text(), st.integers() | st.floats() | st.none() | st.text()), max_size=5))
async def test_every_table_makes_both_files(pairs: list[tuple[str, Any]]) -> None:
    rows = [{"a": a, "b": b} for a, b in pairs]
    lines = lines_of(bytes((await sheet("csv", "t", rows, ("a", "b"))).body))
    cells = cells_of(bytes((await sheet("xlsx", "t", rows, ("a", "b"))).body))
    assert len(lines) == len(cells) == len(rows) + 1
    risky = [line[0] for line in lines[1:] if line[0].startswith(("=", "+", "-", "@", "\t", "\r"))]
    assert [text for text in risky if not re.fullmatch(r"[+-][0-9.eE+-]+", text)] == []
