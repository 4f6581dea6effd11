"""Blocks: every span once, none too long, no hole too wide, and nothing refused inside."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.drivers.modbus_tcp import ModbusTcpConfig
from isthmus.drivers.modbus_tcp.plan import Block, Plan, Span, cut, lay_out
from isthmus.ports.drivers import Point

MOST = 20
spans_of = st.lists(
    st.tuples(st.integers(0, 300), st.sampled_from([1, 1, 1, 2, 2, 4, 8])).map(lambda s: (s[0], s[0] + s[1])),
    unique=True,
    max_size=80,
).map(sorted)


def widest_hole(block: Block, spans: list[Span]) -> int:
    reach, widest = block.start, 0
    for i in block.spans:
        widest = max(widest, spans[i][0] - reach)
        reach = max(reach, spans[i][1])
    return widest


@pytest.mark.mission("M40")
@given(spans_of, st.integers(8, MOST), st.integers(0, 10), st.data())
def test_blocks_hold_everything_once_within_their_limits(spans, most, gap, data) -> None:
    refused = data.draw(st.sets(st.integers(0, max(0, len(spans) - 1)), max_size=5)) if spans else set()
    blocks = lay_out("hr", spans, most, gap, refused)
    assert sorted([i for b in blocks for i in b.spans] + list(refused)) == list(range(len(spans)))
    for block in blocks:
        assert block.start == min(spans[i][0] for i in block.spans)
        assert block.stop == max(spans[i][1] for i in block.spans)
        assert block.stop - block.start <= most
        assert widest_hole(block, spans) <= gap
        if len(block.spans) > 1:
            assert not any(block.start <= spans[i][0] and spans[i][1] <= block.stop for i in refused)


@given(spans_of, st.integers(0, 10))
def test_neighbouring_blocks_could_not_have_been_one(spans, gap) -> None:
    blocks = lay_out("hr", spans, MOST, gap)
    for left, right in itertools.pairwise(blocks):
        low, high = spans[right.spans[0]]
        assert low - left.stop > gap or max(high, left.stop) - left.start > MOST


@given(spans_of.filter(lambda s: len(s) > 1))
def test_cutting_ends_with_every_span_alone(spans) -> None:
    todo, alone, steps = lay_out("hr", spans, MOST, 10), [], 0
    while todo:
        block = todo.pop()
        if len(block.spans) == 1:
            assert (block.start, block.stop) == spans[block.spans[0]]
            alone.append(block.spans[0])
            continue
        halves = cut(block, spans)
        assert halves[0].spans + halves[1].spans == block.spans
        todo += halves
        steps += 1
    assert sorted(alone) == list(range(len(spans)))
    assert steps < len(spans)


def test_a_cut_prefers_what_nobody_asked_for() -> None:
    spans = [(0, 1), (1, 2), (2, 3), (3, 4), (6, 7)]
    left, right = cut(Block("hr", 0, 7, (0, 1, 2, 3, 4)), spans)
    assert ((left.start, left.stop), (right.start, right.stop)) == ((0, 4), (6, 7))


def test_a_cut_tears_no_value_if_it_can() -> None:
    spans = [(0, 2), (1, 3), (2, 4), (4, 5)]
    left, right = cut(Block("hr", 0, 5, (0, 1, 2, 3)), spans)
    assert ((left.start, left.stop), (right.start, right.stop)) == ((0, 4), (4, 5))


def test_points_at_one_place_are_read_once() -> None:
    points = [Point(1, "hr 5.3"), Point(2, "hr 5.4"), Point(3, "hr 5"), Point(4, "hr 5 int16"), Point(5, "40006")]
    plan = Plan(points, ModbusTcpConfig("plc1"))
    assert plan.blocks == [Block("hr", 5, 6, (0,))]


def test_coils_are_joined_over_wider_gaps() -> None:
    points = [
        Point(1, "co 0"),
        Point(2, "co 257"),
        Point(3, "co 600"),
        Point(4, "hr 0"),
        Point(5, "hr 17"),
        Point(6, "hr 40"),
    ]
    plan = Plan(points, ModbusTcpConfig("plc1"))
    assert [(b.area, b.start, b.stop) for b in plan.blocks] == [
        ("hr", 0, 18),
        ("hr", 40, 41),
        ("co", 0, 258),
        ("co", 600, 601),
    ]
    none = Plan(points, ModbusTcpConfig("plc1", gap=0))
    assert len(none.blocks) == 6
