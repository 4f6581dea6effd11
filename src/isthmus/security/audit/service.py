"""The audit trail of one installation: the log, who its pseudonyms are, where it is forwarded, and questions to it."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import itertools
import logging
import os
import pwd
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from isthmus.ports.audit import NotDurable, Who
from isthmus.security.audit import search as searching
from isthmus.security.audit.files import AuditFiles
from isthmus.security.audit.forward import Forwarder
from isthmus.security.audit.log import AuditLog, LogConfig, Mark
from isthmus.security.audit.record import INTENT, NOTE, OUTCOME, clean, clean_text
from isthmus.security.audit.search import Found, Question
from isthmus.security.audit.store import PERSON, Marks, Names, kind_of
from isthmus.security.audit.targets import Target
from isthmus.security.audit.verify import Known, Report, verify
from isthmus.values.clock import NS_PER_S, Clock
from isthmus.values.errors import ConfigError

_LOOKS: Final = 10
_LOOK_S: Final = 0.05
_LONGEST_S: Final = 15.0
_OPEN_INTENTS: Final = 10_000
"""Intents whose outcome is awaited; of an older one the outcome is recorded without who and what."""


class Trail:
    """What `ports.audit.Audit` promises, over the log of a folder."""

    def __init__(
        self,
        folder: Path,
        engine: Engine,
        clock: Clock,
        config: LogConfig | None = None,
        targets: Iterable[Target] = (),
        log: logging.Logger | None = None,
    ) -> None:
        self._log = log or logging.getLogger("isthmus.audit")
        self._clock, self._config = clock, config or LogConfig()
        self.files = AuditFiles(folder)
        self.names = Names(engine, clock)
        self._marks = _MarkKeeper(Marks(engine), self._log)
        self._forwarders = [Forwarder(target, self.files, clock, self._log) for target in targets]
        self.log = AuditLog(self.files, clock, self._config, self._log, self._marks.offer, self._held)
        self._begun: dict[str, dict[str, Any]] = {}
        self._start, self._numbers = secrets.token_hex(4), itertools.count(1)

    def _held(self) -> int | None:
        """The first record that a receiver still lacks, less one."""
        return min((f.delivered for f in self._forwarders), default=None)

    def open(self) -> None:
        """Begin to write and to forward."""
        known = self._marks.last()
        self.log.open()
        self._marks.start()
        if known is not None and known.seq > self.log.confirmed and not self.log.reason:
            self._log.error("the audit log ends at %d, the records know %d", self.log.confirmed, known.seq)
            detail = {"from": self.log.confirmed + 1, "to": known.seq, "hash": known.hash, "known_by": "records"}
            self.note({"name": "", "proof": "system"}, "audit.missing", "audit", **detail)
        for forwarder in self._forwarders:
            forwarder.start(self.log)

    def close(self) -> None:
        """Write what waits; what is not forwarded yet is at the next start."""
        for forwarder in self._forwarders:
            forwarder.stop()
        self.log.close()
        for forwarder in self._forwarders:
            forwarder.join()
        self._marks.close()

    # the port

    async def intent(
        self, who: Who, action: str, target: str, *, old: object = None, new: object = None, reason: str = ""
    ) -> str:
        """Record what is about to be done; its id. Durable when this returns.

        Raises: NotDurable
        """
        if self.names.at_hand(kind_of(who.get("proof", "")), who.get("name", "")) is None:
            try:
                about = await asyncio.to_thread(self._about, who)
            except SQLAlchemyError as error:
                raise NotDurable(f"the records cannot take who asks ({_cause(error)}); nothing is changed") from error
        else:
            about = self._about(who)
        record = self._record(INTENT, about, action, target, old, new, reason)
        waiter: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.log.submit(record, waiter)
        try:
            refused = await asyncio.wait_for(waiter, _LONGEST_S)
        except TimeoutError:
            refused = f"the audit log did not confirm within {_LONGEST_S:g} s; the disk under it is slow or stuck"
        return self._begin(record, refused)

    def _begin(self, record: dict[str, Any], refused: str) -> str:
        if refused:
            raise NotDurable(refused)
        self._begun[record["id"]] = {k: record[k] for k in ("who", "action", "target")}
        if len(self._begun) > _OPEN_INTENTS:
            del self._begun[next(iter(self._begun))]
        return str(record["id"])

    def intent_now(self, who: Who, action: str, target: str, timeout_s: float) -> str:
        """As `intent`, for a command without an event loop.

        Raises: NotDurable
        """
        record = self._record(INTENT, self._about(who), action, target, None, None, "")
        waiter: concurrent.futures.Future[str] = concurrent.futures.Future()
        self.log.submit(record, waiter)
        return self._begin(record, waiter.result(timeout_s))

    async def outcome(
        self, ident: str, result: str, detail: str = "", *, old: object = None, new: object = None, target: str = ""
    ) -> None:
        """Record how it went, without waiting for the disk."""
        self.outcome_now(ident, result, detail, old=old, new=new, target=target)

    def outcome_now(
        self, ident: str, result: str, detail: str = "", *, old: object = None, new: object = None, target: str = ""
    ) -> None:
        """As `outcome`, for whoever has no event loop."""
        begun = self._begun.pop(ident, None) or {"who": self._about({}), "action": "", "target": ""}
        record = {"kind": OUTCOME, "id": ident, **begun, "result": clean_text(result)}
        if target:
            record["target"] = clean_text(target)
        for key, value in (("reason", clean_text(detail) or None), ("old", old), ("new", new)):
            if value is not None:
                record[key] = clean(value)
        self.log.submit(record)

    def note(self, who: Who, action: str, target: str, **detail: object) -> None:
        """Record something that no effect waits for."""
        try:
            about = self._about(who)
        except SQLAlchemyError:
            about = self._about({"proof": who.get("proof", "")})
        record = self._record(NOTE, about, action, target, None, detail or None, "")
        self.log.submit(record)

    def _about(self, who: Who) -> dict[str, str]:
        proof, name = who.get("proof", ""), who.get("name", "")
        ident = "system" if proof == "system" else "unknown"
        if name:
            kind = kind_of(proof)
            ident = self.names.at_hand(kind, name) or self.names.of(kind, name)
        more = {key: clean_text(who.get(key, ""), 64) for key in ("role", "source", "station")}
        return {"id": ident, "proof": proof, **more}

    def _record(
        self, kind: str, who: dict[str, str], action: str, target: str, old: object, new: object, reason: str
    ) -> dict[str, Any]:
        record: dict[str, Any] = {
            "kind": kind,
            "id": f"{self._start}{next(self._numbers):08x}",
            "who": who,
            "action": clean_text(action, 100),
            "target": clean_text(target, 400),
        }
        for key, value in (("old", old), ("new", new), ("reason", clean_text(reason) or None)):
            if value is not None:
                record[key] = clean(value)
        return record

    def person(self, name: str) -> str:
        """What stands for a person in targets, old and new values."""
        return self.names.at_hand(PERSON, name) or self.names.of(PERSON, name)

    # questions; all synchronous

    def search(self, question: Question, who: str = "", text: str = "") -> tuple[Found, dict[str, str]]:
        """Records, newest first, and the names of the pseudonyms in them. ``who`` is a name or a pseudonym."""
        names = self.names.names()
        wanted = {"who": frozenset({who, *self.names.find(who)})} if who else {}
        texts = {"texts": (text, *self.names.find(text))} if text else {}
        asked = Question(
            question.start_ns, question.end_ns, action=question.action, target=question.target, before=question.before,
            limit=min(question.limit, searching.MOST_LINES), **wanted, **texts,  # type: ignore[arg-type]  # each is of its field's type
        )  # fmt: skip
        found = searching.search(self.files, self.log.confirmed, asked)
        return found, searching.named(found.records, names)

    def verify(self) -> Report:
        """All of the log against its signatures and what the records know."""
        return verify_folder(self.files, self._anchors)

    def _anchors(self) -> Known:
        known, mark = Known(), self._marks.last()
        if mark is not None:
            known.add(mark.seq, mark.hash, "the records database")
        return known

    def export(self, start_ns: int, end_ns: int, site: str, made: str) -> Iterator[bytes]:
        """A time of the log as a signed file.

        Raises: ConfigError when the log has no key to sign with
        """
        self.log.sign({"seq": 0})  # fails before the answer has begun
        header = {"site": site, "made": made, "folder": "audit"}
        return searching.export(
            self.files, self.log.confirmed, start_ns, end_ns, header, self.log.public, self.log.sign
        )

    def status(self) -> dict[str, Any]:
        """How the log and its receivers are."""
        return {
            "state": self.log.reason,
            "records": self.log.confirmed,
            "keep_days": round(self._config.keep_s / 86_400),
            "forward": [f.status(self.log.confirmed) for f in self._forwarders],
        }

    def tidy(self) -> int:
        """Untie pseudonyms of which the log has nothing left; how many."""
        keep_ns = round(self._config.keep_s * NS_PER_S)
        return self.names.forget_unseen(max(0, self._clock.now_ns() - 2 * keep_ns))


def account() -> str:
    """The account of this machine that runs us; what the environment says of it counts nothing."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid {os.getuid()}"


def verify_folder(files: AuditFiles, anchors: Callable[[], Known] = Known, public: bytes | None = None) -> Report:
    """A log from its files, also beside a living writer: what is only unfinished is looked at again.

    Raises: ConfigError when there is no log
    """
    if not files.folder.is_dir() or not (files.segments() or files.head.exists()):
        raise ConfigError(f"{files.folder}: there is no audit log")
    report = Report()
    for look in range(_LOOKS):
        if look:
            time.sleep(_LOOK_S)
        key = public or files.read_public()
        report = verify(files.contents(), _content(files.checkpoints), _content(files.head), key, anchors())
        if report.problem is None or not report.problem.at_end:
            break
    return report


def _content(path: Path) -> bytes | None:
    with contextlib.suppress(FileNotFoundError):
        return path.read_bytes()
    return None


def _cause(error: SQLAlchemyError) -> str:
    return str(error.__cause__ or error)[:200]


class _MarkKeeper:
    """Takes the newest checkpoint to the records, in a thread of its own: a busy database delays no record."""

    def __init__(self, marks: Marks, log: logging.Logger) -> None:
        self._marks, self._log = marks, log
        self._changed = threading.Condition()
        self._newest: Mark | None = None
        self._stopping = False
        self._thread: threading.Thread | None = None

    def offer(self, mark: Mark) -> None:
        """Called by the log's thread."""
        with self._changed:
            self._newest = mark
            self._changed.notify_all()

    def last(self) -> Mark | None:
        """What the records know."""
        return self._marks.last()

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="audit marks")
        self._thread.start()

    def close(self) -> None:
        """Take the last one there."""
        if self._thread is None:
            return
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._thread.join()
        self._thread = None

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._newest is not None or self._stopping)
                mark, self._newest = self._newest, None
                if mark is None:
                    return
            try:
                self._marks.keep(mark)
            except SQLAlchemyError as error:
                self._log.warning("the records do not take the audit log's checkpoint: %s", _cause(error))
