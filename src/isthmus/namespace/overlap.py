"""Finds tags of one connection that occupy the same place in the device."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict

from isthmus.namespace.draft import Draft, DraftTag, note
from isthmus.namespace.plantfile import Document
from isthmus.ports.drivers import Address
from isthmus.values.sample import ValueType

WORD_BITS = 16
"""What is smaller than this may lie inside a whole number: bits of a status word."""

Taken = tuple[int, int, DraftTag]


def find_overlaps(document: Document, draft: Draft) -> None:
    """Notes addresses that cover a part of each other (an error) and equal ones (a warning).

    Bits inside a whole number are fine: a status word and its bits are often wanted both.
    """
    areas: dict[tuple[str, str], list[Taken]] = defaultdict(list)
    for tag in draft.tags.values():
        occupied = tag.occupies
        if occupied is not None and occupied.area:
            areas[tag.connection, occupied.area].append((occupied.start, occupied.stop, tag))
    for taken in areas.values():
        taken.sort(key=lambda t: (t[0], -t[1]))
        words = [t for t in taken if t[1] - t[0] >= WORD_BITS]
        bits = [t for t in taken if t[1] - t[0] < WORD_BITS]
        _sweep(document, words)
        _sweep(document, bits)
        if words and bits:
            _inside(document, words, bits)


def _sweep(document: Document, taken: list[Taken]) -> None:
    """Compares each with the one that reaches farthest so far."""
    before: Taken | None = None
    for one in taken:
        if before is not None and one[0] < before[1]:
            _report(document, before[2], one[2])
        if before is None or one[1] > before[1]:
            before = one


def _inside(document: Document, words: list[Taken], bits: list[Taken]) -> None:
    starts = [word[0] for word in words]
    for bit in bits:
        at = bisect_right(starts, bit[0]) - 1
        for word in words[max(at, 0) : at + 2]:
            whole = _address(word[2]).type is ValueType.INT and word[0] <= bit[0] and bit[1] <= word[1]
            if bit[0] < word[1] and word[0] < bit[1] and not whole:
                _report(document, word[2], bit[2])


def _address(tag: DraftTag) -> Address:
    assert tag.occupies is not None, "only tags with a known place are compared"  # noqa: S101  tells the type checker
    return tag.occupies


def _report(document: Document, first: DraftTag, second: DraftTag) -> None:
    if _address(first) == _address(second):
        note(document, second.at, f"{second.path} reads the same address as {first.path}", second.address, warning=True)
        return
    note(
        document,
        second.at,
        f"{second.path} overlaps with {first.path}, which is at {first.address} of the same connection",
        second.address,
    )
