"""Checks a log or an export as it lies on a disk, with no core running; what `isthmus audit verify` does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import create_engine, inspect
from sqlalchemy.exc import SQLAlchemyError

from isthmus.security.audit.files import AuditFiles, read_public
from isthmus.security.audit.service import verify_folder
from isthmus.security.audit.store import Marks
from isthmus.security.audit.verify import Known, Report, verify_export
from isthmus.values.errors import ConfigError


def check_log(folder: Path, records: Path, *, against: Path | None = None, key: Path | None = None) -> Report:
    """A log against its signatures, the records database beside it and what was forwarded.

    Raises: ConfigError when something cannot be read
    """

    def anchors() -> Known:
        known = _marked(records)
        if against is not None:
            try:
                known.against(_lines(against), str(against))
            except ValueError as error:
                raise ConfigError(str(error)) from None
        return known

    return verify_folder(AuditFiles(folder), anchors, read_public(key) if key else None)


def check_export(file: Path, key: Path | None = None) -> Report:
    """A signed export.

    Raises: ConfigError when it cannot be read
    """
    return verify_export(_lines(file), read_public(key) if key else None)[0]


def _lines(file: Path) -> Iterator[bytes]:
    try:
        with file.open("rb") as lines:
            for line in lines:
                yield line.removesuffix(b"\n")
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read: {error.strerror}") from error


def _marked(records: Path) -> Known:
    """What the records database knows, read beside whoever writes it."""
    known = Known()
    if not records.exists():
        return known
    engine = create_engine(f"sqlite:///file:{records.absolute()}?mode=ro&uri=true")
    try:
        mark = Marks(engine).last() if inspect(engine).has_table("audit_mark") else None
    except SQLAlchemyError as error:
        raise ConfigError(f"{records}: cannot be read: {error.__cause__ or error}") from None
    finally:
        engine.dispose()
    if mark is not None:
        known.add(mark.seq, mark.hash, "the records database")
    return known
