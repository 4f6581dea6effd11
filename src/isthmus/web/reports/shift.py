"""The shift report as pages to print: figures, what was made hour by hour, what machines did, losses, stops, alarms, log.

Made to be read on paper without colours: a state is told by its filling, never by its hue. Nothing is rounded into place: what is
not known is printed as not known.
"""

from __future__ import annotations

import io
import unicodedata
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import Any
from xml.sax.saxutils import escape
from zoneinfo import ZoneInfo

from reportlab.lib.colors import HexColor
from reportlab.lib.enums import TA_RIGHT
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import CondPageBreak, Flowable, KeepTogether, Paragraph, SimpleDocTemplate, Spacer, Table

from isthmus.production.figures import Figures
from isthmus.production.model import MINOR, StateClass
from isthmus.production.shiftlog import HANDS, Note
from isthmus.production.shiftreport import DAY, Hour, Loss, Strip
from isthmus.web.reports.model import ShiftReport
from isthmus.web.reports.words import Words

PADDING = 6
"""Of the frame that text flows in; tables and charts keep to it, too."""
WIDTH = A4[0] - 30 * mm - 2 * PADDING
INK, MUTED, LINE, BAR, FILL, PALE = map(HexColor, ("#1b1f24", "#4b535d", "#9aa2ab", "#757f8a", "#aab2bb", "#e6e8ea"))
MOST_LOSSES = 10
MOST_NOTES = 200
MOST_SIGNED = 600
"""Characters of what somebody said when they signed; the screen has all of it."""

BODY = ParagraphStyle("body", fontName="Helvetica", fontSize=8.5, leading=11, textColor=INK)
RIGHT = ParagraphStyle("right", BODY, alignment=TA_RIGHT)
SMALL = ParagraphStyle("small", BODY, fontSize=7.5, leading=9.5, textColor=MUTED)
SMALL_RIGHT = ParagraphStyle("small-right", SMALL, alignment=TA_RIGHT)
HEAD = ParagraphStyle("head", BODY, fontName="Helvetica-Bold", fontSize=11, leading=14, spaceBefore=8, spaceAfter=3)
TITLE = ParagraphStyle("title", BODY, fontName="Helvetica-Bold", fontSize=17, leading=21)
NOTE_HEAD = ParagraphStyle("note-head", SMALL, fontName="Helvetica-Bold", spaceBefore=5, keepWithNext=1)
FIGURE = ParagraphStyle("figure", BODY, fontName="Helvetica-Bold", fontSize=14, leading=17)
FIGURE_FIRST = ParagraphStyle("figure-first", FIGURE, fontSize=20, leading=23)

RULES: list[tuple[Any, ...]] = [
    ("VALIGN", (0, 0), (-1, -1), "TOP"),
    ("LEFTPADDING", (0, 0), (-1, -1), 3),
    ("RIGHTPADDING", (0, 0), (-1, -1), 3),
    ("TOPPADDING", (0, 0), (-1, -1), 2),
    ("BOTTOMPADDING", (0, 0), (-1, -1), 2),
    ("LINEBELOW", (0, 0), (-1, 0), 0.8, INK),
    ("LINEBELOW", (0, 1), (-1, -1), 0.3, LINE),
]


def shift_pdf(report: ShiftReport, language: str = "en") -> bytes:
    """The pages. Cost: 50 to 200 ms of one core; ask in a thread"""
    say = _Say(report, Words(language))
    out = io.BytesIO()
    title = f"{say.words('title')}, {say.span_name}, {say.place}"
    document = SimpleDocTemplate(
        out, pagesize=A4, leftMargin=15 * mm, rightMargin=15 * mm, topMargin=14 * mm, bottomMargin=17 * mm,
        title=plain(title), author="Isthmus", creator="Isthmus", invariant=1, lang=say.words.language,
    )  # fmt: skip
    document.build(_story(report, say), canvasmaker=_pages(say))
    return out.getvalue()


class _Say:
    """Times, names and words of one report."""

    def __init__(self, report: ShiftReport, words: Words) -> None:
        self.report, self.words = report, words
        self._zone = ZoneInfo(report.plant.timezone or "UTC")

    def at(self, time_ns: int) -> datetime:
        return datetime.fromtimestamp(time_ns / 1e9, UTC).astimezone(self._zone)

    def clock(self, time_ns: int) -> str:
        return f"{self.at(time_ns):%H:%M}"

    def seconds(self, time_ns: int) -> str:
        return f"{self.at(time_ns):%H:%M:%S}"

    def moment(self, time_ns: int) -> str:
        return f"{self.at(time_ns):%Y-%m-%d %H:%M}"

    def name(self, path: str) -> str:
        """A path as it is called below the place of the report."""
        area = self.report.facts.area
        return path.removeprefix(f"{area}/") if area else path or self.words("site")

    @property
    def place(self) -> str:
        plant, area = self.report.plant, self.report.facts.area
        return " / ".join(filter(None, (plant.enterprise, plant.site, area))) or self.words("site")

    @property
    def span_name(self) -> str:
        span = self.report.facts.span
        return self.words("day") if span.name == DAY else span.name

    def reason(self, key: str) -> str:
        if not key:
            return self.words("no_reason")
        return self.words("minor-stop") if key == MINOR else self.report.reason(key)


def plain(text: str) -> str:
    """Text in the letters that every PDF reader has; what is beyond them loses its accents, or becomes a question mark."""
    out = []
    for letter in text:
        if _has(letter):
            out.append(letter)
            continue
        base = "".join(c for c in unicodedata.normalize("NFKD", letter) if _has(c))
        out.append(base or ("" if unicodedata.category(letter)[0] in "CM" else "?"))
    return "".join(out)


def _has(letter: str) -> bool:
    try:
        letter.encode("cp1252")
    except UnicodeEncodeError:
        return False
    return letter >= " " or letter in "\n\t"


def _par(text: str, style: ParagraphStyle = BODY) -> Paragraph:
    """What people wrote, as they wrote it."""
    return Paragraph(escape(plain(text)).replace("\n", "<br/>"), style)


def _story(report: ShiftReport, say: _Say) -> list[Flowable]:
    return [
        *_head(report, say),
        *_figures(report.facts.whole, say),
        *_hours(report, say),
        *_strips(report, say),
        *_losses(report, say),
        *_machines(report, say),
        *_made(report, say),
        *_stops(report, say),
        *_alarms(report, say),
        *_log(report, say),
        _signatures(report, say),
    ]


def _head(report: ShiftReport, say: _Say) -> list[Flowable]:
    facts, words = report.facts, say.words
    span = facts.span
    day = span.day or f"{say.at(span.start_ns):%Y-%m-%d}"
    parts = [f"{day}, {say.clock(span.start_ns)}–{say.clock(span.end_ns)}"]
    if span.crew:
        parts.append(words("crew", crew=span.crew))
    if facts.until_ns < span.end_ns:
        parts.append(words("running", time=say.clock(facts.until_ns)))
    parts.append(words("zone", zone=report.plant.timezone or "UTC"))
    return [
        _par(f"{words('title')}: {say.span_name}", TITLE),
        _par(say.place, ParagraphStyle("place", BODY, fontSize=11, leading=14)),
        _par(" · ".join(parts), SMALL),
        Spacer(1, 6),
    ]


def _figures(said: Figures, say: _Say) -> list[Flowable]:
    words = say.words
    cells = [
        ("oee", words.percent(said.oee)),
        ("availability", words.percent(said.availability)),
        ("performance", words.percent(said.performance)),
        ("quality", words.percent(said.quality)),
        ("good", _counted(said, said.good, words)),
        ("reject", _counted(said, said.reject, words)),
        ("stops", words.number(said.stops)),
    ]
    first = [_par(words(key), SMALL) for key, _ in cells]
    second = [_par(text, FIGURE_FIRST if key == "oee" else FIGURE) for key, text in cells]
    table = Table([first, second], colWidths=[WIDTH * share for share in (0.18, *(0.82 / 6,) * 6)])
    table.setStyle([
        ("BOX", (0, 0), (-1, -1), 0.8, INK), ("VALIGN", (0, 1), (-1, 1), "BOTTOM"), ("LINEAFTER", (0, 0), (0, -1), 0.3, LINE),
        ("LEFTPADDING", (0, 0), (-1, -1), 6), ("TOPPADDING", (0, 1), (-1, 1), 0),
    ])  # fmt: skip
    notes: list[Flowable] = []
    if said.oee is None and said.why.get("oee"):
        notes.append(_par(f"{words('oee')} {words('no_figure', why=said.why['oee'])}", SMALL))
    if said.unknown_ns:
        notes.append(_par(words("unknown_note", time=words.span(said.unknown_ns)), SMALL))
    if said.unrated_run_ns and said.performance is not None:
        notes.append(_par(words("unrated_note", time=words.span(said.unrated_run_ns)), SMALL))
    return [table, *([Spacer(1, 2), *notes] if notes else []), Spacer(1, 4)]


def _counted(said: Figures, value: float, words: Words) -> str:
    """Pieces; a dash where nothing counts them."""
    return _count(value if said.counted else None, words)


def _count(value: float | None, words: Words) -> str:
    return words.number(value, 0 if value is None or value == int(value) else 1)


class _Chart(Flowable):  # type: ignore[misc]  # reportlab has no types
    """Something drawn over the width of the page."""

    def __init__(self, height: float, say: _Say) -> None:
        super().__init__()
        self.width, self.height, self.say = WIDTH, height, say

    def wrap(self, *_: float) -> tuple[float, float]:
        return self.width, self.height

    def text(self, x: float, y: float, text: str, *, size: float = 7.5, at: str = "left", bold: bool = False) -> None:
        """One line of text."""
        self.canv.setFillColor(INK if bold else MUTED)
        self.canv.setFont("Helvetica-Bold" if bold else "Helvetica", size)
        draw = {
            "left": self.canv.drawString, "right": self.canv.drawRightString, "centre": self.canv.drawCentredString,
        }[at]  # fmt: skip
        draw(x, y, plain(text))


class _HoursChart(_Chart):
    """Bars of good pieces, scrap on top of them, and the target as a line across each."""

    def __init__(self, hours: Sequence[Hour], say: _Say) -> None:
        super().__init__(46 * mm, say)
        self.hours = hours

    def draw(self) -> None:
        left, bottom, top = 34.0, 16.0, self.height - 12
        most = max((max(h.good + h.reject, h.target or 0) for h in self.hours), default=0) or 1
        slot = (self.width - left) / max(1, len(self.hours))
        self._axis(left, bottom, top, most)
        for n, hour in enumerate(self.hours):
            self._bar(left + n * slot, slot, bottom, (top - bottom) / most, hour)

    def _axis(self, left: float, bottom: float, top: float, most: float) -> None:
        self.canv.setStrokeColor(LINE)
        self.canv.setLineWidth(0.4)
        for share in (0.0, 0.5, 1.0):
            y = bottom + share * (top - bottom)
            self.canv.line(left, y, self.width, y)
            self.text(left - 4, y - 2.5, self.say.words.number(share * most), at="right")

    def _bar(self, x: float, slot: float, bottom: float, scale: float, hour: Hour) -> None:
        wide, canvas = slot * 0.62, self.canv
        begin = x + (slot - wide) / 2
        canvas.setStrokeColor(INK)
        canvas.setLineWidth(0.5)
        canvas.setFillColor(FILL)
        canvas.rect(begin, bottom, wide, hour.good * scale, stroke=1, fill=1)
        if hour.reject:
            canvas.setFillColor(INK)
            canvas.rect(begin, bottom + hour.good * scale, wide, hour.reject * scale, stroke=1, fill=1)
        if hour.target is not None:
            canvas.setLineWidth(1.6)
            y = bottom + hour.target * scale
            canvas.line(x + slot * 0.08, y, x + slot * 0.92, y)
        middle = x + slot / 2
        self.text(middle, bottom + 3, _count(hour.good, self.say.words), at="centre", bold=True)
        self.text(middle, 4, self.say.clock(hour.start_ns), at="centre")


def _hours(report: ShiftReport, say: _Say) -> list[Flowable]:
    hours = report.facts.hours
    if not any(h.good or h.reject or h.target for h in hours):
        return []
    return [KeepTogether([_par(say.words("pieces_by_hour"), HEAD), _HoursChart(hours, say)])]


class _StripChart(_Chart):
    """One bar a machine: filled is running, empty stopped, hatched waits for a neighbour, a line is no time to run in."""

    ROW = 14.0

    def __init__(
        self, strips: Sequence[Strip], start_ns: int, end_ns: int, say: _Say, legend: Collection[StateClass]
    ) -> None:
        super().__init__(self.ROW * len(strips) + (30 if legend else 0), say)
        self.strips, self.start_ns, self.end_ns, self.legend = strips, start_ns, end_ns, legend

    def draw(self) -> None:
        left = 92.0
        scale = (self.width - left) / max(1, self.end_ns - self.start_ns)
        for n, strip in enumerate(self.strips):
            y = self.height - (n + 1) * self.ROW
            self.text(left - 5, y + 3.5, self.say.name(strip.asset)[-22:], at="right", bold=True)
            for start, end, what in strip.pieces:
                x = left + (max(start, self.start_ns) - self.start_ns) * scale
                self.piece(x, y + 2, max(0.3, (min(end, self.end_ns) - max(start, self.start_ns)) * scale), what)
        if self.legend:
            self._hours(left, scale)
            self._legend()

    def piece(self, x: float, y: float, wide: float, what: StateClass, high: float = 9.0) -> None:
        """One state as it is filled."""
        canvas = self.canv
        canvas.setStrokeColor(BAR)
        canvas.setLineWidth(0.4)
        if what is StateClass.OFF:
            canvas.line(x, y, x + wide, y)
            return
        fill = {StateClass.RUNNING: BAR, StateClass.IDLE: PALE, StateClass.PLANNED: PALE}.get(what)
        if fill is not None:
            canvas.setFillColor(fill)
        canvas.rect(x, y, wide, high, stroke=1, fill=int(fill is not None))
        if what in (StateClass.STARVED, StateClass.BLOCKED, StateClass.SETUP, StateClass.PLANNED):
            self._hatch(x, y, wide, high, what)
        if what is StateClass.UNKNOWN:
            canvas.setDash(1, 1.5)
            canvas.line(x, y, x + wide, y + high)
            canvas.line(x, y + high, x + wide, y)
            canvas.setDash()

    def _hatch(self, x: float, y: float, wide: float, high: float, what: StateClass) -> None:
        canvas = self.canv
        canvas.saveState()
        clip = canvas.beginPath()
        clip.rect(x, y, wide, high)
        canvas.clipPath(clip, stroke=0, fill=0)
        if what is StateClass.PLANNED:
            canvas.line(x, y + high / 2, x + wide, y + high / 2)
        else:
            slope = -high if what is StateClass.BLOCKED else high
            at = x - high
            while what is not StateClass.SETUP and at < x + wide + high:
                canvas.line(at, y, at + slope, y + high)
                at += 3
            at = x + 1.5
            while what is StateClass.SETUP and at < x + wide:
                canvas.line(at, y, at, y + high)
                at += 3
        canvas.restoreState()

    def _hours(self, left: float, scale: float) -> None:
        step = 3600 * 10**9 * (1 if self.end_ns - self.start_ns <= 13 * 3600 * 10**9 else 3)
        for time_ns in range(self.start_ns, self.end_ns + 1, step):
            x = left + (time_ns - self.start_ns) * scale
            if x < self.width - 8:
                self.text(x, 21, self.say.clock(time_ns))

    def _legend(self) -> None:
        x = 0.0
        for what in StateClass:
            if what in self.legend:
                self.piece(x, 3, 12, what, 8)
                word = self.say.words(f"class.{what}")
                self.text(x + 15, 5, word)
                x += 15 + self.canv.stringWidth(plain(word), "Helvetica", 7.5) + 10


STRIPS_A_BLOCK = 20


def _strips(report: ShiftReport, say: _Say) -> list[Flowable]:
    facts = report.facts
    strips = [s for s in facts.strips if s.pieces]
    if not strips:
        return []
    blocks = [strips[at : at + STRIPS_A_BLOCK] for at in range(0, len(strips), STRIPS_A_BLOCK)]
    seen = {what for strip in strips for _, _, what in strip.pieces} | {StateClass.RUNNING, StateClass.STOPPED}
    charts = [
        _StripChart(b, facts.span.start_ns, facts.span.end_ns, say, seen if b is blocks[-1] else ()) for b in blocks
    ]
    return [KeepTogether([_par(say.words("states"), HEAD), charts[0]]), *charts[1:]]


class _Share(Flowable):  # type: ignore[misc]  # reportlab has no types
    """A bar in a cell of a table."""

    def __init__(self, share: float, wide: float) -> None:
        super().__init__()
        self.share, self.width, self.height = share, wide, 8.0

    def wrap(self, *_: float) -> tuple[float, float]:
        return self.width, self.height

    def draw(self) -> None:
        self.canv.setFillColor(BAR)
        self.canv.rect(0, 0, max(0.5, self.share * self.width), self.height - 1, stroke=0, fill=1)


def _table(heads: Sequence[str], rows: Sequence[Sequence[Any]], shares: Sequence[float], right: Sequence[int]) -> Table:
    """Rows under a head that comes again on the next page; ``right`` are columns of numbers."""
    head = [_par(text, SMALL_RIGHT if n in right else SMALL) for n, text in enumerate(heads)]
    body = [
        [_par(cell, RIGHT if n in right else BODY) if isinstance(cell, str) else cell for n, cell in enumerate(row)]
        for row in rows
    ]
    table = Table([head, *body], colWidths=[share * WIDTH for share in shares], repeatRows=1)
    table.setStyle(RULES)
    return table


def _section(title: str, table: Table, *before: Flowable) -> list[Flowable]:
    """A heading never stands alone at the end of a page."""
    return [CondPageBreak(30 * mm), _par(title, HEAD), *before, table]


def _losses(report: ShiftReport, say: _Say) -> list[Flowable]:
    words, found = say.words, report.facts.losses
    if not found:
        return []
    shown, most = found[:MOST_LOSSES], max(loss.ns for loss in found)
    wide = 0.36 * WIDTH - 6
    rows = [
        [say.reason(loss.reason), _Share(loss.ns / most, wide), words.span(loss.ns), words.number(loss.count), _money(loss, say)]
        for loss in shown
    ]  # fmt: skip
    rest = found[MOST_LOSSES:]
    if rest:
        more = Loss("", sum(r.ns for r in rest), sum(r.count for r in rest), sum(r.cost for r in rest))
        rows.append(
            [words("more", count=len(rest)), "", words.span(more.ns), words.number(more.count), _money(more, say)]
        )
    heads = [words("reason"), "", words("time"), words("count"), words("cost")]
    table = _table(heads, rows, (0.28, 0.36, 0.14, 0.09, 0.13), (2, 3, 4))
    uncoded = report.facts.uncoded
    before = [_par(words("uncoded", count=uncoded), BODY)] if uncoded else []
    return _section(words("losses"), table, *before)


def _money(loss: Loss, say: _Say) -> str:
    return f"{say.words.number(loss.cost)}\xa0{say.report.plant.currency}".strip() if loss.cost else "–"


def _machines(report: ShiftReport, say: _Say) -> list[Flowable]:
    words = say.words
    if not report.facts.machines:
        return []
    heads = ["machine", "oee", "availability", "performance", "quality", "good", "reject", "run", "down", "stops"]
    rows = [
        [
            say.name(asset), words.percent(f.oee), words.percent(f.availability), words.percent(f.performance), words.percent(f.quality),
            _counted(f, f.good, words), _counted(f, f.reject, words), words.span(f.run_ns), words.span(f.down_ns), words.number(f.stops),
        ]
        for asset, f in report.facts.machines
    ]  # fmt: skip
    shares = (0.16, 0.08, 0.1, 0.1, 0.08, 0.09, 0.08, 0.12, 0.12, 0.07)
    return _section(words("machines"), _table([words(h) for h in heads], rows, shares, range(1, 10)))


def _made(report: ShiftReport, say: _Say) -> list[Flowable]:
    words = say.words
    if not report.facts.made:
        return []
    rows = [
        [m.order or "–", m.product or "–", *(_count(v, words) for v in (m.figures.good, m.figures.reject, m.figures.rework))]
        for m in report.facts.made
    ]  # fmt: skip
    heads = [words(h) for h in ("order", "product", "good", "reject", "rework")]
    return _section(words("orders"), _table(heads, rows, (0.24, 0.4, 0.12, 0.12, 0.12), (2, 3, 4)))


def _stops(report: ShiftReport, say: _Say) -> list[Flowable]:
    words = say.words
    if not report.facts.stops:
        return []
    rows = [
        [
            say.name(s.asset), say.seconds(s.start_ns), words("lasts") if s.open else say.seconds(s.end_ns),
            words(f"class.{s.state_class}"), say.reason(s.reason), words.span(s.ns),
        ]
        for s in report.facts.stops
    ]  # fmt: skip
    heads = [words(h) for h in ("machine", "from", "to", "state", "reason", "time")]
    return _section(words("longest"), _table(heads, rows, (0.2, 0.11, 0.11, 0.16, 0.28, 0.14), (5,)))


def _alarms(report: ShiftReport, say: _Say) -> list[Flowable]:
    words, alarms = say.words, report.alarms
    if not alarms.raised:
        return []
    raised = words.number(alarms.raised) + ("" if alarms.complete else "+")
    line = words("alarm_line", raised=raised, unacknowledged=words.number(alarms.unacknowledged))
    by = [f"{words(f'priority.{p}')} {words.number(n)}" for p, n in alarms.counts.items()]
    rows = [[words(f"priority.{a.priority}"), a.message or a.alarm, words.number(a.count)] for a in alarms.top]
    table = _table(["", words("alarms"), words("count")], rows, (0.14, 0.76, 0.1), (2,))
    return _section(words("alarms"), table, _par(f"{line} ({', '.join(by)})"))


def _log(report: ShiftReport, say: _Say) -> list[Flowable]:
    words = say.words
    found: list[Flowable] = []
    if report.open:
        found += [CondPageBreak(30 * mm), _par(words("open"), HEAD), *_notes(report.open, say)]
    notes = [n for n in report.notes if n.kind not in HANDS]
    if notes:
        return [*found, CondPageBreak(30 * mm), _par(words("log"), HEAD), *_notes(notes, say)]
    return [*found, KeepTogether([_par(words("log"), HEAD), _par(words("nothing_written"))])]


def _notes(notes: Sequence[Note], say: _Say) -> list[Flowable]:
    """Each under its place and time; a long one goes on over the page."""
    words = say.words
    found: list[Flowable] = []
    for note in notes[:MOST_NOTES]:
        head = [say.name(note.path), words(f"kind.{note.kind}"), say.moment(note.time_ns), note.by]
        if note.before:
            head.append(words("changed"))
        found += [_par(" · ".join(head), NOTE_HEAD), _par(note.text)]
        if note.closed_ns:
            found.append(_par(words("closed", text=note.closing or "–", name=note.closed_by), SMALL))
    if len(notes) > MOST_NOTES:
        found.append(_par(words("more", count=len(notes) - MOST_NOTES), NOTE_HEAD))
    return found


def _signatures(report: ShiftReport, say: _Say) -> Flowable:
    """Who handed over and who took over; a line to sign on where nobody did on a screen."""
    cells: list[list[Flowable]] = []
    for kind in HANDS:
        note = report.hand(kind)
        lines: list[Flowable] = [_par(say.words(kind), SMALL)]
        if note is None:
            lines += [Spacer(1, 22), _par(say.words("signature"), SMALL)]
        else:
            said = f"{note.by}, {say.moment(note.at_ns)}" + (f"\n{note.text[:MOST_SIGNED]}" if note.text else "")
            lines.append(_par(said))
        cells.append(lines)
    table = Table([cells], colWidths=[WIDTH / 2, WIDTH / 2])
    table.setStyle(
        [
            ("BOX", (0, 0), (-1, -1), 0.5, LINE),
            ("INNERGRID", (0, 0), (-1, -1), 0.5, LINE),
            ("VALIGN", (0, 0), (-1, -1), "TOP"),
        ]
    )
    return KeepTogether([Spacer(1, 12), table])


def _pages(say: _Say) -> type[Canvas]:
    """A canvas that knows how many pages there are when it writes their feet."""
    foot = f"{say.words('title')} · {say.place} · {say.words('made', time=say.moment(say.report.made_ns))}"

    class Pages(Canvas):  # type: ignore[misc]  # reportlab has no types
        def __init__(self, *given: Any, **more: Any) -> None:
            super().__init__(*given, **more)
            self._kept: list[dict[str, Any]] = []

        def showPage(self) -> None:  # noqa: N802  reportlab's name
            self._kept.append(dict(self.__dict__))
            self._startPage()

        def save(self) -> None:
            for kept in self._kept:
                self.__dict__.update(kept)
                self.setFont("Helvetica", 7)
                self.setFillColor(MUTED)
                self.drawString(15 * mm, 9 * mm, plain(foot))
                page = say.words("page", n=self._pageNumber, all=len(self._kept))
                self.drawRightString(A4[0] - 15 * mm, 9 * mm, plain(page))
                super().showPage()
            super().save()

    return Pages
