"""The shift log: what one shift tells the next, and two tablets that say it at once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from isthmus.app.records import open_records
from isthmus.production.shiftlog import HANDS, MOST_TEXT, NoteKind, ShiftLog
from isthmus.production.shiftlog_store import metadata
from isthmus.values.clock import NS_PER_S, ManualClock
from isthmus.values.errors import ConfigError, Denied

pytestmark = [pytest.mark.real("sqlite"), pytest.mark.mission("M91")]

FILLER = "hall/line1/filler"
HOUR = 3600 * NS_PER_S
ALL = (0, 2**62)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def log(tmp_path: Path, clock: ManualClock) -> Iterator[ShiftLog]:
    engine = open_records(tmp_path / "records.db")
    metadata.create_all(engine)
    yield ShiftLog(engine, clock)
    engine.dispose()


def test_notes_stand_on_their_object_and_are_found_from_above(log: ShiftLog, clock: ManualClock) -> None:
    first = log.write(FILLER, NoteKind.MACHINE, "  Valve 12 drips  ", "Ana")
    clock.advance(60.0)
    log.write("hall/line10", NoteKind.NOTE, "another line", "Ana")
    log.write("Hall/line1", NoteKind.NOTE, "capitals are another path", "Ana")
    last = log.write("hall/line1", NoteKind.SAFETY, "Floor is wet", "Bo")
    assert (first.text, first.time_ns, first.by) == ("Valve 12 drips", clock.now_ns() - 60 * NS_PER_S, "Ana")
    assert [n.id for n in log.listed("hall/line1", *ALL)] == [last.id, first.id]
    assert [n.id for n in log.listed("", *ALL, before=last.id, limit=1)] == [last.id - 1]
    assert log.listed("hall/line1", first.time_ns + 1, last.time_ns) == []
    assert [n.id for n in log.listed("hall/line1", first.time_ns, last.time_ns)] == [first.id]


def test_a_correction_keeps_what_was_there_and_the_second_tablet_is_told(log: ShiftLog) -> None:
    note = log.write(FILLER, NoteKind.NOTE, "12 bottles", "Ana")
    once = log.correct(note.id, note.version, "21 bottles", "Ana")
    assert (once.text, once.version > note.version) == ("21 bottles", True)
    assert [(v.text, v.by) for v in once.before] == [("12 bottles", "Ana")]
    with pytest.raises(Denied, match="Ana changed this note meanwhile; it says now: 21 bottles") as refused:
        log.correct(note.id, note.version, "22 bottles", "Bo")
    assert refused.value.code == "conflict"
    again = log.correct(note.id, once.version, "22 bottles", "Bo")
    assert [v.text for v in again.before] == ["12 bottles", "21 bottles"]
    assert log.get(note.id) == again


def test_what_is_open_stays_until_somebody_closes_it_once(log: ShiftLog, clock: ManualClock) -> None:
    note = log.write(FILLER, NoteKind.MACHINE, "Order a seal", "Ana", open=True)
    log.write(FILLER, NoteKind.NOTE, "nothing to do", "Ana")
    clock.advance(20 * 3600.0)
    assert [n.id for n in log.open("hall")] == [note.id]
    assert log.open("yard") == []
    done = log.close(note.id, "It lies in the store", "Bo")
    assert (done.open, done.closed_by, done.closing, done.closed_ns) == (
        False,
        "Bo",
        "It lies in the store",
        clock.now_ns(),
    )
    assert log.open("") == []
    with pytest.raises(Denied, match="Bo closed this already: It lies in the store") as refused:
        log.close(note.id, "", "Cy")
    assert refused.value.code == "conflict"


def test_a_shift_is_handed_over_once_and_taken_over_after_that(log: ShiftLog, clock: ManualClock) -> None:
    start = clock.now_ns() - 8 * HOUR
    end = clock.now_ns() - 60 * NS_PER_S
    with pytest.raises(Denied, match="nobody has handed this shift over yet"):
        log.hand("hall", NoteKind.TAKEOVER, start, end, "", "Bo")
    handed = log.hand("hall", NoteKind.HANDOVER, start, end, "All runs", "Ana")
    assert handed.time_ns == end - 1  # said after its end, of the shift that ended
    with pytest.raises(Denied, match="Ana has handed over this shift already") as refused:
        log.hand("hall", NoteKind.HANDOVER, start, end, "", "Cy")
    assert refused.value.code == "conflict"
    assert log.hand("hall", NoteKind.TAKEOVER, start, end, "", "Bo").by == "Bo"
    log.hand("hall", NoteKind.HANDOVER, end, end + 8 * HOUR, "", "Bo")  # the next shift is another
    with pytest.raises(Denied, match="what was signed"):
        log.correct(handed.id, handed.version, "x", "Ana")
    with pytest.raises(ConfigError, match="has not begun"):
        log.hand("hall", NoteKind.HANDOVER, end + 8 * HOUR, end + 16 * HOUR, "", "Bo")


def test_what_says_nothing_or_too_much_is_refused(log: ShiftLog, clock: ManualClock) -> None:
    for text in ("", "  \n", "\x00\x07"):
        with pytest.raises(ConfigError, match="text: must say something"):
            log.write(FILLER, NoteKind.NOTE, text, "Ana")
    with pytest.raises(ConfigError, match="at most"):
        log.write(FILLER, NoteKind.NOTE, "x" * (MOST_TEXT + 1), "Ana")
    with pytest.raises(ConfigError, match="time to come"):
        log.write(FILLER, NoteKind.NOTE, "x", "Ana", time_ns=clock.now_ns() + 1)
    with pytest.raises(ConfigError, match="whole shift"):
        log.write(FILLER, HANDS[0], "x", "Ana")
    with pytest.raises(Denied, match="nobody has to see"):
        log.close(log.write(FILLER, NoteKind.NOTE, "x", "Ana").id, "", "Bo")
    with pytest.raises(LookupError):
        log.correct(77, 77, "x", "Ana")
    assert len(log.listed("", *ALL)) == 1


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(
    st.lists(
        st.tuples(st.sampled_from(["write", "correct", "close"]), st.integers(0, 3), st.text("ab c", min_size=1)),
        max_size=12,
    )
)
def test_nothing_that_was_said_is_ever_lost(log: ShiftLog, deeds: list[tuple[str, int, str]]) -> None:
    said: dict[int, list[str]] = {}
    for deed, which, text in deeds:
        known = sorted(said)
        if deed == "write" or not known:
            if text.strip():
                made = log.write(FILLER, NoteKind.NOTE, text, "Ana", open=True)
                said[made.id] = [text.strip()]
            continue
        ident = known[which % len(known)]
        now = log.get(ident)
        if deed == "correct" and text.strip():
            log.correct(ident, now.version, text, "Bo")
            said[ident].append(text.strip())
        elif deed == "close" and now.open:
            log.close(ident, "", "Bo")
    for ident, texts in said.items():
        note = log.get(ident)
        assert [*(v.text for v in note.before), note.text] == texts
        assert note.open == (ident in {n.id for n in log.open("")})
