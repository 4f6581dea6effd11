"""Tag lists as spreadsheets write them; every mistake names file, line, column and value."""

from __future__ import annotations

import pytest

from isthmus.values.errors import Findings

PLANT = "plant: {enterprise: acme, site: lyon}\nconnections:\n  plc1: {driver: modbus-tcp, host: 10.0.0.1}\n"
TOP = PLANT + "tag_files: [tags.csv]\n"
GOOD = """\
path,connection,address,unit,range_low,range_high,deadband,alarm_high,description
hall/oven/t1,plc1,hr 0 float32,°C,0,300.5,0.5,250,"upper zone, left"
hall/oven/t2,plc1,hr 2 float32,°C,0,300.5,0.5,250,lower zone
"""
SEMICOLONS = """\
path;connection;address;unit;range_low;range_high;deadband;alarm_high;description
hall/oven/t1;plc1;hr 0 float32;°C;0;300,5;0,5;250;upper zone, left
hall/oven/t2;plc1;hr 2 float32;°C;0;300.5;0.5;250;lower zone
"""


def tags(namespace, data, text=TOP):
    data = data if isinstance(data, bytes) else data.encode()
    namespace.apply(text, namespace.current().version, "ann", "", files={"tags.csv": data})
    return {t.path: t for t in namespace.current().tags if t.kind != "system"}


@pytest.mark.mission("M45")
@pytest.mark.parametrize(
    "data",
    [
        GOOD,
        b"\xef\xbb\xbf" + GOOD.encode(),
        GOOD.replace("\n", "\r\n"),
        SEMICOLONS,
        SEMICOLONS.replace(";", "\t"),
        "# exported\n\n" + GOOD + "\n,,,\n",
        GOOD.replace("path,connection,address", "Path, Source ,AT"),
    ],
    ids=["plain", "byte order mark", "windows lines", "semicolons", "tabs", "comments", "other names"],
)
def test_a_list_is_read_however_the_spreadsheet_wrote_it(namespace, data):
    found = tags(namespace, data)
    t1 = found["hall/oven/t1"]
    assert (t1.unit, t1.low, t1.high, t1.limits, t1.address) == ("°C", 0, 300.5, {"high": 250}, "hr 0 float32")
    assert t1.description == "upper zone, left"
    assert found["hall/oven/t2"].description == "lower zone"
    columns = namespace.edge_model("edge-1").tags
    assert columns.deadband == [0.5, 0.5]
    assert [(a.path, a.level) for a in namespace.current().assets][1:3] == [("hall", "area"), ("hall/oven", "line")]


def test_every_column_reaches_its_tag(namespace):
    header = (
        "path,address,kind,unit,decimals,map,factor,offset,raw_low,raw_high,eu_low,eu_high,deadband,max_gap,every,"
        "retention,resolution,setpoint,owner,formula\n"
    )
    rows = (
        "t,hr 0,value,bar,2,,,,0,100,0,10,2 %,1 min,500 ms,long,1 s,sp,ann,\n"
        "sp,hr 1,,bar,,,0.5,1,,,,,every,,,,,,,\n"
        "mode,hr 2,,,,0=Off|1=On,,,,,,,,,,,,,,\n"
        "twice,,,bar,,,,,,,,,,,,,,,,2 * t\n"
    )
    text = PLANT + "history: {long: 10 y}\nassets:\n  a/b: {source: plc1, tags: {file: tags.csv}}\n"
    found = tags(namespace, header + rows, text)
    t = found["a/b/t"]
    assert (t.decimals, t.retention, t.setpoint, t.period_s) == (2, "long", "a/b/sp", 0.5)
    assert found["a/b/mode"].states == {0: "Off", 1: "On"}
    assert found["a/b/twice"].formula == "2 * t"
    columns = namespace.edge_model("edge-1").tags
    row = {path: i for i, path in enumerate(columns.path)}
    assert (columns.factor[row["a/b/t"]], columns.deadband_percent[row["a/b/t"]]) == (0.1, 2)
    assert (columns.factor[row["a/b/sp"]], columns.offset[row["a/b/sp"]]) == (0.5, 1)
    assert (columns.deadband[row["a/b/sp"]], columns.max_gap_s[row["a/b/t"]]) == (-1, 60)
    assert columns.resolution_ns[row["a/b/t"]] == 1_000_000_000
    assert namespace.current().retention == {"standard": 400, "long": 3650}


def test_latin_1_is_understood_when_it_is_declared(namespace):
    text = PLANT + "tag_files: [{file: tags.csv, encoding: latin-1}]\n"
    assert tags(namespace, GOOD.encode("latin-1"), text)["hall/oven/t1"].unit == "°C"


def test_lists_stay_with_their_version(namespace):
    tags(namespace, GOOD)
    assert namespace.files() == {"tags.csv": GOOD.encode()}
    # a plan without files, as from a screen, uses those of the current version
    assert namespace.plan(TOP + "# hm\n").changes[0].what == "text"
    tags(namespace, GOOD.replace("hall/oven/t2", "hall/oven/t3"))
    assert [str(c) for c in namespace.compare(1, 2)] == [
        "+ tag hall/oven/t3  value, °C, plc1 hr 2 float32",
        "- tag hall/oven/t2  its history is kept",
    ]
    namespace.restore(1, "ann", "")
    assert namespace.files() == {"tags.csv": GOOD.encode()}


H = "path,connection,address,unit\n"
CASES = {
    "latin-1": (
        H.encode() + b"a/t1,plc1,hr 0,bar\na/t2,plc1,hr 1,\xb0C\n",
        ["tags.csv:3:4", "byte 16 of this line is not UTF-8", "encoding: latin-1", "0xB0 in 'a/t2,plc1,hr 1,°C'"],
    ),
    "utf-16": (GOOD.encode("utf-16"), ["tags.csv:1:1", "is UTF-16; save it as UTF-8"]),
    "empty": (b"", ["tags.csv:1:1", "is empty"]),
    "no path": (b"name,address\nx,hr 0\n", ["tags.csv:1:1", "no column of a tag list", "path is missing"]),
    "unknown column": (b"path,adress\na/t,hr 0\n", ["tags.csv:1:2", "did you mean address?, was adress"]),
    "column twice": (b"path,at,address\n", ["tags.csv:1:3", "stands here twice", "was address"]),
    "no header": (b"a/t1,plc1,hr 0,bar\n", ["tags.csv:1:", "the first line names the columns; path is missing"]),
    "unit": (H.encode() + b"a/t,plc1,hr 0,furlongz\n", ["tags.csv:2:4", "a/t.unit", "was furlongz"]),
    "address": (H.encode() + b"a/t,plc1,xx 0,bar\n", ["tags.csv:2:3", "no address of driver modbus-tcp", "was xx 0"]),
    "connection": (H.encode() + b"a/t,plc2,hr 0,bar\n", ["tags.csv:2:2", "no such connection", "was plc2"]),
    "no connection": (H.encode() + b"a/t,,hr 0,bar\n", ["tags.csv:2:", "an address needs a connection", "was hr 0"]),
    "path": (H.encode() + b"a//t,plc1,hr 0,bar\n", ["tags.csv:2:1", "path segment", "was a//t"]),
    "no path in a row": (H.encode() + b",plc1,hr 0,bar\n", ["tags.csv:2:1", "path is empty"]),
    "twice": (
        H.encode() + b"a/t,plc1,hr 0,bar\na/t,plc1,hr 1,bar\n",
        ["tags.csv:3:1", "twice, first tags.csv:2", "was a/t"],
    ),
    "too many cells": (
        H.encode() + b"a/t,plc1,hr 0,bar,x\n",
        ["tags.csv:2:5", "more cells than the 4 columns", "was x"],
    ),
    "quote": (H.encode() + b'a/t,plc1,"hr 0,bar\n', ["tags.csv:2:1", "is no CSV"]),
    "number": (b"path,range_low,range_high\na/t,0,high\n", ["tags.csv:2:3", "must be a number, was high"]),
    "half a range": (
        b"path,range_low,range_high\na/t,0,\n",
        ["tags.csv:2:", "range_low and range_high belong together"],
    ),
    "decimal comma": (b"path;factor\na/t;1.000,5\n", ["tags.csv:2:2", "could mean two things", "was 1.000,5"]),
    "map": (b"path,map\na/t,Off|On\n", ["tags.csv:2:2", "0=Off|1=On", "was Off|On"]),
    "map number": (b"path,map\na/t,x=Off\n", ["tags.csv:2:2", "a state is told by a whole number", "was x=Off"]),
    "map twice": (b"path,map\na/t,1=Off|1=On\n", ["tags.csv:2:2", "each number once"]),
    "decimals": (b"path,decimals\na/t,x\n", ["tags.csv:2:2", "a/t.decimals: must be a whole number", "was x"]),
    "formula": (b"path,formula\na/t,1 +\n", ["tags.csv:2:2", "column 4", "was 1 +"]),
    "reserved": (b"path\nconnections/x/t\n", ["tags.csv:2:1", "kept for the diagnostics"]),
    "overlap": (
        H.encode() + b"a/t,plc1,hr 0 float32,bar\na/u,plc1,hr 1,bar\n",
        ["tags.csv:3:3", "a/u overlaps with a/t", "was hr 1"],
    ),
    "NUL": (H.encode() + b"a/t,plc1,hr\x000,bar\n", ["tags.csv:2:", "hr\\x000"]),
}


@pytest.mark.parametrize("case", CASES)
def test_a_mistake_names_file_line_column_and_value(namespace, case):
    data, parts = CASES[case]
    with pytest.raises(Findings) as caught:
        namespace.plan(TOP, files={"tags.csv": data})
    for part in parts:
        assert part in str(caught.value)
    assert namespace.current().version == 0


def test_a_comma_file_takes_no_decimal_comma(namespace):
    with pytest.raises(Findings, match=r"tags\.csv:2:2: error: a/t\.factor: must be a number, was 0,5"):
        namespace.plan(TOP, files={"tags.csv": b'path,factor\na/t,"0,5"\n'})


def test_fifty_thousand_tags_compile(namespace):
    rows = "".join(f"area{i % 10}/m{i // 40}/t{i},plc1,hr {i},bar,tag {i}\n" for i in range(50_000))
    found = tags(namespace, "path,connection,address,unit,description\n" + rows)
    assert len(found) == 50_000
    assert len(namespace.edge_model("edge-1").tags) == 50_000
    assert len({t.id for t in found.values()}) == 50_000


def test_a_large_list_is_refused(namespace, monkeypatch):
    monkeypatch.setattr("isthmus.namespace.taglist.MAX_LIST_BYTES", 1000)
    with pytest.raises(Findings, match="larger than"):
        namespace.plan(TOP, files={"tags.csv": b"x" * 1001})
    monkeypatch.setattr("isthmus.namespace.taglist.MAX_ROWS", 1)
    with pytest.raises(Findings, match=r"tags\.csv:3:1: error: has more than 1 tags"):
        namespace.plan(TOP, files={"tags.csv": GOOD.encode()})
