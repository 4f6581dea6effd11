"""What people read: messages of a call, and the page behind a link, in their own language."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from zoneinfo import ZoneInfo

from isthmus.alarms.callout.model import most_urgent
from isthmus.values.clock import NS_PER_S

MOST_LISTED = 20
MOST_SHORT_CHARS = 300

_WORDS = {
    "en": {
        "critical": "Critical", "high": "High", "medium": "Medium", "low": "Low", "alarm": "alarm", "alarms": "alarms",
        "more": "and {n} more", "again": "Reminder {n}", "limit": "limit", "since": "since {time}",
        "open": "To acknowledge: {link}", "open_long": "To acknowledge, open this page and press the button:\n{link}\nIt works once, for you, until {time}.",
        "test_title": "Isthmus: test message", "test": "This is a test of the call-out of {site}, by channel {channel}. Nothing has happened.",
        "page": "Acknowledge", "ask": "{name}, these alarms called you:", "button": "Acknowledge",
        "done": "Acknowledged. Thank you, {name}.", "none": "Nothing is left to acknowledge: it was done already, or the alarms are over.",
        "link_wrong": "This link is not one of ours, or it was cut. Open the message again, or sign in.",
        "link_expired": "This link has expired. Sign in to acknowledge.", "link_spent": "This link was used already.",
        "refused": "This was not done: {reason}", "wait": "Too many requests. Try again in a minute.", "already": "{name} acknowledged with this link at {time}.",
    },
    "fr": {
        "critical": "Critique", "high": "Haute", "medium": "Moyenne", "low": "Basse", "alarm": "alarme", "alarms": "alarmes",
        "more": "et {n} autres", "again": "Rappel {n}", "limit": "limite", "since": "depuis {time}",
        "open": "Pour acquitter : {link}", "open_long": "Pour acquitter, ouvrez cette page et appuyez sur le bouton :\n{link}\nElle sert une fois, pour vous, jusqu’au {time}.",
        "test_title": "Isthmus : message d’essai", "test": "Ceci est un essai de l’appel d’astreinte de {site}, par le canal {channel}. Il ne s’est rien passé.",
        "page": "Acquitter", "ask": "{name}, ces alarmes vous appellent :", "button": "Acquitter",
        "done": "Acquitté. Merci, {name}.", "none": "Il n’y a plus rien à acquitter : c’est déjà fait, ou les alarmes sont passées.",
        "link_wrong": "Ce lien n’est pas des nôtres, ou il a été coupé. Rouvrez le message ou connectez-vous.",
        "link_expired": "Ce lien a expiré. Connectez-vous pour acquitter.", "link_spent": "Ce lien a déjà servi.",
        "refused": "Ce n’est pas fait : {reason}", "wait": "Trop de demandes. Réessayez dans une minute.", "already": "{name} a acquitté par ce lien à {time}.",
    },
    "de": {
        "critical": "Kritisch", "high": "Hoch", "medium": "Mittel", "low": "Niedrig", "alarm": "Alarm", "alarms": "Alarme",
        "more": "und {n} weitere", "again": "Erinnerung {n}", "limit": "Grenze", "since": "seit {time}",
        "open": "Zum Quittieren: {link}", "open_long": "Zum Quittieren diese Seite öffnen und den Knopf drücken:\n{link}\nSie gilt einmal, für Sie, bis {time}.",
        "test_title": "Isthmus: Testnachricht", "test": "Dies ist ein Test des Bereitschaftsrufs von {site} über den Kanal {channel}. Es ist nichts geschehen.",
        "page": "Quittieren", "ask": "{name}, diese Alarme rufen Sie:", "button": "Quittieren",
        "done": "Quittiert. Danke, {name}.", "none": "Es ist nichts mehr zu quittieren: es ist schon geschehen, oder die Alarme sind vorbei.",
        "link_wrong": "Dieser Link ist keiner von uns, oder er wurde abgeschnitten. Nachricht neu öffnen oder anmelden.",
        "link_expired": "Dieser Link ist abgelaufen. Zum Quittieren anmelden.", "link_spent": "Dieser Link wurde schon benutzt.",
        "refused": "Das ist nicht geschehen: {reason}", "wait": "Zu viele Anfragen. In einer Minute noch einmal.", "already": "{name} hat mit diesem Link um {time} quittiert.",
    },
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Line:
    """One alarm of a call, as it is told."""

    occurrence: int
    alarm: str
    path: str
    priority: str
    message: str
    raised_ns: int
    value: float | int | str | None = None
    unit: str = ""
    limit: float | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """A title and a body of plain text."""

    title: str
    body: str


def word(language: str, key: str, **holes: object) -> str:
    """A text in a language, English where there is none of it."""
    return _WORDS.get(language, _WORDS["en"])[key].format(**holes)


def local_time(time_ns: int, zone: str) -> str:
    """Day and time in the plant's zone."""
    return datetime.fromtimestamp(time_ns // NS_PER_S, UTC).astimezone(ZoneInfo(zone)).strftime("%Y-%m-%d %H:%M:%S")


def ordered(lines: Sequence[Line]) -> list[Line]:
    """The most urgent first, then the oldest."""
    rank = ("critical", "high", "medium", "low")
    return sorted(lines, key=lambda line: (rank.index(line.priority) if line.priority in rank else 9, line.raised_ns))


def shown(value: float | str | None, unit: str) -> str:
    """A value as text."""
    text = "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)[:100]
    return f"{text} {unit}".strip() if text else ""


def line_text(line: Line, language: str, zone: str) -> str:
    """One alarm on one line."""
    value = shown(line.value, line.unit)
    limit = f"{word(language, 'limit')} {shown(line.limit, line.unit)}" if line.limit is not None else ""
    fact = ", ".join(filter(None, (value, limit)))
    since = word(language, "since", time=local_time(line.raised_ns, zone))
    return f"{word(language, line.priority)}: {_what(line)}{': ' + fact if fact else ''}, {since}"


def _what(line: Line) -> str:
    where = f" ({line.path})" if line.path and line.path not in line.message else ""
    return f"{line.message or line.alarm}{where}"


def call_message(
    lines: Sequence[Line], language: str, zone: str, *, site: str, nth: int, link: str, expires_ns: int, short: bool
) -> Message:
    """What is told of a call. ``link`` is empty where there is none; a short message is a line or two."""
    listed = ordered(lines)
    count = f"{len(listed)} {word(language, 'alarm' if len(listed) == 1 else 'alarms')}"
    urgent = word(language, most_urgent({line.priority for line in listed}))
    head = f"{site}: {urgent}, {count}" if len(listed) != 1 else f"{site}: {line_text(listed[0], language, zone)}"
    title = " · ".join(filter(None, (word(language, "again", n=nth) if nth else "", head)))[:200]
    if short:
        first = f"{title}: {_what(listed[0])}" if len(listed) > 1 else title
        tail = "\n" + word(language, "open", link=link) if link else ""
        return Message("", first[: MOST_SHORT_CHARS - len(tail)] + tail)
    body = [line_text(line, language, zone) for line in listed[:MOST_LISTED]]
    if len(listed) > MOST_LISTED:
        body.append(word(language, "more", n=f"{len(listed) - MOST_LISTED}"))
    if link:
        body += ["", word(language, "open_long", link=link, time=local_time(expires_ns, zone))]
    return Message(title, "\n".join(body))


def test_message(language: str, site: str, channel: str) -> Message:
    """What a test says."""
    return Message(word(language, "test_title"), word(language, "test", site=site, channel=channel))


STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;background:#d8dadd;color:#1b1f24;margin:0;padding:16px}"
    "main{max-width:40rem;margin:0 auto;background:#e6e8ea;border:1px solid #bfc4ca;padding:16px}"
    "h1{font-size:20px;margin:0 0 12px}li{margin:0 0 8px;overflow-wrap:anywhere}"
    "button{font:inherit;font-weight:650;min-height:56px;width:100%;background:#0b5c8a;color:#fff;border:0;border-radius:2px}"
    "button:focus-visible{outline:3px solid #1b1f24;outline-offset:2px}"
    "@media(prefers-color-scheme:dark){body{background:#1e2227;color:#e8eaed}main{background:#2a2f36;border-color:#3d444d}"
    "button{background:#6cb8e6;color:#15181c}button:focus-visible{outline-color:#e8eaed}}"
)
"""Of the page; the policy of the answer names it by its hash."""


def page(language: str, text: str, lines: Sequence[Line] = (), *, zone: str = "UTC", button: bool = False) -> str:
    """A page of plain HTML without scripts. Only the button's form changes anything."""
    listed = "".join(f"<li>{escape(line_text(line, language, zone))}</li>" for line in ordered(lines)[:MOST_LISTED])
    if len(lines) > MOST_LISTED:
        listed += f"<li>{escape(word(language, 'more', n=len(lines) - MOST_LISTED))}</li>"
    form = (
        f'<form method="post"><button type="submit">{escape(word(language, "button"))}</button></form>'
        if button
        else ""
    )
    return (
        f'<!doctype html><html lang="{language if language in _WORDS else "en"}"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="robots" content="noindex">'
        f"<title>Isthmus: {escape(word(language, 'page'))}</title><style>{STYLE}</style></head>"
        f"<body><main><h1>{escape(text)}</h1>{f'<ul>{listed}</ul>' if listed else ''}{form}</main></body></html>"
    )
