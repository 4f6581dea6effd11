"""Changes of the plant that are put forward, looked at by a second person, and applied when their rules let them."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from enum import StrEnum

from sqlalchemy import Engine

from isthmus.namespace import change_store
from isthmus.namespace.change_store import ChangeRequest
from isthmus.namespace.control import Consent, Obstacle
from isthmus.namespace.service import Namespace, StaleBase
from isthmus.values.clock import Clock
from isthmus.values.errors import ConfigError, Denied

MOST_OPEN = 200
MOST_LISTED = 500


class State(StrEnum):
    """Where a change stands."""

    PROPOSED = "proposed"
    APPROVED = "approved"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"
    APPLIED = "applied"
    STALE = "stale"


class Trigger(StrEnum):
    """What moves it."""

    APPROVE = "approve"
    REJECT = "reject"
    WITHDRAW = "withdraw"
    APPLY = "apply"
    BASE_MOVED = "base_moved"


NEXT: dict[tuple[State, Trigger], State] = {
    (State.PROPOSED, Trigger.APPROVE): State.APPROVED,
    (State.PROPOSED, Trigger.REJECT): State.REJECTED,
    (State.PROPOSED, Trigger.WITHDRAW): State.WITHDRAWN,
    (State.PROPOSED, Trigger.APPLY): State.APPLIED,  # where no rule asks for an approval
    (State.PROPOSED, Trigger.BASE_MOVED): State.STALE,
    (State.APPROVED, Trigger.REJECT): State.REJECTED,
    (State.APPROVED, Trigger.WITHDRAW): State.WITHDRAWN,
    (State.APPROVED, Trigger.APPLY): State.APPLIED,
    (State.APPROVED, Trigger.BASE_MOVED): State.STALE,
}
"""All there is; what is not here is refused."""


def follow(state: str, trigger: Trigger) -> State:
    """The state after a trigger.

    Raises: Denied (wrong_state)
    """
    found = NEXT.get((State(state), trigger))
    if found is None:
        raise Denied(f"a change that is {state} cannot be moved by {trigger}", "wrong_state")
    return found


@dataclass(frozen=True, slots=True)
class Hand:
    """Who does something to a change. ``person`` is true for people who signed in themselves, false for programs."""

    name: str
    user_id: int | None = None
    person: bool = False
    behind: tuple[str, ...] = ()  # people who answer for a program


class ChangeRequests:
    """Keeps and moves proposed changes. Blocking; safe to call from several threads."""

    def __init__(self, engine: Engine, namespace: Namespace, clock: Clock, log: logging.Logger | None = None) -> None:
        self._engine, self._namespace, self._clock = engine, namespace, clock
        self._log = log or logging.getLogger("isthmus.changes")

    # --- reading -----------------------------------------------------------------------------------------------------

    def listed(self, state: str = "", before: int | None = None, limit: int = 100) -> tuple[ChangeRequest, ...]:
        """Newest first, without their texts."""
        with self._engine.begin() as connection:
            return change_store.listed(connection, state, before, min(limit, MOST_LISTED))

    def get(self, number: int) -> ChangeRequest:
        """One with its text.

        Raises: LookupError if there is none
        """
        with self._engine.begin() as connection:
            found = change_store.load(connection, number)
        if found is None:
            raise LookupError(number)
        return found

    def files(self, number: int) -> dict[str, bytes]:
        """The files that came with it, by name."""
        with self._engine.begin() as connection:
            return change_store.load_files(connection, number)

    def obstacles(self, change: ChangeRequest) -> tuple[Obstacle, ...]:
        """What stands against applying an open one now. A closed one has none: its state says it all."""
        if change.state not in change_store.OPEN:
            return ()
        try:
            plan = self._namespace.plan(change.text, change.base, self.files(change.id))
        except StaleBase as error:
            return (Obstacle("", "", "stale_base", str(error)),)
        except ConfigError as error:
            return (Obstacle("", "", "invalid", f"this build refuses it: {error}"),)
        return plan.demands.obstacles(self._clock.now_ns(), change.reason, _consent(change))

    # --- moving ------------------------------------------------------------------------------------------------------

    def propose(self, text: str, base: int, by: Hand, reason: str, files: Mapping[str, bytes]) -> ChangeRequest:
        """Puts a plan forward.

        Raises: Findings with every mistake; StaleBase; Denied (reason_needed, too_many_changes); ConfigError if the plan
                would change nothing
        """
        plan = self._namespace.plan(text, base, files)
        if not plan.changes:
            raise ConfigError("text: nothing would change")
        now_ns = self._clock.now_ns()
        for obstacle in plan.demands.obstacles(now_ns, reason):
            if obstacle.code == "reason_needed":
                raise Denied(obstacle.reason, obstacle.code)
        diff = tuple(asdict(line) for line in plan.changes)
        made = ChangeRequest(
            0, State.PROPOSED, base, by.name, by.user_id, by.behind, now_ns, reason, plan.demands.zones, diff, text=text
        )
        with self._engine.begin() as connection:
            if change_store.count_open(connection) >= MOST_OPEN:
                raise Denied(f"{MOST_OPEN} changes are open; decide about some first", "too_many_changes")
            number = change_store.add(connection, made, files)
        self._log.info("change %d was put forward by %s: %s", number, by.name, reason or "no reason given")
        return replace(made, id=number)

    def approve(self, number: int, by: Hand, reason: str = "") -> ChangeRequest:
        """A second person agrees.

        Raises: LookupError; Denied (needs_session for a program, same_person for the author, wrong_state)
        """
        change = self.get(number)
        if not by.person:
            raise Denied(
                "only a person who signed in can approve a change; a token cannot do it for one", "needs_session"
            )
        if is_author(change, by):
            raise Denied(f"change {number} is {change.author}'s own; another person must approve it", "same_person")
        self._move(change, Trigger.APPROVE, decided_by=by.name, decided_ns=self._clock.now_ns(), decision=reason)
        return self.get(number)

    def reject(self, number: int, by: Hand, reason: str) -> ChangeRequest:
        """Somebody who may approve says no.

        Raises: LookupError; Denied (reason_needed, wrong_state)
        """
        if not reason.strip():
            raise Denied("say why the change is rejected", "reason_needed")
        now_ns = self._clock.now_ns()
        self._move(
            self.get(number), Trigger.REJECT, decided_by=by.name, decided_ns=now_ns, decision=reason, closed_by=by.name,
            closed_ns=now_ns,
        )  # fmt: skip
        return self.get(number)

    def withdraw(self, number: int, by: Hand) -> ChangeRequest:
        """The author takes it back.

        Raises: LookupError; Denied (not_author, wrong_state)
        """
        change = self.get(number)
        if not is_author(change, by):
            raise Denied(f"change {number} is {change.author}'s; only its author can withdraw it", "not_author")
        self._move(change, Trigger.WITHDRAW, closed_by=by.name, closed_ns=self._clock.now_ns())
        return self.get(number)

    def apply(self, number: int, by: Hand, emergency: str = "") -> int:
        """Makes it the current version, if its rules let it at this moment; the version's number.

        Raises: LookupError; Denied (wrong_state, approval_needed, window_closed); StaleBase; Findings
        """
        change = self.get(number)
        follow(change.state, Trigger.APPLY)
        return self._namespace.apply(
            change.text,
            change.base,
            by.name if by.name == change.author else f"{by.name} for {change.author}",
            change.reason or f"change {number}",
            self.files(number),
            consent=replace(_consent(change), emergency=emergency),
            change=change,
        )

    def _move(self, change: ChangeRequest, trigger: Trigger, **more: object) -> None:
        state = follow(change.state, trigger)
        with self._engine.begin() as connection:
            if not change_store.move(connection, change.id, change.state, state, **more):
                raise Denied(f"change {change.id} was moved by somebody else meanwhile; look again", "wrong_state")
        self._log.info("change %d is %s by %s", change.id, state, more.get("closed_by") or more.get("decided_by"))


def _consent(change: ChangeRequest) -> Consent:
    return Consent(change.decided_by if change.state == State.APPROVED else "")


def is_author(change: ChangeRequest, by: Hand) -> bool:
    """Whether somebody is the author, or answers for the program that is."""
    if change.author_id is not None and by.user_id is not None:
        return change.author_id == by.user_id
    mine = {name.casefold() for name in (change.author, *change.behind)}
    return bool(mine & {name.casefold() for name in (by.name, *by.behind)})
