"""What a command changes beside core is in the audit trail, too: through core where it runs, else into its log directly."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator

from isthmus.app.datadir import DataDir
from isthmus.app.local import call
from isthmus.app.migrate import migrate
from isthmus.app.records import open_records
from isthmus.security.audit.service import Trail, account
from isthmus.values.clock import SystemClock
from isthmus.values.errors import NotConnected, TryLater

_WAIT_S = 30.0


@contextlib.contextmanager
def audited(data: DataDir, action: str, target: str) -> Iterator[None]:
    """Record an intent before the block and its outcome after it.

    Raises: NotDurable, or Denied, when it cannot be recorded; the block did not run
    """
    try:
        ident = call(data.root, "POST", "audit/intents", {"action": action, "target": target})["id"]
    except NotConnected:
        with _beside(data, action, target):
            yield
        return
    result = "failed"
    try:
        yield
        result = "ok"
    finally:
        with contextlib.suppress(NotConnected, TryLater):
            call(data.root, "PUT", f"audit/intents/{ident}", {"result": result})


@contextlib.contextmanager
def _beside(data: DataDir, action: str, target: str) -> Iterator[None]:
    """Without a core: its log is opened here, and closed again."""
    lock = data.lock("core")
    engine = open_records(data.records)
    log = logging.getLogger("isthmus.audit")
    try:
        migrate(engine, data.records, log)
        trail = Trail(data.audit, engine, SystemClock(), log=log)
        trail.open()
        try:
            who = {"name": account(), "proof": "socket", "role": "admin", "source": "command line"}
            ident = trail.intent_now(who, action, target, _WAIT_S)
            result = "failed"
            try:
                yield
                result = "ok"
            finally:
                trail.outcome_now(ident, result)
        finally:
            trail.close()
    finally:
        engine.dispose()
        lock.release()
