"""Plan, apply, export, versions, restore; ids stay with their tags for ever."""

from __future__ import annotations

import threading

import pytest

from isthmus.namespace import store
from isthmus.namespace.compile import endpoint
from isthmus.namespace.model import EMPTY
from isthmus.namespace.plan import Ids, assign
from isthmus.namespace.plantfile import named_files
from isthmus.namespace.service import Namespace, StaleBase
from isthmus.values.errors import ConfigError, Findings
from isthmus.values.model import SYSTEM_TAGS, EdgeModel
from isthmus.values.sample import ValueType

PLANT = "plant: {enterprise: acme, site: lyon}\nconnections:\n  plc1: {driver: modbus-tcp, host: 10.0.0.1}\n"


def plant(*lines: str) -> str:
    return PLANT + "assets:\n" + "".join(f"  {line}\n" for line in lines)


def told(changes) -> list[str]:
    return [str(c) for c in changes]


def ids(namespace) -> dict[str, int]:
    return {t.path: t.id for t in namespace.current().tags if t.kind != "system"}


@pytest.mark.mission("M30")
def test_the_example_plant_applies_as_it_is(namespace, example):
    assert namespace.current() is EMPTY
    plan = namespace.plan(example)
    assert told(plan.changes) == [
        "+ plant lyon",
        "+ history standard  days 400",
        "+ connection plc1  driver modbus-tcp",
        "+ type filler",
        "+ asset packaging/line1/filler  type filler, 6 tags",
    ]
    assert namespace.apply(example, plan.base, "ann", "first") == 1
    now = namespace.current()
    assert (now.version, now.enterprise, now.site, now.timezone) == (1, "acme", "lyon", "Europe/Paris")
    assert [(a.path, a.level) for a in now.assets] == [
        ("", "site"),
        ("packaging", "area"),
        ("packaging/line1", "line"),
        ("packaging/line1/filler", "asset"),
        ("connections", "connection"),
        ("connections/plc1", "connection"),
    ]
    filler = now.assets[3]
    assert (filler.type, filler.parent, filler.order) == ("filler", "packaging/line1", 3)
    assert filler.production == {
        "state": "packaging/line1/filler/state",
        "good": "packaging/line1/filler/good",
        "reject": "packaging/line1/filler/reject",
        "ideal_rate": "120/min",
        "ideal_rate_per_s": 2.0,
    }
    state = now.by_path["packaging/line1/filler/state"]
    assert (state.kind, state.type, state.states[6]) == ("state", ValueType.INT, "Execute")
    speed = now.by_path["packaging/line1/filler/speed"]
    assert (speed.unit, speed.low, speed.high, speed.decimals) == ("1/min", 0, 160, 1)
    assert speed.limits == {"high": 140, "high_high": 150}
    assert (speed.connection, speed.address, speed.edge, speed.period_s) == ("plc1", "hr 2 float32", "edge-1", 1.0)
    assert now.by_id[speed.id] is speed
    assert {t.name for t in now.tags if t.asset == "connections/plc1"} == set(SYSTEM_TAGS)
    (connection,) = now.connections
    assert (connection.endpoint, connection.access, connection.tags) == ("127.0.0.1:5020", "read-write", 3)
    assert list(now.by_path) == sorted(now.by_path)


def test_sections_whose_room_is_not_there_are_told_once(namespace, example):
    later = [w for w in namespace.plan(example).warnings if "not active" in w.problem]
    assert [(w.line, w.problem.split(": ")[1].split(" ")[0]) for w in later] == [
        (15, "maintenance"),
    ]
    mute = [w.path for w in namespace.plan(example).warnings if "never be a value" in w.problem]
    assert mute == ["types.filler.tags.reject", "types.filler.tags.target"]


def test_the_edge_model_has_what_the_edge_needs(namespace, example):
    namespace.apply(example, 0, "ann", "first")
    model = namespace.edge_model("edge-1")
    now = namespace.current()
    rows = dict(zip(model.tags.path, range(len(model.tags)), strict=True))
    assert list(rows) == [f"packaging/line1/filler/{name}" for name in ("good", "speed", "state", "yield")]
    speed = rows["packaging/line1/filler/speed"]
    assert model.tags.address[speed] == "hr 2 float32"
    assert (model.tags.low[speed], model.tags.high[speed], model.tags.deadband[speed]) == (0, 160, 0.5)
    assert (model.tags.max_gap_s[speed], model.tags.resolution_ns[speed]) == (600, 1_000_000)
    (formula,) = model.formulas
    assert formula.expression == "100 * good / (good + reject)"
    names = {name: now.by_id[number].path for name, number in formula.inputs.items()}
    assert names == {"good": "packaging/line1/filler/good", "reject": "packaging/line1/filler/reject"}
    (plc,) = model.connections
    assert plc.config == {"host": "127.0.0.1", "port": 5020}
    assert {now.by_id[i].path for i in plc.system.values()} == {f"connections/plc1/{name}" for name in SYSTEM_TAGS}
    assert EdgeModel.from_bytes(model.to_bytes()) == model
    assert namespace.edge_model("edge-9") == EdgeModel(1, "acme", "lyon", "edge-9")


def test_settings_of_a_tag_reach_the_edge(namespace):
    text = plant(
        "a/b:",
        "  source: plc1",
        "  with: {base: 100}",
        "  tags:",
        "    scaled: {at: 'hr {base}', scale: {raw: [0, 27648], eu: [0, 100]}, unit: '%', every: 250 ms}",
        "    shifted: {at: 'hr {base+1}', scale: {factor: 0.1, offset: -40}, deadband: 1 %, max_gap: 1 min}",
        "    exact: {at: 'hr {base + 2*3}', resolution: 1 µs, deadband: every, scale: {factor: 1}}",
        "    door: {at: co 5, kind: switch}",
        "    name: {at: hr 300 string8}",
    )
    namespace.apply(text, 0, "ann", "")
    t = namespace.edge_model("edge-1").tags
    row = {path.rpartition("/")[2]: i for i, path in enumerate(t.path)}
    assert [t.address[row[n]] for n in ("scaled", "shifted", "exact")] == ["hr 100", "hr 101", "hr 106"]
    assert t.factor[row["scaled"]] == pytest.approx(100 / 27648)
    assert [t.type[row[n]] for n in ("scaled", "exact", "door", "name")] == ["float", "int", "int", "text"]
    assert (t.factor[row["shifted"]], t.offset[row["shifted"]]) == (0.1, -40)
    assert (t.deadband[row["shifted"]], t.deadband_percent[row["shifted"]]) == (0, 1)
    assert (t.deadband[row["exact"]], t.resolution_ns[row["exact"]]) == (-1, 1000)
    assert (t.period_s[row["scaled"]], t.max_gap_s[row["shifted"]]) == (0.25, 60)
    assert namespace.current().by_path["a/b/name"].kind == "text"


def test_formulas_are_ordered_and_told_in_their_units(namespace):
    text = plant(
        "a/b: {source: plc1, tags: {p: {at: hr 0, unit: bar}, z: {formula: 'if(y, 1, 0)'}, y: {formula: x > 1 bar},"
        " x: {formula: p, unit: mbar}}}",
    )
    namespace.apply(text, 0, "ann", "")
    model, now = namespace.edge_model("edge-1"), namespace.current()
    assert [now.by_id[f.id].name for f in model.formulas] == ["x", "y", "z"]
    assert now.by_path["a/b/y"].kind == "switch"
    assert now.by_path["a/b/y"].type is ValueType.INT
    assert now.by_path["a/b/z"].type is ValueType.FLOAT
    assert "1000" in model.formulas[0].expression


BASE_WITH_STATE = """\
plant: {enterprise: a, site: s, timezone: UTC}
connections: {plc1: {driver: modbus-tcp, host: 127.0.0.1}}
types: {m: {tags: {state: {kind: state, map: packml}, runs: {formula: "state == Execute"}}}}
assets: {hall/m1: {type: m, source: plc1, at: {state: "hr 0"}}}
"""


def test_a_formula_may_compare_a_state_by_its_name(namespace):
    text = BASE_WITH_STATE
    namespace.apply(text, 0, "me", "first")
    (formula,) = namespace.edge_model("edge-1").formulas
    assert formula.expression == "state == 6"


def test_a_formula_runs_at_the_edge_of_its_inputs(namespace):
    text = (
        "plant: {enterprise: a, site: b}\nconnections:\n  x: {driver: modbus-tcp, host: a, edge: north}\n"
        "  y: {driver: modbus-tcp, host: b, edge: south}\nassets:\n  m: {source: x, tags: {p: {at: hr 0}}}\n"
        "  n: {source: y, tags: {q: {at: hr 0}, r: {formula: '{m/p} + 1'}}}\n"
    )
    namespace.apply(text, 0, "ann", "")
    assert namespace.current().by_path["n/r"].edge == "north"
    assert namespace.current().edges == ("north", "south")
    assert [len(namespace.edge_model(e).formulas) for e in ("north", "south")] == [1, 0]


@pytest.mark.mission("M93")
def test_types_extend_and_assets_override(namespace):
    text = (
        PLANT + "types:\n  pump: {tags: {p: {unit: bar, range: [0, 10], alarms: {high: 8, low: 1}}}}\n"
        "  big: {extends: pump, tags: {p: {range: [0, 20]}, t: {unit: °C, at: 'hr {n}'}}}\n"
        "assets:\n  a/p1: {type: big, source: plc1, at: {p: hr 0}, with: {n: 7}, tags: {p: {alarms: {high: 9}}}}\n"
    )
    namespace.apply(text, 0, "ann", "")
    p, t = (namespace.current().by_path[f"a/p1/{name}"] for name in "pt")
    assert (p.unit, p.low, p.high, p.limits) == ("bar", 0, 20, {"high": 9, "low": 1})
    assert (t.unit, t.address) == ("°C", "hr 7")


def test_the_third_pump_is_one_line(namespace):
    pump = "types:\n  pump: {tags: {p: {at: 'hr {n}'}, q: {at: 'hr {n+1}', formula: null}}}\nassets:\n"
    lines = [f"  hall/pump{i}: {{type: pump, source: plc1, with: {{n: {i * 10}}}}}\n" for i in range(3)]
    namespace.apply(PLANT + pump + "".join(lines[:2]), 0, "ann", "")
    changes = namespace.plan(PLANT + pump + "".join(lines)).changes
    assert told(changes) == ["+ asset hall/pump2  type pump, 2 tags"]


@pytest.mark.mission("M86")
def test_export_gives_back_every_byte_and_versions_are_kept(namespace, example, clock):
    first = "\ufeff# a comment\r\n" + example.replace("\n", "\r\n") + "\r\n# the end"
    namespace.apply(first, 0, "ann", "first")
    assert namespace.export() == first
    clock.advance(60)
    second = example.replace("high: 140", "high: 145")
    assert namespace.apply(second, 1, "bob", "less alarms") == 2
    assert [(v.version, v.by, v.reason) for v in namespace.versions()] == [
        (2, "bob", "less alarms"),
        (1, "ann", "first"),
    ]
    assert namespace.versions()[0].applied_ns - namespace.versions()[1].applied_ns == 60_000_000_000
    assert namespace.version(1).text == first
    changed = ["~ tag packaging/line1/filler/speed  alarms (high (limit: 140 → 145))"]
    assert told(namespace.compare(1, 2)) == changed
    assert namespace.restore(1, "ann", "back") == 3
    assert namespace.export() == first
    assert namespace.compare(1, 3) == ()
    assert [c.action for c in namespace.compare(0, 3)] == ["add"] * 5
    with pytest.raises(ConfigError, match="no such version, was 9"):
        namespace.compare(1, 9)
    with pytest.raises(ConfigError, match="no such version, was 9"):
        namespace.restore(9, "ann", "")


def test_a_stale_base_is_refused(namespace, example):
    namespace.apply(example, 0, "ann", "first")
    with pytest.raises(StaleBase, match="version 1, and this was planned on version 0") as caught:
        namespace.apply(example + "# more\n", 0, "bob", "second")
    assert caught.value.code == "stale_base"
    with pytest.raises(StaleBase):
        namespace.plan(example, base=0)
    assert len(namespace.versions()) == 1


def test_of_two_who_apply_at_once_one_is_refused(another, example):
    rooms = [another() for _ in range(2)]
    for room in rooms:
        room.current()
    results: list[object] = []

    def apply(room: Namespace, by: str) -> None:
        try:
            results.append(room.apply(example + f"# {by}\n", 0, by, ""))
        except StaleBase as error:
            results.append(error.current)

    threads = [threading.Thread(target=apply, args=(room, f"b{i}")) for i, room in enumerate(rooms)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [1, 1]
    assert len(rooms[0].versions()) == 1
    for room in rooms:
        room.reload()
    assert rooms[0].export() == rooms[1].export()


@pytest.mark.mission("M86")
@pytest.mark.parametrize("step", ["save_version", "save_ids", "save_compiled"])
@pytest.mark.parametrize("after", [False, True])
def test_apply_that_dies_midway_changes_nothing(namespace, another, engine, example, monkeypatch, step, after):
    namespace.apply(example, 0, "ann", "first")
    before = namespace.compiled()
    real = getattr(store, step)

    def dies(*args):
        if after:
            real(*args)
        raise MemoryError("power is gone")

    monkeypatch.setattr(store, step, dies)
    changed = example.replace("speed:", "velocity:").replace("  reject:", "  rejects:").replace("reject}", "rejects}")
    changed = changed.replace("reject)", "rejects)").replace("reject: reject", "reject: rejects")
    with pytest.raises(MemoryError):
        namespace.apply(changed, 1, "bob", "second")
    monkeypatch.undo()
    other = another()
    for room in (namespace, other):
        assert room.compiled() == before
        assert room.export() == example
        assert len(room.versions()) == 1
    with engine.begin() as connection:
        assert store.load_ids(connection).last == max(t.id for t in before.plant.tags)
    assert namespace.apply(changed, 1, "bob", "again") == 2


def test_a_start_reads_what_was_compiled_without_any_driver(namespace, engine, clock, example):
    namespace.apply(example, 0, "ann", "first")

    def none(name: str):
        raise ConfigError(f"driver: unknown, was {name!r}")

    other = Namespace(engine, clock, none, dict)
    assert other.compiled() == namespace.compiled()
    assert other.edge_model("edge-1") == namespace.edge_model("edge-1")


def test_a_compiled_form_of_another_build_is_compiled_again(namespace, another, engine, example):
    namespace.apply(example, 0, "ann", "first")
    with engine.begin() as connection:
        store.save_compiled(connection, 1, {"": b"of another build"})
    other = another()
    assert other.compiled() == namespace.compiled()


def test_applying_the_same_again_makes_no_version(namespace, example):
    namespace.apply(example, 0, "ann", "first")
    assert namespace.plan(example).changes == ()
    assert namespace.apply(example, 1, "ann", "again") == 1
    assert told(namespace.plan(example + "# hm\n").changes) == ["~ text   comments, order or layout only"]


def test_anchors_and_empty_sections_are_understood(namespace):
    text = (
        PLANT + "types:\n  pump: &p {tags: {t: &t {unit: bar, at: 'hr {n}'}}}\n  motor: *p\n  none:\n"
        "assets:\n  a/p: {type: pump, source: plc1, with: {n: 1}}\n  a/m: {type: motor, source: plc1, with: {n: 2}}\n"
        "  hall:\n  hall/rest: {level: cell}\nhistory:\ntag_files:\nrenamed:\n"
    )
    namespace.apply(text, 0, "ann", "")
    assert [t.unit for t in namespace.current().tags if t.name == "t"] == ["bar", "bar"]
    levels = {a.path: a.level for a in namespace.current().assets}
    assert (levels["a/p"], levels["hall"], levels["hall/rest"]) == ("asset", "area", "cell")


def test_an_address_and_a_formula_take_each_others_place(namespace):
    text = (
        PLANT + "types: {m: {tags: {x: {at: hr 0}, y: {formula: x * 2}}}}\nassets:\n"
        "  a: {type: m, source: plc1, tags: {x: {formula: 1 + 1}, y: {at: hr 9}}}\n"
    )
    namespace.apply(text, 0, "ann", "")
    x, y = (namespace.current().by_path[f"a/{name}"] for name in "xy")
    assert (x.address, x.formula) == ("", "1 + 1")
    assert (y.address, y.formula) == ("hr 9", "")


def test_what_another_process_applied_is_seen_before_applying(namespace, another, example):
    namespace.current()
    another().apply(example, 0, "bob", "")
    with pytest.raises(StaleBase, match="version 1"):
        namespace.apply(example, 0, "ann", "")
    assert namespace.apply(example + "# more\n", 1, "ann", "") == 2


def test_names_stay_as_they_are_written(namespace):
    text = "plant: {enterprise: 010, site: 1e3}\nassets:\n  0x10: {description: 007}\n  a: {tags: {t: {description: on}}}\n"
    namespace.apply(text, 0, "ann", "")
    now = namespace.current()
    assert (now.enterprise, now.site, now.assets[1].path) == ("010", "1e3", "0x10")
    assert now.by_path["a/t"].description == "on"


def test_files_a_plant_names_are_told(namespace):
    text = (
        PLANT
        + "tag_files: [a.csv, {file: sub/b.csv}]\nassets:\n  x: {tags: {file: c.csv}}\n  y: {tags: {file: a.csv}}\n"
    )
    assert named_files(text, "plant.yaml") == ("a.csv", "sub/b.csv", "c.csv")
    with pytest.raises(Findings, match="is empty"):
        named_files("", "plant.yaml")


def test_endpoints_are_told_for_people():
    assert endpoint({"host": "10.0.0.1"}) == "10.0.0.1"
    assert endpoint({"url": "opc.tcp://x:4840", "host": "y"}) == "opc.tcp://x:4840"
    assert endpoint({}) == ""


def test_a_formula_may_read_any_tag_and_a_chain_waits_for_all(namespace):
    text = plant(
        "a/b: {source: plc1, tags: {x: {at: hr 0}, name: {at: hr 5 string2}, on: {at: co 1, kind: switch}}}",
        "a/c:",
        "  tags:",
        "    all: {formula: 'if({a/b/on} and {a/b/name} == \"ok\", y + z, 0)'}",
        "    y: {formula: '{a/b/x} * 2'}",
        "    z: {formula: 'y + {a/b/x}'}",
        "    total: {kind: counter, formula: 'y + z'}",
        '    label: {formula: \'if(y > 1, "hi", "lo")\'}',
    )
    namespace.apply(text, 0, "ann", "")
    now = namespace.current()
    order = [now.by_id[f.id].name for f in namespace.edge_model("edge-1").formulas]
    assert order.index("y") < order.index("z") < order.index("all")
    kinds = {n: (now.by_path[f"a/c/{n}"].kind, str(now.by_path[f"a/c/{n}"].type)) for n in ("all", "total", "label")}
    assert kinds == {"all": ("value", "float"), "total": ("counter", "int"), "label": ("text", "text")}


def test_a_failed_formula_makes_no_second_mistake_of_its_readers(namespace):
    text = plant("a/b: {source: plc1, tags: {x: {formula: nothing + 1}, y: {formula: x * 2}, z: {formula: y * 2}}}")
    with pytest.raises(Findings) as caught:
        namespace.plan(text)
    assert [f.path for f in caught.value.findings] == ["assets.a/b.tags.x.formula"]


def test_ids_end():
    with pytest.raises(ConfigError, match="all tag ids of this site are used up"):
        assign(["a/b"], {}, Ids({}, {}, 2**31 - 1))


def test_an_asset_that_moves_and_changes_is_told_as_both(namespace):
    namespace.apply(plant("a/b: {source: plc1, description: old, tags: {x: {at: hr 0}}}"), 0, "ann", "")
    text = plant("a/c: {source: plc1, was: a/b, description: new, tags: {x: {at: hr 0, description: t}}}")
    assert told(namespace.plan(text).changes) == [
        "> asset a/c  was a/b; 1 tag keep their history",
        "~ asset a/c  description: old → new",
        "~ tag a/c/x  description: none → t",
    ]


# --- ids -------------------------------------------------------------------------------------------------------------


def test_ids_are_never_used_for_another_tag(namespace):
    namespace.apply(plant("a/b: {source: plc1, tags: {x: {at: hr 0}, y: {at: hr 1}}}"), 0, "ann", "")
    first = ids(namespace)
    namespace.apply(plant("a/b: {source: plc1, tags: {x: {at: hr 0}}}"), 1, "ann", "")
    namespace.apply(plant("a/b: {source: plc1, tags: {x: {at: hr 0}, z: {at: hr 1}}}"), 2, "ann", "")
    assert ids(namespace)["a/b/z"] not in first.values()
    namespace.apply(plant("a/b: {source: plc1, tags: {x: {at: hr 0}, y: {at: hr 1}, z: {at: hr 2}}}"), 3, "ann", "")
    assert ids(namespace)["a/b/y"] == first["a/b/y"]


@pytest.mark.parametrize(
    "text",
    [
        plant("a/b: {source: plc1, tags: {v: {at: hr 0}}}") + "renamed: {a/b/x: a/b/v}\n",
        plant("a/b: {source: plc1, tags: {v: {at: hr 0, was: x}}}"),
        plant("a/c: {source: plc1, tags: {v: {at: hr 0}}}") + "renamed: {a/b/x: a/c/v}\n",
        plant("a/c: {source: plc1, tags: {v: {at: hr 0, was: a/b/x}}}"),
        plant("a/c: {source: plc1, was: a/b, tags: {v: {at: hr 0, was: x}}}"),
        plant("q/r/c: {source: plc1, was: a/b, tags: {x: {at: hr 0}}}"),
        plant("q/b: {source: plc1, tags: {x: {at: hr 0}}}") + "renamed: {a: q}\n",
    ],
)
def test_a_renamed_tag_keeps_its_id(namespace, text):
    namespace.apply(plant("a/b: {source: plc1, tags: {x: {at: hr 0}}}"), 0, "ann", "")
    before = ids(namespace)["a/b/x"]
    changes = namespace.plan(text).changes
    assert "rename" in [c.action for c in changes]
    assert not {"add", "remove"} & {c.action for c in changes if c.what == "tag"}
    namespace.apply(text, 1, "ann", "")
    assert list(ids(namespace).values()) == [before]
    assert namespace.plan(text).changes == ()
    namespace.restore(1, "ann", "")
    assert ids(namespace) == {"a/b/x": before}


def test_two_tags_do_not_change_names(namespace):
    text = plant("a/b: {source: plc1, tags: {x: {at: hr 0}, y: {at: hr 1}}}")
    namespace.apply(text, 0, "ann", "")
    before = ids(namespace)
    # done again with every apply it would swap them again and again; so a renaming never touches a path in use
    swapped = text + "renamed: {a/b/x: a/b/y, a/b/y: a/b/x}\n"
    warned = [str(w) for w in namespace.plan(swapped).warnings]
    assert [w.split(": ", 3)[3] for w in warned] == [
        "has no effect: a/b/y has a history of its own, was a/b/y",
        "has no effect: a/b/x has a history of its own, was a/b/x",
    ]
    namespace.apply(swapped, 1, "ann", "")
    assert ids(namespace) == before


def test_a_renaming_of_what_is_still_there_is_refused(namespace):
    namespace.apply(plant("a/b: {source: plc1, tags: {x: {at: hr 0}}}"), 0, "ann", "")
    with pytest.raises(
        Findings, match=r"plant.yaml:5:.*cannot take over the history of a/b/x, which is still declared"
    ):
        namespace.plan(plant("a/b: {source: plc1, tags: {x: {at: hr 0}, v: {at: hr 1, was: x}}}"))


def test_an_old_name_given_to_a_new_tag_starts_afresh(namespace):
    namespace.apply(plant("a/b: {source: plc1, tags: {x: {at: hr 0}}}"), 0, "ann", "")
    first = ids(namespace)["a/b/x"]
    renamed = "renamed: {a/b/x: a/b/v}\n"
    namespace.apply(plant("a/b: {source: plc1, tags: {v: {at: hr 0}}}") + renamed, 1, "ann", "")
    namespace.apply(plant("a/b: {source: plc1, tags: {v: {at: hr 0}, x: {at: hr 1}}}") + renamed, 2, "ann", "")
    now = ids(namespace)
    assert now["a/b/v"] == first
    assert now["a/b/x"] > first
    namespace.restore(1, "ann", "")
    assert ids(namespace) == {"a/b/x": first}
    namespace.restore(3, "ann", "")
    assert ids(namespace) == now


def test_a_renamed_connection_keeps_its_diagnostics(namespace):
    namespace.apply(PLANT, 0, "ann", "")
    before = {t.name: t.id for t in namespace.current().tags}
    text = PLANT.replace("plc1: {", "filler-plc: {was: plc1, ")
    assert told(namespace.plan(text).changes) == [
        "+ connection filler-plc  driver modbus-tcp",
        "- connection plc1",
        "> connection connections/filler-plc  was connections/plc1",
    ]
    namespace.apply(text, 1, "ann", "")
    assert {t.name: t.id for t in namespace.current().tags} == before


def test_a_change_of_a_type_is_told_once_with_how_far_it_reaches(namespace):
    head = PLANT + "types:\n  m: {tags: {p: {at: 'hr {n}', range: [0, 10]}}}\nassets:\n"
    text = head + "".join(f"  a/m{i}: {{type: m, source: plc1, with: {{n: {i}}}}}\n" for i in range(40))
    namespace.apply(text, 0, "ann", "")
    changes = namespace.plan(text.replace("[0, 10]", "[0, 12]")).changes
    assert told(changes) == ["~ tag m.p  range: [0.0, 10.0] → [0.0, 12.0] (in 40 assets)"]


def test_equal_addresses_and_capital_letters_are_warned_about(namespace):
    text = plant("a/b: {source: plc1, tags: {x: {at: hr 0}, X: {at: hr 0}}}")
    warnings = [str(w) for w in namespace.plan(text).warnings]
    assert any("differs from a/b/x in capital letters only" in w for w in warnings)
    assert any("a/b/X reads the same address as a/b/x, was hr 0" in w for w in warnings)


def test_bits_may_lie_inside_a_whole_number(namespace):
    text = plant("a/b: {source: plc1, tags: {word: {at: hr 0}, b0: {at: hr 0 bit0}, b15: {at: hr 0 bit15}}}")
    assert namespace.plan(text).changes
    with pytest.raises(Findings, match="overlaps with a/b/word"):
        namespace.plan(text.replace("{at: hr 0}", "{at: hr 0 float32}"))


def test_every_overlap_is_found_however_they_nest(namespace):
    text = plant("a/b: {source: plc1, tags: {long: {at: hr 0 string9}, x: {at: hr 2}, y: {at: hr 8}, z: {at: hr 9}}}")
    with pytest.raises(Findings) as caught:
        namespace.plan(text)
    assert [f.path for f in caught.value.findings] == ["assets.a/b.tags.x.at", "assets.a/b.tags.y.at"]


def test_tags_and_assets_know_their_place_in_the_file_and_assets_what_they_are(namespace):
    text = """\
plant: {enterprise: acme, site: lyon}
types:
  pump: {tags: {speed: {}, flow: {}}}
assets:
  hall/pump2: {type: pump, description: The second one, tags: {alarm: {}}}
  hall/pump1: {type: pump}
"""
    namespace.apply(text, 0, "kim", "first")
    plant = namespace.current()
    order = [t.path for t in sorted(plant.tags, key=lambda t: t.order)]
    pump2 = [f"hall/pump2/{name}" for name in ("speed", "flow", "alarm")]
    assert order == [*pump2, "hall/pump1/speed", "hall/pump1/flow"]
    assert {a.path: a.description for a in plant.assets} == {
        "": "",
        "hall": "",
        "hall/pump2": "The second one",
        "hall/pump1": "",
    }
