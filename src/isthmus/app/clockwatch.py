"""Watches the machine's clock: whether the kernel calls it synchronised, whether it jumps, how far edges are off.

Source: adjtimex(2), clock_adjtime(2); STA_UNSYNC and STA_NANO of <linux/timex.h>
"""

from __future__ import annotations

import ctypes
import logging
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from isthmus.values.clock import NS_PER_S, Clock

JUMP_S = 0.5
"""A wall clock that runs this much apart from the monotonic one between two looks was set, not slewed."""
REMEMBER_S = 3600.0
"""A jump is shown as the clock's state for this long."""
EDGE_LIMIT_S = 2.0
"""An edge further off is said; it is well again below half of it."""

_STA_UNSYNC = 0x0040
_STA_NANO = 0x2000


@dataclass(frozen=True, slots=True)
class Kernel:
    """What the kernel's clock discipline says of itself.

    Units: offset_s to the time source, error_s estimated
    """

    synchronised: bool
    offset_s: float
    error_s: float


class _Timex(ctypes.Structure):
    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("constant", ctypes.c_long),
        ("rest", ctypes.c_byte * 256),  # more than any kernel writes
    )


def kernel_clock() -> Kernel | None:
    """Ask the kernel, changing nothing; None where it cannot be asked."""
    if sys.platform != "linux":
        return None
    answer = _Timex()
    if ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(answer)) < 0:
        return None
    unit = 1e-9 if answer.status & _STA_NANO else 1e-6
    return Kernel(not answer.status & _STA_UNSYNC, answer.offset * unit, answer.esterror * 1e-6)


class ClockWatch:
    """Looks when told to; says each trouble once when it begins and once when it is over."""

    def __init__(self, clock: Clock, log: logging.Logger, kernel: Callable[[], Kernel | None] = kernel_clock) -> None:
        self._clock, self._log, self._ask = clock, log, kernel
        self._apart_ns = clock.now_ns() - clock.monotonic_ns()
        self._unsynchronised = False
        self._jumped_at_ns = 0  # monotonic
        self._off: set[str] = set()
        self.kernel: Kernel | None = None
        self.jumps = 0
        self.last_jump_s = 0.0
        self.last_jump_ns = 0

    def look(self, edges: Mapping[str, float]) -> None:
        """Look at the kernel, at the two clocks, and at the offsets of edges that are heard (seconds, by name)."""
        self._look_at_kernel()
        self._look_for_jumps()
        for edge, offset_s in edges.items():
            if edge not in self._off and abs(offset_s) > EDGE_LIMIT_S:
                self._off.add(edge)
                self._log.warning("the clock of %s is %+.1f s off core's: synchronise both machines", edge, offset_s)
            elif edge in self._off and abs(offset_s) < EDGE_LIMIT_S / 2:
                self._off.discard(edge)
                self._log.info("the clock of %s agrees with core's again", edge)

    def _look_at_kernel(self) -> None:
        self.kernel = self._ask()
        if self.kernel is None:
            return
        if not self.kernel.synchronised and not self._unsynchronised:
            self._log.warning("this machine's clock is not synchronised: check its time service (chrony, timesyncd)")
        elif self.kernel.synchronised and self._unsynchronised:
            self._log.info("this machine's clock is synchronised again")
        self._unsynchronised = not self.kernel.synchronised

    def _look_for_jumps(self) -> None:
        now_ns, monotonic_ns = self._clock.now_ns(), self._clock.monotonic_ns()
        jump_s = (now_ns - monotonic_ns - self._apart_ns) / NS_PER_S
        self._apart_ns = now_ns - monotonic_ns  # slewing is followed, step by step
        if abs(jump_s) >= JUMP_S:
            if not self._jumped_at_ns:
                self._log.warning(
                    "the wall clock jumped by %+.3f s; times of samples are held so that none goes back", jump_s
                )
            self.jumps += 1
            self.last_jump_s, self.last_jump_ns, self._jumped_at_ns = jump_s, now_ns, max(1, monotonic_ns)
        elif self._jumped_at_ns and monotonic_ns - self._jumped_at_ns > REMEMBER_S * NS_PER_S:
            self._jumped_at_ns = 0
            self._log.info("the wall clock has run evenly for an hour again")

    @property
    def state(self) -> str:
        """One word, as the API says it."""
        if self._jumped_at_ns:
            return "jumped"
        if self.kernel is None:
            return "unknown"
        return "ok" if self.kernel.synchronised else "unsynchronised"
