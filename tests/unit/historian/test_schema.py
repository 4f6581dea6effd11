from __future__ import annotations

import re

import pytest

from isthmus.historian import schema
from isthmus.historian.store import literal, native_block


def test_a_class_without_days_never_goes() -> None:
    assert "class = 2" in schema.retention_ttl({1: 0, 2: 30})
    assert "class = 1" not in schema.retention_ttl({1: 0, 2: 30})


def test_the_cluster_has_a_face_for_every_table() -> None:
    statements = schema.cluster("plant", {1: 30})
    assert len(statements) == 1 + 2 * len(schema.TABLES)
    assert all("ON CLUSTER 'plant'" in s for s in statements)


def test_literals_cannot_leave_their_quotes() -> None:
    assert literal("it's \\ 'x'") == "'it\\'s \\\\ \\'x\\''"
    assert literal([1, 2.5, "a", True]) == "[1, 2.5, 'a', 1]"


def test_native_block_layout() -> None:
    import numpy as np

    block = native_block([("a", "UInt8", np.array([1, 2], np.uint8)), ("s", "String", ["é", ""])])
    assert block == b"\x02\x02\x01a\x05UInt8\x01\x02\x01s\x06String\x02\xc3\xa9\x00"


B = 600_000_000_000


@pytest.mark.parametrize(
    ("spans", "way"),
    [
        ([(5, 9)], " AND "),
        ([(5, 9), (20, 30), (31, 33)], " OR "),
        ([(k, k + 1) for k in (3, 9, 20, 44)], " IN (3, 9, 20, 44)"),
        ([(7, B), (2 * B, 3 * B), (90 * B, 91 * B), (95 * B, 95 * B + 3)], " IN (0, 2, 90, 95)"),
        ([(7, 50 * B), (51 * B, 60 * B), (61 * B, 62 * B), (63 * B, 70 * B + 9)], " NOT IN (50, 60, 62)"),
        ([(k * B, (k + 1) * B) for k in range(5)], " AND "),
        ([(5, 9), (20, 30), (31, 33), (40, 44)], " OR "),
    ],
)
def test_conditions_of_many_spans_are_sets(spans: list[tuple[int, int]], way: str) -> None:
    """Each condition is held against its spans, evaluated here, at all borders and around them."""
    condition = schema.during(spans)
    assert way in condition
    python = condition.replace("fromUnixTimestamp64Nano", "time").replace("toUnixTimestamp64Nano", "int")
    python = (
        python.replace("intDiv", "div").replace(" AND ", " and ").replace(" OR ", " or ").replace("NOT IN", "not in")
    )
    python = re.sub(r" IN \((.*?)\)", r" in (\1,)", python)
    for at in {t + d for span in spans for t in span for d in (-1, 0, 1)}:
        names = {"ts": at, "time": lambda t, _: t, "int": int, "div": lambda a, b: a // b}
        assert bool(eval(python, {"__builtins__": {}}, names)) == any(a <= at < b for a, b in spans), at
