"""What the plant file says about writing and tripping: what reaches the edge, and what is refused with its line."""

from __future__ import annotations

import pytest

from isthmus.namespace.compiled import Compiled
from isthmus.values.errors import Findings
from isthmus.values.model import TRIP_STATES, EdgeModel
from isthmus.values.sample import ValueType

HEAD = """\
plant: {enterprise: acme, site: lyon}
connections:
  plc1: {driver: modbus-tcp, host: 127.0.0.1, port: 5020, edge: edge-1, zone: line1, access: read-write}
  plc2: {driver: modbus-tcp, host: 127.0.0.1, port: 5021, edge: edge-2, access: read-write}
  plc3: {driver: modbus-tcp, host: 127.0.0.1, port: 5022, edge: edge-1}
"""
TYPES = """\
types:
  base:
    local: hand
    tags:
      hand: {kind: switch}
  filler:
    extends: base
    tags:
      state: {map: {0: Off, 1: On, 2: Aborted}}
      guard: {kind: switch, every: 5 s}
      speed: {unit: 1/min, range: [0, 160]}
      text: {kind: text}
      target: {unit: 1/min, range: [0, 140], %s}
"""
ASSETS = """\
assets:
  hall/filler:
    type: filler
    source: plc1
    at: {state: hr 0, guard: co 0, hand: co 1, speed: hr 2 float32, target: hr 4 float32, text: hr 10 string4}
  hall/other:
    source: plc2
    tags:
      level: {at: hr 0, unit: "%%"}
      valve: {at: co 3, kind: switch, write: operator}
"""
FULL = (
    "write: {role: operator, interlock: guard and state != Aborted, step: 20, rate: 60/min, second_person: true, reason: true, "
    "safe_direction: down, read_back: speed, tolerance: 0.5, within: 2 s, hold: {lease: 30 s, safe: 10}, guarded: false}"
)


def plant(write: str = FULL, more: str = "", head: str = HEAD) -> str:
    return head + TYPES % write + ASSETS.replace("%%", "%") + more


@pytest.mark.mission("M34", "M84")
def test_a_point_reaches_its_edge_with_everything_resolved(namespace) -> None:
    namespace.apply(plant(), 0, "ann", "first")
    now = namespace.current()
    ids = {t.path: t.id for t in now.tags}
    point = next(p for p in now.points if p.tag == ids["hall/filler/target"])
    assert namespace.edge_model("edge-1").points == (point,)
    assert (point.role, point.zone, point.low, point.high) == ("operator", "line1", 0, 140)
    assert point.interlock == "guard != 0 and state != 2"
    assert point.local == "hand != 0"
    assert point.inputs == {name: ids[f"hall/filler/{name}"] for name in ("guard", "state", "hand")}
    assert (point.step, point.rate_s, point.direction) == (20, 1.0, -1)
    assert (point.second_person, point.needs_reason, point.guarded) == (True, True, False)
    assert (point.read_back, point.tolerance, point.within_s) == (ids["hall/filler/speed"], 0.5, 2)
    assert (point.hold_s, point.safe, point.lockout) == (30, 10, "")
    assert point.fresh_s == 15  # three periods of the slowest input
    (valve,) = namespace.edge_model("edge-2").points
    assert (valve.low, valve.high, valve.zone, valve.read_back, valve.fresh_s) == (0, 1, "site", valve.tag, 3)
    compiled = namespace.compiled()
    assert Compiled.from_parts(compiled.to_parts()).plant == compiled.plant
    model = namespace.edge_model("edge-1")
    assert EdgeModel.from_bytes(model.to_bytes()) == model


def test_states_bound_what_may_be_written_and_a_bare_role_is_enough(namespace) -> None:
    more = "    tags: {state: {write: operator}, text: {write: {role: engineer}}}\n"
    text = plant().replace("text: hr 10 string4}\n", "text: hr 10 string4}\n" + more, 1)
    namespace.apply(text, 0, "ann", "first")
    points = {namespace.current().by_id[p.tag].name: p for p in namespace.current().points}
    assert (points["state"].low, points["state"].high) == (0, 2)
    assert (points["text"].low, points["text"].high, points["text"].role) == (None, None, "engineer")


def test_locks_of_the_plant_file_go_to_the_edge(namespace) -> None:
    text = plant(more="  hall: {lockout: {who: ann, why: belt change}}\n")
    namespace.apply(text, 0, "ann", "first")
    assert {p.lockout for p in namespace.current().points} == {"ann: belt change"}
    head = HEAD.replace("zone: line1", "zone: line1, lockout: {who: bob, why: cable}")
    version = namespace.apply(plant(head=head), 1, "ann", "second")
    assert [p.lockout for p in namespace.edge_model("edge-1").points] == ["bob: cable"]
    assert version == 2


def test_changes_of_points_are_told_by_a_plan(namespace) -> None:
    namespace.apply(plant(), 0, "ann", "first")
    told = [str(c) for c in namespace.plan(plant(FULL.replace("step: 20", "step: 5"))).changes]
    assert told == ["~ tag hall/filler/target  write (step: 20 → 5)"]
    told = [str(c) for c in namespace.plan(plant().replace("local: hand", "local: not hand")).changes]
    assert told[0] == "~ type base  local: hand → not hand"
    told = [str(c) for c in namespace.plan(plant(more=TRIP)).changes]
    assert told[0].startswith("+ trip overspeed  when ")
    assert not namespace.plan(plant()).warnings


TRIP = """\
trips:
  overspeed:
    at: hall/filler
    when: ["speed > 150", "speed - min(speed, 10 s) > 50", "state == Aborted"]
    need: 2
    delay: 500 ms
    actions: [{set: target, to: 0}]
    test: [{set: target, to: 12.5}]
    message: Too fast
"""


@pytest.mark.mission("M68")
def test_a_trip_reaches_its_edge_and_tells_itself_by_tags(namespace) -> None:
    namespace.apply(plant(more=TRIP), 0, "ann", "first")
    now = namespace.current()
    ids = {t.path: t.id for t in now.tags}
    (trip,) = now.trips
    assert namespace.edge_model("edge-1").trips == (trip,)
    assert namespace.edge_model("edge-2").trips == ()
    assert trip.votes[2] == "state == 2"
    assert trip.inputs["min(speed, 10 s)"] == trip.inputs["speed"] == ids["hall/filler/speed"]
    assert (trip.need, trip.delay_s, trip.on_loss, trip.bound_s, trip.priority) == (2, 0.5, True, 0.1, "critical")
    assert trip.actions == ((ids["hall/filler/target"], 0.0),)
    assert trip.test == ((ids["hall/filler/target"], 12.5),)
    state = now.by_path["trips/overspeed/state"]
    assert (state.id, state.type, state.states, state.edge, state.kind) == (
        trip.state,
        ValueType.INT,
        TRIP_STATES,
        "edge-1",
        "system",
    )
    assert now.by_path["trips/overspeed/cause"].id == trip.cause
    assert [(a.path, a.level) for a in now.assets if a.path.startswith("trips")] == [
        ("trips", "area"),
        ("trips/overspeed", "asset"),
    ]
    assert "trips/overspeed/state" not in namespace.edge_model("edge-1").tags.path
    model = namespace.edge_model("edge-1")
    assert EdgeModel.from_bytes(model.to_bytes()) == model
    compiled = namespace.compiled()
    assert Compiled.from_parts(compiled.to_parts()).plant == compiled.plant
    assert not [row for row in namespace.tag_list().rows if str(row[0]).startswith("trips")]


def test_a_trip_needs_no_asset_and_may_write_states_and_switches(namespace) -> None:
    trip = "trips: {high: {when: '{hall/other/level} > 90', on_loss: ignore, actions: [{set: hall/other/valve, to: false}]}}\n"
    namespace.apply(plant(more=trip), 0, "ann", "first")
    (found,) = namespace.edge_model("edge-2").trips
    assert (found.asset, found.votes, found.on_loss) == ("", ("{hall/other/level} > 90",), False)
    assert [value for _, value in found.actions] == [0]


def test_a_trip_touches_the_zones_of_what_it_reads_and_writes(namespace) -> None:
    rule = 'change_control: {line1: {reason: required}, "*": {reason: required}}\n'
    text = plant(more=rule)
    namespace.apply(text, 0, "ann", "first")
    assert namespace.plan(text + TRIP).demands.zones == ("line1",)


WRONG_WRITES = {
    "write: {role: operator, interlock: gaurd}": "there is no tag gaurd",
    "write: {role: operator, interlock: speed + 1}": "must be true or false",
    "write: {role: operator, interlock: 'speed >'}": "column",
    'write: {role: operator, interlock: "{hall/other/level} > 1"}': "looks at tags of one edge only",
    "write: {role: operator, read_back: nothing}": "names no tag beside it",
    "write: {role: operator, read_back: state}": "cannot show what",
    "write: {role: operator, read_back: hall/other/level}": "is not read from connection plc1",
    "write: {role: operator, hold: {lease: 30 s, safe: 200}}": "lies outside 0 … 140",
    "write: {role: operator, hold: {lease: 100 ms, safe: 0}}": "must lie between 1 s and 1 d",
    "write: {role: operator, range: [9, 1]}": "low must be below high",
    "write: {role: operator, step: 0}": "must be more than 0",
    "write: {role: operator, tolerance: -1}": "may not be negative",
    "write: {role: operator, within: 10 min}": "must lie between 100 ms and 1 min",
    "write: {role: operator, fresh: 2 h}": "must lie between 100 ms and 1 h",
    "write: {role: operator, rate: fast}": "must be a rate",
    "write: {role: operator, interlok: guard}": "did you mean interlock",
    "write: {role: operator}, formula: speed * 2, at: null": "a calculated tag cannot be written",
    "write: {role: operator}, sis: true": "is never written",
}


@pytest.mark.parametrize("write", WRONG_WRITES)
def test_a_write_that_cannot_be_kept_is_refused_at_plan(namespace, write: str) -> None:
    text = plant(write)
    if "formula" in write:
        text = plant(write.replace(", at: null", "")).replace(", target: hr 4 float32", "")
    with pytest.raises(Findings) as told:
        namespace.plan(text)
    found = [f for f in told.value.findings if WRONG_WRITES[write] in f.problem]
    assert found, told.value
    assert found[0].line == next(i for i, line in enumerate(text.splitlines(), 1) if " target: {" in line)


def test_what_kind_a_tag_is_bounds_what_its_write_may_say(namespace) -> None:
    more = """\
    tags:
      text: {write: {role: operator, step: 1, range: [0, 1]}}
      state: {write: {role: operator, hold: {lease: 10 s, safe: 1.5}}}
"""
    text = plant().replace("text: hr 10 string4}\n", "text: hr 10 string4}\n" + more, 1)
    with pytest.raises(Findings) as told:
        namespace.plan(text)
    assert {f.problem for f in told.value.findings} == {
        "a text has no range",
        "a text has no step",
        "this tag is a whole number",
    }


def test_a_read_only_connection_and_places_of_a_safety_system(namespace) -> None:
    text = plant(
        more="""\
  hall/third:
    source: plc3
    tags:
      a: {at: hr 0, write: operator}
  hall/sis:
    source: plc1
    tags:
      stop: {at: hr 20, sis: true}
      same: {at: hr 20, write: operator}
      own: {at: hr 21}
"""
    )
    with pytest.raises(Findings) as told:
        namespace.plan(text)
    problems = [(f.path, f.problem) for f in told.value.findings]
    assert problems[0][0] == "assets.hall/third.tags.a.write"
    assert "plc3 is read-only; say access: read-write" in problems[0][1]
    assert problems[1] == (
        "assets.hall/sis.tags.same.write",
        "it is at the place of hall/sis/stop, which is `sis` and is never written",
    )
    assert len(problems) == 2


def test_a_wrong_local_is_told_where_it_stands(namespace) -> None:
    with pytest.raises(Findings) as told:
        namespace.plan(plant().replace("local: hand", "local: hnad"))
    assert [f.path for f in told.value.findings] == ["types.base.local"]
    with pytest.raises(Findings) as told:
        namespace.plan(plant().replace("    source: plc1\n", "    source: plc1\n    local: '{hall/other/valve}'\n", 1))
    (only,) = told.value.findings
    assert (only.path, "one edge only" in only.problem) == ("assets.hall/filler.local", True)


WRONG_TRIPS = {
    "{when: speed > 1}": ("when", "there is no tag speed"),
    "{at: hall/filler, when: speed > 1, need: 2}": ("need", "must lie between 1 and the number"),
    "{at: hall/filler, when: [speed > 1, '{hall/other/level} > 1']}": ("when.1", "one edge only"),
    "{at: hall/filler, when: speed}": ("when", "must be true or false"),
    "{at: hall/filler, when: 1 > 0}": ("when", "reads no tag"),
    "{at: hall/filler, when: 'mean(speed, 10 s) > 1'}": ("when", "first, last, min, max"),
    "{at: hall/filler, when: 'min(speed, 10 min) > 1'}": ("when", "300 s at most"),
    "{at: hall/nowhere, when: speed > 1}": ("at", "no asset of this file"),
    "{at: hall/filler, when: speed > 1, actions: [{set: traget, to: 1}]}": ("actions.0.set", "did you mean target"),
    "{at: hall/filler, when: speed > 1, actions: [{set: speed, to: 1}]}": ("actions.0.set", "does not say `write`"),
    "{at: hall/filler, when: speed > 1, actions: [{set: target, to: 141}]}": ("actions.0.to", "lies outside"),
    "{at: hall/filler, when: speed > 1, actions: [{set: target, to: fast}]}": ("actions.0.to", "no value of"),
    "{at: hall/filler, when: speed > 1, actions: [{set: hall/other/valve, to: 1}]}": (
        "actions.0",
        "belongs to one edge",
    ),
    "{at: hall/filler, when: speed > 1, test: [{set: hall/other/valve, to: 0.5}]}": ("test.0.to", "whole number"),
    "{at: hall/filler, when: speed > 1, delay: 2 h}": ("delay", "must lie between 0 s and 1 h"),
    "{at: hall/filler, when: speed > 1, bound: 1 ms}": ("bound", "must lie between 10 ms"),
    "{at: hall/filler, when: speed > 1, fresh: 1 ms}": ("fresh", "must lie between 100 ms"),
    "{at: hall/filler}": ("", "when is missing"),
}


@pytest.mark.mission("M68")
@pytest.mark.parametrize("trip", WRONG_TRIPS)
def test_a_trip_that_cannot_work_is_refused_at_plan(namespace, trip: str) -> None:
    with pytest.raises(Findings) as told:
        namespace.plan(plant("write: {role: operator}", f"trips:\n  one: {trip}\n"))
    key, problem = WRONG_TRIPS[trip]
    found = [f for f in told.value.findings if problem in f.problem]
    assert found, told.value
    assert found[0].path == ".".join(filter(None, ["trips.one", key]))
    assert found[0].line >= 30


def test_a_trip_writes_no_safety_system_no_text_and_nothing_without_a_place(namespace) -> None:
    more = """\
  hall/more:
    source: plc1
    tags:
      stop: {at: hr 30, sis: true}
      word: {at: hr 40 string8, write: operator}
      mute: {write: operator}
trips:
  one: {at: hall/more, when: "{hall/filler/speed} > 1", actions: [{set: stop, to: 1}, {set: word, to: 1}, {set: mute, to: 1}]}
"""
    with pytest.raises(Findings) as told:
        namespace.plan(plant("write: {role: operator}", more))
    assert [f.problem.split(" ", 1)[1] for f in told.value.findings] == [
        "is `sis` and is never written",
        "is a text; a trip writes numbers and states",
        "has no address, so nothing can be written there",
    ]


def test_paths_of_trips_are_kept_for_them(namespace) -> None:
    with pytest.raises(Findings, match="trips is kept for what trips tell of themselves"):
        namespace.plan(HEAD + "assets:\n  trips/x: {}\n")


def test_a_calculated_input_is_as_slow_as_what_it_is_calculated_from(namespace) -> None:
    more = """\
    tags:
      both: {formula: guard and hand}
      twice: {formula: both and guard}
      level: {at: hr 30, write: {role: operator, interlock: both and twice, range: [1, 9]}}
"""
    text = plant().replace("text: hr 10 string4}\n", "text: hr 10 string4}\n" + more, 1)
    namespace.apply(text, 0, "ann", "first")
    now = namespace.current()
    point = next(p for p in now.points if now.by_id[p.tag].name == "level")
    assert (point.fresh_s, point.low, point.high) == (15, 1, 9)


def test_too_many_trips_are_refused(namespace, monkeypatch) -> None:
    monkeypatch.setattr("isthmus.namespace.points.MAX_TRIPS", 0)
    with pytest.raises(Findings, match="more than 0 trips"):
        namespace.plan(plant(more=TRIP))
