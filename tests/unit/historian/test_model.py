from __future__ import annotations

import numpy as np
import pytest

from isthmus.historian.model import (
    BUCKET_NS,
    LOST,
    NO_TIME,
    RESTARTED,
    Dirty,
    LaneState,
    TagTable,
    merge_spans,
    receive,
)
from isthmus.ports.frames import Arrived, Position
from isthmus.ports.history import Gap
from isthmus.values.frame import Frame, Lane
from isthmus.values.sample import SampleBatch

S = 1_000_000_000


def frame(seq: int, *times: int, epoch: int = 1, lane: Lane = Lane.LIVE, edge: str = "e") -> Arrived:
    n = len(times)
    made = SampleBatch(np.ones(n, np.int32), np.array(times, np.int64), np.zeros(n), np.zeros(n, np.uint32))
    return Arrived(edge, Frame(lane, epoch, seq, 0, 1, (made,)), seq)


def known(**lanes: tuple[int, int, int]) -> dict:
    return {("e", Lane[k]): LaneState(Position(epoch, seq), ns) for k, (epoch, seq, ns) in lanes.items()}


def test_frames_at_or_below_the_cursor_are_ignored() -> None:
    intake = receive([frame(1, 5), frame(2, 6), frame(3, 7)], known(LIVE=(1, 2, 6)), [])
    assert [i.frame.seq for i in intake.fresh] == [3]
    assert intake.lanes["e", Lane.LIVE] == LaneState(Position(1, 3), 7)
    assert not intake.gaps


def test_an_old_epoch_is_ignored() -> None:
    assert not receive([frame(9, 5, epoch=1)], known(LIVE=(2, 1, 6)), []).fresh


def test_the_first_contact_is_no_gap() -> None:
    assert not receive([frame(1, 5)], {}, []).gaps


def test_a_skip_is_a_gap_between_the_samples_around_it() -> None:
    intake = receive([frame(1, 5, 8), frame(3, 20, 25), frame(4, 30)], {}, [])
    assert intake.gaps == [Gap("e", 8, 20, LOST)]


def test_a_new_epoch_is_a_gap_from_the_newest_sample_of_the_edge() -> None:
    intake = receive([frame(1, 50, epoch=2)], known(LIVE=(1, 7, 30), EVENT=(1, 2, 35)), [])
    assert intake.gaps == [Gap("e", 35, 50, RESTARTED)]


def test_a_lane_that_speaks_seldom_does_not_stretch_the_mark() -> None:
    frames = [frame(1, 51, epoch=2, lane=Lane.EVENT), frame(1, 52, epoch=2)]
    intake = receive(frames, known(LIVE=(1, 7, 30), EVENT=(1, 2, 4)), [])
    assert [(g.start_ns, g.end_ns) for g in intake.gaps] == [(30, 51), (30, 52)]
    later = receive([frame(1, 99, epoch=2, lane=Lane.EVENT)], known(LIVE=(2, 3, 90), EVENT=(1, 2, 4)), [])
    assert not later.gaps


def test_backfill_of_a_new_epoch_marks_nothing() -> None:
    assert not receive([frame(1, 3, epoch=2, lane=Lane.BACKFILL)], known(LIVE=(1, 7, 30)), []).gaps


def test_lost_frames_of_the_same_moment_still_leave_a_mark() -> None:
    (gap,) = receive([frame(1, 5), frame(3, 5)], {}, []).gaps
    assert (gap.start_ns, gap.end_ns) == (5, 6)


def test_frames_without_rows_move_the_cursor_only() -> None:
    intake = receive([frame(1), frame(2, 9)], {}, [])
    assert intake.lanes["e", Lane.LIVE] == LaneState(Position(1, 2), 9)
    assert not intake.gaps


@pytest.mark.parametrize("ids", [[7, 3, 7, 900_000], [-5, 2**31 - 1, 3], [], [2**31 - 1]])
def test_any_id_has_a_row(ids: list[int]) -> None:
    table = TagTable()
    table.rows(np.array([3, 10, 2**30], np.int32))
    wanted = np.array(ids, np.int32)
    table.rows(wanted)
    assert table.id[table.rows(wanted)].tolist() == ids
    assert (np.diff(table.id) > 0).all()
    table.seen(table.rows(wanted), np.full(len(ids), 5))
    assert all(table.newest(i) == 5 for i in ids)
    assert table.newest(10) == NO_TIME


def test_columns_follow_their_tag_when_rows_move() -> None:
    table = TagTable()
    row = table.rows(np.array([50], np.int32))
    table.code[row] = 7
    table.rows(np.array([1, 99], np.int32))
    assert table.code[table.rows(np.array([50], np.int32))].tolist() == [7]


def test_the_class_of_a_sample_depends_on_its_time_alone() -> None:
    table = TagTable()
    row = table.rows(np.array([1], np.int32))
    table.before[row], table.retention[row], table.since_ns[row] = 3, 4, 100
    assert table.classes(np.zeros(3, np.intp), np.array([99, 100, 101])).tolist() == [3, 4, 4]


def mark(dirty: Dirty, bucket: int, *tags: int, many: int = 500) -> list[tuple[int, int]]:
    return dirty.mark(np.full(len(tags), bucket), np.array(tags, np.int32), many)


def test_the_newest_bucket_is_marked_once_for_every_tag() -> None:
    dirty = Dirty()
    assert mark(dirty, 10, 1, 2) == [(10, -1)]
    assert mark(dirty, 10, 3) == []


def test_late_rows_mark_their_tags_and_many_mark_all() -> None:
    dirty = Dirty()
    mark(dirty, 10, 1)
    assert mark(dirty, 4, 2, 1, 2) == [(4, 1), (4, 2)]
    assert mark(dirty, 4, 2) == []
    assert mark(dirty, 4, 5, 6, many=3) == [(4, -1)]


def test_far_apart_buckets_are_marked_too() -> None:
    dirty = Dirty()
    dirty.mark(np.array([5, 100_000]), np.array([1, 1], np.int32))
    assert set(dirty.open) == {5, 100_000}


def test_rows_that_arrive_while_a_bucket_is_computed_mark_it_anew() -> None:
    dirty = Dirty()
    mark(dirty, 4, 1)
    dirty.begin(10)
    assert mark(dirty, 4, 1) == [(4, -1)]
    dirty.done()
    assert set(dirty.open) == {4}


def test_a_failed_computation_leaves_its_buckets_dirty() -> None:
    dirty = Dirty()
    mark(dirty, 4, 1)
    dirty.begin(10)
    assert dirty.spans({1}, 0, 100 * BUCKET_NS) == [(4 * BUCKET_NS, 5 * BUCKET_NS)]
    dirty.failed()
    assert set(dirty.open) == {4}


def test_spans_concern_the_asked_tags_and_range() -> None:
    dirty = Dirty()
    mark(dirty, 10, 1)
    mark(dirty, 3, 7)
    mark(dirty, 4, 7)
    b = BUCKET_NS
    assert dirty.spans({7}, 0, 20 * b) == [(3 * b, 5 * b), (10 * b, 11 * b)]
    assert dirty.spans({1}, 0, 10 * b) == []


def test_merge_and_few() -> None:
    assert merge_spans([(5, 6), (1, 3), (2, 4), (4, 5), (9, 9)]) == [(1, 6)]
