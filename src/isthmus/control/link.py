"""What core says to edges, over the bus: commands and their outcomes, modes, lock-outs, trips, and the edge's journal.

Everything that goes over the wire is written and read here, and nobody else publishes `cmd.>`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, fields, replace
from typing import Any, Protocol

import orjson

from isthmus.bus import subjects
from isthmus.bus.client import Bus
from isthmus.control.model import EdgeLine
from isthmus.namespace.model import Lockout
from isthmus.values.errors import Malformed
from isthmus.values.messages.control import Mode, Result, Told, TripCommand, WriteAnswer, WriteCommand

ASK_S = 2.0
TRIP_S = 10.0
_ANSWER = frozenset(f.name for f in fields(WriteAnswer))


class Edges(Protocol):
    """The way to edges; `EdgeLink` is the real one."""

    @property
    def connected(self) -> bool:
        """Whether the bus is there at all."""
        ...

    async def write(self, edge: str, command: WriteCommand, timeout_s: float) -> WriteAnswer:
        """Send a command, once.

        Raises: NobodyListens (it reached nobody); NotConnected, TryLater, Malformed (nobody knows)
        """
        ...

    async def outcome(self, edge: str, ident: str) -> WriteAnswer | None:
        """The answer to a command sent earlier, once it has one; None where the edge knows nothing of it.

        Raises: NotConnected, TryLater (also while it is carried out), Malformed
        """
        ...

    async def modes(self, edge: str, modes: Mapping[str, Mode]) -> None:
        """Bring the modes of all zones; when this returns they are on the edge's disk.

        Raises: NotConnected, TryLater, Malformed
        """
        ...

    async def lockouts(self, edge: str, lockouts: Mapping[str, Lockout]) -> None:
        """Bring everything that is locked out, as `modes`."""
        ...

    async def trip(self, edge: str, command: TripCommand) -> Told:
        """Reset or test a trip; what the edge says of it.

        Raises: NotConnected, TryLater, Malformed
        """
        ...

    async def journal(self, edge: str, after: int) -> Sequence[EdgeLine]:
        """Lines of the edge's journal behind a number, in order; empty when there are none.

        Raises: NotConnected, TryLater, Malformed
        """
        ...


class EdgeLink:
    """`Edges` over the bus."""

    def __init__(self, bus: Bus, site: Callable[[], str]) -> None:
        self._bus, self._site = bus, site

    @property
    def connected(self) -> bool:
        return self._bus.connected

    async def write(self, edge: str, command: WriteCommand, timeout_s: float) -> WriteAnswer:
        return answer_of(await self._command(edge, "write", asdict(command), timeout_s), command.id)

    async def outcome(self, edge: str, ident: str) -> WriteAnswer | None:
        data = await self._ask(edge, "outcome", {"id": ident}, ASK_S)
        return None if data == b"null" else answer_of(_object(data), ident)

    async def modes(self, edge: str, modes: Mapping[str, Mode]) -> None:
        _confirmed(await self._command(edge, "mode", {"modes": dict(modes)}, ASK_S))

    async def lockouts(self, edge: str, lockouts: Mapping[str, Lockout]) -> None:
        held = [{"path": path, "who": lockout.who, "why": lockout.why} for path, lockout in lockouts.items()]
        _confirmed(await self._command(edge, "lock", {"locks": held}, ASK_S))

    async def trip(self, edge: str, command: TripCommand) -> Told:
        return told_of(await self._command(edge, "trip", asdict(command), TRIP_S))

    async def journal(self, edge: str, after: int) -> Sequence[EdgeLine]:
        question = orjson.dumps({"after": after})
        answer = await self._bus.request(subjects.ask(edge, "journal"), question, timeout_s=ASK_S)
        return lines_of(edge, answer.data)

    async def _command(self, edge: str, what: str, said: Mapping[str, Any], timeout_s: float) -> dict[str, Any]:
        return _object(await self._ask(edge, what, said, timeout_s))

    async def _ask(self, edge: str, what: str, said: Mapping[str, Any], timeout_s: float) -> bytes:
        subject = subjects.command(self._site(), edge, what)
        answer = await self._bus.request(subject, orjson.dumps(said), timeout_s=timeout_s)
        return bytes(answer.data)


def answer_of(said: Mapping[str, Any], ident: str) -> WriteAnswer:
    """An answer as it came.

    Raises: Malformed if it is none, or one to another command
    """
    try:
        found = WriteAnswer(**{name: value for name, value in said.items() if name in _ANSWER})
        found = WriteAnswer(**{**asdict(found), "result": Result(found.result)})
    except (TypeError, ValueError) as error:
        raise Malformed(f"what the edge answers does not parse: {error}") from error
    if not found.id and found.result is Result.DENIED:
        return replace(found, id=ident)  # it could not even read whose command it was
    if found.id != ident:
        raise Malformed(f"the edge answers for command {found.id!r}, asked was {ident!r}")
    return found


def lines_of(edge: str, data: bytes) -> list[EdgeLine]:
    """Lines of a journal as they came.

    Raises: Malformed
    """
    said = _object(data).get("lines")
    if not isinstance(said, list):
        raise Malformed(f"the journal of {edge} does not parse")
    try:
        return [
            EdgeLine(edge, int(line["n"]), str(line["kind"]), int(line["at_ns"]), str(line.get("path", "")), line)
            for line in said
        ]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Malformed(f"a line of the journal of {edge} does not parse: {error}") from error


def _object(data: bytes) -> dict[str, Any]:
    try:
        found = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise Malformed(f"what the edge answers is no JSON: {error}") from error
    if not isinstance(found, dict):
        raise Malformed("what the edge answers is no object")
    return found


def told_of(said: Mapping[str, Any]) -> Told:
    """What an edge says of something it was asked to do.

    Raises: Malformed
    """
    if not isinstance(said.get("ok"), bool):
        raise Malformed(f"the edge says neither yes nor no: {str(said)[:200]}")
    texts = {name: str(said.get(name, "")) for name in ("code", "reason", "clears")}
    return Told(ok=said["ok"], **texts)


def _confirmed(said: Mapping[str, Any]) -> None:
    told = told_of(said)
    if not told.ok:
        raise Malformed(f"the edge did not confirm: {told.reason}")
