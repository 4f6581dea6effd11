"""Screens from the first draft to what people see: saved, put to review, published by another person, taken back."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import orjson
from sqlalchemy import Connection, Engine

from isthmus.namespace.changes import Hand
from isthmus.namespace.model import Asset, Plant, Tag
from isthmus.screens import model, store
from isthmus.screens.model import SYMBOLS, base_of, bindings, check_id, difference, read, resolve
from isthmus.screens.store import Screen, Version
from isthmus.values.clock import Clock
from isthmus.values.errors import ConfigError, Denied, Finding, Findings
from isthmus.values.ids import is_under
from isthmus.values.sample import ValueType

MOST_SCREENS: Final = 2000
DRAFT, REVIEW, PUBLISHED = "draft", "review", "published"
FOLDER: Final = "screens folder"
"""Who publishes what lies beside the plant."""


class Screens:
    """Keeps screens and moves them on. Blocking; safe to call from several threads."""

    def __init__(
        self, engine: Engine, plant: Callable[[], Plant], clock: Clock, log: logging.Logger | None = None
    ) -> None:
        self._engine, self._plant, self._clock = engine, plant, clock
        self._log = log or logging.getLogger("isthmus.screens")

    # --- reading -----------------------------------------------------------------------------------------------------

    def listed(self) -> tuple[Screen, ...]:
        """All in use, with their drafts, by title."""
        with self._engine.begin() as connection:
            return store.listed(connection)

    def live_documents(self) -> dict[str, dict[str, Any]]:
        """What people see, by screen."""
        with self._engine.begin() as connection:
            return store.live_documents(connection)

    def get(self, ident: str) -> Screen:
        """One with its draft.

        Raises: LookupError if there is none in use
        """
        with self._engine.begin() as connection:
            return _known(connection, ident)

    def versions(self, ident: str) -> tuple[Version, ...]:
        """What was published of one, newest first.

        Raises: LookupError
        """
        with self._engine.begin() as connection:
            _known(connection, ident)
            return store.versions(connection, ident)

    def document(self, ident: str, version: int | None = None) -> dict[str, Any]:
        """What people see; or another version of it, 0 is the draft.

        Raises: LookupError where there is none
        """
        with self._engine.begin() as connection:
            screen = _known(connection, ident)
            number = screen.live if version is None else version
            if number == 0:
                return dict(screen.draft or {})
            found = store.load_version(connection, ident, number) if number is not None else None
            if found is None or found.document is None:
                raise LookupError(f"{ident}, version {number}" if number else f"{ident}, published")
            return found.document

    def compare(self, ident: str, old: int, new: int) -> list[dict[str, Any]]:
        """What is different from one version to another, element by element; 0 is the draft.

        Raises: LookupError
        """
        return difference(self.document(ident, old), self.document(ident, new))

    def findings(self, document: Mapping[str, Any]) -> tuple[Finding, ...]:
        """What a person would miss on it: elements that show nothing, paths and screens that are not there."""
        with self._engine.begin() as connection:
            known = {screen.id for screen in store.listed(connection)}
        return tuple(find(document, self._plant(), known))

    # --- changing ----------------------------------------------------------------------------------------------------

    def create(self, ident: str, document: Any, by: Hand) -> Screen:
        """A new screen, as a draft. A retired one of the same name comes back with its versions.

        Raises: Findings; ConfigError; Denied (name_taken, too_many_screens)
        """
        check_id(ident)
        good = read(document, ident)
        made = Screen(
            ident, good["title"], 1, DRAFT, by.name, self._clock.now_ns(), _hands((), by), draft=good
        )  # fmt: skip
        with self._engine.begin() as connection:
            before = store.load(connection, ident)
            if before is not None and before.retired_ns is None:
                raise Denied(f"there is a screen {ident!r} already", "name_taken")
            if len(store.listed(connection)) >= MOST_SCREENS:
                raise Denied(f"there are {MOST_SCREENS} screens; retire some first", "too_many_screens")
            if before is None:
                store.add(connection, made)
            else:
                made = replace(made, rev=before.rev + 1)
                store.change(connection, made, before.rev)
        return made

    def save(self, ident: str, document: Any, base: int, by: Hand) -> Screen:
        """Another draft in the place of the one at ``base``. One that waits for review is not what was put forward any more,
        and goes back to being a draft.

        Raises: Findings; LookupError; Denied (stale_base)
        """
        good = read(document, ident)
        return self._draft(ident, good, base, by)

    def restore(self, ident: str, version: int, base: int, by: Hand) -> Screen:
        """What was published once becomes the draft.

        Raises: LookupError; Denied (stale_base)
        """
        return self._draft(ident, self.document(ident, version), base, by)

    def _draft(self, ident: str, document: dict[str, Any], base: int, by: Hand) -> Screen:
        with self._engine.begin() as connection:
            screen = _at(connection, ident, base)
            editors = () if screen.state == PUBLISHED else screen.editors
            made = replace(
                screen, title=document["title"], draft=document, rev=base + 1, state=DRAFT, draft_by=by.name,
                draft_ns=self._clock.now_ns(), editors=_hands(editors, by), review_by="", review_ns=None,
            )  # fmt: skip
            _keep(connection, made, base)
        return made

    def review(self, ident: str, base: int, note: str, by: Hand) -> Screen:
        """Put the draft forward, for another person to look at.

        Raises: LookupError; Findings with what is missing; Denied (stale_base, wrong_state)
        """
        with self._engine.begin() as connection:
            screen = _at(connection, ident, base)
        if screen.state != DRAFT:
            raise Denied(f"screen {ident} is {_STATES[screen.state]}; there is no draft to put forward", "wrong_state")
        found = self.findings(screen.draft or {})
        if found:
            raise Findings(found)
        made = replace(
            screen, rev=base + 1, state=REVIEW, review_by=by.name, review_ns=self._clock.now_ns(), note=note.strip(),
            editors=_hands(screen.editors, by),
        )  # fmt: skip
        with self._engine.begin() as connection:
            _keep(connection, made, base)
        return made

    def publish(self, ident: str, base: int, by: Hand) -> Screen:
        """Another person than those who drew it lets people see it.

        Raises: LookupError; Denied (stale_base, wrong_state, needs_session, same_person)
        """
        if not by.person:
            raise Denied(
                "only a person who signed in can publish a screen; a token cannot do it for one", "needs_session"
            )
        with self._engine.begin() as connection:
            screen = _at(connection, ident, base)
            if screen.state != REVIEW:
                raise Denied(f"screen {ident} is {_STATES[screen.state]}; put its draft forward first", "wrong_state")
            if is_editor(screen, by):
                raise Denied(f"you drew screen {ident}; another person must look at it and publish it", "same_person")
            return self._publish(connection, screen, by.name)

    def _publish(self, connection: Connection, screen: Screen, by: str) -> Screen:
        number = 1 + max((v.version for v in store.versions(connection, screen.id)), default=0)
        now_ns = self._clock.now_ns()
        version = Version(screen.id, number, screen.editors, by, now_ns, screen.note, screen.draft)
        store.add_version(connection, version)
        made = replace(screen, rev=screen.rev + 1, state=PUBLISHED, live=number, review_by="", review_ns=None, note="")
        _keep(connection, made, screen.rev)
        self._log.info("screen %s, version %d, was published by %s", screen.id, number, by)
        return made

    def give_back(self, ident: str, base: int, reason: str, by: Hand) -> Screen:
        """Not as it is: a reviewer says why, or its author takes it back.

        Raises: LookupError; Denied (stale_base, wrong_state, reason_needed)
        """
        with self._engine.begin() as connection:
            screen = _at(connection, ident, base)
            if screen.state != REVIEW:
                raise Denied(f"screen {ident} is {_STATES[screen.state]}; nothing waits for review", "wrong_state")
            if not reason.strip() and not is_editor(screen, by):
                raise Denied("say what is wrong with it", "reason_needed")
            made = replace(screen, rev=base + 1, state=DRAFT, review_by="", review_ns=None, note=reason.strip())
            _keep(connection, made, base)
        return made

    def retire(self, ident: str, base: int) -> None:
        """Nobody sees it any more. What was published stays in the records; a draft that never was is gone.

        Raises: LookupError; Denied (stale_base)
        """
        with self._engine.begin() as connection:
            screen = _at(connection, ident, base)
            if store.versions(connection, ident):
                _keep(connection, replace(screen, rev=base + 1, live=None, retired_ns=self._clock.now_ns()), base)
            else:
                store.remove(connection, ident)

    # --- what comes along --------------------------------------------------------------------------------------------

    def load(self, folder: Path, by: str = FOLDER) -> list[str]:
        """Publish the documents of a folder (`NAME.json`) that are not known yet; those that are wrong are named in the log
        and left. What people drew since is never touched.
        """
        taken: list[str] = []
        for file in sorted(folder.glob("*.json")) if folder.is_dir() else ():
            try:
                ident = check_id(file.stem)
                with self._engine.begin() as connection:
                    if store.load(connection, ident) is not None:
                        continue
                    if file.stat().st_size > 2 * model.MOST_BYTES:
                        raise ConfigError(f"{file.name}: is too large")
                    good = read(orjson.loads(file.read_bytes()), file.name)
                    made = Screen(ident, good["title"], 1, REVIEW, by, self._clock.now_ns(), (by,), draft=good)
                    store.add(connection, made)
                    self._publish(connection, made, by)
                taken.append(ident)
            except (ConfigError, OSError, ValueError) as error:
                self._log.warning("screen %s is not taken: %s", file.name, error)
        return taken


_STATES: Final = {DRAFT: "a draft", REVIEW: "waiting for review", PUBLISHED: "published as it is"}


def is_editor(screen: Screen, by: Hand) -> bool:
    """Whether somebody drew on it since it was last published, or answers for a program that did."""
    mine = {name.casefold() for name in (by.name, *by.behind)}
    return bool(mine & {name.casefold() for name in screen.editors})


def _hands(before: Sequence[str], by: Hand) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*before, by.name, *by.behind)))


def _known(connection: Connection, ident: str) -> Screen:
    found = store.load(connection, ident)
    if found is None or found.retired_ns is not None:
        raise LookupError(ident)
    return found


def _at(connection: Connection, ident: str, base: int) -> Screen:
    screen = _known(connection, ident)
    if screen.rev != base:
        raise _stale(screen, base)
    return screen


def _keep(connection: Connection, screen: Screen, base: int) -> None:
    if not store.change(connection, screen, base):
        raise _stale(screen, base)


def _stale(screen: Screen, base: int) -> Denied:
    return Denied(
        f"screen {screen.id} was changed meanwhile by {screen.draft_by}: it is at revision {screen.rev}, yours began at {base}; "
        "compare, then save again",
        "stale_base",
    )


# --- what a person would miss ---------------------------------------------------------------------------------------


_SHOWS: Final = {"value": "value", "state": "state", "indicator": "value", "spark": "value"}


def find(document: Mapping[str, Any], plant: Plant, screens: set[str] | frozenset[str] = frozenset()) -> list[Finding]:
    """What stands against showing a screen: elements that show nothing, and names of what is not there.

    A relative binding is looked at for the asset the screen names; without one, for every asset of its type.
    """
    assets = {asset.path for asset in plant.assets}
    found: list[Finding] = []

    def wrong(element: Mapping[str, Any], at: str, problem: str, value: str = "") -> None:
        found.append(Finding("error", "screen", 0, 0, f"elements.{element['id']}.{at}", problem, value))

    bases = _bases(document, plant)
    if document.get("asset") and document["asset"] not in assets:
        found.append(Finding("error", "screen", 0, 0, "asset", "there is no such asset", document["asset"]))
    if document.get("type") and not any(asset.type == document["type"] for asset in plant.assets):
        found.append(Finding("error", "screen", 0, 0, "type", "no asset has this type", document["type"]))
    for element in document.get("elements", ()):
        bound = list(bindings(element))
        if element["kind"] in _SHOWS and not bound:
            wrong(element, f"bind.{_SHOWS[element['kind']]}", "is bound to no tag")
        if element["kind"] in ("trend", "table") and not bound:
            wrong(element, "pens" if element["kind"] == "trend" else "rows", "is bound to no tag")
        for at, path in bound:
            for base in bases:
                problem = _lost(path, base_of(element, base), plant)
                if problem:
                    wrong(element, at, problem, path)
                    break
        for base in bases:
            own = resolve(element.get("asset", ""), base)
            if element.get("asset") and (own not in assets or not own):
                wrong(element, "asset", "there is no such asset" if own else _NO_BASE, element["asset"])
                break
        target = element.get("to", {}) if element["kind"] == "button" else {}
        if target and "screen" in target and target["screen"] not in screens:
            wrong(
                element,
                "to",
                "leads to a screen that is not there" if target["screen"] else "leads nowhere",
                target["screen"],
            )
    return found[: model.MOST_FINDINGS]


_NO_BASE: Final = "is relative, and the screen names neither an asset nor a type"


def _lost(path: str, asset: str, plant: Plant) -> str:
    full = resolve(path, asset)
    if not full:
        return _NO_BASE
    return "" if full in plant.by_path else f"there is no tag {full}" if full != path else "there is no such tag"


def _bases(document: Mapping[str, Any], plant: Plant) -> list[str]:
    if document.get("asset"):
        return [document["asset"]]
    if document.get("type"):
        return [asset.path for asset in plant.assets if asset.type == document["type"]] or [""]
    return [""]


def paths_of(document: Mapping[str, Any]) -> set[str]:
    """Every tag and asset a screen names in full, for who may see it."""
    named = {path for e in document.get("elements", ()) for _, path in bindings(e) if not path.startswith("./")}
    for element in document.get("elements", ()):
        named |= {
            a for a in (element.get("asset", ""), element.get("to", {}).get("asset", "")) if a and not a.startswith(".")
        }
    asset = document.get("asset", "")
    for element in document.get("elements", ()):
        base = base_of(element, asset)
        named |= {full for _, path in bindings(element) if (full := resolve(path, base))}
    return named | ({asset} if asset else set())


# --- a first drawing --------------------------------------------------------------------------------------------------

_WORDS: Final = (
    ("labeller", r"label"), ("capper", r"capp?er|caps?\b|closer"), ("palletiser", r"pallet"),
    ("packer", r"pack|case|carton"), ("filler", r"fill"), ("conveyor", r"convey|belt|accumul|transport"),
    ("tank", r"tank|silo|bowl|buffer|vessel"), ("mixer", r"mix|agitat|blend"), ("exchanger", r"exchang|heater|cooler|pasteur"),
    ("compressor", r"compress"), ("fan", r"\bfan|blower|ahu|vent"), ("robot", r"robot"),
    ("pump", r"pump"), ("control_valve", r"control.?valve"), ("valve", r"valve"), ("motor", r"motor|drive"),
)  # fmt: skip
_LEVEL: Final = re.compile(r"level|fill_height|fullness", re.IGNORECASE)
_COLUMN, _MARGIN, _HEAD = 160, 32, 40
_IN_A_ROW: Final = 8
_MOST_MACHINES: Final = 16
_MOST_VALUES: Final = 4
_DRAWN: Final = {"conveyor": (128, 24), "tank": (56, 72), "vessel": (112, 56)}
"""Width and height of symbols that fill their box; the others are square."""


def symbol_for(asset: Asset) -> str:
    """The symbol an asset's type or name speaks of."""
    for text in (asset.type, asset.name):
        for symbol, pattern in _WORDS:
            if text and re.search(pattern, text, re.IGNORECASE):
                return symbol
    return "machine"


def starter(plant: Plant, asset: str) -> dict[str, Any]:
    """A first drawing of what is below an asset: its machines in flow order, each with state and the values that matter.

    Raises: ConfigError if there is no such asset
    """
    root = next((a for a in plant.assets if a.path == asset), None)
    if root is None:
        raise ConfigError(f"asset: there is none, was {asset[:80]!r}")
    tags: dict[str, list[Tag]] = {}
    for tag in plant.tags:
        tags.setdefault(tag.asset, []).append(tag)
    below = [
        a
        for a in plant.assets
        if a.path != asset and is_under(a.path, asset) and a.level != "connection" and a.path != "connections"
    ]
    parents = {a.parent for a in below}
    machines = [a for a in sorted(below, key=lambda a: a.order) if a.path not in parents and a.path in tags] or [root]
    shown = machines[:_MOST_MACHINES]
    rows_of = math.ceil(len(shown) / _IN_A_ROW)
    per_row = math.ceil(len(shown) / rows_of)
    most = _MOST_VALUES if rows_of == 1 else 2
    columns = [_Column(a, tags.get(a.path, []), asset, most) for a in shown]
    elements: list[dict[str, Any]] = []
    y = _HEAD
    for number in range(rows_of):
        row = columns[number * per_row : (number + 1) * per_row]
        elements += _row(row, number, y)
        y += max(column.height for column in row) + 24
    if len(machines) > len(shown):
        elements.append(
            _text_at("more", _MARGIN, y, 400, f"{len(machines) - len(shown)} more machines are not drawn", 12)
        )
        y += 32
    document = {
        "schema": model.SCHEMA,
        "title": (root.description or _spoken(root.name or plant.site or "site"))[:120],
        "width": max(2 * _MARGIN + per_row * _COLUMN, 640),
        "height": max(y, 360),
        "grid": 8,
        "elements": elements,
    }
    return read({**document, "asset": asset} if asset else document, "starter")


class _Column:
    """One machine of a first drawing: what it is drawn by, its main value, and others that have a scale."""

    def __init__(self, asset: Asset, tags: Sequence[Tag], root: str, most: int) -> None:
        self.asset, self.symbol = asset, symbol_for(asset)
        self.own = _relative(asset.path, root)
        targets = {tag.setpoint for tag in tags if tag.setpoint}
        named = asset.production.get("state") if asset.production else None
        states = [t for t in tags if t.path == named] or [t for t in tags if t.kind == "state"]
        self.state = states[0] if states else None
        numbers = [t for t in tags if t.kind == "value" and t.type is not ValueType.TEXT and t.path not in targets]
        numbers.sort(key=lambda t: t.order)
        self.level = next((t for t in numbers if _LEVEL.search(t.name)), None)
        rates = [t for t in numbers if t.unit.endswith(("/s", "/min", "/h"))]
        self.runs = self.state or next(iter(rates), None)  # what moves runs, where nothing tells a state
        self.value = next(iter(rates or ([self.level] if self.level else numbers)), None)
        scaled = [t for t in numbers if t is not self.value and _has_range(t)]
        self.values = sorted(scaled, key=lambda t: (not t.setpoint, not t.limits))[:most]
        self.height = 168 + 72 * len(self.values)


def _row(columns: Sequence[_Column], number: int, y: float) -> list[dict[str, Any]]:
    """Machines side by side on the line that the goods take."""
    made: list[dict[str, Any]] = []
    floor = y + 120
    if len(columns) > 1:
        points = [[_MARGIN, floor], [_MARGIN + len(columns) * _COLUMN - 16, floor]]
        made.append({"id": f"flow{number}", "kind": "pipe", "points": points, "line": "main", "arrow": True})
    for i, column in enumerate(columns):
        made += _machine(column, f"m{number}x{i}", _MARGIN + i * _COLUMN, y, floor)
    return made


def _machine(column: _Column, ident: str, x: float, y: float, floor: float) -> list[dict[str, Any]]:
    wide = _COLUMN - 16
    own = {"asset": column.own} if column.own else {}
    w, h = _DRAWN.get(column.symbol, (72, 72))
    given = {"state": column.runs, "level": column.level, "position": column.value, "value": None}
    bind = {slot: f"./{tag.name}" for slot in SYMBOLS[column.symbol] if (tag := given[slot]) is not None}
    made = [
        _text_at(f"{ident}n", x, y - 16, wide, _spoken(column.asset.name), 14, bold=True),
        {
            "id": ident, "kind": "symbol", "symbol": column.symbol, "x": x, "y": floor - 2 - h, "w": w, "h": h, "bind": bind,
            "on_click": "asset", "asset": column.own or ".",
        },
    ]  # fmt: skip
    if column.state is not None:
        state = {"state": f"./{column.state.name}"}
        made.append({"id": f"{ident}s", "kind": "state", "x": x, "y": y + 8, "w": wide, "h": 20, "bind": state, **own})
    if column.value is not None:
        value = {"value": f"./{column.value.name}"}
        made.append(
            {
                "id": f"{ident}v",
                "kind": "value",
                "x": x,
                "y": floor + 8,
                "w": wide,
                "h": 24,
                "size": 16,
                "bind": value,
                **own,
            }
        )
    for k, tag in enumerate(column.values):
        place = {"x": x, "y": floor + 48 + 72 * k, "w": wide, "h": 60}
        bound = {"value": f"./{tag.name}"}
        made.append(
            {"id": f"{ident}i{k}", "kind": "indicator", **place, "label": _spoken(tag.name), "bind": bound, **own}
        )
    return made


def _has_range(tag: Tag) -> bool:
    return (tag.low is not None and tag.high is not None and tag.high > tag.low) or len(tag.limits) > 1


def _relative(path: str, root: str) -> str:
    if path == root:
        return ""
    return f"./{path[len(root) + 1 :]}" if root else path


def _spoken(name: str) -> str:
    words = re.sub(r"([a-z]{3,})(\d+)$", r"\1 \2", re.sub(r"[_-]+", " ", name).strip())
    return words[:1].upper() + words[1:]


def _text_at(ident: str, x: float, y: float, w: float, text: str, size: int, *, bold: bool = False) -> dict[str, Any]:
    made = {"id": ident, "kind": "text", "x": x, "y": y, "w": w, "h": size * 1.5, "text": text[:200], "size": size}
    return {**made, "bold": True} if bold or size >= 20 else made
