"""The plant file, the register maps and the load servers' declarations, without any process."""

from __future__ import annotations

import re

import numpy as np
import orjson
import pytest

from isthmus.app.demo_screens import document
from isthmus.app.plantcheck import check_plant
from isthmus.drivers.modbus_tcp.address import parse
from isthmus.screens.model import base_of, bindings, resolve
from isthmus.simulators.bottling import faults, guarded, load
from isthmus.simulators.bottling.hall import PLCS, fresh, open_state, place
from isthmus.simulators.bottling.maps import BLOCKS, CONNECTIONS, TYPES, points_of
from isthmus.simulators.bottling.plant import plant_yaml
from isthmus.simulators.bottling.plc import SIZE, Plc
from isthmus.simulators.bottling.points import parse_at, template
from isthmus.simulators.bottling.recipe import DEMO_RECIPES
from isthmus.simulators.bottling.screens import SCREENS
from isthmus.simulators.bottling.writes import MAX_BYTES, writes
from isthmus.simulators.modbus import Memory
from isthmus.values.clock import ManualClock
from isthmus.values.errors import ConfigError

PORTS = {plc: 15_020 + i for i, plc in enumerate(PLCS)}


@pytest.mark.mission("M95", "M30")
def test_the_plant_file_is_good() -> None:
    plant, warnings = check_plant(plant_yaml(PORTS), {}, "plant.yaml")
    assert all("not active in this version" in w for w in map(str, warnings))
    assert 280 <= len(plant.tags) <= 460
    assert {c.name for c in plant.connections} == {*PLCS, "sensors", "door"}


@pytest.mark.mission("M22")
def test_what_may_be_written_is_at_connections_that_may_be_written() -> None:
    writable = {name for name, about in CONNECTIONS.items() if about.get("access") == "read-write"}
    for plc, blocks in BLOCKS.items():
        written = [p.name for b in blocks for p in points_of(b.type) if p.write is not None]
        assert bool(written) == (plc in writable), plc


@pytest.mark.mission("M22", "M34", "M68", "M84")
def test_what_is_said_beyond_the_points_is_about_points_that_are() -> None:
    points = {(t, p.name): p for t in TYPES for p in points_of(t)}
    types = {b.asset: b.type for blocks in BLOCKS.values() for b in blocks}
    assert points.keys() >= guarded.WRITES.keys() | guarded.ALARMS.keys() | guarded.SIS_TAGS
    assert all(points[key].write is not None for key in guarded.WRITES)
    assert all(points[key].write is None for key in guarded.SIS_TAGS)
    assert all((name, local) in points for name, local in guarded.LOCALS.items())
    for trip in guarded.TRIPPING.values():
        type_name = types[trip["at"]]
        assert all(points[type_name, action["set"]].write is not None for action in trip["actions"])
    for key, alarms in guarded.ALARMS.items():
        for name, about in alarms.items():
            if name not in {"states", "deviation"}:
                assert name in (points[key].alarms or {}), (key, name)
                assert about.keys() >= {"cause", "consequence", "response_time"}, (key, name)
    text = plant_yaml(PORTS)
    for words in (
        "cause:",
        "local: local",
        "second_person: true",
        "sis: true",
        "trips:",
        "hold: {lease: 30 min, safe: 6}",
    ):
        assert words in text, words


@pytest.mark.mission("M31")
def test_recipes_name_points_that_may_be_written_within_their_range() -> None:
    points = {
        f"{b.asset}/{p.name}": p for blocks in BLOCKS.values() for b in blocks for p in points_of(b.type) if p.write
    }
    for one in DEMO_RECIPES:
        assert orjson.loads(orjson.dumps(one)) == one
        for item in one["items"]:
            low, high = points[f"{one['asset']}/{item['tag']}"].range or (-np.inf, np.inf)
            assert low <= item["value"] <= high


@pytest.mark.mission("M23")
def test_screens_show_tags_that_are() -> None:
    plant, _ = check_plant(plant_yaml(PORTS), {}, "plant.yaml")
    paths = {tag.path for tag in plant.tags}
    ids = {screen.id for screen in SCREENS}
    assert len(ids) == len(SCREENS)
    for screen in SCREENS:
        assert not screen.above or screen.above in ids
        for element in screen.elements:
            assert not element.to or element.to in ids
            assert element.x + element.width <= 1600
            assert element.y + element.height <= 900
            for tag in element.tags:
                assert f"{screen.asset}/{tag}".lstrip("/") in paths, (screen.id, tag)
        drawn = document(screen)
        for one in drawn["elements"]:
            base = base_of(one, screen.asset)
            assert {resolve(path, base) for _, path in bindings(one)} <= paths, (screen.id, one["id"])


def test_load_servers_add_a_thousand_tags_each() -> None:
    few, _ = check_plant(plant_yaml(PORTS), {}, "plant.yaml")
    many, _ = check_plant(plant_yaml(PORTS, 3, [1, 2, 3, 4]), {}, "plant.yaml")
    assert len(many.tags) - len(few.tags) == 3 * (1000 + 7)
    with pytest.raises(ValueError, match="3 load servers need as many ports"):
        plant_yaml(PORTS, 3, [1, 2])


@pytest.mark.parametrize("send_all", [False, True])
def test_a_plant_of_load_alone(send_all) -> None:
    text = load.load_plant_yaml([7001, 7002], 200, "500 ms", send_all)
    plant, _ = check_plant(text, {}, "load.yaml")
    values = [t for t in plant.tags if t.path.startswith("load/")]
    assert len(values) == 400
    assert text.count("deadband: every") == (50 if send_all else 0)
    with pytest.raises(ValueError, match="multiple of 50"):
        load.load_plant_yaml([7001], 120)


def test_each_device_point_has_a_place_of_its_own_within_the_memory() -> None:
    for plc, blocks in BLOCKS.items():
        taken: dict[tuple[str, int, int | None], str] = {}
        for block in blocks:
            for point in points_of(block.type):
                where = parse_at(point.at, block.base)
                assert where.start + where.count <= SIZE
                for cell in range(where.start, where.start + where.count):
                    key = (where.area, cell, where.bit if where.area in {"hr", "ir"} else None)
                    name = f"{plc} {block.asset}/{point.name}"
                    assert key not in taken, f"{name} lies on {taken.get(key)}"
                    taken[key] = name


def test_the_driver_understands_every_address_as_we_do() -> None:
    for blocks in BLOCKS.values():
        for block in blocks:
            for point in points_of(block.type):
                text = template(point.at).replace("{base}", str(block.base))
                for n in range(600):
                    text = text.replace(f"{{base+{n}}}", str(block.base + n))
                theirs, ours = parse(text), parse_at(point.at, block.base)
                assert (theirs.area, theirs.start, theirs.count, theirs.kind) == (
                    ours.area,
                    ours.start,
                    ours.count,
                    ours.kind,
                )
                assert (theirs.bit, theirs.swap_words or False) == (ours.bit or 0, ours.words_swapped)


def test_set_points_take_effect_within_their_range_and_nothing_else_can_be_written(tmp_path) -> None:
    clock = ManualClock()
    plc = Plc("plc-tanks", tmp_path, clock)
    product = plc.hall.units["product"]
    words = np.array([4.5], ">f4").view(">u2")[::-1]
    plc.memory.hr[46:48] = words
    plc.memory.on_write("hr", 46, 48)
    assert product.temp_setpoint == 4.5
    plc.memory.hr[46:48] = np.array([4000.0], ">f4").view(">u2")[::-1]
    plc.memory.on_write("hr", 46, 48)
    assert product.temp_setpoint == 90.0
    plc.memory.hr[46:48] = np.array([np.nan], ">f4").view(">u2")[::-1]
    plc.memory.on_write("hr", 46, 48)
    assert product.temp_setpoint == 2.0
    plc.memory.co[41] = False  # the agitator
    plc.memory.on_write("co", 41, 42)
    assert product.agitator == 0.0
    level = plc.memory.hr[40:42].copy()
    plc.memory.hr[40:42] = 0
    plc.memory.on_write("hr", 40, 42)
    clock.advance(0.1)
    plc.tick()
    assert np.array_equal(level, plc.memory.hr[40:42]) or plc.memory.hr[40:42].any()


@pytest.mark.mission("M22", "M42")
def test_every_write_to_a_controller_is_on_its_list(tmp_path, monkeypatch) -> None:
    clock = ManualClock()
    plc = Plc("plc-filler", tmp_path, clock)
    assert writes(tmp_path, "plc-filler") == []
    assert plc.server.answer(bytes.fromhex("0001 0000 0006 01 06 0017 0002"))[0][7] == 6  # command word: stop
    assert plc.server.answer(bytes.fromhex("0002 0000 0006 01 06 03e8 0002"))[0][7] == 0x86
    assert plc.hall.units["filler"].command == 2.0
    found = [(w["function"], w["start"], w["values"], w["taken"]) for w in writes(tmp_path, "plc-filler")]
    assert found == [(6, 23, [2], True), (6, 1000, [2], False)]
    monkeypatch.setattr("isthmus.simulators.bottling.writes.MAX_BYTES", 10)
    assert MAX_BYTES > 10
    plc.server.answer(bytes.fromhex("0003 0000 0006 01 06 0017 0001"))
    assert len(writes(tmp_path, "plc-filler")) == 3


def test_a_frozen_device_shows_the_same_while_the_hall_goes_on(tmp_path) -> None:
    clock = ManualClock()
    plc = Plc("plc-filler", tmp_path, clock)
    faults.inject(tmp_path, "plc-filler-freeze", clock=clock)
    shown, good = plc.memory.hr.copy(), plc.hall.units["filler"].infeed
    for _ in range(50):
        clock.advance(0.1)
        plc.tick()
    assert np.array_equal(plc.memory.hr, shown)
    assert plc.hall.units["filler"].infeed > good
    faults.clear(tmp_path)
    clock.advance(2)
    plc.tick()
    assert not np.array_equal(plc.memory.hr, shown)


def test_faults_are_injected_listed_end_by_themselves_and_are_cleared(tmp_path) -> None:
    clock = ManualClock()
    assert faults.active(tmp_path, clock) == frozenset()
    faults.inject(tmp_path, "jam", 5.0, clock)
    faults.inject(tmp_path, "web-break", clock=clock)
    assert faults.active(tmp_path, clock) == {"jam", "web-break"}
    clock.advance(6)
    assert faults.active(tmp_path, clock) == {"web-break"}
    faults.clear(tmp_path, "web-break")
    faults.clear(tmp_path)
    assert faults.active(tmp_path, clock) == frozenset()
    with pytest.raises(ConfigError, match="must be one of"):
        faults.inject(tmp_path, "earthquake")
    assert {f.plc for f in faults.FAULTS.values()} == set(PLCS)


def test_many_processes_may_open_the_state_and_agree(tmp_path) -> None:
    one, two = open_state(tmp_path), open_state(tmp_path)
    one[place("filler.good")] = 77.0
    assert two[place("filler.good")] == 77.0
    assert len(list(tmp_path.iterdir())) == 1
    assert fresh()[place("filler.good")] == 0.0


def test_load_values_are_written_as_the_plant_file_reads_them() -> None:
    walk = load.Walk(2, seed=4)
    memory = Memory(hr=walk.registers[1])
    floats = memory.hr[:1000].astype(">u2").view(">f4")
    assert np.array_equal(floats, walk._values[1, :500])
    assert np.allclose(memory.hr[1000:] / 100.0, walk._values[1, 500:], atol=0.006)
    sent = walk._values.copy()
    share = []
    for _ in range(60):
        walk.step()
        moved = np.abs(walk._values - sent) > load.DEADBAND
        sent[moved] = walk._values[moved]
        share.append(moved.mean())
    assert np.mean(share) == pytest.approx(0.6, abs=0.03)
    assert np.array_equal(memory.hr[:1000].astype(">u2").view(">f4"), walk._values[1, :500])


def test_the_line_is_in_the_order_the_bottles_go():
    text = plant_yaml(PORTS)
    line = [
        found.partition("/")[2]
        for found in re.findall(r"^  packaging/(line1[^:]*):", text.partition("\nassets:\n")[2], re.MULTILINE)
    ]
    assert line == ["", "filler", "belt1", "capper", "belt2", "accumulation", "labeller", "belt3", "palletiser"]
