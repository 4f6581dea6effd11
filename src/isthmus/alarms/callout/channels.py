"""Ways to people: each channel is an apprise address, kept as a secret and shown to nobody, or a file of this machine."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from isthmus.alarms.callout import logbook
from isthmus.alarms.callout.model import Channel
from isthmus.alarms.callout.texts import Message
from isthmus.values.clock import Clock, SystemClock
from isthmus.values.errors import ConfigError, Rejected
from isthmus.values.hosts import is_loopback

PLACE = "{address}"
_LOG = "apprise"
_PLAIN = frozenset({"json", "xml", "form"})
"""Schemas of plain HTTP; each has one for HTTPS, with an s behind."""
_WORDS = frozenset({"insecure", "starttls", "ssl", "post", "put", "get", "text", "html", "yes", "true", "false"})
"""Values of settings in an address that are no secrets."""
MOST_REASON_CHARS = 400


class Ways:
    """Sends by channels. Blocking: called from threads. What it says never holds an address of apprise or of a person."""

    def __init__(self, reveal: Callable[[str], str], clock: Clock | None = None) -> None:
        self._reveal, self._clock = reveal, clock or SystemClock()

    def missing(self, channel: Channel) -> str:
        """Why the secret of a channel cannot be read; empty when it can."""
        try:
            self._reveal(channel.url)
        except ConfigError as error:
            return str(error)
        return ""

    def check(self, channel: Channel) -> None:
        """Look whether the secret fits; nothing is sent.

        Raises: ConfigError
        """
        if channel.kind == logbook.SCHEME:
            self._file(channel)
            return
        self._built(channel, "1" if channel.kind in ("sms", "voice") else "test@example.com", probe=True)

    def send(self, channel: Channel, address: str, message: Message) -> None:
        """Deliver one message; it is with the gateway when this returns.

        Raises: ConfigError for what somebody must set right, Rejected for what the other side or the network said
        """
        if channel.kind == logbook.SCHEME:
            logbook.write(self._file(channel), message, self._clock)
            return
        url, way = self._built(channel, address)
        with _Said() as said:
            try:
                taken = way.notify(body=message.body, title=message.title, body_format="text")
            except Exception as error:  # a plugin may raise anything
                raise Rejected(cleaned(f"{type(error).__name__}: {error}", url, address)) from None
        if not taken:
            raise Rejected(cleaned(said.text or "the gateway did not take it, and did not say why", url, address))

    def _file(self, channel: Channel) -> Path:
        return logbook.place_of(self._reveal(channel.url).strip(), f"channel {channel.name}: {channel.url}")

    def _built(self, channel: Channel, address: str, *, probe: bool = False) -> tuple[str, Any]:
        template = self._reveal(channel.url).strip()
        where = f"channel {channel.name}"
        if channel.personal != (PLACE in template):
            raise ConfigError(
                f"{where}: {channel.url}: has no {PLACE} where each person's own goes; put it in, or let the channel be shared"
                if channel.personal
                else f"{where}: {channel.url}: has {PLACE} in it, so it is not the same place for everybody"
            )
        url = template.replace(PLACE, quote(address, safe=""))
        import apprise

        with _Said() as said:
            try:
                way = apprise.Apprise.instantiate(
                    url,
                    asset=apprise.AppriseAsset(storage_mode="memory", secure_logging=True, app_id="Isthmus"),
                    suppress_exceptions=False,
                )
            except Exception as error:  # plugins refuse what they are given in many ways
                if probe and channel.personal:
                    return url, None  # what stands in for a person's own may not be of this gateway's form
                raise ConfigError(f"{where}: {cleaned(str(error), url, address)}") from None
        if way is None and not (probe and channel.personal):
            raise ConfigError(
                f"{where}: {channel.url}: {cleaned(said.text or 'is no address that apprise knows', url, address)}"
            )
        scheme = url.partition("://")[0].casefold()
        if way is None and not known(scheme):
            raise ConfigError(f"{where}: {channel.url}: is no address that apprise knows")
        _check_plain(url, scheme, way, where, channel.url)
        return url, way


def known(scheme: str) -> bool:
    """Whether apprise has a plugin for addresses that begin so."""
    from apprise import NotificationManager

    return scheme in NotificationManager()  # type: ignore[no-untyped-call]  # its own class says no types


def _check_plain(url: str, scheme: str, way: Any, where: str, reference: str) -> None:
    """Alarms beyond this machine go by TLS; mail may go in plain to a server of the plant, but not with a password.

    Raises: ConfigError
    """
    host = getattr(way, "smtp_host", "") or urlsplit(url).hostname or ""
    if is_loopback(host):
        return
    if scheme in _PLAIN:
        raise ConfigError(f"{where}: {reference}: goes beyond this machine in plain text; use {scheme}s://")
    if getattr(way, "secure_mode", "") == "insecure" and getattr(way, "password", None):
        raise ConfigError(f"{where}: {reference}: would send a password in plain text; use mailtos://")


def cleaned(text: str, url: str, address: str = "") -> str:
    """A text without any part of an apprise address, and without a person's own."""
    split = urlsplit(url)
    host = (split.hostname or "").casefold()
    secret = [split.username or "", split.password or "", *re.split(r"[:/@,+ ]+", split.netloc + split.path)]
    secret += [value for _, value in parse_qsl(split.query)]
    if address:
        secret += [address, quote(address, safe="")]
    forms = {form for part in secret for form in (part, unquote(part))}
    parts = {form for form in forms if len(form) >= 3 and form.casefold() not in {host, *_WORDS}}
    text = text.replace(url, "***")
    for part in sorted(parts, key=len, reverse=True):
        text = re.sub(re.escape(part), "***", text, flags=re.IGNORECASE)
    return " ".join(text.split())[:MOST_REASON_CHARS]


class _Catch(logging.Filter):
    """Takes what apprise says away from every log, for it names people and gateways; whoever sends in this thread is told."""

    def __init__(self) -> None:
        super().__init__()
        self.here = threading.local()

    def filter(self, record: logging.LogRecord) -> bool:
        said: _Said | None = getattr(self.here, "said", None)
        if said is not None:
            said.heard(record)
        return False


_CATCH = _Catch()


class _Said:
    """What apprise says in this thread meanwhile."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._why: list[str] = []

    @property
    def text(self) -> str:
        """Warnings and errors, then what was behind them."""
        return "; ".join(dict.fromkeys([*self._lines, *self._why]))

    def heard(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if record.levelno >= logging.WARNING:
            self._lines.append(text)
        elif "Exception" in text:
            self._why.append(text.removeprefix("Socket Exception: "))

    def __enter__(self) -> _Said:
        logger = logging.getLogger(_LOG)
        logger.setLevel(logging.DEBUG)  # why something failed is said at this level
        logger.addFilter(_CATCH)  # once, however often
        _CATCH.here.said = self
        return self

    def __exit__(self, *_: object) -> None:
        _CATCH.here.said = None
