"""The shift report on paper: what stands on its pages, in three languages, also when there is little or very much to say."""

from __future__ import annotations

import re
import zlib
from base64 import a85decode
from dataclasses import replace

import pytest
from shift_plant import FILLER, LATE, LINE, START, TWO_SHIFTS, FakeProduction, line_plant

from isthmus.production.model import HOUR_NS, StateClass
from isthmus.production.shiftlog import Note, NoteKind
from isthmus.production.shiftreport import ShiftDesk, Strip
from isthmus.values.clock import ManualClock
from isthmus.web.reports.model import AlarmSummary, ShiftReport, TopAlarm
from isthmus.web.reports.shift import plain, shift_pdf

pytestmark = [pytest.mark.mission("M91", "M50"), pytest.mark.real("reportlab")]

NOTE = Note(
    1,
    1,
    FILLER,
    START + HOUR_NS,
    NoteKind.MACHINE,
    "Valve 12 drips: <b>seal & ring</b>",
    True,
    "Ana Müller",
    START + HOUR_NS,
)
HANDED = Note(2, 2, LINE, START + 3 * HOUR_NS, NoteKind.HANDOVER, "All runs", False, "Ana Müller", START + 3 * HOUR_NS)
ALARMS = AlarmSummary(7, 2, True, {"high": 6, "low": 1}, (TopAlarm("a", "Web tension low", "high", 6),))


def text_of(body: bytes) -> list[str]:
    """Per page what is written on it, by a reader of its own: streams unpacked, strings between brackets."""
    pages = []
    for packed in re.findall(rb"stream\r?\n(.*?)\r?\n?endstream", body, re.DOTALL):
        plain_text = zlib.decompress(
            a85decode(packed.strip(), adobe=False)
            if not packed.strip().endswith(b"~>")
            else a85decode(b"<~" + packed.strip(), adobe=True)
        )
        words = re.findall(rb"\(((?:\\.|[^\\)])*)\) Tj", plain_text)
        if words:
            pages.append(b" ".join(_unescaped(w) for w in words).decode("cp1252"))
    return pages


def _unescaped(word: bytes) -> bytes:
    octal = re.sub(rb"\\([0-7]{3})", lambda m: bytes([int(m[1], 8)]), word)
    return re.sub(rb"\\(.)", rb"\1", octal)


async def report(hours: int = 3) -> ShiftReport:
    """A shift that runs, three hours old."""
    made_ns = START + hours * HOUR_NS
    desk = ShiftDesk(FakeProduction(hours), TWO_SHIFTS, line_plant, ManualClock(made_ns))
    facts = await desk.facts(LINE, LATE)
    return ShiftReport(facts, (NOTE, HANDED), (NOTE,), ALARMS, line_plant(), made_ns)


def has(pages: list[str], *words: str) -> None:
    """A line is written in parts, so blanks do not count."""
    whole = _close(" ".join(pages))
    assert [w for w in words if _close(w) not in whole] == []


def _close(text: str) -> str:
    return re.sub(r"\s+", "", text)


async def test_the_pages_say_what_the_facts_say() -> None:
    made = await report()
    body = shift_pdf(made)
    assert body.startswith(b"%PDF-")
    pages = text_of(body)
    whole = made.facts.whole
    assert whole.oee is not None
    has(
        pages, "Shift report: late", "acme / lyon / hall/line1", "crew B", f"{100 * whole.oee:.1f}", f"{whole.good:,}",
        "Bottle jam", "no reason yet", "Minor stops", "Stops without a reason so far: 1", "MO-24117", "Still water 0.75 L",
        "Web tension low", "7 raised, 2 not acknowledged", "Valve 12 drips: <b>seal & ring</b>", "Handed over", "Ana Müller",
        "Taken over", "Name and signature", "Page 1 of",
    )  # fmt: skip
    assert "as of 22:00" not in pages[0]
    has(pages, "Europe/Paris")
    assert shift_pdf(made) == body  # the same report is the same file


@pytest.mark.parametrize(
    ("language", "word", "number"), [("fr", "Rapport d’équipe", "12 060"), ("de", "Schichtbericht", "12.060")]
)
async def test_each_language_has_its_words_and_numbers(language: str, word: str, number: str) -> None:
    pages = text_of(shift_pdf(await report(), language))
    has(pages, word, number)


async def test_nothing_to_say_and_very_much_to_say_both_make_pages() -> None:
    made = await report()
    quiet = replace(
        made, notes=(), open=(), alarms=AlarmSummary(),
        facts=replace(made.facts, machines=(), losses=(), made=(), hours=(), stops=(), strips=(), uncoded=0),
    )  # fmt: skip
    assert "Nothing was written." in text_of(shift_pdf(quiet))[0]
    long = tuple(replace(NOTE, id=n, text=f"line {n}\n" + ("word " * 200 if n else "x\n" * 1900)) for n in range(260))
    strips = tuple(Strip(f"{LINE}/m{n}", ((START, LATE.end_ns, what),)) for n, what in enumerate(list(StateClass) * 5))
    much = replace(made, notes=long, facts=replace(made.facts, strips=strips, stops=made.facts.stops * 40))
    pages = text_of(shift_pdf(much))
    assert len(pages) > 8
    has(pages, "and 60 more", f"Page {len(pages)} of {len(pages)}", "Blocked", "Unknown")


async def test_what_is_not_known_is_printed_as_not_known() -> None:
    made = await report()
    whole = replace(
        made.facts.whole, oee=None, unknown_ns=HOUR_NS, why={"oee": "no ideal rate is declared for what was made"}
    )
    pages = text_of(shift_pdf(replace(made, facts=replace(made.facts, whole=whole))))
    has(pages, "OEE not known: no ideal rate is declared", "For 1\xa0h\xa000\xa0min nobody knows")


def test_letters_that_a_plain_font_lacks_never_stop_a_report() -> None:
    assert plain("Müller – 5 °C") == "Müller – 5 °C"
    assert plain("Łódź ěščř ﬁ") == "?ódz ešcr fi"
    assert plain("漏れ \x07\u200b") == "?? "
