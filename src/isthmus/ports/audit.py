"""The audit trail as rooms see it: what somebody is about to change is durable before it is changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from isthmus.values.errors import IsthmusError

Who = Mapping[str, str]
"""``name`` and ``proof`` (session, token, socket), and what else is known: ``role``, ``source``, ``station``."""


class NotDurable(IsthmusError):
    """The audit log cannot take the intent, so the effect must not happen. The text says why and what would clear it."""


class Audit(Protocol):
    """Append-only. Names of people become pseudonyms on their way in."""

    async def intent(
        self, who: Who, action: str, target: str, *, old: object = None, new: object = None, reason: str = ""
    ) -> str:
        """Record what is about to be done; its id. It is on the disk when this returns.

        Raises: NotDurable
        """
        ...

    async def outcome(
        self, ident: str, result: str, detail: str = "", *, old: object = None, new: object = None, target: str = ""
    ) -> None:
        """Record how it went. Does not wait for the disk, and never fails: the effect has happened."""
        ...

    def note(self, who: Who, action: str, target: str, **detail: object) -> None:
        """Record something that no effect waits for: a sign-in, a refusal."""
        ...
