"""The journal of an edge: every line whole or not at all, bounded, and what is known of each command."""

from __future__ import annotations

import asyncio
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.control.journal import Journal
from isthmus.values.clock import ManualClock
from isthmus.values.errors import TryLater
from isthmus.values.messages.control import Result

DONE = {"id": "a", "result": "done", "code": "", "reason": "", "read_back": 5, "later": "unknown to this build"}


@pytest.fixture
def journal(tmp_path):
    made = []

    def make(**said):
        made.append(Journal(tmp_path / "j", ManualClock(), **said))
        return made[-1]

    yield make
    for one in made:
        one.close()
        one.close()


def test_lines_are_numbered_and_come_back_behind_a_number(journal) -> None:
    one = journal()
    assert [one.append("mode", modes={"a": "halted"}), one.append("lock", paths=[])] == [1, 2]
    assert [line["kind"] for line in one.after(0)] == ["mode", "lock"]
    assert [line["n"] for line in one.after(1)] == [2]
    assert one.after(2) == []
    assert (one.newest, one.first) == (2, 1)
    one.close()
    again = journal()
    assert again.newest == 2
    assert again.append("mode") == 3


@pytest.mark.mission("M34")
def test_what_became_of_a_command_outlives_a_restart(journal) -> None:
    one = journal()
    for id_ in ("a", "b"):
        one.append("write", state="sent", id=id_, tag=1, value=5)
    one.append("write", state="answered", id="a", tag=1, value=5, answer=DONE)
    one.append("write", state="answered", id="c", tag=2, value=6, answer={**DONE, "id": "c", "result": "denied"})
    one.close()
    again = journal()
    known = again.command("a")
    assert known is not None
    assert (known.answer.result, known.answer.read_back, known.sent) == (Result.DONE, 5, True)
    assert again.command("c").sent is False
    assert [id_ for id_, _ in again.unanswered()] == ["b"]
    assert again.command("z") is None


@given(cut=st.integers(1, 60), lines=st.integers(1, 5))
@settings(max_examples=25, deadline=None)
def test_a_torn_tail_is_cut_off(tmp_path_factory, cut, lines) -> None:
    folder = tmp_path_factory.mktemp("torn")
    one = Journal(folder, ManualClock())
    for i in range(lines):
        one.append("mode", text="x" * 80, i=i)
    one.close()
    (file,) = folder.glob("*.journal")
    os.truncate(file, file.stat().st_size - cut)
    again = Journal(folder, ManualClock())
    try:
        assert again.newest == lines - 1
        assert again.append("mode", i="new") == lines
        assert [line["n"] for line in again.lines()] == list(range(1, lines + 1))
        assert again.damaged == 0
    finally:
        again.close()


def test_a_damaged_line_in_the_middle_is_left_out_and_counted(journal, tmp_path) -> None:
    one = journal()
    for i in range(3):
        one.append("mode", i=i)
    one.close()
    (file,) = (tmp_path / "j").glob("*.journal")
    data = bytearray(file.read_bytes())
    data[data.index(b'"i":1') + 4] = ord("7")
    file.write_bytes(bytes(data))
    again = journal()
    assert [line["n"] for line in again.lines()] == [1, 3]
    assert (again.damaged, again.newest) == (1, 3)


def test_it_is_bounded_and_tells_what_is_gone(journal) -> None:
    one = journal(segment_bytes=2_000, segments=3)
    for i in range(200):
        one.append("write", state="answered", id=f"c{i}", tag=1, value=i, answer={**DONE, "id": f"c{i}"})
    assert one.first > 1
    assert one.after(0)[0]["n"] == one.first
    assert one.command("c0") is None
    assert one.command("c199") is not None
    assert sum(1 for _ in one.lines()) == one.newest - one.first + 1
    one.close()
    again = journal(segment_bytes=2_000, segments=3)
    assert (again.newest, again.first) == (200, one.first)


def test_one_answer_holds_so_many_lines_and_the_next_goes_on(journal, monkeypatch) -> None:
    monkeypatch.setattr("isthmus.control.journal.MOST_LINES", 10)
    one = journal()
    for _ in range(25):
        one.append("mode")
    got, n = [], 0
    while lines := one.after(n):
        got += [line["n"] for line in lines]
        n = got[-1]
        assert len(lines) <= 10
    assert got == list(range(1, 26))


def test_a_full_disk_leaves_no_half_line(journal, monkeypatch, tmp_path) -> None:
    one = journal()
    one.append("mode")
    real = os.write

    def half(descriptor: int, data: bytes) -> int:
        return real(descriptor, data[:7])

    monkeypatch.setattr("isthmus.control.journal.os.write", half)
    with pytest.raises(TryLater, match="cannot be written"):
        one.append("mode")
    monkeypatch.undo()
    assert one.append("mode") == 2
    assert [line["n"] for line in one.lines()] == [1, 2]


async def test_who_waits_together_shares_a_flush(journal, monkeypatch) -> None:
    one = journal()
    flushes = []
    real = os.fsync
    monkeypatch.setattr("isthmus.control.journal.os.fsync", lambda d: (flushes.append(d), real(d)))

    async def say() -> None:
        one.append("mode")
        await one.sync()

    await asyncio.gather(*(say() for _ in range(50)))
    assert 1 <= len(flushes) <= 3
    await one.sync()  # nothing new: nothing to wait for
    assert len(flushes) <= 3


async def test_a_disk_that_fails_is_told(journal, monkeypatch) -> None:
    one = journal()

    def fails(_: int) -> None:
        raise OSError(5, "input/output error")

    monkeypatch.setattr("isthmus.control.journal.os.fsync", fails)
    one.append("mode")
    with pytest.raises(TryLater, match="input/output error"):
        await one.sync()
    monkeypatch.undo()
    await one.sync()
