"""What may be written and what trips: every reference resolved, every condition compiled for the edge that judges it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from isthmus.namespace.draft import Draft, DraftPoint, DraftTag, DraftTrip, InFile, Place, declared_at, note
from isthmus.namespace.formulas import symbol
from isthmus.namespace.model import Lockout
from isthmus.namespace.plantfile import Document, did_you_mean, without_value
from isthmus.values.errors import ConfigError
from isthmus.values.expression import Symbol, compile_expression, window_of
from isthmus.values.model import TripModel, WritePoint
from isthmus.values.plant.control import TripAction, TripSection, WriteSection
from isthmus.values.plant.namespace import PlantFile, TypeSection
from isthmus.values.plant.policy import SITE
from isthmus.values.plant.scalars import rate_per_s
from isthmus.values.sample import ValueType

TRIPS = "trips"
"""Tags of trips live below this path."""

TRIP_WINDOWS = ("first", "last", "min", "max")
MAX_WINDOW_S = 300
LEAST_FRESH_S = 3.0
FRESH_PERIODS = 3
MAX_TRIPS = 1_000


def link(document: Document, file: PlantFile, types: Mapping[str, TypeSection], draft: Draft) -> None:
    """Check every section `write`, `local`, `sis` and `trips`, and put points and trips into the draft."""
    _Linker(document, file, types, draft).run()


@dataclass(frozen=True, slots=True)
class _Condition:
    """Ready for an edge; ``inputs`` are paths by the names it uses."""

    resolved: str = ""
    inputs: Mapping[str, str] | None = None


NOTHING = _Condition()


class _Linker:
    def __init__(self, document: Document, file: PlantFile, types: Mapping[str, TypeSection], draft: Draft) -> None:
        self._document, self._file, self._types, self._draft = document, file, types, draft
        self._points: dict[str, DraftPoint] = {}
        self._locks = {asset.path: asset.lockout for asset in draft.assets if asset.lockout is not None}
        self._sis = self._sis_places()

    def run(self) -> None:
        for tag in self._draft.tags.values():
            section = tag.common.section
            if section.sis and section.write is not None:
                self._error(declared_at(self._document, tag, "write"), "a tag that is `sis` is never written", tag.path)
            elif section.write is not None:
                self._point(tag, section.write)
        self._draft.points = list(self._points.values())
        for name, trip in self._file.trips.items():
            self._trip(name, trip)
        if len(self._file.trips) > MAX_TRIPS:
            self._error((TRIPS,), f"more than {MAX_TRIPS} trips", str(len(self._file.trips)))

    def _error(self, place: Place, problem: str, value: str | None = None) -> None:
        note(self._document, place, problem, value)

    # --- points ------------------------------------------------------------------------------------------------------

    def _point(self, tag: DraftTag, section: WriteSection) -> None:
        place = declared_at(self._document, tag, "write")
        if tag.formula or tag.reason or tag.told_by:
            self._error(place, "a calculated tag cannot be written", tag.path)
            return
        connection = self._draft.connections.get(tag.connection)
        if connection is None:  # no address, of which a warning tells, or a broken one, said before
            return
        before = len(self._document.report.errors)
        interlock = self._condition(_inside(place, "interlock"), section.interlock, tag.asset, tag.edge, "an interlock")
        local = self._local(tag)
        if connection.access != "read-write":
            self._error(
                place,
                f"connection {connection.name} is read-only; say access: read-write there if it may be written",
                tag.path,
            )
        self._beside_sis(tag, place)
        self._fits(tag, section, place)
        read_back = self._read_back(tag, section, place)
        low, high = _bounds(tag, section)
        hold = section.hold
        if hold is not None and not _within(hold.safe, low, high):
            self._error(
                _inside(place, "hold", "safe"), f"the safe value lies outside {low:g} … {high:g}", f"{hold.safe:g}"
            )
        if interlock is None or local is None or len(self._document.report.errors) > before:
            return
        inputs = {**(interlock.inputs or {}), **(local.inputs or {})}
        whole = tag.type is ValueType.INT
        point = WritePoint(
            tag=0,
            role=section.role,
            zone=connection.zone or SITE,
            interlock=interlock.resolved,
            local=local.resolved,
            low=low,
            high=high,
            step=section.step,
            rate_s=rate_per_s(section.rate) if section.rate else None,
            second_person=section.second_person,
            needs_reason=section.reason,
            direction={"up": 1, "down": -1}.get(section.safe_direction or "", 0),
            tolerance=section.tolerance,
            within_s=section.within,
            fresh_s=section.fresh or self._fresh_s(inputs.values()),
            hold_s=hold.lease if hold else 0.0,
            safe=None if hold is None else int(hold.safe) if whole else hold.safe,
            guarded=section.guarded,
            lockout=self._lockout(tag.path, connection.lockout),
        )
        self._points[tag.path] = DraftPoint(tag.path, tag.edge, point, inputs, read_back)

    def _fits(self, tag: DraftTag, section: WriteSection, place: Place) -> None:
        """What the kind of the tag leaves no room for."""
        if tag.type is ValueType.TEXT:
            for name in ("range", "step", "rate", "safe_direction", "hold"):
                if getattr(section, name) is not None:
                    self._error(_inside(place, name), f"a text has no {name}", "")
        elif tag.type is ValueType.INT and section.hold is not None and not section.hold.safe.is_integer():
            self._error(_inside(place, "hold", "safe"), "this tag is a whole number", f"{section.hold.safe:g}")

    def _read_back(self, tag: DraftTag, section: WriteSection, place: Place) -> str:
        if not section.read_back:
            return tag.path
        where = _inside(place, "read_back")
        shows = self._tag(section.read_back, tag.asset)
        if shows is None:
            self._error(where, "names no tag beside it and no path of a tag" + self._near(section.read_back, tag.asset))
        elif shows.connection != tag.connection:
            self._error(where, f"{shows.path} is not read from connection {tag.connection}, which is written")
        elif (shows.type is ValueType.TEXT) != (tag.type is ValueType.TEXT) or shows.unit != tag.unit:
            self._error(where, f"{shows.path} ({shows.unit or shows.type}) cannot show what {tag.path} is set to")
        return shows.path if shows is not None else ""

    def _local(self, tag: DraftTag) -> _Condition | None:
        """When the asset of a tag is operated at the machine itself."""
        asset = self._file.assets.get(tag.asset)
        if asset is None:
            return NOTHING
        place: Place = ("assets", tag.asset, "local")
        text = asset.local
        if not text and asset.type in self._types:
            text = self._types[asset.type].local
            place = self._of_type(asset.type) if text else place
        return self._condition(place, text, tag.asset, tag.edge, "a condition `local`")

    def _of_type(self, kind: str) -> Place:
        """Where `local` stands: in a type, or in one it extends."""
        for _ in range(len(self._file.types)):
            if self._document.find(("types", kind, "local")) is not None:
                break
            kind = self._file.types[kind].extends
        return ("types", kind, "local")

    def _lockout(self, path: str, connection: Lockout | None) -> str:
        """Who holds the nearest lock in the plant file, and why."""
        found = None
        above = path
        while found is None and above:
            above = above.rpartition("/")[0]
            found = self._locks.get(above)
        found = found or connection
        return f"{found.who}: {found.why}" if found is not None else ""

    # --- what belongs to a safety system -----------------------------------------------------------------------------

    def _sis_places(self) -> dict[tuple[str, str], list[DraftTag]]:
        places: dict[tuple[str, str], list[DraftTag]] = defaultdict(list)
        for tag in self._draft.tags.values():
            if tag.common.section.sis and tag.connection:
                places[tag.connection, tag.occupies.area if tag.occupies else ""].append(tag)
        return places

    def _beside_sis(self, tag: DraftTag, place: Place) -> None:
        """The same place in the device under another name is not written either."""
        mine = tag.occupies
        for other in self._sis.get((tag.connection, mine.area if mine else ""), ()):
            its = other.occupies
            known = mine is not None and its is not None and mine.area
            if other.address == tag.address or (known and mine.start < its.stop and its.start < mine.stop):  # type: ignore[union-attr]  # known says that both are there
                self._error(
                    place, f"it is at the place of {other.path}, which is `sis` and is never written", tag.address
                )

    # --- trips -------------------------------------------------------------------------------------------------------

    def _trip(self, name: str, section: TripSection) -> None:
        spot = (TRIPS, name)
        if not section.when:  # missing or refused, said before
            return
        before = len(self._document.report.errors)
        if section.at and section.at not in {asset.path for asset in self._draft.assets}:
            self._error((*spot, "at"), "no asset of this file", section.at)
            return
        actions = [self._action((*spot, "actions", str(i)), one, section.at) for i, one in enumerate(section.actions)]
        test = [self._action((*spot, "test", str(i)), one, section.at) for i, one in enumerate(section.test)]
        votes, inputs, edge = self._votes(spot, section)
        for i, action in enumerate((*actions, *test)):
            if action is not None and self._draft.tags[action[0]].edge != edge and edge:
                which, at = ("actions", i) if i < len(actions) else ("test", i - len(actions))
                self._error(
                    (*spot, which, str(at)),
                    f"{action[0]} is written by edge {self._draft.tags[action[0]].edge}, and the conditions are read by "
                    f"edge {edge}: a trip belongs to one edge, so that it works when the network is down",
                )
        if len(self._document.report.errors) > before:
            return
        trip = TripModel(
            name=name,
            asset=section.at,
            votes=tuple(votes),
            inputs={},
            need=section.need,
            on_loss=section.on_loss == "trip",
            delay_s=section.delay,
            bound_s=section.bound,
            priority=section.priority,
            message=section.message,
            fresh_s=section.fresh or self._fresh_s(inputs.values()),
        )
        done = tuple(a for a in actions if a is not None)
        self._draft.trips.append(DraftTrip(name, edge, trip, inputs, done, tuple(t for t in test if t is not None)))

    def _votes(self, spot: tuple[str, ...], section: TripSection) -> tuple[list[str], dict[str, str], str]:
        """The conditions as the edge runs them, what they look at, and the edge they belong to."""
        votes: list[str] = []
        inputs: dict[str, str] = {}
        edge = ""
        for i, text in enumerate(section.votes):
            single = isinstance(section.when, str)
            place = (*spot, "when") if single else (*spot, "when", str(i))
            found = self._condition(place, text, section.at, edge, "a trip", windows=True)
            if found is None:
                continue
            if not found.inputs:
                self._error(place, "reads no tag", text)
                continue
            votes.append(found.resolved)
            inputs.update(found.inputs)
            edge = edge or next((e for e in (self._draft.tags[p].edge for p in found.inputs.values()) if e), "")
        return votes, inputs, edge

    def _action(self, place: Place, action: TripAction, asset: str) -> tuple[str, float] | None:
        where = _inside(place, "set")
        if not action.tag or action.to is None:  # missing or refused, said before
            return None
        tag = self._tag(action.tag, asset)
        if tag is None:
            self._error(where, "names no tag beside the asset and no path of a tag" + self._near(action.tag, asset))
            return None
        section = tag.common.section
        if section.write is None:
            why = (
                "is `sis` and is never written"
                if section.sis
                else "does not say `write`: a trip writes what may be written"
            )
            self._error(where, f"{tag.path} {why}")
            return None
        if tag.type is ValueType.TEXT:
            self._error(where, f"{tag.path} is a text; a trip writes numbers and states")
            return None
        if tag.path not in self._points:
            if not tag.connection:
                self._error(where, f"{tag.path} has no address, so nothing can be written there")
            return None  # its own `write` is wrong, said before
        value = _number(action.to, tag)
        point = self._points[tag.path].point
        to = _inside(place, "to")
        if value is None:
            self._error(
                to, f"no value of {tag.path}" + did_you_mean(str(action.to), (tag.common.states or {}).values())
            )
            return None
        if not _within(value, point.low, point.high):
            self._error(to, f"lies outside what may be written to {tag.path} ({_span(point)})")
            return None
        if tag.type is ValueType.INT and not float(value).is_integer():
            self._error(to, f"{tag.path} is a whole number")
            return None
        return tag.path, int(value) if tag.type is ValueType.INT else value

    # --- conditions --------------------------------------------------------------------------------------------------

    def _condition(
        self, place: Place, text: str, asset: str, edge: str, what: str, *, windows: bool = False
    ) -> _Condition | None:
        """The compiled condition; NOTHING for an empty text, None for one that is wrong."""
        if not text:
            return NOTHING
        try:
            names = compile_expression(text, windows=windows).names
            inputs = {name: tag for name in names if (tag := self._tag(_tag_of(name), asset)) is not None}
            env = {name: found for name, tag in inputs.items() if (found := _symbol(name, tag)) is not None}
            try:
                compiled = compile_expression(text, env, windows=windows)
            except ConfigError:
                beside = {t.name: symbol(t) for t in self._draft.tags.values() if t.asset == asset}
                compiled = compile_expression(text, {**beside, **env}, windows=windows)
        except ConfigError as error:
            where = f" (in asset {asset})" if asset else ""
            self._error(place, without_value(str(error)) + where, text)
            return None
        if compiled.type != "bool":
            self._error(place, "must be true or false: compare it with something", text)
            return None
        used = {name: inputs[name] for name in sorted(compiled.names)}
        if not self._windows(place, used) or not self._one_edge(place, used, edge, what, text):
            return None
        return _Condition(compiled.resolved, {name: tag.path for name, tag in used.items()})

    def _windows(self, place: Place, used: Iterable[str]) -> bool:
        for name in used:
            window = window_of(name)
            if window is None:
                continue
            if window.function not in TRIP_WINDOWS:
                self._error(place, f"a trip knows {', '.join(TRIP_WINDOWS)} over a time, and no other", window.name)
                return False
            if window.seconds > MAX_WINDOW_S:
                self._error(place, f"a trip looks back {MAX_WINDOW_S} s at most", window.name)
                return False
        return True

    def _one_edge(self, place: Place, used: Mapping[str, DraftTag], edge: str, what: str, text: str) -> bool:
        """An edge judges by what it reads itself, so that it goes on when everything else is dead."""
        edges = {tag.edge: tag.path for tag in used.values() if tag.edge}
        others = {e: p for e, p in edges.items() if e != (edge or next(iter(edges)))}
        if not others:
            return True
        here = edge or next(iter(edges))
        other, path = next(iter(sorted(others.items())))
        self._error(
            place, f"reads {path} (edge {other}) where edge {here} judges: {what} looks at tags of one edge only", text
        )
        return False

    # --- small parts -------------------------------------------------------------------------------------------------

    def _tag(self, name: str, asset: str) -> DraftTag | None:
        beside = f"{asset}/{name}" if asset else name
        return self._draft.tags.get(beside) or self._draft.tags.get(name)

    def _near(self, name: str, asset: str) -> str:
        return did_you_mean(name, [t.name for t in self._draft.tags.values() if t.asset == asset])

    def _fresh_s(self, paths: Iterable[str]) -> float:
        """How old an input may be: some of its own periods, as its edge reads it."""
        seen: set[str] = set()
        waiting = list(paths)
        slowest_s = 0.0
        while waiting:
            path = waiting.pop()
            if path in seen:
                continue
            seen.add(path)
            tag = self._draft.tags[path]
            if tag.inputs:
                waiting += tag.inputs.values()
            elif tag.connection:
                slowest_s = max(slowest_s, tag.period_s)
        return max(LEAST_FRESH_S, FRESH_PERIODS * slowest_s)


def finish(
    draft: Draft, ids: Mapping[str, int], edge: str | None = None
) -> tuple[tuple[WritePoint, ...], tuple[TripModel, ...]]:
    """Points and trips of the plant, or of one edge, with the ids of their tags."""
    mine: Callable[[DraftPoint | DraftTrip], bool] = lambda one: edge is None or one.edge == edge  # noqa: E731  short, and used twice
    points = tuple(one.with_ids(ids) for one in draft.points if mine(one))
    trips = tuple(one.with_ids(ids) for one in draft.trips if mine(one))
    return points, trips


def _tag_of(name: str) -> str:
    window = window_of(name)
    return window.tag if window is not None else name


def _symbol(name: str, tag: DraftTag) -> Symbol | None:
    own = symbol(tag)
    if window_of(name) is None:
        return own
    return Symbol("number", own.unit) if own.type == "number" else None


def _bounds(tag: DraftTag, section: WriteSection) -> tuple[float | None, float | None]:
    """What may be written at least and at most."""
    if tag.type is ValueType.TEXT:
        return None, None
    if section.range is not None:
        return section.range
    if tag.common.states:
        return float(min(tag.common.states)), float(max(tag.common.states))
    return (0.0, 1.0) if tag.kind == "switch" else (tag.common.low, tag.common.high)


def _within(value: float, low: float | None, high: float | None) -> bool:
    return (low is None or value >= low) and (high is None or value <= high)


def _span(point: WritePoint) -> str:
    low, high = ("no limit" if v is None else f"{v:g}" for v in (point.low, point.high))
    return f"{low} … {high}"


def _number(to: float | str, tag: DraftTag) -> float | None:
    """A value of a trip: a number, the name of a state, or a truth for a switch."""
    if isinstance(to, float):
        return to
    numbers = {text: float(number) for number, text in (tag.common.states or {}).items()}
    if tag.kind == "switch":
        numbers |= {"true": 1.0, "false": 0.0}
    return numbers.get(to)


def _inside(place: Place, *names: str) -> Place:
    return place if isinstance(place, InFile) else (*place, *names)
