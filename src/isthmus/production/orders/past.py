"""What ran without anybody saying so, or at other times than was said: entered afterwards, and the accounts follow."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from sqlalchemy import Connection

from isthmus.namespace.model import Plant
from isthmus.production.orders import store
from isthmus.production.orders.floor import touches
from isthmus.production.orders.model import Run, State
from isthmus.values.clock import NS_PER_S
from isthmus.values.errors import ConfigError, Denied

MOST_BACK_NS: Final = 31 * 86_400 * NS_PER_S
"""So far back a run may begin that is entered afterwards."""


@dataclass(frozen=True, slots=True)
class Past:
    """When an operation ran. Without ``start_ns`` its last run keeps its begin; without ``end_ns`` it goes on.

    ``run`` corrects one that is over: without ``start_ns`` or ``end_ns`` that stays as it was.
    Units: UTC ns
    """

    start_ns: int | None
    end_ns: int | None
    complete: bool
    reason: str
    run: int = 0

    def checked(self, now_ns: int) -> Past:
        """The same when it can be. Raises: ConfigError; Denied (reason_needed)"""
        if not self.reason.strip():
            raise Denied("say why it is entered afterwards", "reason_needed")
        if self.start_ns is None and self.end_ns is None:
            raise ConfigError("start: say when it began, or when it ended")
        if self.complete and self.end_ns is None:
            raise ConfigError("end: say when it was complete")
        for name, moment_ns in (("start", self.start_ns), ("end", self.end_ns)):
            if moment_ns is not None and not now_ns - MOST_BACK_NS <= moment_ns <= now_ns:
                raise ConfigError(f"{name}: must lie within the last 31 days, was {moment_text(moment_ns)}")
        return self


def run_of(past: Past, state: State, before: Run | None, made: Run) -> tuple[Run, bool]:
    """The run as it is to be, and whether it is a new one. ``made`` is how a new one would begin.

    Raises: ConfigError; Denied (wrong_state)
    """
    running = state is State.RUNNING and before is not None and before.end_ns is None
    if not running and past.start_ns is None:
        raise ConfigError(f"start: operation {made.operation} of order {made.order} does not run; say when it began")
    old = before if running and before is not None else made
    start_ns = old.start_ns if past.start_ns is None else past.start_ns
    if past.end_ns is not None and past.end_ns <= start_ns:
        raise ConfigError(f"end: must be after {moment_text(start_ns)}, was {moment_text(past.end_ns)}")
    asset = old.asset if running else made.asset
    return Run(
        old.id, made.order, made.operation, asset, made.product, start_ns, past.end_ns, old.by, old.count, old.entries
    ), not running  # fmt: skip


def corrected(past: Past, run: Run, asset: str) -> Run:
    """A run that is over, at other times.

    Raises: ConfigError; Denied (wrong_state)
    """
    what = f"run {run.id} of order {run.order}"
    if run.end_ns is None:
        raise Denied(f"{what} goes on: it is no run to correct", "wrong_state")
    if past.complete:
        raise ConfigError(f"complete: {what} is only moved; complete its operation apart")
    if asset and asset != run.asset:
        raise ConfigError(f"asset: {what} ran at {run.asset} and stays there, was {asset!r}")
    start_ns = run.start_ns if past.start_ns is None else past.start_ns
    end_ns = run.end_ns if past.end_ns is None else past.end_ns
    if end_ns <= start_ns:
        raise ConfigError(f"end: must be after {moment_text(start_ns)}, was {moment_text(end_ns)}")
    return replace(run, start_ns=start_ns, end_ns=end_ns)


def check_alone(db: Connection, plant: Plant, run: Run) -> None:
    """Nothing else ran there. Raises: Denied (machine_busy) naming both"""
    for other in store.runs_between(db, run.start_ns, run.end_ns):
        if other.id != run.id and touches(plant, other.asset, run.asset):
            raise Denied(
                f"order {run.order}, operation {run.operation}, cannot have run at {run.asset} {_span(run)}: "
                f"order {other.order}, operation {other.operation}, ran at {other.asset} {_span(other)}",
                "machine_busy",
            )


def moment_text(moment_ns: int) -> str:
    """A time as people and journals have it."""
    return datetime.fromtimestamp(moment_ns // NS_PER_S, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _span(run: Run) -> str:
    return f"from {moment_text(run.start_ns)} to {'now' if run.end_ns is None else moment_text(run.end_ns)}"
