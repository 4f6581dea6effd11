"""What edges may say to devices follows from the plant, and from nothing else."""

from __future__ import annotations

import json

import pytest

import isthmus.drivers.mqtt
import isthmus.drivers.sparkplug  # noqa: F401  registers the drivers, also where the package is not installed
from isthmus.app.plantcheck import check_plant
from isthmus.app.said import said
from isthmus.bus.broker import BrokerFiles, configure, load_said
from isthmus.bus.field import let_say

PLANT = """
plant: {enterprise: acme, site: lyon, timezone: UTC}
connections:
  oven: {driver: mqtt, access: %s}
  press: {driver: sparkplug, access: %s, edge: edge-2}
assets:
  oven:
    source: oven
    at: {temp: "oven/state $.t write=oven/set", level: "oven/state $.l", other: "oven/state $.o write='oven/the set'"}
    tags: {temp: {}, level: {}, other: {}}
  press:
    source: press
    at: {speed: "plant/press/m:speed", name: "'hall 1'/press/m:name text"}
    tags: {speed: {}, name: {kind: text}}
"""


def plant_of(mqtt: str, sparkplug: str):
    plant, _ = check_plant(PLANT % (mqtt, sparkplug), {}, "plant.yaml")
    return plant


@pytest.mark.mission("M42", "M22")
def test_only_what_is_declared_at_connections_that_may_be_written() -> None:
    assert said(plant_of("read-only", "read-only")) == {}
    assert said(plant_of("read-write", "read-write")) == {
        "edge-1": ["oven/set", "oven/the set"],
        "edge-2": ["spBv1.0/hall 1/DCMD/+/+", "spBv1.0/plant/DCMD/+/+"],
    }


def allowed(files: BrokerFiles, user: str) -> list[str]:
    users = json.loads(files.field.config.read_text())["accounts"]["FIELD"]["users"]
    return next(u["permissions"]["publish"]["allow"] for u in users if u["user"] == user)


@pytest.mark.mission("M42", "M22")
def test_the_listener_lets_an_edge_say_it_and_takes_it_back(tmp_path) -> None:
    files = BrokerFiles(tmp_path / "bus")
    configure(files, 4222, ["edge-1", "edge-2"], "test", mqtt_port=1883)
    own = ["spBv1//0.*.NCMD.*", "spBv1//0.STATE.*"]
    let_say(files, said(plant_of("read-write", "read-write")))
    assert allowed(files, "field-edge-1") == [*own, "oven.set", "oven.the%20set"]
    assert allowed(files, "field-edge-2") == [*own, "spBv1//0.hall%201.DCMD.*.*", "spBv1//0.plant.DCMD.*.*"]
    configure(files, 4222, ["edge-1", "edge-2"], "test", mqtt_port=1883)  # a restart
    assert allowed(files, "field-edge-1") == [*own, "oven.set", "oven.the%20set"]
    assert let_say(files, {"edge-2": ["a/+"]}) is True
    assert let_say(files, {"edge-2": ["a/+"], "edge-1": []}) is False
    assert load_said(files) == {"edge-2": ["a/+"]}
    assert allowed(files, "field-edge-1") == own
    assert allowed(files, "field-edge-2") == [*own, "a.*"]


def test_nothing_is_written_where_nothing_is_said(tmp_path) -> None:
    files = BrokerFiles(tmp_path / "bus")
    let_say(files, said(plant_of("read-only", "read-only")))
    assert not tmp_path.joinpath("bus").exists()
