"""The shift log: what one shift tells the next, on the objects it is about.

Nothing is overwritten: a correction is a row of its own that takes the place of what it corrects, and what was there before
stays readable. What somebody has to see to stays on every shift's page until it is closed. A shift is handed over once and
taken over once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from sqlalchemy import Connection, Engine

from isthmus.production import shiftlog_store as store
from isthmus.production.shiftlog_store import CLOSES, CORRECTS, Line
from isthmus.values.clock import Clock
from isthmus.values.errors import ConfigError, Denied

MOST_TEXT: Final = 4000
MOST_LISTED: Final = 1000
_UNFIT: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


class NoteKind(StrEnum):
    """What a note is about."""

    NOTE = "note"
    SAFETY = "safety"
    QUALITY = "quality"
    MACHINE = "machine"
    MATERIAL = "material"
    PEOPLE = "people"
    HANDOVER = "handover"  # the shift that ends says it is done
    TAKEOVER = "takeover"  # the shift that begins says it knows


HANDS: Final = (NoteKind.HANDOVER, NoteKind.TAKEOVER)


@dataclass(frozen=True, slots=True)
class Version:
    """What a note said once. Units: UTC ns"""

    text: str
    by: str
    at_ns: int


@dataclass(frozen=True, slots=True)
class Note:
    """A note as it stands now. ``version`` is what a correction has to be based on.

    Units: UTC ns; time_ns is what it is about, at_ns when its text was written
    """

    id: int
    version: int
    path: str
    time_ns: int
    kind: NoteKind
    text: str
    open: bool  # somebody has to see to it
    by: str
    at_ns: int
    before: tuple[Version, ...] = ()  # what it said before, oldest first
    closed_by: str = ""
    closed_ns: int = 0
    closing: str = ""  # what was done


class ShiftLog:
    """Keeps the log. Blocking; safe to call from several threads."""

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self._engine, self._clock = engine, clock

    # --- reading -----------------------------------------------------------------------------------------------------

    def listed(
        self, under: str, start_ns: int, end_ns: int, *, before: int | None = None, limit: int = MOST_LISTED
    ) -> list[Note]:
        """Notes about a time in [start, end) at or below a path, newest first."""
        with self._engine.begin() as connection:
            return _notes(
                connection, store.listed(connection, under, start_ns, end_ns, before, min(limit, MOST_LISTED))
            )

    def open(self, under: str, limit: int = MOST_LISTED) -> list[Note]:
        """What somebody has to see to, whichever shift wrote it; oldest first."""
        with self._engine.begin() as connection:
            return _notes(connection, store.still_open(connection, under, min(limit, MOST_LISTED)))

    def get(self, ident: int) -> Note:
        """One.

        Raises: LookupError
        """
        with self._engine.begin() as connection:
            return _known(connection, ident)

    # --- writing -----------------------------------------------------------------------------------------------------

    def write(
        self,
        path: str,
        kind: NoteKind,
        text: str,
        by: str,
        *,
        time_ns: int | None = None,
        open: bool = False,  # noqa: A002  the word of the log
    ) -> Note:
        """A new note. ``time_ns`` is what it is about: now unless told, and not later than now.

        Raises: ConfigError
        """
        now_ns = self._clock.now_ns()
        about_ns = now_ns if time_ns is None else time_ns
        if about_ns > now_ns:
            raise ConfigError("time: a note cannot be about a time to come")
        if kind in HANDS:
            raise ConfigError(f"kind: {kind} is said of a whole shift; name its start")
        line = Line(0, path, about_ns, kind, _text(text), open, None, by, now_ns)
        with self._engine.begin() as connection:
            return _known(connection, store.add(connection, line))

    def hand(self, path: str, kind: NoteKind, start_ns: int, end_ns: int, text: str, by: str) -> Note:
        """Hand over or take over the shift [start, end) of a place, once.

        Raises: Denied (conflict) where somebody did so before; ConfigError
        """
        now_ns = self._clock.now_ns()
        if kind not in HANDS:
            raise ConfigError(f"kind: must be handover or takeover, was {kind}")
        if start_ns > now_ns:
            raise ConfigError("start: this shift has not begun")
        about_ns = min(now_ns, end_ns - 1)
        line = Line(0, path, about_ns, kind, _text(text, empty=True), False, None, by, now_ns)
        with self._engine.begin() as connection:
            done = store.hands(connection, path, (kind,), start_ns, end_ns)
            if done:
                word = "handed over" if kind is NoteKind.HANDOVER else "taken over"
                raise Denied(f"{done[0].by} has {word} this shift already", "conflict")
            if kind is NoteKind.TAKEOVER and not store.hands(connection, path, (NoteKind.HANDOVER,), start_ns, end_ns):
                raise Denied("nobody has handed this shift over yet", "wrong_state")
            return _known(connection, store.add(connection, line))

    def correct(self, ident: int, base: int, text: str, by: str) -> Note:
        """Another text in the place of the one at ``base``.

        Raises: LookupError; ConfigError; Denied (conflict) with what it says now
        """
        good = _text(text)
        with self._engine.begin() as connection:
            note = _known(connection, ident)
            if note.kind in HANDS:
                raise Denied("what was signed is not corrected; write a note beside it", "wrong_state")
            if note.version != base:
                raise Denied(f"{note.by} changed this note meanwhile; it says now: {note.text[:200]}", "conflict")
            self._say(connection, note, CORRECTS, good, by)
            return _known(connection, ident)

    def close(self, ident: int, text: str, by: str) -> Note:
        """Somebody saw to it.

        Raises: LookupError; ConfigError; Denied (conflict, wrong_state)
        """
        good = _text(text, empty=True)
        with self._engine.begin() as connection:
            note = _known(connection, ident)
            if note.closed_ns:
                raise Denied(f"{note.closed_by} closed this already: {note.closing[:200] or 'done'}", "conflict")
            if not note.open:
                raise Denied("nobody has to see to this note", "wrong_state")
            self._say(connection, note, CLOSES, good, by)
            return _known(connection, ident)

    def _say(self, connection: Connection, note: Note, kind: str, text: str, by: str) -> None:
        now_ns = self._clock.now_ns()
        store.add(connection, Line(0, note.path, note.time_ns, kind, text, False, note.id, by, now_ns))


def _text(text: str, *, empty: bool = False) -> str:
    """What somebody wrote, when it says something.

    Raises: ConfigError
    """
    good = _UNFIT.sub("", text.replace("\r\n", "\n")).strip()
    if not good and not empty:
        raise ConfigError("text: must say something")
    if len(good) > MOST_TEXT:
        raise ConfigError(f"text: must have at most {MOST_TEXT} characters, had {len(good)}")
    return good


def _known(connection: Connection, ident: int) -> Note:
    line = store.load(connection, ident)
    if line is None:
        raise LookupError(str(ident))
    return _notes(connection, [line])[0]


def _notes(connection: Connection, lines: Sequence[Line]) -> list[Note]:
    return folded(lines, store.about(connection, [line.id for line in lines]))


def folded(lines: Iterable[Line], said: Iterable[Line]) -> list[Note]:
    """Notes as they stand after everything that was said about them, oldest first."""
    by_ref: dict[int, list[Line]] = {}
    for line in said:
        by_ref.setdefault(line.ref or 0, []).append(line)
    found = []
    for line in lines:
        note = Note(
            line.id, line.id, line.path, line.time_ns, NoteKind(line.kind), line.text, line.open, line.by, line.at_ns
        )
        for more in by_ref.get(line.id, ()):
            note = _DEEDS[more.kind](note, more)
        found.append(note)
    return found


def _corrected(note: Note, line: Line) -> Note:
    before = (*note.before, Version(note.text, note.by, note.at_ns))
    return replace(note, version=line.id, text=line.text, by=line.by, at_ns=line.at_ns, before=before)


def _closed(note: Note, line: Line) -> Note:
    return replace(note, open=False, closed_by=line.by, closed_ns=line.at_ns, closing=line.text)


_DEEDS: Final[dict[str, Callable[[Note, Line], Note]]] = {CORRECTS: _corrected, CLOSES: _closed}
