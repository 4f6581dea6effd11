"""Calendars, reasons, machines and lines of a plant file, and every mistake in them with its place."""

from __future__ import annotations

import pytest

from isthmus.namespace.compiled import Compiled
from isthmus.namespace.model import Machine
from isthmus.values.errors import Findings

pytestmark = pytest.mark.mission("M30", "M50")

HEAD = "plant: {enterprise: acme, site: lyon, timezone: Europe/Paris, currency: EUR}\n"
CALENDAR = """\
calendars:
  hall:
    day_start: "06:00"
    first_week: 2026-01-05
    shifts:
      early: {days: mon-fri, from: "06:00", to: "14:00", breaks: [{from: "10:00", to: "10:15", name: tea}], crews: [A, B], turn: 2 weeks}
      night: {days: sun-thu, from: "22:00", to: "06:00", breaks: [{from: "02:00", to: "02:30"}]}
    holidays: {2026-12-25: Christmas}
    planned: {cleaning: {days: fri, from: "13:00", to: "14:00", last: 2026-06-30}}
"""
REASONS = """\
reasons:
  mechanical: {time: ADET, reasons: {jam: Bottle jam, drive: {text: Drive, loss: minor_stop}}}
  planned: {planned: true, reasons: {cleaning: Cleaning}}
  change: {loss: setup, reasons: {size: Other bottle}}
  scrap: {kind: scrap, reasons: {dent: Dent}}
"""
TYPES = """\
types:
  filler:
    tags:
      state: {kind: state, map: packml}
      good: {kind: counter}
      reject: {kind: counter}
      speed: {unit: 1/min}
      kwh: {kind: counter, unit: kWh}
      amps: {unit: A}
      name: {kind: text}
    production: {state: state, classes: {Suspended: blocked, 11: setup}, good: good, reject: reject, modulo: 65536, ideal_rate: 90.5/min, speed: speed, energy: [kwh], cost: 600/h, micro_stop: 1 min, stale_after: 30 s, product: name}
"""
ASSETS = """\
assets:
  hall/line1/filler: {type: filler}
  hall/line1/capper: {type: filler, production: {rules: {running: "speed > 5", idle: "speed > 0"}, ideal_rate: 2/s}}
  hall/line2/press: {type: filler, production: {pulse: {tag: amps, on: 2.5, idle_after: 10 s, stopped_after: 1 min}}}
"""
LINES = """\
lines:
  hall/line1: {machines: [filler, hall/line1/capper], constraint: filler, buffers: [30 s], cost: 42/min}
"""
WHOLE = HEAD + CALENDAR + REASONS + TYPES + ASSETS + LINES


@pytest.fixture
def plant(namespace):
    namespace.apply(WHOLE, 0, "ann", "first")
    return namespace.current()


def machine(plant, path: str) -> Machine:
    return next(m for m in plant.machines if m.asset == path)


def test_calendars_are_told_in_minutes(plant):
    (calendar,) = plant.calendars
    early, night = calendar.shifts
    assert (calendar.path, calendar.day_start_min, calendar.first_week) == ("hall", 360, "2026-01-05")
    assert (early.days, early.start_min, early.end_min, early.breaks) == (
        (0, 1, 2, 3, 4),
        360,
        840,
        ((600, 615, "tea"),),
    )
    assert (early.crews, early.turn_weeks) == (("A", "B"), 2)
    assert (night.days, night.start_min, night.end_min) == ((0, 1, 2, 3, 6), 1320, 1800)
    assert night.breaks == ((1560, 1590, "break"),)
    assert calendar.holidays == (("2026-12-25", "Christmas"),)
    assert (calendar.planned[0].name, calendar.planned[0].days, calendar.planned[0].last) == (
        "cleaning",
        (4,),
        "2026-06-30",
    )


def test_reasons_know_their_loss_and_their_time(plant):
    told = {r.key: (r.text, r.kind, r.planned, r.loss, r.time) for r in plant.reasons}
    assert told == {
        "mechanical/jam": ("Bottle jam", "stop", False, "breakdown", "ADET"),
        "mechanical/drive": ("Drive", "stop", False, "minor_stop", "ADET"),
        "planned/cleaning": ("Cleaning", "stop", True, "", "PDOT"),
        "change/size": ("Other bottle", "stop", False, "setup", "AUST"),
        "scrap/dent": ("Dent", "scrap", False, "production_reject", ""),
    }
    assert plant.currency == "EUR"


def test_machines_have_ids_classes_and_exact_rates(plant):
    filler = machine(plant, "hall/line1/filler")
    ids = {name: plant.by_path[f"hall/line1/filler/{name}"].id for name in ("state", "good", "kwh", "name")}
    assert (filler.state, filler.good, filler.energy, filler.product) == (
        ids["state"],
        ids["good"],
        (ids["kwh"],),
        ids["name"],
    )
    assert (filler.line, filler.place, filler.modulo, filler.micro_stop_s, filler.stale_after_s) == (
        "hall/line1",
        0,
        65536,
        60,
        30,
    )
    assert {n: filler.classes[n] for n in (2, 5, 6, 11, 13)} == {
        2: "stopped", 5: "blocked", 6: "running", 11: "setup", 13: "starved",
    }  # fmt: skip
    assert filler.ideal_count * 60_000_000_000 * 10 == filler.ideal_per_ns * 905  # 90.5 a minute, to the last digit
    assert filler.cost_per_min == 10
    capper = machine(plant, "hall/line1/capper")
    assert (capper.state, capper.classes, capper.place) == (0, {}, 1)
    assert capper.rules == (("running", "speed > 5"), ("idle", "speed > 0"))
    assert capper.inputs == {"speed": plant.by_path["hall/line1/capper/speed"].id}
    assert (capper.ideal_count, capper.ideal_per_ns, capper.modulo) == (1, 500_000_000, 65536)
    press = machine(plant, "hall/line2/press")
    assert (press.pulse, press.pulse_on, press.idle_after_s, press.stopped_after_s) == (
        plant.by_path["hall/line2/press/amps"].id, 2.5, 10, 60,
    )  # fmt: skip


def test_lines_as_declared_and_as_their_level_says(plant):
    declared, found = plant.lines
    assert declared.machines == ("hall/line1/filler", "hall/line1/capper")
    assert (declared.constraint, declared.counts_at) == ("hall/line1/filler", "hall/line1/filler")
    assert (declared.buffers, declared.cost_per_min) == ((30.0,), 42)
    assert (found.path, found.machines, found.constraint) == ("hall/line2", ("hall/line2/press",), "")
    assert machine(plant, "hall/line2/press").line == "hall/line2"


def test_the_compiled_form_brings_all_of_it_back(namespace, plant):
    parts = Compiled(plant, {}, [{}], [0] * len(plant.tags), {}).to_parts()
    again = Compiled.from_parts({**parts, **{e: namespace.edge_model(e).to_bytes() for e in plant.edges}}).plant
    for part in ("calendars", "reasons", "machines", "lines", "currency"):
        assert getattr(again, part) == getattr(plant, part)


def test_a_plan_tells_what_changes(namespace, plant):
    text = (
        WHOLE.replace('to: "14:00", breaks', 'to: "13:30", breaks')
        .replace("Bottle jam", "Jam")
        .replace("42/min", "43/min")
    )
    told = [str(change) for change in namespace.plan(text).changes]
    assert any(line.startswith("~ calendar hall  shifts") for line in told)
    assert any(line.startswith("~ reasons mechanical") for line in told)
    assert "~ line hall/line1  cost: 42/min → 43/min" in told


def test_a_warning_for_what_is_counted_as_unknown(namespace):
    text = WHOLE.replace("map: packml", "map: {0: Off, 1: Running, 7: Odd}").replace(
        "{Suspended: blocked, 11: setup}", "{}"
    )
    found = [str(w) for w in namespace.plan(text).warnings]
    assert sum("7 Odd: told no class, so counted as unknown" in w for w in found) == 1  # once a type
    mute = HEAD + "types: {m: {tags: {g: {kind: counter}}, production: {good: g}}}\nassets: {a/b: {type: m}}\n"
    assert any("all its time is unknown" in str(w) for w in namespace.plan(mute).warnings)
    poor = WHOLE.replace(", currency: EUR", "")
    assert any("a cost without a currency" in str(w) for w in namespace.plan(poor).warnings)
    found = [str(w) for w in namespace.plan(WHOLE).warnings]
    assert any("stale_after: a state that stands is sent again every 600 s" in w for w in found)
    often = WHOLE.replace("stale_after: 30 s", "stale_after: 20 min")
    assert not any("stale_after" in str(w) for w in namespace.plan(often).warnings)


BAD = {
    "overlapping shifts": ('from: "22:00", to: "06:00"', 'from: "13:00", to: "06:00"',
        ["plant.yaml:8:7", "calendars.hall.shifts.night", "overlaps with calendars.hall.shifts.early (line 7)", "mon 13:00-14:00"]),
    "overlap over the end of the week": ('days: sun-thu, from: "22:00", to: "06:00"', 'days: sun, from: "22:00", to: "06:01"',
        ["calendars.hall.shifts.night: overlaps", "mon 06:00-06:01"]),
    "a calendar nowhere": ("calendars:\n  hall:", "calendars:\n  hal:", ["plant.yaml:3:3", "no asset, line or area", "did you mean hall?", "was hal"]),
    "no time": ('from: "06:00"', 'from: "6 am"', ["shifts.early.from: must be a time of the day such as 06:00", "was 6 am"]),
    "no day": ("days: mon-fri", "days: montag", ["shifts.early.days: must be days such as mon-fri", "was montag"]),
    "a day twice": ("days: mon-fri", "days: 'mon-fri, wed'", ["shifts.early.days: names a day twice"]),
    "a break outside": ('from: "10:00", to: "10:15"', 'from: "13:50", to: "14:10"',
        ["shifts.early.breaks.0", "lies outside its shift, 06:00-14:00", "was 13:50-14:10"]),
    "breaks on each other": ('[{from: "10:00", to: "10:15", name: tea}]', '[{from: "10:00", to: "10:15"}, {from: "10:10", to: "10:20"}]',
        ["shifts.early.breaks.1", "overlaps with the break 10:00-10:15"]),
    "no monday": ("2026-01-05", "2026-01-06", ["calendars.hall.first_week: must be a Monday", "was 2026-01-06"]),
    "a holiday that is no date": ("2026-12-25:", "25.12.2026:", ["calendars.hall.holidays", "must be a date such as"]),
    "planned backwards": ("last: 2026-06-30", "first: 2026-07-01, last: 2026-06-30", ["planned.cleaning.last: must not lie before first"]),
    "turn of nothing": ("turn: 2 weeks", "turn: 0 weeks", ["shifts.early.turn: must be weeks such as 1 week"]),
    "a negative rate": ("ideal_rate: 90.5/min", "ideal_rate: -90/min", ["production.ideal_rate: must be a rate such as 120/min", "was -90/min"]),
    "an absurd rate": ("ideal_rate: 90.5/min", "ideal_rate: 90000/s", ["production.ideal_rate: no machine makes that", "was 90000/s"]),
    "a rate of nothing": ("ideal_rate: 90.5/min", "ideal_rate: 0.0/min", ["more than nothing", "was 0.0/min"]),
    "a negative cost": ("cost: 600/h", "cost: -600/h", ["production.cost: must be a cost such as 42/min", "was -600/h"]),
    "no currency": ("currency: EUR", "currency: euros", ["plant.currency: must be a currency of ISO 4217", "was euros"]),
    "an unknown tag": ("good: good", "good: goood", ["types.filler.production.good: the type has no such tag; did you mean good?", "was goood"]),
    "an unknown tag of a list": ("energy: [kwh]", "energy: [kw]", ["types.filler.production.energy.0: the type has no such tag"]),
    "an unknown tag of an asset": ("{pulse: {tag: amps,", "{pulse: {tag: ampere,", ["assets.hall/line2/press.production.pulse.tag: the asset has no such tag"]),
    "a text that counts": ("reject: reject", "reject: name", ["production.reject: must be a counter; this is a tag of kind text"]),
    "a speed that is a state": ("speed: speed,", "speed: state,", ["production.speed: must be a number"]),
    "a state with decimals": ("{state: state,", "{state: amps,", ["production.state: a state is told by whole numbers"]),
    "a current without a limit": ("tag: amps, on: 2.5", "tag: amps", ["production.pulse.tag: a value needs on"]),
    "a counter with a limit": ("tag: amps, on: 2.5", "tag: good, on: 2.5", ["production.pulse.on: a counter tells its pieces itself"]),
    "stopped before idle": ("stopped_after: 1 min", "stopped_after: 5 s", ["production.pulse.stopped_after: must not be shorter than idle_after"]),
    "an unknown state": ("Suspended: blocked", "Suspnded: blocked", ["production.classes.Suspnded", "did you mean Suspended?"]),
    "a number no state has": ("11: setup", "99: setup", ["production.classes.99: the state has no such number or name"]),
    "an unknown class": ("11: setup", "11: setting", ["production.classes.11", "must be one of running, idle", "was setting"]),
    "two ways to tell the state": ("production: {rules: {", "production: {state: state, rules: {", ["production.rules: its state is told by state already"]),
    "a rule over nothing": ('running: "speed > 5"', 'running: "sped > 5"', ["plant.yaml:29:", "production.rules.running", "there is no tag sped"]),
    "a rule that is a number": ('running: "speed > 5"', 'running: "speed + 5"', ["production.rules.running: must be true or false"]),
    "energy of two units": ("assets:\n", "assets:\n  hall/line3/oven: {type: filler, tags: {kwh: {unit: MWh}}}\n", ["counts in MWh; energy of a plant has one unit"]),
    "a roll-over of one": ("modulo: 65536", "modulo: 1", ["production.modulo: must be 0, or the number"]),
    "an unknown machine": ("machines: [filler,", "machines: [fillr,", ["lines.hall/line1.machines.0: no such machine; did you mean filler?", "was fillr"]),
    "a machine twice": ("machines: [filler,", "machines: [filler, filler,", ["lines.hall/line1.machines.1: stands in this line twice"]),
    "a machine in two lines": ("lines:\n", "lines:\n  hall: {machines: [line1/filler]}\n", ["hall/line1/filler stands in hall already"]),
    "an unknown constraint": ("constraint: filler", "constraint: labeller", ["lines.hall/line1.constraint: no machine of this line", "was labeller"]),
    "too many buffers": ("buffers: [30 s]", "buffers: [30 s, 20 s]", ["lines.hall/line1.buffers: there are 1 gaps between 2 machines"]),
    "a line nowhere": ("hall/line1: {machines", "hall/line9: {machines", ["lines.hall/line9: no line or asset of this file is there"]),
    "planned and a loss": ("planned: {planned: true,", "planned: {planned: true, loss: setup,", ["reasons.planned.loss: what is planned is no loss"]),
    "scrap that takes time": ("{kind: scrap,", "{kind: scrap, time: ADOT,", ["reasons.scrap.time: only a stop takes time"]),
    "an unknown loss": ("loss: setup", "loss: set-up", ["reasons.change.loss: must be one of breakdown", "did you mean setup?"]),
    "reasons nobody can tell apart": ("text: Drive", "text: Bottle jam", ["reasons.mechanical.reasons.drive: reads as jam does"]),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_a_mistake_names_its_place(namespace, case):
    before, after, parts = BAD[case]
    assert WHOLE.count(before) >= 1
    with pytest.raises(Findings) as caught:
        namespace.plan(WHOLE.replace(before, after, 1))
    told = str(caught.value)
    for part in parts:
        assert part in told
    assert namespace.current().version == 0


def test_an_asset_says_only_what_differs_from_its_type(namespace):
    text = HEAD + TYPES + (
        "  fast: {extends: filler, production: {ideal_rate: 4/s, classes: {Held: stopped}}}\n"
        "assets:\n  a/b: {type: fast, production: {cost: 1/min}}\n  a/c: {type: fast}\n"
    )  # fmt: skip
    namespace.apply(text, 0, "ann", "first")
    one, other = namespace.current().machines
    assert (one.cost_per_min, other.cost_per_min, one.ideal_per_ns, one.modulo) == (1, 10, 250_000_000, 65536)
    assert (one.classes[11], one.classes[5], other.classes[11]) == ("stopped", "blocked", "stopped")
    asset = next(a for a in namespace.current().assets if a.path == "a/b")
    assert (asset.production["state"], asset.production["ideal_rate_per_s"]) == ("a/b/state", 4)
