"""Reading an audit log: newest first for people, from a place on for receivers, whole and signed for auditors."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from isthmus.security.audit.files import AuditFiles
from isthmus.security.audit.record import CHECKPOINT, canonical, digest, parse, time_text
from isthmus.security.audit.verify import EXPORT

MOST_LINES: Final = 1000
MOST_SCANNED: Final = 500_000
"""Lines one question looks at; the answer says where to go on."""
PSEUDONYM: Final = re.compile(r"\b[ptu]-[0-9a-f]{12}\b")
_SEQ: Final = re.compile(rb',"seq":(\d+),')


@dataclass(frozen=True, slots=True)
class Question:
    """What is looked for; empty fields ask nothing. ``who`` are pseudonyms, ``texts`` alternatives of which one is found."""

    start_ns: int = 0
    end_ns: int = 2**63 - 1
    who: frozenset[str] | None = None
    action: str = ""
    target: str = ""
    texts: tuple[str, ...] = ()
    before: int = 2**63 - 1
    limit: int = 100


@dataclass(slots=True)
class Found:
    """Newest first; ``before`` asks for the next page, 0 when there is none."""

    records: list[dict[str, Any]] = field(default_factory=list)
    before: int = 0


def search(files: AuditFiles, upto: int, question: Question) -> Found:
    """Go back through the log.

    Cost: about 1 µs a line that does not fit, 3 µs one that may
    """
    found, scanned = Found(), 0
    start, end = time_text(question.start_ns), time_text(question.end_ns)
    needles = tuple(text.casefold().encode() for text in question.texts)
    segments = files.segments()
    for index in range(len(segments) - 1, -1, -1):
        first, path = segments[index]
        if first >= question.before or first > upto:
            continue
        try:
            lines = path.read_bytes().split(b"\n")[:-1]
        except FileNotFoundError:
            continue  # removed by age meanwhile
        for line in reversed(lines):
            scanned += 1
            if needles and not any(needle in line.decode("utf-8", "replace").casefold().encode() for needle in needles):
                record = None
            else:
                record = orjson.loads(line)
            if scanned > MOST_SCANNED:
                sequence = _SEQ.search(line)
                found.before = int(sequence[1]) + 1 if sequence else 0
                return found
            if record is None or record["seq"] > upto or record["seq"] >= question.before:
                continue
            if record.get("kind") == CHECKPOINT or not _fits(record, question, start, end):
                continue
            if len(found.records) == question.limit:
                found.before = found.records[-1]["seq"]
                return found
            found.records.append(record)
    return found


def _fits(record: Mapping[str, Any], question: Question, start: str, end: str) -> bool:
    return (
        start <= record["time"] <= end
        and (question.who is None or record["who"]["id"] in question.who)
        and question.action.casefold() in record["action"].casefold()
        and question.target.casefold() in record["target"].casefold()
    )


def named(records: list[dict[str, Any]], names: Mapping[str, str]) -> dict[str, str]:
    """The names of all pseudonyms that occur in records."""
    text = orjson.dumps(records).decode()
    return {p: names[p] for p in sorted(set(PSEUDONYM.findall(text))) if p in names}


class Tail:
    """Lines from a place on, in order, as a receiver takes them."""

    def __init__(self, files: AuditFiles) -> None:
        self._files = files
        self._first, self._offset, self._next = 0, 0, -1

    def read(self, after: int, upto: int, most_bytes: int = 256 * 1024) -> list[tuple[int, bytes]]:
        """(seq, line) behind ``after``, some of them; empty when there is nothing more up to ``upto``.

        Raises: OSError
        """
        if upto <= after:
            return []
        if self._next != after + 1:
            firsts = [first for first, _ in self._files.segments()]
            if not firsts:
                return []
            self._first, self._offset = max((f for f in firsts if f <= after + 1), default=firsts[0]), 0
        while True:
            found = self._read(after, upto, most_bytes)
            if found:
                self._next = found[-1][0] + 1
                return found
            later = [first for first, _ in self._files.segments() if first > self._first]
            if not later:
                self._next = -1
                return []
            self._first, self._offset = later[0], 0

    def _read(self, after: int, upto: int, most_bytes: int) -> list[tuple[int, bytes]]:
        """From the place in this segment on, as far as there is something new."""
        found: list[tuple[int, bytes]] = []
        with self._files.segment(self._first).open("rb") as file:
            while not found:
                file.seek(self._offset)
                data = file.read(most_bytes)
                whole = data[: data.rfind(b"\n") + 1]
                if not whole:
                    return found
                for line in whole[:-1].split(b"\n"):
                    record = parse(line)
                    if record is not None and record["seq"] > upto:
                        return found
                    self._offset += len(line) + 1
                    if record is not None and record["seq"] > after:
                        found.append((record["seq"], line))
        return found


def export(
    files: AuditFiles,
    upto: int,
    start_ns: int,
    end_ns: int,
    header: Mapping[str, Any],
    public: bytes,
    sign: Callable[[dict[str, Any]], bytes],
) -> Iterator[bytes]:
    """The records of a time as they lie in the log, between a first line with the public key and a signed last one."""
    start, end = time_text(start_ns), time_text(end_ns)
    first = canonical({**header, "kind": EXPORT, "public_key": public.hex()})
    whole = hashlib.sha256(first + b"\n")
    yield first + b"\n"
    last, hashed = 0, ""
    for _, path in files.segments():
        block: list[bytes] = []
        for line in path.read_bytes().split(b"\n")[:-1]:
            record = orjson.loads(line)
            if record["seq"] > upto or (not last and record["time"] < start) or record["time"] > end:
                if last:
                    break
                continue
            last, hashed = record["seq"], digest(line)
            block.append(line + b"\n")
        data = b"".join(block)
        whole.update(data)
        yield data
        if last and not block:
            break
    yield sign({"kind": f"{EXPORT}-end", "seq": last, "hash": hashed, "sha256": whole.hexdigest()}) + b"\n"
