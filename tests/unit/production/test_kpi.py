"""The catalogue of KPIs: formulas of the plant's own, circles, targets, and values computed from sums."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from isthmus.app.records import open_records
from isthmus.namespace.model import EMPTY, Asset, Machine, Plant, Tag
from isthmus.production.figures import Figures, add, figures
from isthmus.production.fold import Segments
from isthmus.production.kpi import store
from isthmus.production.kpi.catalogue import ELEMENTS, STANDARD, Kpi, elements
from isthmus.production.kpi.growth import degree
from isthmus.production.kpi.service import KpiRoom
from isthmus.production.kpi.spans import spans_of
from isthmus.production.kpi.store import Target
from isthmus.production.model import FactSum, IdealCounts, StateClass
from isthmus.values.clock import NS_PER_S, ManualClock
from isthmus.values.errors import ConfigError, Denied
from isthmus.values.expression import Symbol, compile_expression
from isthmus.values.sample import ValueType

pytestmark = [pytest.mark.mission("M61", "M64"), pytest.mark.real("sqlite")]

HOUR = 3_600 * NS_PER_S
DAY = 24 * HOUR
MILLION = 1_000_000


def facts(line: str, run_h: int, down_h: int, good: int, reject: int, energy: int = 0) -> FactSum:
    """Sums of a line whose ideal rate is two a minute."""
    rate = IdealCounts(2, 60 * NS_PER_S, (good + reject) * MILLION, good * MILLION)
    return FactSum(
        key={"line": line}, ns={StateClass.RUNNING: run_h * HOUR, StateClass.STOPPED: down_h * HOUR}, stops=4, failures=2,
        failure_ns=down_h * HOUR, total_u=(good + reject) * MILLION, good_u=good * MILLION, reject_u=reject * MILLION,
        energy_u=energy * MILLION, ideal=(rate,),
    )  # fmt: skip


class Production:
    """What values are computed from."""

    def __init__(self, *rows: FactSum) -> None:
        self.rows = rows

    async def figures(
        self, under: str, start_ns: int, end_ns: int, by: Sequence[str] = ()
    ) -> list[tuple[FactSum, Figures]]:
        rows = self.rows if by else (add(self.rows),)
        return [(row, figures(row)) for row in rows]


def plant() -> Plant:
    assets = tuple(Asset(p, p, "line", "", p.rpartition("/")[0], i) for i, p in enumerate(("hall", "hall/l1", "hall/l2", "hall/l1/m")))  # fmt: skip
    kwh = Tag(1, "hall/l1/m/kwh", "hall/l1/m", "kwh", "counter", ValueType.INT, "kWh")
    machines = (Machine("hall/l1/m", "hall/l1", energy=(1,)),)
    return replace(EMPTY, version=1, currency="EUR", assets=assets, machines=machines, by_id={1: kwh}, tags=(kwh,))


@pytest.fixture
def room(tmp_path):
    engine = open_records(tmp_path / "records.sqlite")
    store.metadata.create_all(engine)
    known = plant()
    yield KpiRoom(engine, lambda: known, ManualClock())
    engine.dispose()


def own(name: str, formula: str, unit: str = "", **more: str) -> Kpi:
    return Kpi(name, name.title(), formula, unit, own=True, **more)  # type: ignore[arg-type]  # fields that are texts


def test_the_catalogue_has_names_formulas_units_and_sources(room):
    catalogue = room.catalogue()
    assert list(catalogue)[:4] == ["oee", "availability", "performance", "quality"]
    assert len({kpi.name for kpi in STANDARD}) == len(STANDARD)
    for entry in catalogue.values():
        kpi = entry.kpi
        assert kpi.title, kpi.name
        assert kpi.formula, kpi.name
        assert "ISO 22400" in kpi.source, kpi.name
        assert kpi.description, kpi.name
        assert not kpi.own
    assert room.unit(catalogue["energy_per_good"].kpi) == "kWh"
    assert room.unit(catalogue["downtime_cost"].kpi) == "EUR"
    assert room.unit(catalogue["material_per_good"].kpi) == ""
    assert room.unit(catalogue["oee"].kpi) == "%"


def values(
    room: KpiRoom, names: list[str], *rows: FactSum, by: tuple[str, ...] = ("line",)
) -> list[dict[str, float | None]]:
    found = asyncio.run(room.values(Production(*rows), names, "hall", 0, 1, by))
    return [{name: value.value for name, value in row.values.items()} for row in found]


def test_values_of_the_standard_ones(room):
    (one,) = values(room, [k.name for k in STANDARD], facts("hall/l1", 6, 2, 600, 40, energy=60))
    assert one["oee"] == pytest.approx(100 * 300 / 480)
    assert one["availability"] == 75
    assert one["performance"] == pytest.approx(100 * 320 / 360)
    assert one["quality"] == pytest.approx(93.75)
    assert one["net_equipment_effectiveness"] == pytest.approx(one["oee"])
    assert (one["mtbf"], one["mttr"], one["throughput"], one["downtime"]) == (3, 60, 80, 2)
    assert (one["energy_per_good"], one["material_per_good"]) == (0.1, None)
    assert one["unknown_share"] == 0


def test_what_nothing_counts_is_a_dash_and_drags_nothing_down(room):
    rated = facts("hall/l1", 6, 2, 600, 40)
    bare = FactSum({"line": "hall/l2"}, {StateClass.RUNNING: 7 * HOUR, StateClass.STOPPED: HOUR}, counted=False)
    bare = replace(bare, unrated=bare.ns)
    names = [
        "oee",
        "performance",
        "quality",
        "good",
        "reject",
        "throughput",
        "net_equipment_effectiveness",
        "availability",
    ]
    first, second = values(room, names, rated, bare)
    (both,) = values(room, names, rated, bare, by=())
    assert [both[n] for n in ("oee", "performance", "quality", "good")] == [
        first[n] for n in ("oee", "performance", "quality", "good")
    ]
    assert both["net_equipment_effectiveness"] == pytest.approx(both["oee"])
    assert both["availability"] == 100 * 13 / 16
    assert [second.pop("availability"), *set(second.values())] == [87.5, None]
    (row,) = asyncio.run(room.values(Production(rated, bare), ["oee", "good"], "hall", 0, 1, ()))
    assert row.unrated_run_ns == 7 * HOUR


def test_a_row_of_lines_is_computed_from_sums_not_from_their_percentages(room):
    room.put(own("per_run_hour", "good / run_time", "1/h"), "", 0, "Ann")
    lines = facts("hall/l1", 6, 2, 600, 0), facts("hall/l2", 1, 7, 30, 0)
    first, second = values(room, ["oee", "per_run_hour"], *lines)
    (both,) = values(room, ["oee", "per_run_hour"], *lines, by=())
    assert (first["per_run_hour"], second["per_run_hour"]) == (100, 30)
    assert both["per_run_hour"] == 90
    assert both["oee"] == pytest.approx(100 * 315 / 960)


def test_own_ones_read_elements_and_each_other(room):
    made = room.put(own("loss", "100 - oee", "%", description="what is missing"), "Ann", 0, "Sam")
    assert (made.owner, made.rev, made.changed_by, made.reads) == ("Ann", 1, "Sam", {"oee"})
    room.put(own("loss_hours", "loss / 100 * planned_time", "h"), "", 0, "Sam")
    (one,) = values(room, ["loss_hours"], facts("hall/l1", 6, 2, 600, 40))
    assert one["loss_hours"] == pytest.approx(3.0)
    changed = room.put(own("loss", "100 - availability", "%"), "", 1, "Ann")
    assert (changed.rev, changed.reads) == (2, {"availability"})
    (one,) = values(room, ["loss_hours"], facts("hall/l1", 6, 2, 600, 40))
    assert one["loss_hours"] == pytest.approx(2.0)


def test_nothing_is_divided_by_nothing(room):
    room.put(own("per_stop", "good / stops"), "", 0, "Ann")
    room.put(own("twice", "2 * per_stop"), "", 0, "Ann")
    room.put(own("ideal", "ideal_time / run_time"), "", 0, "Ann")
    (row,) = asyncio.run(
        room.values(Production(FactSum()), ["per_stop", "twice", "oee", "ideal"], "hall", 0, 1, ("line",))
    )
    assert all(value.value is None for value in row.values.values())
    assert {name: value.why for name, value in row.values.items()} == {
        "per_stop": "divided by nothing",
        "twice": "per_stop: divided by nothing",
        "oee": "no planned time",
        "ideal": "ideal_time: no ideal rate is declared for what was made",
    }


@pytest.mark.parametrize(
    ("kpi", "error", "told"),
    [
        (own("a", "good / totl"), ConfigError, "there is no tag totl: did you mean total"),
        (own("a", "mtbf + throughput"), ConfigError, "formula: column"),
        (own("a", "run_time", "kWh"), ConfigError, "formula"),
        (own("a", "good > 5"), ConfigError, "formula: must give a number"),
        (own("a", ""), ConfigError, "formula: say what"),
        (own("A b", "good"), ConfigError, "name: small letters"),
        (own("run_time", "good"), Denied, "actual production time"),
        (own("a", "good", "furlongz"), ConfigError, "furlongz"),
        (replace(own("a", "good"), title=" "), ConfigError, "title: say what people read"),
        (own("oee", "good"), ConfigError, "formula: oee has its own"),
        (own("a", "a + 1"), ConfigError, "a → a"),
    ],
)
def test_a_formula_that_cannot_be_is_refused(room, kpi, error, told):
    with pytest.raises(error, match=told):
        room.put(kpi, "", 0, "Ann")
    assert "a" not in room.catalogue()


def test_kpis_never_go_round_in_a_circle(room):
    room.put(own("a", "good"), "", 0, "Ann")
    room.put(own("b", "a + 1"), "", 0, "Ann")
    room.put(own("c", "b + 1"), "", 0, "Ann")
    with pytest.raises(ConfigError, match="a → c → b → a"):
        room.put(own("a", "c + 1"), "", 1, "Ann")
    assert room.get("a").kpi.formula == "good"


def test_what_others_read_is_neither_removed_nor_broken(room):
    room.put(own("a", "run_time", "h"), "", 0, "Ann")
    room.put(own("b", "a + run_time", "h"), "", 0, "Ann")
    with pytest.raises(Denied, match="a is read by b"):
        room.remove("a", 1)
    with pytest.raises(Denied, match="b reads it and would not work any more"):
        room.put(own("a", "throughput", "1/h"), "", 1, "Ann")
    room.remove("b", 1)
    room.remove("a", 1)
    assert "a" not in room.catalogue()
    with pytest.raises(Denied, match="every plant has"):
        room.remove("oee", 1)
    with pytest.raises(LookupError):
        room.remove("a", 1)


def test_two_people_do_not_change_one_kpi_at_once(room):
    room.put(own("a", "good"), "", 0, "Ann")
    room.put(own("a", "total"), "", 1, "Sam")
    for again in (0, 1, 5):
        with pytest.raises(Denied) as caught:
            room.put(own("a", "reject"), "", again, "Ann")
        assert caught.value.code == "stale_base"
    with pytest.raises(Denied, match="revision"):
        room.set_targets("a", {"": Target(5, "day")}, 1, "Ann")
    with pytest.raises(Denied, match="revision"):
        room.remove("a", 1)
    assert room.get("a").kpi.formula == "total"


def test_the_target_of_the_nearest_level_holds(room):
    told = {"": Target(60.0), "hall": Target(65.0), "hall/l1": Target(70.0)}
    entry = room.set_targets("oee", told, 0, "Ann")
    assert (entry.rev, entry.targets) == (1, told)
    room.set_targets("mttr", {"": Target(3)}, 0, "Ann")
    rows = asyncio.run(
        room.values(
            Production(facts("hall/l1", 6, 2, 700, 0), facts("hall/l2", 6, 2, 600, 0)), ["oee", "mttr", "good"], "", 0, 1, ("line",)
        )
    )  # fmt: skip
    told = [[(v.target, v.met) for v in row.values.values()] for row in rows]
    assert told == [[(70, True), (3, False), (None, None)], [(65, False), (3, False), (None, None)]]
    owned = room.put(Kpi("oee", "", "", ""), "Ann", 1, "Ann")
    assert (owned.owner, owned.targets["hall"].value, owned.kpi.title) == ("Ann", 65, "OEE")
    again = room.set_targets("oee", {"": Target(61)}, 2, "Sam")
    assert (again.targets, again.owner) == ({"": Target(61)}, "Ann")


@pytest.mark.parametrize(
    ("targets", "told"),
    [
        ({"hal": Target(5.0)}, "no area, line or asset"), ({"": Target(float("nan"))}, "must be a number"),
        ({"": Target(-1.0)}, "a percentage"), ({"": Target(60, "day")}, "is no count"),
    ],
)  # fmt: skip
def test_a_target_that_cannot_be_is_refused(room, targets, told):
    with pytest.raises(ConfigError, match=told):
        room.set_targets("oee", targets, 0, "Ann")
    with pytest.raises(LookupError):
        room.set_targets("nothing", {}, 0, "Ann")


class TwoShifts:
    """From 6:00 to 14:00 and to 22:00 UTC, with a break of an hour in the middle of each; none on the seventh day."""

    def segments(self, asset, start_ns, end_ns):
        rows = []
        for day in range(start_ns // DAY, (end_ns - 1) // DAY + 1):
            cuts = [(0, 6, 2, ""), (6, 10, 0, "early"), (10, 11, 1, "early"), (11, 14, 0, "early"),
                    (14, 18, 0, "late"), (18, 19, 1, "late"), (19, 22, 0, "late"), (22, 24, 2, "")]  # fmt: skip
            free = [(0, 24, 2, "")]
            for a, b, kind, shift in free if day % 7 == 6 else cuts:
                rows.append((max(day * DAY + a * HOUR, start_ns), min(day * DAY + b * HOUR, end_ns), day, kind, shift))
        rows = [row for row in rows if row[0] < row[1]]
        shifts = tuple(row[4] for row in rows)
        return Segments(
            np.array([row[0] for row in rows], np.int64), end_ns, np.array([row[2] + 719_163 for row in rows], np.int32),
            np.array([row[3] for row in rows], np.uint8), shifts, tuple({"": "", "early": "A", "late": "B"}[s] for s in shifts),
        )  # fmt: skip

    def day_span(self, asset, day):
        return (day - 719_163) * DAY, (day - 719_162) * DAY

    def day_of(self, asset, time_ns):
        return time_ns // DAY + 719_163


FIRST = 7 * 2000 * DAY


@pytest.mark.parametrize(
    ("key", "start_h", "end_h", "per", "expected"),
    [
        ({}, 0, 24, "hour", 14), ({}, 0, 24, "shift", 2), ({}, 0, 24, "day", 1), ({}, 0, 7 * 24, "day", 6),
        ({"shift": "early"}, 0, 72, "shift", 3), ({"shift": "early"}, 0, 72, "day", 1.5), ({"team": "B"}, 0, 24, "hour", 7),
        ({"line": "hall/l1"}, 6, 10, "shift", 4 / 7), ({}, 10, 11, "hour", 0), ({}, 6, 6, "day", 0), ({}, 6 * 24, 7 * 24, "shift", 0),
        ({"day": "2008-05-01"}, 0, 48, "shift", 2), ({"hour": "2008-05-01T09:00:00Z"}, 0, 48, "hour", 1),
        ({"order": "J7"}, 0, 24, "hour", None), ({"product": "cola", "line": "hall/l1"}, 0, 24, "day", None),
    ],
)  # fmt: skip
def test_how_much_planned_time_a_row_is_of(key, start_h, end_h, per, expected):
    assert datetime.fromtimestamp(FIRST // NS_PER_S, UTC).date().isoformat() == "2008-05-01"
    found = spans_of(TwoShifts(), "hall/l1/m", key, FIRST + start_h * HOUR, FIRST + end_h * HOUR, per)
    assert found == (None if expected is None else pytest.approx(expected))


def test_a_target_of_a_count_is_scaled_to_the_time_that_is_looked_at_and_refused_without_its_span(tmp_path):
    engine = open_records(tmp_path / "records.sqlite")
    store.metadata.create_all(engine)
    clock = ManualClock(FIRST + 38 * HOUR)  # the second day, at the end of the early shift
    known = plant()
    room = KpiRoom(engine, lambda: known, clock, TwoShifts())
    for target in (Target(300), Target(300, "week")):
        with pytest.raises(ConfigError, match=r"say per what \(hour, shift, day\)"):
            room.set_targets("good", {"": target}, 0, "Ann")
    room.set_targets("good", {"": Target(300, "shift"), "hall/l2": Target(30, "hour")}, 0, "Ann")
    room.set_targets("stops", {"": Target(4, "day")}, 0, "Ann")
    rows = asyncio.run(
        room.values(
            Production(facts("hall/l1", 6, 2, 900, 0), facts("hall/l2", 6, 2, 629, 0)), ["good", "stops"], "", FIRST,
            FIRST + 7 * DAY, ("line",),
        )
    )  # fmt: skip
    told = [[(v.target, v.met, v.per, v.each) for v in row.values.values()] for row in rows]
    stops = (pytest.approx(6), True, "day", 4)  # a day and a half are over
    assert told == [
        [(pytest.approx(900), True, "shift", 300), stops],
        [(pytest.approx(630), False, "hour", 30), stops],
    ]
    by_order = replace(facts("hall/l1", 6, 2, 900, 0), key={"order": "J7"})
    (row,) = asyncio.run(room.values(Production(by_order), ["good"], "", FIRST, FIRST + DAY, ("order",)))
    assert (row.values["good"].target, row.values["good"].met) == (None, None)
    engine.dispose()


def test_what_grows_with_time_is_known_of_every_formula(room):
    for name, formula in (("lost", "planned_time - ideal_good_time"), ("share", "100 * good / total"), ("more", "2 * lost + stops * 60 s"), ("mixed", "good / total + good")):  # fmt: skip
        unit = {"lost": "h", "more": "h", "share": "%"}.get(name, "")
        room.put(own(name, formula, unit), "", 0, "Ann")
    told = {name: entry.sum for name, entry in room.catalogue().items()}
    assert {name for name, is_sum in told.items() if is_sum} == {
        "downtime", "downtime_cost", "labour_cost", "material_cost", "order_cost", "good", "reject", "stops",
        "minor_stops", "lost", "more",
    }  # fmt: skip


def test_every_element_has_a_value_and_every_formula_in_words_names_elements():
    sums = facts("hall/l1", 6, 2, 600, 40)
    assert elements(sums, figures(sums)).keys() == ELEMENTS.keys()
    for kpi in STANDARD:
        if not kpi.figure:
            assert compile_expression(kpi.formula).names <= {*ELEMENTS, *(k.name for k in STANDARD)}


def test_a_formula_of_another_build_does_not_take_the_others_down(room):
    with room._engine.begin() as connection:
        store.keep(connection, store.Row("old", "Old", "gone / 2", "", "up", rev=1), 0)
    (one,) = values(room, ["oee"], facts("hall/l1", 6, 2, 600, 40))
    assert one["oee"] is not None
    (row,) = asyncio.run(room.values(Production(facts("x", 1, 0, 1, 0)), ["old"], "", 0, 1, ("line",)))
    assert "there is no tag gone" in row.values["old"].why
    room.remove("old", 1)


@pytest.mark.parametrize(
    ("formula", "grows"),
    [
        ("planned_time - ideal_good_time", 1),
        ("0.35 * reject", 1),
        ("max(0, planned_time - run_time)", 1),
        ("-good + total", 1),
        ("reject * (100 - oee) / 100", 1),
        ("run_time if good > 5 else planned_time", 1),
        ("100 * good / total", 0),
        ("100 - oee", 0),
        ("cost / (planned_time / 3600)", 0),
        ("sqrt(good / total)", 0),
        ("good * reject", 2),
        ("planned_time - 3600", None),
        ("sqrt(good)", None),
        ("good if oee > 50 else oee", None),
    ],
)
def test_what_grows_with_time_is_told_by_its_form(formula, grows):
    names = {name: Symbol("number") for name in (*ELEMENTS, "oee")}
    assert degree(compile_expression(formula, names), lambda name: int(name != "oee")) == grows


@pytest.mark.parametrize(
    ("formula", "told"),
    [
        ("1 / 0", "gives no number"), ("sqrt(0 - 1)", "gives no number"), ("0 / 0", "gives no number"),
        ("good / 0", "column 6: it divides by nothing"), ("good / (2 - 2)", "it divides by nothing"),
        ("good + total / (3 * 0)", "it divides by nothing"),
    ],
)  # fmt: skip
def test_a_formula_that_never_has_a_value_is_refused_with_the_reason(room, formula, told):
    with pytest.raises(ConfigError, match=told):
        room.put(own("nonsense", formula), "", 0, "Ann")
    assert "nonsense" not in room.catalogue()


def test_a_constant_is_one_that_others_read(room):
    room.put(own("price", "0.35"), "", 0, "Ann")
    room.put(own("scrap_value", "price * reject"), "", 0, "Ann")
    (row,) = asyncio.run(
        room.values(Production(facts("x", 1, 0, 1, 20)), ["price", "scrap_value"], "", 0, 1, ("line",))
    )
    assert (row.values["price"].value, row.values["scrap_value"].value) == (0.35, pytest.approx(7.0))
