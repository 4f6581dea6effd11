"""Errors, named by what the caller does next; anything else that is raised is a bug and keeps its traceback."""

from __future__ import annotations

from dataclasses import dataclass


class IsthmusError(Exception):
    """Base of every error Isthmus raises on purpose; its text is fit for a user's eyes."""


class ConfigError(IsthmusError):
    """What was declared is wrong: fix the file. The text names the key, the problem and the value."""


class NotConnected(IsthmusError):
    """The link to the other side is gone: close and open again (a supervisor does, with back-off)."""


class TryLater(IsthmusError):
    """The other side is busy or full: try again after ``after_s`` seconds."""

    def __init__(self, reason: str, after_s: float = 1.0) -> None:
        super().__init__(reason)
        self.after_s = after_s


class Rejected(IsthmusError):
    """The device or peer understood us and said no; asking again the same way is pointless."""


class Denied(IsthmusError):
    """We said no: policy, permission or state forbids it. The text says why and what would clear it."""

    def __init__(self, reason: str, code: str = "denied") -> None:
        super().__init__(reason)
        self.code = code


class Malformed(IsthmusError):
    """Bytes or a record from outside do not parse; taken whole or refused whole, counted either way."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing wrong with (or worth a warning about) a document, at the place where it is wrong.

    Units: line and column count from 1; 0 where the document has no such place
    """

    severity: str  # "error" or "warning"
    where: str  # file name, as the user gave it
    line: int
    column: int
    path: str  # dotted path inside the document
    problem: str
    value: str = ""

    def __str__(self) -> str:
        place = f"{self.where}:{self.line}:{self.column}" if self.line else self.where
        value = f", was {self.value}" if self.value else ""
        path = f"{self.path}: " if self.path else ""
        return f"{place}: {self.severity}: {path}{self.problem}{value}"


class Findings(ConfigError):
    """A document was refused whole; ``findings`` names every place that is wrong."""

    def __init__(self, findings: tuple[Finding, ...]) -> None:
        super().__init__("\n".join(str(f) for f in findings))
        self.findings = findings
