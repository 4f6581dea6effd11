"""What the plant file says about changing it: reasons, second persons, maintenance windows; and who owns what."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Annotated, Literal

from isthmus.values.errors import ConfigError
from isthmus.values.ids import check_name
from isthmus.values.schema import Scalar
from isthmus.values.windows import parse_window

EVERY_ZONE = "*"
"""Stands for all zones that have no rule of their own, and for what belongs to no zone."""


def _zone(text: str) -> str:
    return text if text == EVERY_ZONE else check_name(text, "a zone")


def _window(text: str) -> str:
    parse_window(text)
    return text


def _date(text: str) -> str:
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise ConfigError("must be a date such as 2026-03-31") from None


ZoneKey = Annotated[str, Scalar('the name of a zone, or "*" for all others', _zone, {"type": "string"})]
WindowText = Annotated[str, Scalar("a window such as Sat 22:00-Sun 06:00", _window, {"type": "string"})]
"""Times of the week; kept as written, `parse_window` reads it."""
DateText = Annotated[str, Scalar("a date such as 2026-03-31", _date, {"type": "string", "format": "date"})]

Owners = str | tuple[str, ...]
"""One person or team, or several."""


def owners(said: Owners) -> tuple[str, ...]:
    """The names, without empty ones."""
    return tuple(name for name in ((said,) if isinstance(said, str) else said) if name.strip())


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeSection:
    """What a change of this zone needs."""

    reason: Literal["required", "optional"] = "optional"
    """Whether whoever changes it must say why."""
    approvals: int = 0
    """1: another person than the author must approve it."""
    window: WindowText = ""
    """When it may be applied, in the plant's time zone; at any time unless told."""

    def __post_init__(self) -> None:
        if self.approvals not in (0, 1):
            raise ConfigError(f"approvals: must be 0 or 1, was {self.approvals}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Unpatchable:
    """A device that cannot be mended, and what is done about it instead (IEC 62443: compensating countermeasure)."""

    reason: str
    """Why it cannot be patched."""
    control: str
    """What keeps the risk small instead."""
    review: DateText
    """When this is looked at again."""
