"""What a recipe is: values for points, in the order in which they are written."""

from __future__ import annotations

from dataclasses import dataclass

from isthmus.values.messages.control import Written

MOST_ITEMS = 100


@dataclass(frozen=True, slots=True)
class Item:
    """One value. ``tag`` is a path relative to the asset, or of the plant where the recipe belongs to none."""

    tag: str
    value: Written


@dataclass(frozen=True, slots=True)
class Recipe:
    """A named set of values for every asset of a type, for one asset, or (both empty) for paths of the plant."""

    name: str
    type: str = ""
    asset: str = ""
    description: str = ""


@dataclass(frozen=True, slots=True)
class Version:
    """One version; it is never changed. ``state`` is draft or approved. Units: UTC ns"""

    recipe: str
    number: int
    state: str
    items: tuple[Item, ...]
    author: str
    created_ns: int
    author_id: int | None = None
    behind: tuple[str, ...] = ()  # people who answer for a program
    reason: str = ""
    approved_by: str = ""
    approved_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """What became of one value. ``state`` is that of the write, or `not written`; ``before`` is what was there."""

    path: str
    value: Written
    before: Written | None
    state: str = "not written"
    write: str = ""
    code: str = ""
    reason: str = ""
    clears: str = ""


@dataclass(frozen=True, slots=True)
class Download:
    """One download and its report. ``state`` is waiting (for a second person), running, done, refused (nothing was written),
    stopped, broken, rejected or expired. ``second`` is who agreed or said no, ``said`` why not.

    Units: UTC ns
    """

    id: int
    recipe: str
    number: int
    asset: str
    by: str
    reason: str
    state: str
    began_ns: int
    ended_ns: int | None
    lines: tuple[Line, ...]
    second: str = ""
    said: str = ""
    expires_ns: int | None = None  # until when it waits
