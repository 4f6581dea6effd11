"""Calls for help and improvement actions as values, and what may become of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from isthmus.ports.production import Evidence
from isthmus.values.errors import Denied


class RequestState(StrEnum):
    """Where a request stands."""

    OPEN = "open"  # nobody has taken it up
    ACKNOWLEDGED = "acknowledged"  # somebody is on the way
    ANSWERED = "answered"  # what was wrong is put right
    CLOSED = "closed"


class Verb(StrEnum):
    """What somebody does to a request."""

    ACKNOWLEDGE = "acknowledge"
    ANSWER = "answer"
    CLOSE = "close"


NEXT: Final[dict[tuple[RequestState, Verb], RequestState]] = {
    (RequestState.OPEN, Verb.ACKNOWLEDGE): RequestState.ACKNOWLEDGED,
    (RequestState.OPEN, Verb.ANSWER): RequestState.ANSWERED,  # taken up and put right at once
    (RequestState.OPEN, Verb.CLOSE): RequestState.CLOSED,  # taken back
    (RequestState.ACKNOWLEDGED, Verb.ANSWER): RequestState.ANSWERED,
    (RequestState.ACKNOWLEDGED, Verb.CLOSE): RequestState.CLOSED,
    (RequestState.ANSWERED, Verb.ACKNOWLEDGE): RequestState.ACKNOWLEDGED,  # it was not put right
    (RequestState.ANSWERED, Verb.CLOSE): RequestState.CLOSED,
}
"""All there is; what is not here is refused."""

KINDS: Final = ("help", "maintenance", "material", "quality")
"""What may be asked for."""


@dataclass(frozen=True, slots=True)
class HelpRequest:
    """A stop, a call for help or a violation that became somebody's work. ``version`` grows with each change.

    Units: UTC ns; None where it has not happened
    """

    id: int
    key: str
    kind: str
    title: str
    evidence: Evidence
    state: RequestState
    version: int
    asked_by: str
    asked_ns: int
    stop: str = ""  # id of the stop it is about
    acknowledged_by: str = ""
    acknowledged_ns: int | None = None
    answered_by: str = ""
    answered_ns: int | None = None
    answer: str = ""
    closed_by: str = ""
    closed_ns: int | None = None
    closing: str = ""  # why it was closed

    @property
    def asset(self) -> str:
        """What it is about."""
        return self.evidence.asset

    @property
    def response_ns(self) -> int | None:
        """Until somebody took it up."""
        return None if self.acknowledged_ns is None else self.acknowledged_ns - self.asked_ns

    @property
    def repair_ns(self) -> int | None:
        """From when somebody took it up until it was put right."""
        if self.answered_ns is None or self.acknowledged_ns is None:
            return None
        return self.answered_ns - self.acknowledged_ns


def follow(request: HelpRequest, verb: Verb) -> RequestState:
    """The state after a verb.

    Raises: Denied (wrong_state)
    """
    found = NEXT.get((request.state, verb))
    if found is None:
        who = {
            RequestState.OPEN: request.asked_by,
            RequestState.ACKNOWLEDGED: request.acknowledged_by,
            RequestState.ANSWERED: request.answered_by,
            RequestState.CLOSED: request.closed_by,
        }[request.state]
        raise Denied(
            f"request {request.id} is {request.state} (by {who}) at version {request.version}: "
            f"there is nothing to {verb} now",
            "wrong_state",
        )
    return found


class ActionState(StrEnum):
    """Where an improvement action stands."""

    OPEN = "open"
    DOING = "doing"
    DONE = "done"  # from here on its effect is measured
    VERIFIED = "verified"
    DROPPED = "dropped"


ACTION_NEXT: Final[dict[ActionState, frozenset[ActionState]]] = {
    ActionState.OPEN: frozenset({ActionState.DOING, ActionState.DONE, ActionState.DROPPED}),
    ActionState.DOING: frozenset({ActionState.OPEN, ActionState.DONE, ActionState.DROPPED}),
    ActionState.DONE: frozenset({ActionState.DOING, ActionState.VERIFIED, ActionState.DROPPED}),
    ActionState.VERIFIED: frozenset(),
    ActionState.DROPPED: frozenset({ActionState.OPEN}),
}
"""What may follow; an action that is verified stays so."""

LOSS_BY: Final = ("reason", "group", "loss", "class")
"""By what a loss is told from others."""


@dataclass(frozen=True, slots=True)
class Verified:
    """What an action was measured to save, computed when it was verified.

    Units: minutes a week of planned time; days before and after
    """

    saved_min: float
    low_min: float
    high_min: float
    days_before: int
    days_after: int
    at_ns: int
    by: str


@dataclass(frozen=True, slots=True)
class ImprovementAction:
    """Something that is done against a loss.

    Units: UTC ns; due as ISO date; expected_min in minutes a week
    """

    id: int
    title: str
    text: str
    under: str  # path it is about
    loss_by: str
    loss_key: str
    owner: str
    due: str
    expected_min: float
    state: ActionState
    version: int
    before_start_ns: int  # what it is compared with: [start, end)
    before_end_ns: int
    created_by: str
    created_ns: int
    changed_by: str
    changed_ns: int
    done_ns: int | None = None  # since when it works
    verified: Verified | None = None


def follow_action(action: ImprovementAction, state: ActionState) -> None:
    """Whether an action may get there.

    Raises: Denied (wrong_state)
    """
    if state is not action.state and state not in ACTION_NEXT[action.state]:
        may = ", ".join(sorted(ACTION_NEXT[action.state])) or "nothing"
        raise Denied(
            f"action {action.id} is {action.state} at version {action.version}: what may follow is {may}", "wrong_state"
        )


@dataclass(frozen=True, slots=True)
class Choice:
    """A reason as it is offered. ``used`` counts how often it was given at the asset in the last 90 days."""

    key: str
    group: str
    text: str
    kind: str
    planned: bool
    loss: str
    time: str
    used: int = 0
    offered: bool = True  # False: it stands in what was coded, and no more in the plant file


def evidence_values(evidence: Evidence) -> Mapping[str, object]:
    """As it is kept."""
    return {
        "asset": evidence.asset,
        "cause": evidence.cause,
        "text": evidence.text,
        "start_ns": evidence.start_ns,
        "end_ns": evidence.end_ns,
        "tags": list(evidence.tags),
        "link": evidence.link,
    }
