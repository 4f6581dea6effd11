"""Files to samples: what is understood, and what is refused with its line, column and value."""

from __future__ import annotations

import datetime as dt
import math

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.historian.model import EARLIEST_NS as RECORD_EARLIEST_NS
from isthmus.transfer import csv_file, parquet_file
from isthmus.transfer.model import EARLIEST_NS, Layout, Target
from isthmus.transfer.run import Import, encode
from isthmus.values.clock import NS_PER_S
from isthmus.values.errors import ConfigError
from isthmus.values.sample import ValueType
from isthmus.values.status import BAD, BAD_TIMEOUT, UNCERTAIN
from isthmus.web.routes.transfer import _batch

NOW = 1_790_000_000 * NS_PER_S
T0 = 1_767_571_200 * NS_PER_S  # 2026-01-05T00:00:00Z
TARGETS = {
    t.path: t
    for t in (
        Target(1, "hall/oven/temp", ValueType.FLOAT),
        Target(2, "hall/oven/count", ValueType.INT),
        Target(3, "hall/oven/state", ValueType.INT, {"Off": 0, "On": 1}),
        Target(4, "hall/oven/recipe", ValueType.TEXT),
    )
}

pytestmark = [pytest.mark.mission("M7"), pytest.mark.real("pyarrow")]


def read(tmp_path, content, layout=None, targets=TARGETS, name="a.csv"):
    """(samples by tag id as (seconds since T0, value, status), refused rows) of a file."""
    file = tmp_path / name
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return samples(Import(file, layout or Layout(), targets, NOW))


def samples(one):
    found, refused, rows = {}, [], 0
    one._converter.most = None
    for piece in one.source.pieces():
        made = one._converter.make(piece)
        refused += made.refused
        rows += made.rows
        assert made.refusals == len(made.refused)
        for b in made.batches:
            for i in range(len(b)):
                value = b.text[int(b.value[i])] if b.type is ValueType.TEXT else b.value[i].item()
                at = (int(b.time_ns[i]) - T0) / 1e9
                found.setdefault(int(b.id[i]), []).append((at, value, int(b.status[i])))
    assert one.check().refused == len(refused)
    return found, refused, rows


TALL = """\
tag,time,value,quality
hall/oven/temp,2026-01-05T00:00:01Z,20.5,Good
hall/oven/count,2026-01-05T01:00:02+01:00,9007199254740993,Good
hall/oven/state,2026-01-05 00:00:03.250Z,On,Good
hall/oven/recipe,2026-01-05T00:00:04Z,"bread, dark",Good
hall/oven/temp,2026-01-05T00:00:05Z,,BadTimeout
hall/oven/temp,2026-01-05T00:00:06Z,21,Uncertain
"""
EXPECTED = {
    1: [(1.0, 20.5, 0), (5.0, 0.0, BAD_TIMEOUT), (6.0, 21.0, UNCERTAIN)],
    2: [(2.0, 9007199254740993, 0)],
    3: [(3.25, 1, 0)],
    4: [(4.0, "bread, dark", 0)],
}


@pytest.mark.parametrize(
    "data",
    [
        TALL,
        b"\xef\xbb\xbf" + TALL.encode(),
        TALL.replace("\n", "\r\n"),
        TALL.replace("tag,time,value,quality", "Tag,TIMESTAMP,Value,Status"),
        TALL.replace("\n", "\n\n"),
        TALL[:-1],
        TALL.replace(",", ";").replace("bread; dark", "bread, dark").replace("20.5", "20,5"),
        TALL.replace(",", "\t").replace("bread\t dark", "bread, dark").replace("20.5", "20,5"),
    ],
    ids=["plain", "byte order mark", "windows lines", "other names", "blank lines", "no last line end", "semicolons and decimal commas", "tabs"],
)  # fmt: skip
def test_a_tall_file_is_read_however_it_was_written(tmp_path, data):
    found, refused, rows = read(tmp_path, data)
    assert (found, refused, rows) == (EXPECTED, [], 6)


def test_every_wrong_row_is_told_with_line_column_and_value(tmp_path):
    wrong = [
        ("hall/nope,2026-01-05T00:00:00Z,1,Good", "tag", "hall/nope", "no tag"),
        ("hall/oven/temp,yesterday,1,Good", "time", "yesterday", "ISO 8601"),
        ("hall/oven/temp,2026-02-30T00:00:00Z,1,Good", "time", "2026-02-30T00:00:00Z", "calendar"),
        ("hall/oven/temp,2026-01-05T00:00:00,1,Good", "time", "2026-01-05T00:00:00", "--timezone"),
        ("hall/oven/temp,1985-01-05T00:00:00Z,1,Good", "time", "1985-01-05T00:00:00Z", "before 1990"),
        ("hall/oven/temp,1500-01-05T00:00:00Z,1,Good", "time", "1500-01-05T00:00:00Z", "outside"),
        ("hall/oven/temp,2031-01-05T00:00:00Z,1,Good", "time", "2031-01-05T00:00:00Z", "future"),
        ("hall/oven/temp,2026-01-05T00:00:00Z,warm,Good", "value", "warm", "no number"),
        ('hall/oven/temp,2026-01-05T00:00:00Z,"20,5",Good', "value", "20,5", "decimal comma"),
        ("hall/oven/temp,2026-01-05T00:00:00Z,NaN,Good", "value", "NaN", "not Bad"),
        ("hall/oven/temp,2026-01-05T00:00:00Z,,Good", "value", "", "not Bad"),
        ("hall/oven/temp,2026-01-05T00:00:00Z,1_000,Good", "value", "1_000", "no number"),
        ("hall/oven/count,2026-01-05T00:00:00Z,1.5,Good", "value", "1.5", "whole"),
        ("hall/oven/count,2026-01-05T00:00:00Z,9223372036854775808,Good", "value", "9223372036854775808", "64 bits"),
        ("hall/oven/state,2026-01-05T00:00:00Z,Asleep,Good", "value", "Asleep", "Off, On"),
        ("hall/oven/temp,2026-01-05T00:00:00Z,1,Fine", "quality", "Fine", "no quality"),
    ]
    lines = TALL.splitlines()
    text = "\n".join([lines[0], *(w[0] for w in wrong), *lines[1:]])
    found, refused, rows = read(tmp_path, text)
    assert found == EXPECTED
    assert rows == len(wrong) + 6
    assert [r.line for r in refused] == list(range(2, 2 + len(wrong)))
    for r, (row, column, value, problem) in zip(refused, wrong, strict=True):
        assert (r.name, r.value, r.text) == (column, value, row)
        assert r.column == lines[0].split(",").index(column) + 1
        assert problem in r.problem, (r.problem, problem)


def test_lines_that_are_no_rows_are_told_too(tmp_path):
    data = (
        TALL.encode()
        + b"hall/oven/temp,2026-01-05T00:00:07Z\nhall/oven/temp,2026-01-05T00:00:08Z,\xb0,Good\n"
        + b'"open,1\n'
    )
    found, refused, rows = read(tmp_path, data)
    assert (found, rows) == (EXPECTED, 9)
    assert [(r.line, r.column) for r in refused][:2] == [(8, 2), (9, 3)]
    assert "2 cells" in refused[0].problem
    assert "--encoding latin-1" in refused[1].problem
    assert refused[1].value == "0xB0"
    assert refused[2].line == 10


def test_latin_1_is_understood_when_it_is_declared(tmp_path):
    data = "tag;time;value\nhall/oven/recipe;2026-01-05T00:00:01Z;Brötchen\n".encode("latin-1")
    found, refused, _ = read(tmp_path, data, Layout(encoding="latin-1"))
    assert (found, refused) == ({4: [(1.0, "Brötchen", 0)]}, [])
    header = "tag;time;Wärme\n".encode("latin-1")
    with pytest.raises(ConfigError, match="first line is not UTF-8"):
        read(tmp_path, header)


def test_local_times_know_the_two_hours_of_autumn_and_the_lost_one_of_spring(tmp_path):
    rows = [
        "2025-10-26 01:30:00",
        "2025-10-26 02:30:00",
        "2025-10-26 03:30:00",
        "2026-03-29 02:30:00",
        "2026-03-29 03:30:00",
    ]
    text = "tag,time,value\n" + "".join(f"hall/oven/temp,{t},{i}\n" for i, t in enumerate(rows))
    with pytest.raises(ConfigError, match=r"a\.csv:2: time: times have no zone; declare it with --timezone"):
        read(tmp_path, text)
    found, refused, _ = read(tmp_path, text, Layout(timezone="Europe/Paris"))
    assert [(r.line, r.value) for r in refused] == [(3, rows[1]), (5, rows[3])]
    assert "happened twice" in refused[0].problem
    assert "never happened" in refused[1].problem
    utc = [
        dt.datetime(2025, 10, 25, 23, 30, tzinfo=dt.UTC),
        dt.datetime(2025, 10, 26, 2, 30, tzinfo=dt.UTC),
        dt.datetime(2026, 3, 29, 1, 30, tzinfo=dt.UTC),
    ]
    assert [at for at, *_ in found[1]] == [t.timestamp() - T0 / 1e9 for t in utc]
    for choice, hour in (("earlier", 0), ("later", 1)):
        found, refused, _ = read(tmp_path, text, Layout(timezone="Europe/Paris", ambiguous=choice))
        assert len(refused) == 1
        assert found[1][1][0] == dt.datetime(2025, 10, 26, hour, 30, tzinfo=dt.UTC).timestamp() - T0 / 1e9


@pytest.mark.parametrize(
    ("layout", "cell"),
    [
        (Layout(time_unit="s"), "1767571201.25"),
        (Layout(time_unit="ms"), "1767571201250"),
        (Layout(time_unit="ns"), "1767571201250000000"),
        (Layout(time_format="%d.%m.%Y %H:%M:%S.%f", timezone="Europe/Paris"), "05.01.2026 01:00:01.25"),
        (Layout(timezone="America/New_York"), "2026-01-04T19:00:01.25"),
    ],
    ids=["seconds", "milliseconds", "nanoseconds", "a format", "a zone"],
)
def test_times_come_in_many_ways(tmp_path, layout, cell):
    found, refused, _ = read(tmp_path, f"tag,time,value\nhall/oven/temp,{cell},1\n", layout)
    assert (found, refused) == ({1: [(1.25, 1.0, 0)]}, [])


def test_a_plain_format_takes_the_fast_way_and_names_what_does_not_fit(tmp_path):
    layout = Layout(time_format="%d/%m/%Y %H:%M", timezone="UTC")
    found, refused, _ = read(tmp_path, "tag,time,value\nhall/oven/temp,05/01/2026 00:01,1\n", layout)
    assert found == {1: [(60.0, 1.0, 0)]}
    _, refused, _ = read(tmp_path, "tag,time,value\nhall/oven/temp,2026,1\n", layout)
    assert "is no time as" in refused[0].problem


def test_opc_da_qualities_are_declared(tmp_path):
    text = "tag,time,value,q\n" + "".join(
        f"hall/oven/temp,2026-01-05T00:00:0{i}Z,1,{q}\n" for i, q in enumerate((192, 216, 64, 0))
    )
    found, *_ = read(tmp_path, text, Layout(quality="da"))
    assert [s for *_, s in found[1]] == [0, 0, UNCERTAIN, BAD]


def test_a_wide_file_has_a_tag_in_each_column_and_empty_cells_are_no_samples(tmp_path):
    text = "Timestamp,temp,count,state\n2026-01-05T00:00:01Z,20.5,,On\n2026-01-05T00:00:02Z,,7,\n2026-01-05T00:00:03Z,hot,8,Off\n"
    found, refused, rows = read(tmp_path, text, Layout(prefix="hall/oven/"))
    assert found == {1: [(1.0, 20.5, 0)], 2: [(2.0, 7, 0), (3.0, 8, 0)], 3: [(1.0, 1, 0), (3.0, 0, 0)]}
    assert [(r.line, r.column, r.name, r.value) for r in refused] == [(4, 2, "temp", "hot")]
    assert rows == 3
    named = Layout(columns=(("hall/oven/temp", "A"), ("time", "when")))
    found, *_ = read(tmp_path, "when,A\n2026-01-05T00:00:01Z,3\n", named)
    assert found == {1: [(1.0, 3.0, 0)]}


@pytest.mark.parametrize(
    ("content", "layout", "told"),
    [
        ("a,b,c\n1,2,3\n", Layout(), "which column is the time"),
        ("time,a,b\n", Layout(), "neither has columns for tag and value"),
        ("time,hall/oven/temp,b\n", Layout(wide=True), "'b' is no tag"),
        ("time,tag,value\n", Layout(columns=(("time", "when"),)), "has no column 'when'"),
        ("", Layout(), "is empty"),
        (b"\x1f\x8b0000", Layout(), "is gzip"),
        ("tag,time,time\n", Layout(), "stands there twice"),
    ],
)
def test_a_file_that_cannot_be_read_as_it_is_says_what_is_missing(tmp_path, content, layout, told):
    with pytest.raises(ConfigError, match=told) as error:
        read(tmp_path, content, layout)
    assert "a.csv" in str(error.value)


def test_rows_their_class_would_drop_are_refused(tmp_path):
    short = {"t": Target(1, "t", ValueType.FLOAT, kept_days=30)}
    at = dt.datetime.fromtimestamp(NOW / 1e9, dt.UTC)
    rows = [at - dt.timedelta(days=d) for d in (29, 31)]
    found, refused, _ = read(
        tmp_path, "tag,time,value\n" + "".join(f"t,{r.isoformat()},1\n" for r in rows), targets=short
    )
    assert len(found[1]) == 1
    assert "older than the 30 days" in refused[0].problem


def test_parquet_comes_with_its_own_types(tmp_path):
    times = [T0 + i * 500_000_000 for i in range(4)]
    table = pa.table(
        {
            "path": pa.array(["hall/oven/temp", "hall/oven/count", "hall/oven/temp", "nope"]).dictionary_encode(),
            "time": pa.array(times, pa.timestamp("ns", "UTC")),
            "value": pa.array([1.5, 2.0, None, 3.0]),
            "status": pa.array([0, 0, BAD, 0], pa.uint32()),
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    one = Import(tmp_path / "a.parquet", Layout(), TARGETS, NOW)
    found, refused, rows = samples(one)
    assert found == {1: [(0.0, 1.5, 0), (1.0, 0.0, BAD)], 2: [(0.5, 2, 0)]}
    assert [(r.line, r.name, r.value) for r in refused] == [(4, "path", "nope")]
    assert rows == 4


def test_a_broken_parquet_file_is_refused_by_name(tmp_path):
    table = pa.table(
        {"tag": ["t"] * 9999, "time": pa.array([T0] * 9999, pa.timestamp("ns", "UTC")), "value": [1.0] * 9999}
    )
    pq.write_table(table, tmp_path / "a.parquet")
    whole = (tmp_path / "a.parquet").read_bytes()
    (tmp_path / "a.parquet").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ConfigError, match=r"a\.parquet: is no whole Parquet file"):
        Import(tmp_path / "a.parquet", Layout(), TARGETS, NOW)
    (tmp_path / "a.parquet").write_bytes(whole[:200] + bytes(400) + whole[600:])
    with pytest.raises(ConfigError, match=r"a\.parquet"):
        samples(Import(tmp_path / "a.parquet", Layout(), {"t": Target(1, "t", ValueType.FLOAT)}, NOW))


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(sorted(TARGETS)),
            st.integers(EARLIEST_NS, NOW),
            st.floats(allow_nan=False, allow_infinity=False)
            | st.integers(-(2**63), 2**63 - 1)
            | st.text("ab,;\"'é 0", min_size=1),
        ),
        max_size=30,
    ),
    st.integers(60, 400),
)
def test_whatever_is_in_a_file_each_row_is_a_sample_or_refused(tmp_path_factory, rows, piece):
    """Nothing is lost between pieces, whatever their size; what is taken is what stands there."""
    import csv

    folder = tmp_path_factory.mktemp("any")
    with (folder / "a.csv").open("w", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(("tag", "time", "value"))
        for path, time_ns, value in rows:
            moment = np.datetime_as_string(np.datetime64(time_ns, "ns")) + "Z"
            writer.writerow((path, moment, repr(value) if isinstance(value, float) else value))
    before = csv_file.PIECE_BYTES
    csv_file.PIECE_BYTES = piece
    try:
        found, refused, count = samples(Import(folder / "a.csv", Layout(), TARGETS, NOW))
    finally:
        csv_file.PIECE_BYTES = before
    assert count == len(rows)
    assert sum(map(len, found.values())) + len(refused) == len(rows)
    floats = [v for p, _, v in rows if p == "hall/oven/temp" and isinstance(v, float)]
    taken = [v for _, v, _ in found.get(1, [])]
    assert [v for v in floats if v not in taken and not math.isinf(float(v))] == []


def test_a_position_is_enough_to_go_on(tmp_path, monkeypatch):
    rows = [f"hall/oven/temp,2026-01-05T00:{i // 60:02d}:{i % 60:02d}Z,{i}" for i in range(600)]
    file = tmp_path / "a.csv"
    file.write_text("tag,time,value\n" + "\n".join(rows))
    monkeypatch.setattr(csv_file, "PIECE_BYTES", 2000)
    source = csv_file.CsvFile(file, Layout())
    pieces = list(source.pieces())
    assert len(pieces) > 5
    at = pieces[3]
    rest = list(source.pieces(at.end, at.line + at.rows))
    lines = [int(n) for p in rest for n in source.columns(p).line]
    assert lines == list(range(at.line + at.rows, 602))
    table = pa.table({"tag": ["hall/oven/temp"] * 600, "time": [T0] * 600, "value": list(range(600))})
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=128)
    monkeypatch.setattr(parquet_file, "PIECE_ROWS", 100)
    source = parquet_file.ParquetFile(tmp_path / "a.parquet")
    for start in (0, 100, 250, 599, 600):
        values = [v for p in source.pieces(start) for v in source.columns(p).cells["value"].to_pylist()]
        assert values == list(range(start, 600))


def test_a_block_says_the_same_when_it_arrives(tmp_path):
    file = tmp_path / "a.csv"
    file.write_text(TALL)
    one = Import(file, Layout(), TARGETS, NOW)
    made = one._converter.make(next(one.source.pieces()))
    body = encode(made.batches)
    source = pa.BufferReader(body)
    back = []
    while source.tell() < len(body):
        with pa.ipc.open_stream(source) as stream:
            back += [_batch(b) for b in stream]
    assert len(back) == len(made.batches)
    for a, b in zip(made.batches, back, strict=True):
        assert a.text == b.text
        assert all((getattr(a, n) == getattr(b, n)).all() for n in ("id", "time_ns", "value", "status"))


def test_both_sides_agree_on_the_earliest_time():
    assert EARLIEST_NS == RECORD_EARLIEST_NS
