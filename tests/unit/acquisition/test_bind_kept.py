"""What a device had kept while it was away: bound, at its own time, and nothing of it touches what is so now."""

from __future__ import annotations

import numpy as np
import pytest

from isthmus.acquisition.binding import HOLD_LIMIT_NS, Binder, TagTable
from isthmus.values import status
from isthmus.values.clock import NS_PER_MS, NS_PER_S
from isthmus.values.errors import Malformed
from isthmus.values.model import TagColumns
from isthmus.values.sample import SampleBatch

NOW_NS = 1_700_000_000 * NS_PER_S


def a_binder() -> Binder:
    """Tags 11 (float, doubled, 0 to 100, a large deadband) and 12 (text)."""
    tags = TagColumns(
        id=[11, 12],
        type=["float", "text"],
        factor=[2.0, None],
        low=[0.0, None],
        high=[100.0, None],
        deadband=[50.0, 0.0],
    )
    return Binder(TagTable.of(tags, [0, 1]))


def floats(*rows: tuple[int, float], codes: int = 0) -> SampleBatch:
    times, values = zip(*rows, strict=True)
    n = len(rows)
    return SampleBatch(
        np.zeros(n, np.int32), np.array(times, np.int64), np.array(values, np.float64), np.full(n, codes, np.uint32)
    )


def told(batches) -> list[tuple[int, int, object, int]]:
    found = []
    for b in batches:
        values = [b.text[v] for v in b.value.tolist()] if b.type == "text" else b.value.tolist()
        found += list(zip(b.id.tolist(), b.time_ns.tolist(), values, b.status.tolist(), strict=True))
    return found


def test_all_of_it_goes_on_converted_at_its_own_time_in_whatever_order() -> None:
    binder = a_binder()
    old, older = NOW_NS - 100 * NS_PER_S, NOW_NS - 200 * NS_PER_S
    bound = binder.bind_kept([floats((old + 7, 1.0), (older, 1.0), (old + 3 * NS_PER_MS, 1.5))], NOW_NS)
    assert told(bound) == [(11, old, 2.0, 0), (11, older, 2.0, 0), (11, old + 3 * NS_PER_MS, 3.0, 0)]
    assert (binder.counts.readings, binder.counts.sent, binder.counts.held) == (3, 3, 0)


def test_nothing_is_remembered_of_it() -> None:
    """A live value after it is judged by the live value before it: neither its deadband nor its time know of what was kept."""
    binder, plain = a_binder(), a_binder()
    for one in (binder, plain):
        one.bind([floats((NOW_NS, 10.0))], NOW_NS, 0)
    binder.bind_kept([floats((NOW_NS + NS_PER_S, 49.0))], NOW_NS)
    for step, value in ((1, 11.0), (2, 40.0)):
        batch = floats((NOW_NS + step * NS_PER_MS, value))
        one, other = (b.bind([batch], NOW_NS, step) for b in (binder, plain))
        assert told(one) == told(other)
    assert told(other) == [(11, NOW_NS + 2 * NS_PER_MS, 80.0, 0)]


def test_a_time_ahead_of_ours_is_not_believed() -> None:
    ahead = NOW_NS + HOLD_LIMIT_NS + 1
    assert told(a_binder().bind_kept([floats((ahead, 1.0))], NOW_NS)) == [(11, NOW_NS, 2.0, status.UNCERTAIN)]
    near = NOW_NS + HOLD_LIMIT_NS
    assert told(a_binder().bind_kept([floats((near, 1.0))], NOW_NS)) == [(11, near, 2.0, 0)]


def test_range_and_status_are_judged_as_ever_and_a_bad_value_says_nothing() -> None:
    (outside,) = told(a_binder().bind_kept([floats((NOW_NS, 51.0))], NOW_NS))
    assert outside[3] != status.GOOD
    (bad,) = told(a_binder().bind_kept([floats((NOW_NS, 5.0), codes=status.BAD_NO_DATA)], NOW_NS))
    assert bad == (11, NOW_NS, 0.0, status.BAD_NO_DATA)


def test_texts_and_numbers_together_and_nothing() -> None:
    text = SampleBatch(
        np.array([1, 1], np.int32),
        np.array([NOW_NS, NOW_NS], np.int64),
        np.array([1, 0], np.int32),
        np.zeros(2, np.uint32),
        ("a", "b"),
    )
    bound = a_binder().bind_kept([floats((NOW_NS, 1.0)), text, floats((NOW_NS - NS_PER_S, 2.0))], NOW_NS)
    assert len(bound) == 2  # one batch a type
    assert {row[2] for row in told(bound)} == {2.0, 4.0, "a", "b"}
    assert a_binder().bind_kept([], NOW_NS) == ()


def test_a_batch_that_contradicts_itself() -> None:
    broken = SampleBatch(
        np.array([1], np.int32), np.array([NOW_NS], np.int64), np.array([3], np.int32), np.zeros(1, np.uint32), ("a",)
    )
    with pytest.raises(Malformed):
        a_binder().bind_kept([broken], NOW_NS)
