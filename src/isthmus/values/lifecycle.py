"""One life cycle for every component, as a table from (state, trigger) to state."""

from __future__ import annotations

from enum import StrEnum

from isthmus.values.errors import IsthmusError


class State(StrEnum):
    """Where a component is in its life."""

    READY = "ready"
    STARTING = "starting"
    RUNNING = "running"
    DEGRADED = "degraded"
    STOPPING = "stopping"
    STOPPED = "stopped"
    FAULTED = "faulted"


class Trigger(StrEnum):
    """What moves it on."""

    START = "start"
    UP = "up"
    IMPAIRED = "impaired"
    HEALED = "healed"
    STOP = "stop"
    DOWN = "down"
    FAULT = "fault"


TABLE: dict[tuple[State, Trigger], State] = {
    (State.READY, Trigger.START): State.STARTING,
    (State.STARTING, Trigger.UP): State.RUNNING,
    (State.STARTING, Trigger.IMPAIRED): State.DEGRADED,
    (State.STARTING, Trigger.STOP): State.STOPPING,
    (State.STARTING, Trigger.FAULT): State.FAULTED,
    (State.RUNNING, Trigger.IMPAIRED): State.DEGRADED,
    (State.RUNNING, Trigger.STOP): State.STOPPING,
    (State.RUNNING, Trigger.FAULT): State.FAULTED,
    (State.DEGRADED, Trigger.HEALED): State.RUNNING,
    (State.DEGRADED, Trigger.STOP): State.STOPPING,
    (State.DEGRADED, Trigger.FAULT): State.FAULTED,
    (State.STOPPING, Trigger.DOWN): State.STOPPED,
    (State.STOPPING, Trigger.FAULT): State.FAULTED,
    (State.STOPPED, Trigger.START): State.STARTING,
    (State.FAULTED, Trigger.START): State.STARTING,
    (State.FAULTED, Trigger.STOP): State.STOPPING,
}


def step(state: State, trigger: Trigger) -> State:
    """The next state.

    Raises: IsthmusError where the table has no such step
    """
    try:
        return TABLE[state, trigger]
    except KeyError:
        raise IsthmusError(f"a component that is {state} cannot take {trigger}") from None
