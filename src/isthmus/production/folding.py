"""Folds in processes of their own: years computed again use every core of the machine and none of the time of core's loop.

A folder runs ``main`` of this module. It is sent what a fold stands on, and answers with the facts of the days; words it does
not know it names instead, and is asked again when they have their codes. Whoever starts folders closes them.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import queue
import struct
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import IO, Any, Final

from isthmus.production.days import DayFacts, day_facts
from isthmus.production.facts import Names
from isthmus.production.fold import Carry, Ground, Segments, fold
from isthmus.production.states import Series

WORTH_DAYS: Final = 400
"""Days of machines that are worth the start of folders; fewer are folded sooner without."""
_LENGTH: Final = struct.Struct("<Q")
_NICE: Final = 10
"""What is computed again may wait for what happens now."""


@dataclass(frozen=True, slots=True)
class Work:
    """Days of a machine: what a fold takes, and the machine's code."""

    code: int
    ground: Ground
    segments: Segments
    samples: Mapping[int, Series]
    carry: Carry
    known_ns: int

    def done(self, names: Names) -> list[DayFacts]:
        """Fold them here."""
        folded = fold(self.ground, self.segments, self.samples, self.carry, names, self.known_ns)
        return day_facts(folded, self.code)


@dataclass(frozen=True, slots=True)
class _Answer:
    """What came out: days, or words without a code, or what went wrong."""

    days: list[DayFacts] = field(default_factory=list)
    missing: list[tuple[str, str]] = field(default_factory=list)
    error: Exception | None = None


class _Folder:
    """One process, and the words it was told."""

    def __init__(self) -> None:
        command = [sys.executable, "-c", f"from {__name__} import main; main()"]  # not -m: pickles name this module
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._told: dict[str, int] = {}

    def done(self, work: Work, names: Names) -> list[DayFacts]:
        """Raises: OSError if the process is gone; what the fold raised"""
        while True:
            rows = names.since(self._told)
            for kind, code, _ in rows:
                self._told[kind] = code
            answer: _Answer = self._asked((rows, work))
            if answer.error is not None:
                raise answer.error
            if not answer.missing:
                return answer.days
            for kind, text in answer.missing:
                names.code(kind, text)

    def _asked(self, question: Any) -> Any:
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise OSError("the folder has no pipes")
        _send(stdin, question)
        answer = _receive(stdout)
        if answer is None:
            raise OSError("the folder ended")
        return answer

    def close(self) -> None:
        """It ends with its standard input."""
        with contextlib.suppress(OSError):
            self._process.communicate()


class Folders:
    """Some folders, lent to one thread each. Blocking; for threads."""

    def __init__(self, count: int) -> None:
        self._all = [_Folder() for _ in range(count)]
        self._free: queue.SimpleQueue[_Folder] = queue.SimpleQueue()
        for one in self._all:
            self._free.put(one)

    def done(self, work: Work, names: Names) -> list[DayFacts]:
        """The facts of the days; folded here where a folder was lost."""
        one = self._free.get()
        try:
            return one.done(work, names)
        except OSError:
            return work.done(names)
        finally:
            self._free.put(one)

    def close(self) -> None:
        """End them."""
        for one in self._all:
            one.close()


def _send(pipe: IO[bytes], message: Any) -> None:
    data = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
    pipe.write(_LENGTH.pack(len(data)))
    pipe.write(data)
    pipe.flush()


def _receive(pipe: IO[bytes]) -> Any:
    """The next message; None at the end."""
    head = pipe.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    size = _LENGTH.unpack(head)[0]
    data = pipe.read(size)
    if len(data) < size:  # whoever spoke was killed in the middle of it
        return None
    return pickle.loads(data)  # noqa: S301  of our own child or parent


def main() -> None:
    """Fold what comes on standard input until it ends."""
    with contextlib.suppress(OSError):
        os.nice(_NICE)
    taking, giving = sys.stdin.buffer, os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever prints does not print into the answers
    names = Names()
    known: list[tuple[str, int, str]] = []
    while (question := _receive(taking)) is not None:
        rows, work = question
        known.extend(rows)
        names.load(rows)
        try:
            answer = _Answer(work.done(names))
        except Exception as error:  # told to whoever asked
            answer = _Answer(error=error)
        if names.fresh:  # codes are given by whoever asked, for other folders need the same
            answer = _Answer(missing=[(kind, text) for kind, _, text in names.fresh], error=answer.error)
            names = Names()
            names.load(known)
        _send(giving, answer)
