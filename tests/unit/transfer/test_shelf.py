"""A file is read once: what was checked is what is sent, the quick way to read a cell is the slow way's, and room may end."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from isthmus.transfer import csv_file, parquet_file, run
from isthmus.transfer.model import Layout, Target
from isthmus.values.errors import Findings
from isthmus.values.sample import ValueType

pytestmark = [pytest.mark.mission("M4", "M7"), pytest.mark.real("pyarrow")]

NOW_NS = 1_800_000_000 * 10**9
TARGETS = {
    "speed": Target(1, "speed", ValueType.FLOAT),
    "count": Target(2, "count", ValueType.INT),
    "state": Target(3, "state", ValueType.INT, {"Idle": 1, "5": 7}),
    "note": Target(4, "note", ValueType.TEXT),
}


class Sink:
    """A door that keeps what it was given."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.seen: tuple[int | None, int] = (None, 0)

    def position(self, key: str) -> tuple[int | None, int]:
        return self.seen

    def send(self, key: str, epoch: int, block: int, body: bytes) -> None:
        self.bodies.append(body)
        self.seen = (epoch, block)


def rows_of(bodies: list[bytes]) -> list[tuple]:
    found = []
    for body in bodies:
        source = pa.BufferReader(body)
        while source.tell() < len(body):
            with pa.ipc.open_stream(source) as stream:
                found += [tuple(row.values()) for part in stream for row in part.to_pylist()]
    return sorted(found, key=repr)


def lines(count: int, bad: int | None = None) -> str:
    text = ["tag,time,value"]
    text += [f"{'speed' if i % 2 else 'count'},2026-01-05T00:{i // 60 % 60:02}:{i % 60:02}Z,{i}" for i in range(count)]
    if bad is not None:
        text[bad] = "speed,2026-01-05T00:00:00Z,broken"
    return "\n".join(text) + "\n"


@pytest.fixture
def small_pieces(monkeypatch):
    monkeypatch.setattr(csv_file, "PIECE_BYTES", 2_000)
    monkeypatch.setattr(run, "BLOCK_ROWS", 100)


@pytest.mark.usefixtures("small_pieces")
def test_a_checked_file_is_read_once(tmp_path, monkeypatch) -> None:
    file = tmp_path / "a.csv"
    file.write_text(lines(1_000))
    sink, opened = Sink(), []
    importing = run.Import(file, Layout(), TARGETS, NOW_NS)
    pieces = importing.source.pieces
    monkeypatch.setattr(importing.source, "pieces", lambda *a: opened.append(a) or pieces(*a))
    tally = importing.run(sink, tmp_path / "state")
    assert len(opened) == 1
    assert (tally.rows, tally.samples, tally.tags) == (1_000, 1_000, {1, 2})
    assert len(rows_of(sink.bodies)) == 1_000
    assert not list((tmp_path / "state").iterdir())


@pytest.mark.usefixtures("small_pieces")
@pytest.mark.parametrize("free", [0, 40_000])
def test_where_there_is_no_room_the_file_is_read_twice(tmp_path, monkeypatch, free) -> None:
    file = tmp_path / "a.csv"
    file.write_text(lines(1_000))
    plenty, little = Sink(), Sink()
    run.Import(file, Layout(), TARGETS, NOW_NS).run(plenty, tmp_path / "state")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    tally = run.Import(file, Layout(), TARGETS, NOW_NS).run(little, tmp_path / "state")
    assert rows_of(little.bodies) == rows_of(plenty.bodies)
    assert (tally.rows, tally.samples, tally.first_ns) == (1_000, 1_000, 1_767_571_200 * 10**9)


@pytest.mark.usefixtures("small_pieces")
def test_one_row_at_the_end_that_cannot_be_taken_sends_nothing(tmp_path) -> None:
    file = tmp_path / "a.csv"
    file.write_text(lines(1_000, bad=990))
    sink = Sink()
    with pytest.raises(Findings, match="1 of 1000 rows"):
        run.Import(file, Layout(), TARGETS, NOW_NS).run(sink, tmp_path / "state")
    assert not sink.bodies
    assert not list((tmp_path / "state").iterdir())


@pytest.mark.usefixtures("small_pieces")
def test_a_cut_import_goes_on_in_the_file(tmp_path) -> None:
    file = tmp_path / "a.csv"
    file.write_text(lines(1_000))
    sink = Sink()
    send, sink.send = sink.send, lambda *a: send(*a) if len(sink.bodies) < 7 else (_ for _ in ()).throw(OSError("cut"))  # type: ignore[method-assign]
    with pytest.raises(OSError, match="cut"):
        run.Import(file, Layout(), TARGETS, NOW_NS).run(sink, tmp_path / "state")
    sent, sink.send = len(sink.bodies), send  # type: ignore[method-assign]
    again = run.Import(file, Layout(), TARGETS, NOW_NS)
    assert again.resumes(sink, tmp_path / "state") > 0
    tally = again.run(sink, tmp_path / "state")
    assert (tally.rows, tally.samples) == (1_000, 1_000)
    assert sent == 7
    assert len(rows_of(sink.bodies)) == 1_000


def test_row_groups_of_any_size_become_blocks_of_one_size(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(parquet_file, "PIECE_ROWS", 500)
    monkeypatch.setattr(run, "BLOCK_ROWS", 1_000)
    file, n = tmp_path / "a.parquet", 3_520
    time = pa.array([NOW_NS - (n - i) * 10**9 for i in range(n)], pa.timestamp("ns", "UTC"))
    table = pa.table({"tag": ["speed", "count"] * (n // 2), "time": time, "value": [float(i) for i in range(n)]})
    pq.write_table(table, file, row_group_size=352)
    sink = Sink()
    tally = run.Import(file, Layout(), TARGETS, NOW_NS).run(sink, tmp_path / "state")
    assert (tally.rows, tally.samples) == (n, n)
    assert [len(rows_of([body])) for body in sink.bodies] == [1_000, 1_000, 1_000, 520]
    assert sorted(value for _, _, value, _ in rows_of(sink.bodies)) == list(range(n))


@pytest.mark.usefixtures("small_pieces")
def test_refused_rows_wait_for_no_more_than_a_block(tmp_path) -> None:
    file, rejects = tmp_path / "a.csv", tmp_path / "rejects.csv"
    file.write_text(lines(10) + "nobody,2026-01-05T00:00:00Z,1\n" * 1_000)
    parcels = run.Import(file, Layout(), TARGETS, NOW_NS)._parcels("", 0, 0, run.Tally())
    assert max(parcel.told.rows for parcel in run._joined(parcels)) <= 100
    sink = Sink()
    tally = run.Import(file, Layout(), TARGETS, NOW_NS).run(sink, tmp_path / "state", rejects)
    assert (tally.samples, tally.refused) == (10, 1_000)
    assert len(rejects.read_text().splitlines()) == 1_001


cells = st.one_of(
    st.integers(-(2**63), 2**63 - 1).map(str),
    st.floats().map(repr),
    st.sampled_from(
        ["", " 5 ", "5.0", "1e3", "true", "nan", "-inf", "1,5", "9007199254740993", "0x10", "Idle", "+7", "5"]
    ),
)
moments = st.sampled_from(
    [
        "2026-01-05T00:00:00Z",
        "2026-01-05 00:00:00.123456789+01:00",
        " 2026-01-05T00:00:01Z",
        "2026-01-05T00:00:00",
        "1970-01-01T00:00:00Z",
        "x",
    ]
)


@settings(
    max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None
)
@given(
    st.lists(
        st.tuples(st.sampled_from(["speed", "count", "speed", "count", "state", "note", "none"]), moments, cells)
        | st.tuples(
            st.sampled_from(["speed", "count"]), st.just("2026-01-05T00:00:00Z"), st.integers(-(2**54), 2**54).map(str)
        ),
        min_size=1,
        max_size=6,
    )
)
def test_the_quick_way_to_read_means_what_the_slow_one_means(tmp_path: Path, rows) -> None:
    file = tmp_path / "a.csv"
    file.write_text("tag,time,value\n" + "".join(f'{tag},{time},"{value}"\n' for tag, time, value in rows))
    told = []
    for missed in (0, 99):
        importing = run.Import(file, Layout(timezone="UTC"), TARGETS, NOW_NS)
        importing._converter._missed = missed
        made = [importing._converter.make(piece) for piece in importing.source.pieces()]
        bodies = [body for one in made for body in run.blocks(one.batches)]
        told.append((repr(rows_of(bodies)), [one.refused for one in made], [one.unknown for one in made]))
    assert told[0] == told[1]


def test_numbers_of_a_large_file_are_read_the_quick_way(tmp_path) -> None:
    file = tmp_path / "a.csv"
    file.write_text(lines(50))
    importing = run.Import(file, Layout(), TARGETS, NOW_NS)
    (made,) = [importing._converter.make(piece) for piece in importing.source.pieces()]
    assert importing._converter._hit == 1
    kinds = {batch.type: np.sort(batch.value).tolist() for batch in made.batches}
    assert kinds == {ValueType.FLOAT: list(range(1, 50, 2)), ValueType.INT: list(range(0, 50, 2))}
