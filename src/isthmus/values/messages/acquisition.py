"""What an edge says beside its frames."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """An edge is alive; sent every second. Missing ones make the edge's live values stale.

    Units: time_ns is the edge's clock, UTC ns; queued, dropped in samples since the edge started
    """

    edge: str
    epoch: int
    time_ns: int
    model_version: int
    queued: int
    dropped: int
    published: int
    journal: int = 0  # number of the newest line in the edge's journal of commands and trips
    state: str = ""  # why nothing is published at the moment, in words; empty when all is well
