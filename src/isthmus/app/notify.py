"""Tells the service manager that we are ready, alive and stopping: datagrams to the socket it names.

Source: sd_notify(3), systemd.service(5) Type=notify and WatchdogSec=
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Mapping


class Notifier:
    """Silent where no service manager listens."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._address = environment.get("NOTIFY_SOCKET", "")
        meant = environment.get("WATCHDOG_PID", "")
        period_us = environment.get("WATCHDOG_USEC", "") if not meant or meant == str(os.getpid()) else ""
        self.watchdog_s = int(period_us) / 1e6 if period_us.isdecimal() else 0.0

    def say(self, *lines: str) -> None:
        """Send lines such as READY=1; a manager that is gone is no reason to stop."""
        if not self._address.startswith(("/", "@")):
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
            out.sendto("\n".join(lines).encode(), address)

    async def keep_alive(self) -> None:
        """Say WATCHDOG=1 twice a period: our loop turns. What dies below the supervisor it starts again itself, and a core
        that reads for long after a crash is no reason to end everything.
        """
        while self.watchdog_s:
            self.say("WATCHDOG=1")
            await asyncio.sleep(self.watchdog_s / 2)
