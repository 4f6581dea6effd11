"""What every unit of the hall is made of: state as plain numbers, first-order lags, noise, and the PackML life of a machine.

Nothing here reads a clock or keeps hidden state: a unit's fields are all there is, and a step is told how long it was,
what the neighbours show, which faults hold, and where chance comes from.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass, fields
from random import Random
from typing import ClassVar, Final

from isthmus.values.packml import STATE_NUMBERS

See = Callable[[str], float]
"""Reads what a neighbour shows, e.g. "filler.good"."""

CAUSES: Final[dict[int, str]] = {
    0: "None",
    1: "Starved",
    2: "Blocked",
    3: "Jam",
    4: "Cap hopper empty",
    5: "Web break",
    6: "Guard open",
    7: "Change-over",
    8: "Drive overheated",
    9: "Air pressure low",
    10: "Product supply low",
    11: "Stopped by operator",
    12: "Emergency stop",
}
"""Why a machine stands."""

STARVED, BLOCKED, JAM, CAPS, WEB, GUARD, CHANGE, HOT, AIR, PRODUCT, OPERATOR, ESTOP = range(1, 13)

COMMAND_WORDS: Final[dict[int, str]] = {0: "None", 1: "Start", 2: "Stop", 3: "Reset"}
"""What can be ordered from a machine; the last word stays to be seen, and counts each time it is written."""

START, STOP, RESET = range(1, 4)
PRODUCTION, MAINTENANCE, MANUAL = range(1, 4)
JOG: Final = 30.0
"""Bottles a minute in mode Manual, at most."""

CLEARING, STOPPED, STARTING = (STATE_NUMBERS[name] for name in ("Clearing", "Stopped", "Starting"))
IDLE, SUSPENDED, EXECUTE = (STATE_NUMBERS[name] for name in ("Idle", "Suspended", "Execute"))
STOPPING, ABORTING, ABORTED = (STATE_NUMBERS[name] for name in ("Stopping", "Aborting", "Aborted"))
HOLDING, HELD, UNHOLDING = (STATE_NUMBERS[name] for name in ("Holding", "Held", "Unholding"))
SUSPENDING, UNSUSPENDING, RESETTING = (STATE_NUMBERS[name] for name in ("Suspending", "Unsuspending", "Resetting"))
COMPLETING, COMPLETE = (STATE_NUMBERS[name] for name in ("Completing", "Complete"))

ACTING: Final[dict[int, tuple[float, int]]] = {
    CLEARING: (3.0, STOPPED),
    STARTING: (3.0, EXECUTE),
    STOPPING: (2.0, STOPPED),
    ABORTING: (0.5, ABORTED),
    HOLDING: (1.0, HELD),
    UNHOLDING: (2.0, EXECUTE),
    SUSPENDING: (0.5, SUSPENDED),
    UNSUSPENDING: (0.5, EXECUTE),
    RESETTING: (2.0, IDLE),
    COMPLETING: (2.0, COMPLETE),
}
"""Acting states: seconds they take, and where they end."""

HALL_C: Final = 21.0
"""Temperature of the hall."""


def lag(value: float, goal: float, dt: float, tau_s: float) -> float:
    """A first-order lag towards its goal, exact for any step."""
    return goal + (value - goal) * math.exp(-dt / tau_s)


def ramp(value: float, goal: float, most: float) -> float:
    """Towards the goal by at most ``most``."""
    return min(goal, value + most) if goal > value else max(goal, value - most)


def happens(chance: Random, dt: float, mean_s: float) -> bool:
    """Whether something that happens every ``mean_s`` on average happens in this step."""
    return chance.random() < -math.expm1(-dt / mean_s)


def field_names(kind: type[Unit]) -> tuple[str, ...]:
    """The numbers that are a unit's whole state, in the order they are kept."""
    return tuple(f.name for f in fields(kind))


@dataclass
class Unit:
    """One piece of equipment. All its fields are numbers; together they are its state."""

    power: float = 0.0  # kW, electric

    def step(self, dt: float, see: See, chance: Random, faults: Collection[str]) -> None:
        """Live for ``dt`` seconds."""

    def obey(self, field: str, value: float) -> None:
        """Somebody wrote a set-point, at the panel or from afar."""
        setattr(self, field, value)

    def restore(self, numbers: Collection[float]) -> None:
        """Take over a state. Shapes: as many numbers as `field_names` has"""
        for name, number in zip(field_names(type(self)), numbers, strict=True):
            setattr(self, name, number)


@dataclass
class Panel(Unit):
    """Equipment with a panel: a switch between local and remote, and a knob that people turn there.

    Faults on command move both: `local-NAME` is the switch, `touch-NAME` turns the knob once, by nobody's order.
    """

    KNOB: ClassVar[str] = ""  # the set-point it turns
    TURNED: ClassVar[float] = 0.0  # and to what

    local: float = 0.0  # the switch stands at local
    touched: float = 0.0  # the knob was turned in this fault already

    @classmethod
    def called(cls) -> str:
        """Its name among the units of the hall."""
        return cls.__name__.lower()

    def _panel(self, faults: Collection[str]) -> None:
        self.local = float(f"local-{self.called()}" in faults)
        touched = f"touch-{self.called()}" in faults
        if touched and not self.touched:
            setattr(self, self.KNOB, self.TURNED)
        self.touched = float(touched)


@dataclass
class Machine(Panel):
    """A machine of the line: a ring of places that bottles enter, travel round in, and leave as good or rejected.

    Bottles are counted, never measured: infeed = good + reject + inside, at every moment.
    """

    PLACES: ClassVar[int] = 40  # bottles inside when full
    REJECTS: ClassVar[float] = 0.01  # share of bottles rejected in good times
    RATED_KW: ClassVar[float] = 8.0
    STOPS: ClassVar[tuple[tuple[int, float, float], ...]] = ()  # cause, mean time between in s, mean repair in s
    COMMANDS: ClassVar[dict[str, int]] = {}  # fault on command: cause
    KNOB: ClassVar[str] = "target"
    TURNED: ClassVar[float] = 90.0
    HEATED_BY: ClassVar[str] = ""  # fault on command that heats its drive
    UPSTREAM: ClassVar[str] = ""  # machine whose good bottles come in; without one they never end
    DOWNSTREAM: ClassVar[str] = ""  # machine that takes the good ones
    ROOM: ClassVar[int] = 60  # places on the conveyor to it

    state: float = float(IDLE)
    mode: float = 1.0
    cause: float = 0.0
    speed: float = 0.0  # bottles per minute
    target: float = 120.0
    enabled: float = 1.0
    guard_closed: float = 1.0
    estop_ok: float = 1.0
    command: float = 0.0  # the last word, to be seen
    ordered: float = 1.0  # to run
    infeed: float = 0.0
    good: float = 0.0
    reject: float = 0.0
    inside: float = 0.0
    queue: float = 0.0  # bottles waiting before it
    room: float = 0.0  # free places behind it
    turned: float = 0.0  # part of a place the ring has moved beyond the last whole one
    wait_s: float = 0.0  # left of the acting state, or of the repair
    state_s: float = 0.0
    run_h: float = 0.0
    stops: float = 0.0
    motor_temp: float = HALL_C
    vibration: float = 0.2
    air: float = 6.5
    cycle_s: float = 0.0
    energy: float = 0.0  # kWh

    def step(self, dt: float, see: See, chance: Random, faults: Collection[str]) -> None:
        """Neighbours, state, motion, bottles, then what follows from them."""
        self._panel(faults)
        self._look(see)
        self._command(chance, dt, faults)
        self._advance(dt)
        goal = self._wanted(see) if self.state == EXECUTE else 0.0
        goal = min(goal, JOG) if self.mode == MANUAL else goal
        self.speed = ramp(self.speed, goal, (25.0 if goal else 60.0) * dt)
        self._move(dt, chance)
        self._warm(dt, chance, faults)

    # --- neighbours --------------------------------------------------------------------------------------------------

    def _look(self, see: See) -> None:
        self.queue = see(f"{self.UPSTREAM}.good") - self.infeed if self.UPSTREAM else 1000.0
        self.room = max(0.0, self.ROOM - (self.good - see(f"{self.DOWNSTREAM}.infeed"))) if self.DOWNSTREAM else 1000.0
        self.air = see("air.pressure")

    def _external(self) -> int:
        """Why the neighbours make it wait. It goes on only when there is work for a while."""
        waiting = self.state != EXECUTE
        if self.queue < (20 if waiting else 2):
            return STARVED
        if self.room < (max(5.0, 0.1 * self.ROOM) if waiting else 2):
            return BLOCKED
        if self.air < (5.2 if waiting else 4.8):
            return AIR
        return self._supply()

    def _supply(self) -> int:
        return 0

    def _wanted(self, see: See) -> float:
        """Slower when little waits before it, so that it does not run in jerks."""
        return self.target * min(1.0, 0.4 + self.queue / 60.0)

    # --- orders ------------------------------------------------------------------------------------------------------

    def obey(self, field: str, value: float) -> None:
        """As every unit; a command word acts each time it is written, and a mode that is none changes nothing."""
        if field != "command":
            if field != "mode" or value in {PRODUCTION, MAINTENANCE, MANUAL}:
                Panel.obey(self, field, value)
            return
        self.command = value if value in COMMAND_WORDS else 0.0
        if self.command in {START, STOP}:
            self.ordered = float(self.command == START)
        elif self.command == RESET and self.state in {HELD, ABORTED}:
            self.wait_s = 0.0  # what still holds it holds it again at once

    def _released(self) -> bool:
        return bool(self.enabled and self.ordered and self.mode != MAINTENANCE)

    # --- state -------------------------------------------------------------------------------------------------------

    def _command(self, chance: Random, dt: float, faults: Collection[str]) -> None:
        """Faults, by themselves and on command, and what the neighbours ask."""
        if self.state == EXECUTE:
            for cause, mean_s, repair_s in self.STOPS:
                if happens(chance, dt, mean_s):
                    self._stop(cause, min(3.0 * repair_s, chance.expovariate(1.0 / repair_s)))
                    return
        guard, estop = f"guard-{self.called()}" in faults, f"estop-{self.called()}" in faults
        ordered = next((cause for name, cause in self.COMMANDS.items() if name in faults), 0)
        own = ESTOP if estop else GUARD if guard else ordered or self._own_fault()
        if own in {ESTOP, GUARD} and self.state not in {ABORTING, ABORTED, CLEARING, STOPPED}:
            self._stop(own, 0.0)  # whatever it was doing
        elif own and self.state in {EXECUTE, SUSPENDED, IDLE, STARTING}:
            self._stop(own, 0.0)
        elif not self._released() and self.state in {EXECUTE, SUSPENDED, IDLE}:
            self._enter(STOPPING, OPERATOR)
        elif own:
            if own in {ESTOP, GUARD} and self.state == ABORTED:
                self.cause = float(own)
            if self.state in {HELD, ABORTED} and self.cause == own:
                self.wait_s = max(self.wait_s, dt + 0.5)  # not repaired while it lasts
        elif self.state == EXECUTE and (outside := self._external()):
            self._enter(SUSPENDING, outside)
        self.estop_ok = float(not estop)
        self.guard_closed = 0.0 if guard or (self.cause == GUARD and self.state in {ABORTING, ABORTED}) else 1.0

    def _own_fault(self) -> int:
        """A drive that tripped stays out until it has cooled down."""
        return HOT if self.motor_temp > (75.0 if self.cause == HOT else 95.0) else 0

    def _stop(self, cause: int, repair_s: float) -> None:
        self.stops += 1
        self._enter({GUARD: ABORTING, ESTOP: ABORTING, CHANGE: COMPLETING}.get(cause, HOLDING), cause)
        self.wait_s += repair_s

    def _enter(self, state: int, cause: int | None = None) -> None:
        self.state, self.state_s = float(state), 0.0
        self.wait_s = ACTING[state][0] if state in ACTING else self.wait_s
        if cause is not None:
            self.cause = float(cause)

    def _advance(self, dt: float) -> None:
        """Acting states end by themselves; standing ones when their cause is gone."""
        self.state_s += dt
        state = int(self.state)
        if state == EXECUTE:
            self.run_h += dt / 3600.0
            return
        self.wait_s = max(0.0, self.wait_s - dt)
        if state in ACTING:
            least, end = ACTING[state]
            if self.state_s >= least and (state in {HOLDING, ABORTING, COMPLETING} or self.wait_s <= 0.0):
                self._enter(end, 0 if end in {EXECUTE, IDLE} else None)
        elif state == HELD and self.wait_s <= 0.0:
            self._enter(UNHOLDING)
        elif state == ABORTED and self.wait_s <= 0.0:
            self._enter(CLEARING)
        elif (state == COMPLETE and self.wait_s <= 0.0) or (state == STOPPED and self._released()):
            self._enter(RESETTING)
        elif state == IDLE and self._released():
            self._enter(STARTING)
        elif state == SUSPENDED:
            outside = self._external()
            if outside:
                self.cause = float(outside)
            else:
                self._enter(UNSUSPENDING)

    # --- bottles and heat --------------------------------------------------------------------------------------------

    def _move(self, dt: float, chance: Random) -> None:
        """Whole bottles in and out; the ring never holds more than its places."""
        self.turned += self.speed * dt / 60.0
        turns = int(self.turned)
        if not turns:
            return
        self.turned -= turns
        taken = int(max(0.0, min(turns, self.queue, self.room)))
        leaving = max(0, int(self.inside) + taken - self.PLACES)
        share = self._reject_share()
        bad = sum(chance.random() < share for _ in range(leaving))
        self.infeed += taken
        self.reject += bad
        self.good += leaving - bad
        self.inside += taken - leaving
        self.cycle_s = 60.0 / self.speed if self.speed > 1.0 else 0.0
        self._used(taken, leaving, chance)

    def _reject_share(self) -> float:
        return self.REJECTS

    def _used(self, taken: int, leaving: int, chance: Random) -> None:
        """What ``taken`` and ``leaving`` bottles consume and make."""

    def _warm(self, dt: float, chance: Random, faults: Collection[str]) -> None:
        load = self.speed / 120.0
        self.energy += self.power * dt / 3600.0
        self.power = max(0.2, 0.08 * self.RATED_KW + self.RATED_KW * load * chance.gauss(0.9, 0.01))
        hot = 90.0 if self.HEATED_BY in faults else 0.0
        self.motor_temp = lag(self.motor_temp, HALL_C + 32.0 * load + hot, dt, 40.0 if hot else 420.0)
        self.vibration = max(0.05, lag(self.vibration, 0.2 + 1.6 * load, dt, 2.0) + chance.gauss(0.0, 0.02))
