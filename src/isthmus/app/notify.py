"""Tells the service manager that we are ready, alive and stopping: datagrams to the socket it names.

Source: sd_notify(3), systemd.service(5) Type=notify and WatchdogSec=
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import MutableMapping


class Notifier:
    """Silent where no service manager listens. Takes what it needs out of the environment: children are not meant."""

    def __init__(self, environment: MutableMapping[str, str] = os.environ) -> None:
        self._address = environment.pop("NOTIFY_SOCKET", "")
        meant, period_us = environment.pop("WATCHDOG_PID", ""), environment.pop("WATCHDOG_USEC", "")
        ours = not meant or meant == str(os.getpid())
        self.watchdog_s = int(period_us) / 1e6 if ours and period_us.isdecimal() else 0.0

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
