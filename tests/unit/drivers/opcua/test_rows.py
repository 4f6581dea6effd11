"""Rows stay in the order the server told them, whatever types a node goes through."""

from __future__ import annotations

import numpy as np
import pytest
from asyncua import ua
from hypothesis import given
from hypothesis import strategies as st

from isthmus.drivers.opcua.decode import plain_items
from isthmus.drivers.opcua.rows import LAST, Rows, Told, in_order
from isthmus.ports.drivers import Point
from isthmus.values.sample import SampleBatch

pytestmark = pytest.mark.mission("M25", "M44")

K = ua.VariantType
KINDS = {
    "float": lambda n: ua.Variant(float(n), K.Double),
    "int": lambda n: ua.Variant(n, K.Int32),
    "text": lambda n: ua.Variant(str(n), K.String),
    "bad": lambda n: ua.Variant([n], K.Int32),
}
POINTS = [Point(100 + 7 * i, f"ns=2;i={i}") for i in range(3)]


def heard(batches: tuple[SampleBatch, ...]) -> dict[int, list[float]]:
    """Values of each point in the order its rows come, batch by batch; bad ones as None."""
    found: dict[int, list] = {}
    for batch in batches:
        for row, value in enumerate(batch.value.tolist()):
            shown = None if batch.status[row] >> 31 else float(batch.text[value]) if batch.text else float(value)
            found.setdefault(int(batch.id[row]), []).append(shown)
    return found


def told(rows: Rows, responses: list[list[tuple[int, str]]]) -> tuple[list[Told], dict[int, list]]:
    """What comes of responses that hold these (handle, kind), values counted up; and what should be heard."""
    found: list[Told] = []
    expected: dict[int, list] = {}
    number = 0
    for turn, response in enumerate(responses):
        items = []
        for handle, kind in response:
            number += 1
            items.append((handle, ua.DataValue(KINDS[kind](number))))
            expected.setdefault(POINTS[handle].id, []).append(None if kind == "bad" else float(number))
        batches, _, unknown = rows.told(plain_items(items), 10**18, "arrival")
        assert unknown == 0
        found += [(batch, place + (turn << 32)) for batch, place in batches]
    return found, expected


@given(
    st.lists(
        st.lists(st.tuples(st.integers(0, 2), st.sampled_from(sorted(KINDS))), min_size=1, max_size=6),
        min_size=1,
        max_size=4,
    )
)
def test_a_node_that_changes_its_type_keeps_its_order(responses) -> None:
    found, expected = told(Rows(POINTS), responses)
    assert heard(in_order(found)) == expected


def test_types_that_do_not_mix_are_one_batch_each() -> None:
    found, _ = told(Rows(POINTS), [[(0, "float"), (1, "int"), (0, "float")], [(1, "bad"), (2, "text"), (0, "float")]])
    assert sorted(len(batch) for batch in in_order(found)) == [1, 2, 3]


def test_what_is_found_out_afterwards_comes_last() -> None:
    rows = Rows(POINTS)
    found, _ = told(rows, [[(0, "int"), (1, "float")]])
    found += [(batch, np.full(len(batch), LAST)) for batch in rows.refused([(1, 0x80340000)], 10**18)]
    assert heard(in_order(found)) == {POINTS[0].id: [1.0], POINTS[1].id: [2.0, None]}


def test_a_first_value_counts_from_when_it_was_asked_for_and_later_ones_from_their_own_time() -> None:
    rows, now_ns = Rows(POINTS), 1_700_000_000 * 10**9
    old, later = (ua.win_epoch_to_datetime(116_444_736_000_000_000 + s * 10**7) for s in (1_600_000_000, 1_700_000_005))
    rows.begins([0, 1], now_ns)
    for stamp, expected in ((old, now_ns), (later, now_ns + 5 * 10**9), (old, 1_600_000_000 * 10**9)):
        items = [(h, ua.DataValue(KINDS[kind](1), SourceTimestamp=stamp)) for h, kind in ((0, "float"), (1, "bad"))]
        found, _, _ = rows.told(plain_items(items), now_ns + 9 * 10**9, "source")
        assert [time for batch, _ in found for time in batch.time_ns.tolist()] == [expected] * 2
