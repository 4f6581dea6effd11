"""The namespace at work: plans and applies plant files, keeps their versions, and hands out the compiled plant."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from threading import Lock
from typing import Any

from sqlalchemy import Engine

from isthmus.namespace import change_store, edit, store
from isthmus.namespace.change_store import ChangeRequest
from isthmus.namespace.compile import ConnectorOf, DriverOf, compile_plant
from isthmus.namespace.compiled import NOTHING, Compiled, finish, tag_paths
from isthmus.namespace.control import NO_CONSENT, Consent, Demands, demands
from isthmus.namespace.draft import Draft, note
from isthmus.namespace.jsonschema import plant_schema
from isthmus.namespace.listing import TagList, list_tags
from isthmus.namespace.model import Plant
from isthmus.namespace.plan import Change, Ids, PlanResult, assign, blocked_renames, compare
from isthmus.namespace.plantfile import Document, decode
from isthmus.namespace.store import Version
from isthmus.ports.connectors import connector_spec
from isthmus.ports.drivers import DriverSpec, driver_spec, drivers
from isthmus.values.clock import Clock
from isthmus.values.errors import ConfigError, Denied, Finding, Malformed
from isthmus.values.model import EdgeModel

_log = logging.getLogger("isthmus.namespace")

PLANT_FILE = "plant.yaml"
"""What the file is called in findings unless the caller knows better."""


class StaleBase(Denied):
    """Somebody else applied a version in between: plan again on the current one."""

    def __init__(self, base: int, current: int) -> None:
        super().__init__(
            f"the plant is at version {current}, and this was planned on version {base}; plan again on version {current}",
            "stale_base",
        )
        self.base, self.current = base, current


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A text that could be applied."""

    token: str
    compiled: Compiled
    ids: dict[str, int]
    before: Mapping[str, int]
    files: dict[str, bytes]
    changes: tuple[Change, ...]
    warnings: tuple[Finding, ...]
    demands: Demands


@dataclass(frozen=True, slots=True)
class _Now:
    """The current version in memory."""

    compiled: Compiled
    text: str
    files: Mapping[str, bytes]


class Namespace:
    """Plans, applies and keeps the plant. Blocking; safe to call from several threads.

    ``active`` names the sections whose rooms exist (of alarms, production, maintenance, write); others give a warning.
    """

    def __init__(
        self,
        engine: Engine,
        clock: Clock,
        driver_of: DriverOf = driver_spec,
        known_drivers: Callable[[], Mapping[str, DriverSpec]] = drivers,
        active: Iterable[str] = (),
        connector_of: ConnectorOf = connector_spec,
    ) -> None:
        self._engine, self._clock = engine, clock
        self._driver_of, self._known_drivers = driver_of, known_drivers
        self._connector_of = connector_of
        self._active = frozenset(active)
        self._now: _Now | None = None
        self._prepared: _Prepared | None = None
        self._applying = Lock()

    # --- reading -----------------------------------------------------------------------------------------------------

    def current(self) -> Plant:
        """The plant as applied last; `namespace.model.EMPTY` before the first time."""
        return self.compiled().plant

    def compiled(self) -> Compiled:
        """The current plant with everything that was compiled."""
        return self._current().compiled

    def tag_list(self) -> TagList:
        """The current plant's tags as a tag list has them."""
        return list_tags(self.compiled())

    def edge_model(self, edge: str) -> EdgeModel:
        """What one edge runs; an edge the plant does not name runs nothing."""
        compiled = self.compiled()
        plant = compiled.plant
        return compiled.edges.get(edge) or EdgeModel(plant.version, plant.enterprise, plant.site, edge)

    def export(self) -> str:
        """The plant file as it was applied, byte for byte; empty before the first time."""
        return self._current().text

    def files(self, number: int | None = None) -> dict[str, bytes]:
        """The tag lists and scripts of the current version, or of another, by name."""
        if number is None or number == self._current().compiled.plant.version:
            return dict(self._current().files)
        with self._engine.begin() as connection:
            return store.load_files(connection, number)

    def versions(self) -> tuple[Version, ...]:
        """All versions, newest first, without their texts."""
        with self._engine.begin() as connection:
            return store.list_versions(connection)

    def version(self, number: int) -> Version:
        """One version with its text.

        Raises: ConfigError if there is none
        """
        with self._engine.begin() as connection:
            found = store.load_version(connection, number)
        if found is None:
            raise ConfigError(f"version: the plant has no such version, was {number}")
        return found

    def compare(self, old: int, new: int) -> tuple[Change, ...]:
        """What changed from one version to another; 0 is the empty plant.

        Raises: ConfigError if there is no such version
        """
        return compare(self._compiled_version(old), self._compiled_version(new))

    def schema(self) -> dict[str, Any]:
        """JSON Schema of the plant file with the settings of every known driver, for editors."""
        return plant_schema(self._known_drivers())

    def reload(self) -> None:
        """Forgets what is in memory; the next reader finds what another process applied."""
        self._now = None

    # --- changing ----------------------------------------------------------------------------------------------------

    def plan(
        self,
        text: str | bytes,
        base: int | None = None,
        files: Mapping[str, bytes] | None = None,
        where: str = PLANT_FILE,
    ) -> PlanResult:
        """What applying this text would do. Tag lists that are not in ``files`` are those of the current version.

        Raises: Findings with every mistake; StaleBase if ``base`` is not the current version
        """
        now = self._current()
        version = now.compiled.plant.version
        if base is not None and base != version:
            raise StaleBase(base, version)
        written = text if isinstance(text, str) else decode(text, where)
        ready = self._prepare(written, now, files or {}, where)
        return PlanResult(version, ready.token, ready.changes, ready.warnings, written, ready.demands)

    def apply(
        self,
        text: str | bytes,
        base: int,
        by: str,
        reason: str,
        files: Mapping[str, bytes] | None = None,
        where: str = PLANT_FILE,
        consent: Consent = NO_CONSENT,
        change: ChangeRequest | None = None,
    ) -> int:
        """Makes the text the current version, in one transaction, and gives its number. A text that is current
        already makes no new version. ``change`` is the request it comes from, which is applied by it.

        Raises: Findings with every mistake; StaleBase if another version was applied after ``base``; Denied if a rule
                of a zone it touches stands against it now
        """
        with self._applying:
            now = self._fresh()
            if base != now.compiled.plant.version:
                raise StaleBase(base, now.compiled.plant.version)
            written = text if isinstance(text, str) else decode(text, where)
            ready = self._prepare(written, now, files or {}, where)
            self._check(ready, by, reason, consent)
            return self._commit(written, now, ready, by, _reason(reason, consent), change)

    def restore(self, number: int, by: str, reason: str, consent: Consent = NO_CONSENT) -> int:
        """Applies an old version again, as a new one; its tags get back the ids they had then.

        Raises: ConfigError if there is no such version; Findings if this build refuses it; Denied as ``apply``
        """
        with self._applying:
            now = self._fresh()
            with self._engine.begin() as connection:
                old = store.load_version(connection, number)
                files = store.load_files(connection, number)
                ids = store.ids_at(connection, number)
            if old is None:
                raise ConfigError(f"version: the plant has no such version, was {number}")
            ready = self._prepare(old.text, now, files, f"version {number}", prefer=ids)
            self._check(ready, by, reason, consent)
            return self._commit(old.text, now, ready, by, _reason(reason, consent))

    def _check(self, ready: _Prepared, by: str, reason: str, consent: Consent) -> None:
        """Change control, at the moment of applying.

        Raises: Denied
        """
        now_ns = self._clock.now_ns()
        if consent.emergency.strip() and ready.demands.obstacles(now_ns, reason, consent):
            _log.warning("EMERGENCY: %s passes over the change control of the plant: %s", by, consent.emergency)
        ready.demands.check(now_ns, reason, consent)

    def add_connection(self, text: str, name: str, settings: Mapping[str, Any]) -> str:
        """The text with one more connection; everything else, comments too, stays as it is.

        Raises: Findings if the text is no plant file; ConfigError if there is a connection of this name
        """
        return edit.add_connection(text, name, settings)

    def drop_connection(self, text: str, name: str) -> str:
        """The text without one connection; everything else stays as it is.

        Raises: Findings if the text is no plant file; ConfigError if there is no connection of this name
        """
        return edit.drop_connection(text, name)

    # --- inside ------------------------------------------------------------------------------------------------------

    def _current(self) -> _Now:
        now = self._now
        return now if now is not None else self._load()

    def _fresh(self) -> _Now:
        """The current version, read again if another process applied one."""
        now = self._current()
        with self._engine.begin() as connection:
            if store.latest(connection) == now.compiled.plant.version:
                return now
        return self._load()

    def _load(self) -> _Now:
        with self._engine.begin() as connection:
            number = store.latest(connection)
            found = store.load_version(connection, number)
            files = store.load_files(connection, number)
            parts = store.load_compiled(connection, number)
            ids = store.ids_at(connection, number)
        if found is None:
            now = _Now(NOTHING, "", {})
        else:
            now = _Now(self._unpacked(parts) or self._compile_known(found, files, ids), found.text, files)
        self._now = now
        return now

    @staticmethod
    def _unpacked(parts: Mapping[str, bytes]) -> Compiled | None:
        """The compiled form, unless another build wrote it."""
        try:
            return Compiled.from_parts(parts)
        except Malformed:
            return None

    def _compiled_version(self, number: int) -> Compiled:
        if number == 0:
            return NOTHING
        if number == self._current().compiled.plant.version:
            return self._current().compiled
        with self._engine.begin() as connection:
            found = store.load_version(connection, number)
            files = store.load_files(connection, number)
            ids = store.ids_at(connection, number)
        if found is None:
            raise ConfigError(f"version: the plant has no such version, was {number}")
        return self._compile_known(found, files, ids)

    def _compile_known(self, version: Version, files: Mapping[str, bytes], ids: Mapping[str, int]) -> Compiled:
        document = Document(version.text, f"version {version.version}")
        draft = compile_plant(document, files.get, self._driver_of, self._active, self._connector_of)
        return finish(draft, ids, version.version)

    def _prepare(
        self,
        text: str,
        now: _Now,
        files: Mapping[str, bytes],
        where: str,
        prefer: Mapping[str, int] | None = None,
    ) -> _Prepared:
        used: dict[str, bytes] = {}

        def read_file(name: str) -> bytes | None:
            data = files.get(name, now.files.get(name))
            if data is not None:
                used[name] = data
            return data

        token = _token(text, now, files, prefer)
        known = self._prepared
        if known is not None and known.token == token:
            return known
        document = Document(text, where)
        draft = compile_plant(document, read_file, self._driver_of, self._active, self._connector_of)
        ids = self._ids()
        if prefer is None:
            _check_renames(document, draft, ids)
            numbers = assign(tag_paths(draft), draft.renames, ids)
        else:
            numbers = {path: prefer[path] for path in tag_paths(draft)}
        compiled = finish(draft, numbers, now.compiled.plant.version + 1)
        changes = compare(now.compiled, compiled)
        if not changes and (text != now.text or used != dict(now.files)):
            changes = (Change("change", "text", "", "comments, order or layout only"),)
        asked = demands(now.compiled, compiled, changed=bool(changes))
        ready = _Prepared(token, compiled, numbers, ids.live, used, changes, document.report.ordered("warning"), asked)
        self._prepared = ready
        return ready

    def _ids(self) -> Ids:
        with self._engine.begin() as connection:
            return store.load_ids(connection)

    def _commit(
        self, text: str, now: _Now, ready: _Prepared, by: str, reason: str, change: ChangeRequest | None = None
    ) -> int:
        if text == now.text and ready.files == dict(now.files) and not ready.changes:
            return now.compiled.plant.version
        base, number = now.compiled.plant.version, ready.compiled.plant.version
        packed = ready.compiled.to_parts()
        with self._engine.begin() as connection:
            current = store.latest(connection)
            if current != base:
                raise StaleBase(base, current)
            store.save_version(connection, Version(number, self._clock.now_ns(), by, reason, text), ready.files)
            store.save_ids(connection, number, ready.before, ready.ids)
            store.save_compiled(connection, number, packed)
            if change is not None and not change_store.move(
                connection,
                change.id,
                change.state,
                "applied",
                closed_by=by,
                closed_ns=self._clock.now_ns(),
                version=number,
            ):
                raise Denied(f"change {change.id} was moved by somebody else meanwhile; look again", "wrong_state")
            change_store.make_stale(connection, number, self._clock.now_ns())
        self._now = _Now(ready.compiled, text, ready.files)
        self._prepared = None
        return number


def _reason(reason: str, consent: Consent) -> str:
    """What is kept with the version: an emergency stays visible for ever."""
    if not consent.emergency.strip():
        return reason
    return f"EMERGENCY, change control passed over: {consent.emergency}" + (f"; {reason}" if reason else "")


def _check_renames(document: Document, draft: Draft, ids: Ids) -> None:
    """Raises: Findings if a tag shall take over the history of one that is still declared"""
    for path, old, harmless in blocked_renames(draft, ids):
        place = draft.rename_places.get(path) or (draft.tags[path].place if path in draft.tags else ())
        if harmless:
            note(document, place, f"has no effect: {path} has a history of its own", path, warning=True)
        else:
            note(document, place, f"cannot take over the history of {old}, which is still declared", path)
    document.report.check()


def _token(text: str, now: _Now, files: Mapping[str, bytes], prefer: Mapping[str, int] | None) -> str:
    """Stands for exactly this text with these files on this version."""
    digest = sha256(f"{now.compiled.plant.version} {'restored' if prefer is not None else 'written'}\n".encode())
    digest.update(sha256(text.encode(errors="replace")).digest())
    for name in sorted(files):
        digest.update(sha256(name.encode()).digest() + sha256(files[name]).digest())
    return digest.hexdigest()
