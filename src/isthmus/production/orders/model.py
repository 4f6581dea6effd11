"""What is made and how far it is: products with their versions, orders with their life, runs, lots and readings.

Units: quantities in millionths (see `quantity`), times in UTC ns, unless a name says otherwise
Source: ISA-95 part 2 (operations definition, material lot) and part 4 (job order)
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from fractions import Fraction
from typing import Any, Final

from isthmus.production.orders.quantity import share
from isthmus.values.clock import NS_PER_S
from isthmus.values.errors import ConfigError, Denied
from isthmus.values.plant.production import MAX_PIECES_PER_S, MIN_PIECES_PER_S

MOST_OPERATIONS: Final = 50
MOST_COMPONENTS: Final = 200
MOST_STEPS: Final = 100
_IDENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")
_KEY = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}\Z")


class OrderState(StrEnum):
    """Where one operation of an order stands, and the order."""

    PLANNED = "planned"
    RELEASED = "released"
    RUNNING = "running"
    PAUSED = "paused"
    COMPLETED = "completed"
    CLOSED = "closed"
    CANCELLED = "cancelled"


State = OrderState
"""The name it has here; that of the API is longer, as alarms have states, too."""


class Trigger(StrEnum):
    """What moves it."""

    RELEASE = "release"
    START = "start"
    PAUSE = "pause"
    RESUME = "resume"
    COMPLETE = "complete"
    CLOSE = "close"
    CANCEL = "cancel"


NEXT: Final[dict[tuple[State, Trigger], State]] = {
    (State.PLANNED, Trigger.RELEASE): State.RELEASED,
    (State.RELEASED, Trigger.START): State.RUNNING,
    (State.RUNNING, Trigger.PAUSE): State.PAUSED,
    (State.PAUSED, Trigger.RESUME): State.RUNNING,
    (State.RUNNING, Trigger.COMPLETE): State.COMPLETED,
    (State.PAUSED, Trigger.COMPLETE): State.COMPLETED,
    (State.COMPLETED, Trigger.CLOSE): State.CLOSED,
    (State.PLANNED, Trigger.CANCEL): State.CANCELLED,
    (State.RELEASED, Trigger.CANCEL): State.CANCELLED,
    (State.PAUSED, Trigger.CANCEL): State.CANCELLED,
}
"""All there is; what is not here is refused."""

OPEN: Final = (State.PLANNED, State.RELEASED, State.RUNNING, State.PAUSED)
ENDED: Final = (State.COMPLETED, State.CLOSED, State.CANCELLED)


def follow(state: State, trigger: Trigger, what: str) -> State:
    """The state after a trigger.

    Raises: Denied (wrong_state)
    """
    found = NEXT.get((state, trigger))
    if found is None:
        already = NEXT_OF[trigger] == {state}
        raise Denied(
            f"{what} is {state} already" if already else f"{what} is {state}: it cannot {trigger}", "wrong_state"
        )
    return found


NEXT_OF: Final = {t: {after for (_, by), after in NEXT.items() if by is t} for t in Trigger}


def overall(states: Sequence[State]) -> State:
    """Where an order stands whose operations stand so."""
    known = set(states)
    if len(known) == 1:
        return states[0]
    if State.RUNNING in known:
        return State.RUNNING
    if State.CANCELLED in known:
        return State.CANCELLED
    return State.PAUSED  # begun, and nothing of it runs now


def check_ident(text: str, what: str) -> str:
    """A number of a product, an order, a lot or a reading point: it stands in addresses and on labels.

    Raises: ConfigError
    """
    if not _IDENT.match(text):
        raise ConfigError(f"{what}: letters, digits and . _ - are taken, at most 64, was {text[:80]!r}")
    return text


class Tracking(StrEnum):
    """How finely what is made of a product is known."""

    NONE = "none"
    LOT = "lot"
    SERIAL = "serial"


class StepKind(StrEnum):
    """What a work instruction asks of whoever works by it."""

    READ = "read"
    CHECK = "check"
    READING = "reading"
    SIGN = "sign"


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the work instructions of an operation."""

    key: str
    title: str
    text: str = ""
    kind: StepKind = StepKind.READ
    required: bool = True  # the operation is not completed before it is done
    meaning: str = ""  # of a signature
    point: str = ""  # of a reading


@dataclass(frozen=True, slots=True)
class Operation:
    """One step of the routing."""

    number: int
    name: str
    assets: tuple[str, ...]  # machines or lines it may run at
    counted: bool = True  # by the machine; else by hand
    ideal_count: int = 0  # pieces per ideal_ns at full speed; 0: as the machine declares
    ideal_ns: int = 0
    setup_s: int = 0  # target of a change-over to this product
    setup_from: tuple[tuple[str, int], ...] = ()  # the product before, and its target
    skills: tuple[str, ...] = ()
    steps: tuple[Step, ...] = ()
    labour_per_h: int | None = None  # what an hour of somebody's work on it costs; None: nobody said

    def setup_target_s(self, before: str) -> int:
        """What a change-over from a product should take."""
        return dict(self.setup_from).get(before, self.setup_s)


@dataclass(frozen=True, slots=True)
class Component:
    """One line of the bill of material: what one piece takes at an operation."""

    material: str  # number of a product
    each: int
    operation: int
    automatic: bool = True  # by the count of the machine; else somebody scans what he takes


@dataclass(frozen=True, slots=True)
class Product:
    """One version of a product; it is never changed."""

    id: str
    version: int
    name: str
    unit: str = "pcs"
    tracking: Tracking = Tracking.LOT
    operations: tuple[Operation, ...] = ()
    components: tuple[Component, ...] = ()
    over: int = 0  # percent above the ordered quantity that needs no reason
    under: int = 0  # and below
    note: str = ""
    by: str = ""
    at_ns: int = 0
    reason: str = ""
    cost: int | None = None  # of one unit, in millionths of the plant's currency; None: nobody said

    def operation(self, number: int) -> Operation:
        """One of the routing. Raises: LookupError"""
        for one in self.operations:
            if one.number == number:
                return one
        raise LookupError(number)

    def body(self) -> dict[str, Any]:
        """What is kept of a version beside its columns."""
        told = asdict(self)
        for column in ("id", "version", "by", "at_ns", "reason"):
            del told[column]
        return told


def product_from(columns: dict[str, Any], body: dict[str, Any]) -> Product:
    """A version as it was kept."""
    operations = tuple(
        Operation(
            **one
            | {
                "assets": tuple(one["assets"]),
                "skills": tuple(one["skills"]),
                "setup_from": tuple((product, target) for product, target in one["setup_from"]),
                "steps": tuple(Step(**step | {"kind": StepKind(step["kind"])}) for step in one["steps"]),
            }
        )
        for one in body["operations"]
    )
    components = tuple(Component(**one) for one in body["components"])
    more = {"tracking": Tracking(body["tracking"]), "operations": operations, "components": components}
    return Product(**columns, **body | more)


def check_product(product: Product, assets: Iterable[str], materials: Iterable[str]) -> None:
    """Whether it can be made here: machines, materials and steps exist once.

    Raises: ConfigError naming the place
    """
    check_ident(product.id, "id")
    known, stock = set(assets), set(materials)
    if not 0 <= len(product.operations) <= MOST_OPERATIONS or len(product.components) > MOST_COMPONENTS:
        raise ConfigError(f"operations: at most {MOST_OPERATIONS} operations and {MOST_COMPONENTS} components")
    numbers = [one.number for one in product.operations]
    if numbers != sorted(set(numbers)):
        raise ConfigError("operations: numbers must grow along the routing")
    for place, one in enumerate(product.operations):
        _check_operation(one, f"operations.{place}", known)
    for place, part in enumerate(product.components):
        at = f"components.{place}"
        if part.material == product.id:
            raise ConfigError(f"{at}.material: a product does not go into itself, was {part.material!r}")
        if part.material not in stock:
            raise ConfigError(f"{at}.material: there is no product of this number, was {part.material!r}")
        if part.operation not in numbers:
            raise ConfigError(f"{at}.operation: the routing has no operation {part.operation}")
    keys = [(part.material, part.operation) for part in product.components]
    if len(set(keys)) != len(keys):
        raise ConfigError("components: a material stands once at an operation")


def _check_operation(one: Operation, at: str, known: set[str]) -> None:
    missing = [path for path in one.assets if path not in known]
    if missing:
        raise ConfigError(f"{at}.assets: the plant has no such asset, was {missing[0]!r}")
    if not one.assets:
        raise ConfigError(f"{at}.assets: name one machine or line or more")
    if one.ideal_count:
        if not one.ideal_ns:
            raise ConfigError(f"{at}.ideal_s: {one.ideal_count} pieces take more than no time")
        if not MIN_PIECES_PER_S <= Fraction(one.ideal_count * NS_PER_S, one.ideal_ns) <= MAX_PIECES_PER_S:
            raise ConfigError(
                f"{at}.ideal_count: no machine makes that (1 piece in 100 d to {MAX_PIECES_PER_S:,} a second), "
                f"was {one.ideal_count} in {one.ideal_ns / NS_PER_S:g} s"
            )
    if len(one.steps) > MOST_STEPS:
        raise ConfigError(f"{at}.steps: at most {MOST_STEPS}")
    keys = [step.key for step in one.steps]
    for step in one.steps:
        if not _KEY.match(step.key) or keys.count(step.key) > 1:
            raise ConfigError(f"{at}.steps: keys are small letters, digits, _ and -, each once, was {step.key!r}")
        if step.kind is StepKind.SIGN and not step.meaning:
            raise ConfigError(f"{at}.steps.{step.key}.meaning: say what a signature means")
        if step.kind is StepKind.READING and not step.point:
            raise ConfigError(f"{at}.steps.{step.key}.point: name the reading")


@dataclass(frozen=True, slots=True)
class Count:
    """Pieces, in millionths."""

    total: int = 0
    good: int = 0
    reject: int = 0
    rework: int = 0

    def __add__(self, other: Count) -> Count:
        return Count(
            self.total + other.total, self.good + other.good, self.reject + other.reject, self.rework + other.rework
        )


@dataclass(frozen=True, slots=True)
class Run:
    """A time in which an operation ran at a machine or a line. ``end_ns`` is None while it does."""

    id: int
    order: str
    operation: int
    asset: str
    product: str
    start_ns: int
    end_ns: int | None
    by: str
    count: Count = Count()
    entries: tuple[int, ...] = ()  # what was told to the machines' accounts
    told: bool = False


@dataclass(frozen=True, slots=True)
class Job:
    """One operation of an order."""

    operation: int
    state: State = State.PLANNED
    asset: str = ""  # where it runs or ran last


@dataclass(frozen=True, slots=True)
class Order:
    """A job order with its operations. ``rev`` grows with each change."""

    id: str
    product: str
    version: int
    quantity: int
    state: State = State.PLANNED
    rev: int = 1
    lot: str = ""  # what it makes
    due_ns: int | None = None
    priority: int = 5
    reference: str = ""  # of the business system
    note: str = ""
    over: int = 0
    under: int = 0
    created_ns: int = 0
    by: str = ""
    ended_ns: int | None = None
    jobs: tuple[Job, ...] = ()

    def job(self, operation: int) -> Job:
        """One operation. Raises: LookupError"""
        for one in self.jobs:
            if one.operation == operation:
                return one
        raise LookupError(operation)

    @property
    def most(self) -> int:
        """Above it there is over-production."""
        return self.quantity + share(self.quantity, self.over)

    @property
    def least(self) -> int:
        """Below it there is under-production."""
        return self.quantity - share(self.quantity, self.under)


@dataclass(frozen=True, slots=True)
class Lot:
    """A material lot, or one serial number. ``on_hand`` is never below 0."""

    id: str
    product: str
    on_hand: int
    order: str = ""  # that made it
    serial: bool = False
    supplier: str = ""  # and its own number there
    place: str = ""
    expires_ns: int | None = None
    created_ns: int = 0
    by: str = ""


@dataclass(frozen=True, slots=True)
class Move:
    """What came to a lot or left it; the sum over all is what is on hand. ``kind`` is receipt, produce, consume, give_back or adjust."""

    lot: str
    quantity: int
    kind: str
    at_ns: int
    by: str
    order: str = ""
    operation: int = 0
    automatic: bool = False
    reason: str = ""
    seq: int = 0


@dataclass(frozen=True, slots=True)
class Link:
    """A lot went into another."""

    parent: str
    child: str
    order: str
    quantity: int


@dataclass(frozen=True, slots=True)
class Need:
    """What an order takes of a material. ``owed`` is what the machine used by its count and no stock covered."""

    material: str
    operation: int
    each: int
    automatic: bool
    planned: int
    needed: int
    booked: int

    @property
    def owed(self) -> int:
        return max(0, self.needed - self.booked) if self.automatic else 0


@dataclass(frozen=True, slots=True)
class Happening:
    """A line of an order's journal."""

    order: str
    operation: int
    kind: str
    at_ns: int
    by: str
    detail: dict[str, Any] = field(default_factory=dict)
    seq: int = 0


@dataclass(frozen=True, slots=True)
class Labour:
    """Time somebody worked on an operation."""

    id: int
    order: str
    operation: int
    asset: str
    person: str
    start_ns: int
    end_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Skill:
    """What somebody may do, until when; None: for good."""

    person: str
    skill: str
    until_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Signature:
    """An electronic signature. ``hash`` is that of ``content``, which holds the hash of the one before.

    Source: 21 CFR 11.50 (name, time and meaning), 11.70 (bound to the record)
    """

    id: int
    order: str
    operation: int
    step: str
    lot: str
    meaning: str
    by: str
    at_ns: int
    content: str
    hash: str


@dataclass(frozen=True, slots=True)
class Done:
    """A step of the instructions that somebody did."""

    order: str
    operation: int
    step: str
    at_ns: int
    by: str
    result: str = ""


@dataclass(frozen=True, slots=True)
class Point:
    """A reading that people take. Limits in millionths of ``unit``: beyond lowest and highest it is refused, beyond low and
    high it is taken with a comment.
    """

    id: str
    name: str
    asset: str
    unit: str = ""
    decimals: int = 1
    lowest: int | None = None
    highest: int | None = None
    low: int | None = None
    high: int | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """One value somebody read. ``outside`` is empty, low or high."""

    id: int
    point: str
    at_ns: int
    value: int
    by: str
    taken_ns: int  # when it was keyed in
    order: str = ""
    outside: str = ""
    comment: str = ""
    replaces: int = 0


@dataclass(frozen=True, slots=True)
class ChangeOver:
    """From the last run of another product at a machine to the first piece of this one; None while it lasts."""

    asset: str
    before: str  # product
    start_ns: int
    end_ns: int | None
    target_s: int
