from __future__ import annotations

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
