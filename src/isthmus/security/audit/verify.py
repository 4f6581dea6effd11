"""Reads an audit log from its first line to its last and names the first record that is not as it was written. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from isthmus.security.audit.files import SLOT, head_slots
from isthmus.security.audit.record import BEGIN, CHECKPOINT, canonical, digest, parse, signed

EXPORT: Final = "isthmus-audit-export"


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong first. ``seq`` is 0 where no record can be named."""

    seq: int
    where: str
    what: str
    at_end: bool = False
    """Also seen for a moment while somebody writes; a reader beside a living log looks again."""

    def __str__(self) -> str:
        return f"{self.where}: record {self.seq}: {self.what}" if self.seq else f"{self.where}: {self.what}"


@dataclass(slots=True)
class Report:
    """What was read."""

    records: int = 0
    first: int = 0
    last: int = 0
    last_hash: str = ""
    checkpoints: int = 0
    last_signed: int = 0
    problem: Problem | None = None


@dataclass(slots=True)
class Known:
    """Hashes of records as other places know them."""

    hashes: dict[int, list[tuple[str, str]]] = field(default_factory=dict)  # seq -> (hash, where)
    highest: int = 0
    highest_where: str = ""

    def add(self, seq: int, hashed: str, where: str) -> None:
        """Somebody knows this record."""
        self.hashes.setdefault(seq, []).append((hashed, where))
        if seq > self.highest:
            self.highest, self.highest_where = seq, where

    def against(self, lines: Iterable[bytes], where: str) -> None:
        """Take lines that were forwarded.

        Raises: ValueError naming the line that is no record
        """
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            record = parse(line)
            if record is None:
                raise ValueError(f"{where}: line {number} is no audit record")
            self.add(record["seq"], digest(line), where)


class _Chain:
    """Goes along the lines; stops at the first that does not follow."""

    def __init__(self, public: bytes, known: Known, report: Report) -> None:
        self._public, self._known, self._report = public, known, report
        self.checkpoints: dict[int, str] = {}  # seq -> hash of its line
        self.removed: set[tuple[int, str]] = set()  # (last removed, its hash), as signed tombstones say
        self.begins_after: tuple[int, str] | None = None
        self._previous_checkpoint: str | None = None
        self._prev = BEGIN

    def take(self, lines: Iterator[tuple[str, int, bytes]]) -> Problem | None:
        """(file, line number, line) from first to last."""
        before: tuple[str, int] = ("", 0)
        current = next(lines, None)
        while current is not None:
            following = next(lines, None)
            where, number, line = current
            record = parse(line)
            if record is None:
                return Problem(self._report.last + 1, where, f"line {number} is no audit record", following is None)
            problem = self._follows(record, line, where, before, following)
            if problem is not None:
                return problem
            before, current = (where, record["seq"]), following
        return None

    def _follows(
        self,
        record: dict[str, Any],
        line: bytes,
        where: str,
        before: tuple[str, int],
        following: tuple[str, int, bytes] | None,
    ) -> Problem | None:
        seq, hashed, report = record["seq"], digest(line), self._report
        if not report.records:
            if seq < 1:
                return Problem(seq, where, "records count from 1")
            if seq > 1:
                self.begins_after = (seq - 1, str(record.get("prev")))
                self._prev = str(record.get("prev"))
            elif record.get("prev") != BEGIN:
                return Problem(seq, where, "is not the first record of a log, though it stands there")
            report.first = seq
        elif seq != report.last + 1:
            if seq > report.last + 1:
                gone = (
                    f"record {report.last + 1}" if seq == report.last + 2 else f"records {report.last + 1} to {seq - 1}"
                )
                return Problem(report.last + 1, where, f"missing: {gone} were deleted or moved")
            return Problem(seq, where, f"doubled or out of order: it stands after record {report.last}")
        if record.get("prev") != self._prev:
            known_later = any(other == hashed for other, _ in self._known.hashes.get(seq, ()))
            return self._broken(record, hashed, where, before, following, known_later=known_later)
        if record.get("kind") == CHECKPOINT:
            problem = self._checkpoint(record, hashed, where)
            if problem is not None:
                return problem
        for other, who in self._known.hashes.get(seq, ()):
            if other != hashed:
                return Problem(
                    seq, where, f"is not the record that {who} knows: it was edited, or the chain written anew"
                )
        report.records += 1
        report.last, report.last_hash, self._prev = seq, hashed, hashed
        return None

    @staticmethod
    def _broken(
        record: dict[str, Any],
        hashed: str,
        where: str,
        before: tuple[str, int],
        following: tuple[str, int, bytes] | None,
        *,
        known_later: bool,
    ) -> Problem:
        """Two neighbours do not fit. If the later one fits to its successor, or is known elsewhere, the earlier one was edited."""
        after = parse(following[2]) if following else None
        if before[1] and (known_later or (after is not None and after.get("prev") == hashed)):
            return Problem(
                before[1], before[0], f"was edited: record {record['seq']} was written after another text of it"
            )
        return Problem(record["seq"], where, "was edited: it does not follow from the record before it")

    def _checkpoint(self, record: dict[str, Any], hashed: str, where: str) -> Problem | None:
        seq, report = record["seq"], self._report
        if not signed(record, self._public):
            return Problem(seq, where, "the signature of this checkpoint does not hold")
        if self._previous_checkpoint is not None and record.get("previous") != self._previous_checkpoint:
            return Problem(seq, where, "this checkpoint does not follow the one before it")
        removed = record.get("removed")
        if isinstance(removed, dict):
            self.removed.add((int(removed.get("last", 0)), str(removed.get("hash"))))
        self._previous_checkpoint = self.checkpoints[seq] = hashed
        report.checkpoints += 1
        report.last_signed = seq
        return None


def _lines(name: str, content: bytes) -> Iterator[tuple[str, int, bytes]]:
    """Lines of a file; what stands after the last newline is given, too, marked so that it is no record."""
    *whole, rest = content.split(b"\n")
    for number, line in enumerate(whole, 1):
        yield name, number, line
    if rest:
        yield name, len(whole) + 1, rest + b"\n"


def verify(
    segments: Iterable[tuple[str, bytes]],
    checkpoints: bytes | None,
    head: bytes | None,
    public: bytes,
    known: Known | None = None,
) -> Report:
    """Everything of a log: its segments (name, content) oldest first, its list of checkpoints, its head.

    ``known`` are hashes of records from elsewhere. The problem in the report is the first in the order of the records.
    """
    report, known = Report(), known or Known()
    late: list[Problem] = []
    listed = _listed(checkpoints, public, known, late)
    confirmed = _head(head, public, known, late)
    chain = _Chain(public, known, report)
    every = ((name, number, line) for file, content in segments for name, number, line in _lines(file, content))
    report.problem = chain.take(every)
    if report.problem is not None:
        return report
    if chain.begins_after is not None and chain.begins_after not in chain.removed:
        late.insert(
            0,
            Problem(report.first, "the log", "begins here, and no signed checkpoint says that older ones were removed"),
        )
    if known.highest > report.last:
        what = f"missing: the log ends at record {report.last}, {known.highest_where} knows record {known.highest}"
        late.insert(0, Problem(report.last + 1, "the log", what, at_end=True))
    unlisted = sorted(chain.checkpoints.keys() - listed.keys())
    late += [Problem(seq, "checkpoints", "this checkpoint is not in the list", at_end=True) for seq in unlisted]
    wrong = sorted(s for s in listed if report.first <= s <= report.last and s not in chain.checkpoints)
    late += [Problem(seq, "checkpoints", "is listed as a checkpoint and is none in the log") for seq in wrong]
    if confirmed < report.last:
        what = "was written but is not under a signature: by a crash just before, or by another hand"
        late.append(Problem(confirmed + 1, "the log", what, at_end=True))
    report.problem = late[0] if late else None
    return report


def _listed(checkpoints: bytes | None, public: bytes, known: Known, late: list[Problem]) -> dict[int, str]:
    """The list of checkpoints, each signed and after the one before it."""
    listed: dict[int, str] = {}
    if checkpoints is None:
        late.append(Problem(0, "checkpoints", "the list of checkpoints is missing"))
        return listed
    previous, last = None, 0
    for _, number, line in _lines("checkpoints", checkpoints):
        record = parse(line)
        if record is None or record.get("kind") != CHECKPOINT or not signed(record, public):
            late.append(Problem(0, "checkpoints", f"line {number} is no checkpoint of this log", at_end=True))
            return listed
        if record["seq"] <= last or (previous is not None and record.get("previous") != previous):
            late.append(Problem(record["seq"], "checkpoints", f"line {number} does not follow the one before it"))
            return listed
        previous, last = digest(line), record["seq"]
        listed[last] = previous
        known.add(last, previous, "the list of checkpoints")
    return listed


def _head(head: bytes | None, public: bytes, known: Known, late: list[Problem]) -> int:
    """The highest record that the head vouches for."""
    if head is None:
        late.append(Problem(0, "head", "the signed head is missing"))
        return 0
    highest = 0
    if len(head) != 2 * SLOT:
        late.append(Problem(0, "head", "is not whole", at_end=True))
    for number, (_, record) in enumerate(head_slots(head)):
        if record is None or not signed(record, public) or record.get("place") != number:
            late.append(Problem(0, "head", f"place {number + 1} is not what was signed", at_end=True))
            continue
        if record["seq"]:
            known.add(record["seq"], record["hash"], "the signed head")
        highest = max(highest, record["seq"])
    return highest


def verify_export(content: Iterable[bytes], public: bytes | None = None) -> tuple[Report, Mapping[str, Any]]:
    """A signed export, line by line (without newlines): the report and its first line.

    ``public`` is the key as known from elsewhere; without it the one in the file is taken, which proves only that the
    file is whole.
    """
    lines = iter(content)
    report, first = Report(), next(lines, b"")
    try:
        header = orjson.loads(first)
        if header["kind"] != EXPORT or canonical(header) != first:
            raise ValueError
        named = bytes.fromhex(header["public_key"])
    except (ValueError, KeyError, TypeError):
        report.problem = Problem(0, "export", "line 1 is not the first line of an export of the audit log")
        return report, {}
    if public is not None and public != named:
        report.problem = Problem(0, "export", "was signed by another key than the one given")
        return report, header
    whole, held = hashlib.sha256(first + b"\n"), b""

    def records() -> Iterator[tuple[str, int, bytes]]:
        nonlocal held
        for number, line in enumerate(lines, 2):
            if held:
                whole.update(held + b"\n")
                yield "export", number - 1, held
            held = line

    chain = _Chain(named, Known(), report)
    report.problem = chain.take(records())
    if report.problem is not None:
        return report, header
    trailer = parse(held)
    if trailer is None or trailer.get("kind") != f"{EXPORT}-end" or not signed(trailer, named):
        report.problem = Problem(report.last + 1, "export", "ends before its signed last line, or that line was edited")
    elif trailer.get("sha256") != whole.hexdigest() or trailer["seq"] != report.last:
        report.problem = Problem(0, "export", "is not what its last line signs")
    return report, header
