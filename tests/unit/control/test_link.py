"""What edges answer, taken whole or refused whole."""

from __future__ import annotations

import orjson
import pytest

from isthmus.control.link import answer_of, lines_of, told_of
from isthmus.values.errors import Malformed
from isthmus.values.messages.control import Result


def test_an_answer_is_read_and_unknown_keys_of_a_newer_edge_are_left_out() -> None:
    found = answer_of({"id": "a", "result": "done", "read_back": 3, "newer": 1}, "a")
    assert (found.result, found.read_back) == (Result.DONE, 3)


def test_a_command_the_edge_could_not_read_is_a_no() -> None:
    assert answer_of({"id": "", "result": "denied", "code": "malformed"}, "a").id == "a"


@pytest.mark.parametrize(
    "said",
    [{}, {"id": "a"}, {"id": "a", "result": "perhaps"}, {"id": "b", "result": "done"}, {"id": "", "result": "done"}],
)
def test_an_answer_that_is_none_is_refused(said: dict[str, str]) -> None:
    with pytest.raises(Malformed):
        answer_of(said, "a")


def test_lines_of_a_journal() -> None:
    line = {"n": 3, "at_ns": 5, "kind": "lease", "state": "sent", "tag": 1, "value": 2}
    found = lines_of("edge-1", orjson.dumps({"first": 1, "newest": 3, "lines": [line]}))
    assert [(one.edge, one.n, one.kind, one.time_ns, one.said) for one in found] == [("edge-1", 3, "lease", 5, line)]


@pytest.mark.parametrize("data", [b"", b"[]", b"null", b"{}", b'{"lines": [1]}', b'{"lines": [{"n": 1}]}', b'{"lines": [{"n": "x", "kind": "a", "at_ns": 1}]}'])  # fmt: skip
def test_a_journal_that_is_none_is_refused(data: bytes) -> None:
    with pytest.raises(Malformed):
        lines_of("edge-1", data)


def test_yes_or_no() -> None:
    assert told_of({"ok": False, "reason": "r"}).reason == "r"
    with pytest.raises(Malformed):
        told_of({"ok": "yes"})
