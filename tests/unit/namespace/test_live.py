from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.namespace.live import LiveTable
from isthmus.namespace.model import Plant, Tag
from isthmus.ports.frames import Position
from isthmus.values import status
from isthmus.values.errors import Malformed
from isthmus.values.frame import Lane
from isthmus.values.sample import SampleBatch, ValueType

NOW = 1_700_000_000_000_000_000
STALE = status.UNCERTAIN_NO_COMMUNICATION_LAST_USABLE


def plant(ids: dict[str, int], version: int = 1, edges: dict[str, str] | None = None) -> Plant:
    tags = tuple(
        Tag(id=ids[path], path=path, asset="a", name=path, kind="value", type=ValueType.FLOAT, edge=(edges or {}).get(path, "e1"))
        for path in sorted(ids)
    )  # fmt: skip
    return Plant(version, "acme", "lyon", "UTC", tags)


def table(ids: dict[str, int] | None = None) -> LiveTable:
    live = LiveTable()
    live.describe(plant(ids or {"a/x": 5, "a/y": 9, "b/z": 2}))
    return live


def floats(ids: list[int], times: list[int], values: list[float], codes: list[int] | None = None) -> SampleBatch:
    return SampleBatch(
        np.array(ids, np.int32), np.array(times, np.int64), np.array(values), np.array(codes or [0] * len(ids), np.uint32)
    )  # fmt: skip


def at(live: LiveTable, path: str) -> tuple[object, int, int]:
    rows = live.read(live.rows_of([path]))
    return rows.python()[0], int(rows.time_ns[0]), int(rows.status[0])


def test_a_tag_without_samples_says_so() -> None:
    assert at(table(), "a/x") == (None, 0, status.BAD_WAITING_FOR_INITIAL_DATA)


def test_values_of_all_types_come_back_exact() -> None:
    live = table()
    big = 2**63 - 1
    words = SampleBatch(
        np.array([2], np.int32), np.array([NOW]), np.array([1], np.int32), np.array([0], np.uint32), ("no", "Idle é")
    )
    ints = SampleBatch(np.array([9], np.int32), np.array([NOW]), np.array([big]), np.array([0], np.uint32))
    live.apply([floats([5], [NOW], [1.5]), ints, words], NOW)
    assert at(live, "a/x") == (1.5, NOW, 0)
    assert at(live, "a/y") == (big, NOW, 0)
    assert at(live, "b/z") == ("Idle é", NOW, 0)


def test_bad_samples_carry_no_value() -> None:
    live = table()
    live.apply([floats([5], [NOW], [1.5])], NOW)
    live.apply([floats([5], [NOW + 1], [7.0], [status.BAD_TIMEOUT])], NOW)
    assert at(live, "a/x") == (None, NOW + 1, status.BAD_TIMEOUT)
    assert np.isnan(live.value[live.rows_of(["a/x"])[0]])


def test_an_older_sample_is_ignored_and_counted() -> None:
    live = table()
    live.apply([floats([5], [NOW], [1.0])], NOW)
    live.apply([floats([5], [NOW - 1], [2.0])], NOW)
    assert at(live, "a/x")[0] == 1.0
    assert live.late == 1


def test_one_sample_of_a_clock_that_jumped_blinds_no_tag() -> None:
    live = table()
    live.apply([floats([5], [NOW + 10**18], [1.0])], NOW)
    live.apply([floats([5], [NOW], [2.0])], NOW)
    assert at(live, "a/x")[0] == 2.0


def test_unknown_tags_are_counted_and_change_nothing() -> None:
    live = table()
    live.apply([floats([5, 7, -3, 10**6], [NOW] * 4, [1.0, 2.0, 3.0, 4.0])], NOW)
    assert at(live, "a/x")[0] == 1.0
    assert live.unknown == 3


def test_a_new_plant_keeps_the_values_of_surviving_tags_even_renamed() -> None:
    live = table()
    live.apply([floats([5, 9, 2], [NOW] * 3, [1.0, 2.0, 3.0])], NOW)
    generation = live.generation
    live.describe(plant({"renamed": 9, "b/z": 2, "new": 11}, version=2))
    assert live.generation > generation
    assert live.model_version == 2
    assert at(live, "renamed") == (2.0, NOW, 0)
    assert at(live, "b/z") == (3.0, NOW, 0)
    assert at(live, "new")[2] == status.BAD_WAITING_FOR_INITIAL_DATA
    assert live.rows_of(["a/x"])[0] == -1


def test_a_silent_edge_makes_its_values_uncertain_without_losing_what_is_stored() -> None:
    live = LiveTable()
    live.describe(plant({"a/x": 5, "a/y": 9, "b/z": 2}, edges={"b/z": "e2"}))
    live.apply([floats([5, 2], [NOW] * 2, [1.0, 3.0], [status.UNCERTAIN, 0])], NOW)
    tick = live.tick
    live.edge_stale("e1", True)
    assert at(live, "a/x") == (1.0, NOW, STALE)
    assert at(live, "a/y")[2] == status.BAD_WAITING_FOR_INITIAL_DATA  # Bad stays Bad
    assert at(live, "b/z") == (3.0, NOW, 0)
    rows = live.rows_of(["a/x", "a/y", "b/z"])
    assert live.changed_since(rows, tick).tolist() == [0]
    live.apply([floats([5], [NOW + 1], [4.0])], NOW)  # arrives while the edge is not heard
    assert at(live, "a/x") == (4.0, NOW + 1, STALE)
    live.describe(plant({"a/x": 5, "b/z": 2}, version=2, edges={"b/z": "e2"}))
    assert at(live, "a/x") == (4.0, NOW + 1, STALE)
    assert live.stale_edges() == {"e1"}
    live.edge_stale("e1", False)
    assert at(live, "a/x") == (4.0, NOW + 1, 0)


def test_rows_under_a_path_hold_neighbours_apart() -> None:
    live = table({"a": 1, "a/x": 2, "a b/x": 3, "a.b": 4, "ab/x": 5, "a/y/z": 6, "a0": 7})
    names = [tag.path for tag in live.plant.tags]
    assert [names[row] for row in live.rows_under("a")] == ["a", "a/x", "a/y/z"]
    assert [names[row] for row in live.rows_under("")] == sorted(names)
    assert live.rows_under("nothing").tolist() == []


def test_a_snapshot_survives_a_restart_by_tag_id(tmp_path: Path) -> None:
    live = table()
    words = SampleBatch(
        np.array([2], np.int32), np.array([NOW]), np.array([0], np.int32), np.array([0], np.uint32), ("Idle",)
    )
    ints = SampleBatch(np.array([9], np.int32), np.array([NOW]), np.array([2**60 + 1]), np.array([0], np.uint32))
    live.apply([floats([5], [NOW], [1.0]), ints, words], NOW)
    live.edge_stale("e1", True)
    cursor = {("e1", Lane.LIVE): Position(3, 8), ("e1", Lane.EVENT): Position(3, 2)}
    live.save(tmp_path / "live.npz", cursor, 77, NOW)
    fresh = LiveTable()
    fresh.describe(plant({"moved": 9, "b/z": 2, "a/x": 5}, version=2))
    fresh.apply([floats([5], [NOW + 5], [9.0])], NOW)
    snapshot = fresh.load(tmp_path / "live.npz")
    assert snapshot is not None
    assert (snapshot.cursor, snapshot.stream_seq, snapshot.model_version, snapshot.saved_ns) == (cursor, 77, 1, NOW)
    assert at(fresh, "moved") == (2**60 + 1, NOW, 0)
    assert at(fresh, "b/z") == ("Idle", NOW, 0)
    assert at(fresh, "a/x") == (9.0, NOW + 5, 0)  # newer than the snapshot
    assert [p.name for p in tmp_path.iterdir()] == ["live.npz"]


def test_no_snapshot_is_no_error(tmp_path: Path) -> None:
    assert table().load(tmp_path / "none") is None


def test_an_empty_table_saves_and_loads(tmp_path: Path) -> None:
    LiveTable().save(tmp_path / "s", {}, 0, NOW)
    live = LiveTable()
    assert live.load(tmp_path / "s") is not None
    table().save(tmp_path / "s", {}, 0, NOW)
    assert live.load(tmp_path / "s") is not None


@given(st.data())
def test_a_broken_snapshot_is_refused_whole(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    folder = tmp_path_factory.mktemp("broken")
    live = table()
    live.apply([floats([5, 9, 2], [NOW] * 3, [1.0, 2.0, 3.0])], NOW)
    live.save(folder / "s", {("e1", Lane.LIVE): Position(1, 2)}, 1, NOW)
    whole = (folder / "s").read_bytes()
    cut = data.draw(st.integers(0, len(whole) - 1))
    (folder / "s").write_bytes(whole[:cut])
    fresh = table()
    with pytest.raises(Malformed):
        fresh.load(folder / "s")
    assert at(fresh, "a/x")[0] is None


samples = st.lists(
    st.lists(st.tuples(st.sampled_from([5, 9, 2, 44]), st.integers(1, 12), st.floats(0, 9), st.sampled_from([0, status.BAD])), max_size=12),
    max_size=8,
)  # fmt: skip


@given(samples)
def test_whatever_the_order_the_newest_sample_wins(groups: list[list[tuple[int, int, float, int]]]) -> None:
    live = table()
    newest: dict[int, tuple[int, float | None, int]] = {}
    for group in groups:
        if group:
            ids, times, values, codes = map(list, zip(*group, strict=True))
            live.apply([floats(ids, times, values, codes)], NOW)
        for key, time, value, code in group:
            if time >= newest.get(key, (0, None, 0))[0]:
                newest[key] = (time, None if code else value, code)
    for path, key in {"a/x": 5, "a/y": 9, "b/z": 2}.items():
        if key in newest:
            time, value, code = newest[key]
            assert at(live, path) == (value, time, code)


@given(samples, st.lists(st.booleans(), min_size=8, max_size=8), st.lists(st.booleans(), min_size=8, max_size=8))
def test_a_viewer_that_asks_for_changes_never_misses_one(
    groups: list[list[tuple[int, int, float, int]]], looks: list[bool], silent: list[bool]
) -> None:
    live = table()
    paths = ["a/y", "b/z", "a/x", "a/y"]
    rows = live.rows_of(paths)
    seen, tick = [at(live, path) for path in paths], live.tick
    for group, look, stale in zip(groups, looks, silent, strict=False):
        if group:
            ids, times, values, codes = map(list, zip(*group, strict=True))
            live.apply([floats(ids, times, values, codes)], NOW)
        live.edge_stale("e1", stale)
        if look:
            for position in live.changed_since(rows, tick):
                seen[position] = at(live, paths[position])
            tick = live.tick
            assert seen == [at(live, path) for path in paths]


def test_a_text_keeps_the_time_since_when_it_is_said(tmp_path: Path) -> None:
    def say(at: int, text: str, code: int = 0) -> None:
        column = np.zeros(1, np.int32)
        batch = SampleBatch(np.array([2], np.int32), np.array([NOW + at]), column, np.array([code], np.uint32), (text,))
        live.apply([batch], NOW)

    live = table()
    since = []
    for at_, text, code in (
        (1, "Good", 0),
        (2, "Good", 0),
        (3, "Bad", 0),
        (4, "Bad", 0),
        (5, "", status.BAD),
        (6, "Bad", 0),
    ):
        say(at_, text, code)
        since.append(int(live.since_ns[live.rows_of(["b/z"])[0]]) - NOW)
    assert since == [1, 1, 3, 3, 5, 6]
    live.save(tmp_path / "s", {}, 0, NOW)
    live = table()
    live.load(tmp_path / "s")
    say(7, "Bad")
    assert live.since_ns[live.rows_of(["b/z"])[0]] == NOW + 6


def test_the_time_of_the_last_good_sample_outlives_a_bad_one_a_restart_and_a_new_plant(tmp_path: Path) -> None:
    live = table()
    live.apply([floats([5], [NOW], [1.5])], NOW)
    live.apply([floats([5], [NOW + 7], [0.0], [status.BAD_NO_COMMUNICATION])], NOW)
    assert int(live.good_ns[live.rows_of(["a/x"])][0]) == NOW
    live.save(tmp_path / "live", {}, 1, NOW)
    again = table()
    again.load(tmp_path / "live")
    again.describe(plant({"a/renamed": 5}, version=2))
    assert int(again.good_ns[again.rows_of(["a/renamed"])][0]) == NOW


def last_good(live: LiveTable, path: str) -> tuple[object, int]:
    rows = live.last_good(live.rows_of([path]))
    return rows.python()[0], int(rows.time_ns[0])


def test_the_last_good_value_is_kept_while_the_value_is_worse_than_good(tmp_path: Path) -> None:
    live = table()
    big = 2**63 - 1
    words = SampleBatch(
        np.array([2], np.int32), np.array([NOW]), np.zeros(1, np.int32), np.zeros(1, np.uint32), ("Idle",)
    )
    ints = SampleBatch(np.array([9], np.int32), np.array([NOW]), np.array([big]), np.array([0], np.uint32))
    live.apply([floats([5], [NOW], [1.5]), ints, words], NOW)
    for later, code in ((1, status.UNCERTAIN), (2, status.BAD_TIMEOUT), (3, status.BAD)):
        live.apply([floats([5, 9, 2], [NOW + later] * 3, [7.0] * 3, [code] * 3)], NOW)
    expected = [(1.5, NOW), (big, NOW), ("Idle", NOW)]
    assert [last_good(live, path) for path in ("a/x", "a/y", "b/z")] == expected
    live.save(tmp_path / "live", {}, 1, NOW)
    again = table()
    again.load(tmp_path / "live")
    again.describe(plant({"a/x": 5, "a/y": 9, "renamed": 2}, version=2))
    assert [last_good(again, path) for path in ("a/x", "a/y", "renamed")] == expected
    again.apply([floats([5], [NOW + 9], [2.5])], NOW)
    again.apply([floats([5], [NOW + 10], [0.0], [status.BAD])], NOW)
    assert last_good(again, "a/x") == (2.5, NOW + 9)


def test_a_tag_that_was_never_good_has_no_last_good_value() -> None:
    live = table()
    live.apply([floats([5], [NOW], [1.0], [status.BAD])], NOW)
    assert last_good(live, "a/x") == (None, 0)
    assert last_good(live, "a/y") == (None, 0)


def test_a_snapshot_of_a_build_that_kept_no_last_good_values_is_read(tmp_path: Path) -> None:
    live = table()
    live.apply([floats([5, 9], [NOW] * 2, [1.5, 2.5])], NOW)
    live.apply([floats([5], [NOW + 1], [0.0], [status.BAD])], NOW)
    live.save(tmp_path / "live", {}, 1, NOW)
    with np.load(tmp_path / "live") as file:
        older = {name: file[name] for name in file.files if not name.startswith("good_") or name == "good_ns"}
    with (tmp_path / "live").open("wb") as file:
        np.savez(file, **older)
    again = table()
    assert again.load(tmp_path / "live") is not None
    assert at(again, "a/y") == (2.5, NOW, 0)
    assert last_good(again, "a/x") == (None, 0)
    again.apply([floats([9], [NOW + 1], [0.0], [status.BAD])], NOW)
    assert last_good(again, "a/y") == (2.5, NOW)
