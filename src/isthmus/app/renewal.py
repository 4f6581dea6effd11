"""Certificates go on by themselves: what is due is made anew, and what listeners show follows without a restart."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable
from pathlib import Path

from isthmus.app.ca import Authority, wanted_names
from isthmus.app.settings import Settings
from isthmus.bus.broker import BrokerFiles
from isthmus.bus.field import reload
from isthmus.values.errors import IsthmusError
from isthmus.web.tls import server_context, show

LOOK_S = 30.0


class Shown:
    """The context of one listener, which follows its certificate's file."""

    def __init__(self, certificate: Path, key: Path | None = None) -> None:
        """Raises: ConfigError naming the file"""
        self._certificate, self._key = certificate, key
        self._seen = _seen(certificate)
        self.context: ssl.SSLContext = server_context(certificate, key)

    def look(self) -> bool:
        """Show the file's certificate from now on, if it is another than before; whether it was.

        Raises: ConfigError if it does not load; the one before goes on
        """
        now = _seen(self._certificate)
        if now == self._seen:
            return False
        self._seen = now
        show(self.context, self._certificate, self._key)
        return True

    def move(self, certificate: Path) -> None:
        """Follow another file from now on."""
        if certificate != self._certificate:
            self._certificate, self._seen = certificate, (0, 0)

    async def run(self, log: logging.Logger, where: Callable[[], Path] | None = None) -> None:
        """Look from time to time; ``where`` tells which file it is now."""
        while True:
            await asyncio.sleep(LOOK_S)
            try:
                if where is not None:
                    self.move(where())
                if await asyncio.to_thread(self.look):
                    log.info("shows the certificate that %s holds now", self._certificate.name)
            except IsthmusError as error:
                log.error("%s; the one before goes on", error)


def _seen(file: Path) -> tuple[int, int]:
    try:
        found = file.stat()
    except OSError:
        return 0, 0
    return found.st_mtime_ns, found.st_ino


class Renewal:
    """Tends the certificates of a core: its own, those of its parts, and the bus's."""

    def __init__(
        self, authority: Authority, settings: Settings, bus: BrokerFiles, shown: Shown | None, log: logging.Logger
    ) -> None:
        self._authority, self._settings, self._bus, self._shown, self._log = authority, settings, bus, shown, log
        self._seen = _seen(authority.server_file)

    async def run(self) -> None:
        """For ever."""
        while True:
            await asyncio.sleep(LOOK_S)
            await asyncio.to_thread(self.tend)

    def tend(self) -> None:
        """Make anew what is due, and have it shown."""
        self._authority.server(wanted_names(self._settings))
        self._authority.client()
        now = _seen(self._authority.server_file)
        if now != self._seen:
            self._seen = now
            self._log.info("the certificate of the listeners was renewed")
            if self._settings.bus.listen:
                reload(self._bus)
        if self._shown is not None:
            self._shown.move(self._authority.shown_file)
            self._shown.look()
