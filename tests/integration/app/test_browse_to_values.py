"""From a device nobody knows to its values on the screen: browse, tag list, plan, apply."""

from __future__ import annotations

import asyncio
import csv
import importlib.util
import subprocess
import sys
import time
from pathlib import Path

import pytest

from isthmus.app.certificates import certificates
from isthmus.bench.system import System, environment

FILE = Path(__file__).parents[1] / "drivers" / "opcua_server.py"
SPEC = importlib.util.spec_from_file_location("opcua_server", FILE)
assert SPEC is not None
assert SPEC.loader is not None
opcua_server = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(opcua_server)

PASSWORD = "correct horse"
PLANT = """
plant: {{enterprise: acme, site: lyon}}
connections:
  pumps: {{driver: opcua, endpoint: "{url}", security: Basic256Sha256-SignAndEncrypt, user: operator,
           password: env:ISTHMUS_TEST_PASSWORD, connect_timeout_s: 20.0, poll: 200 ms}}
"""
TRUTH = {"Speed": 1.5, "Ratio": 0.25, "Count": 7, "Big": -(2**40), "On": 1, "Name": "pump 7", "Set": 2.5}

pytestmark = [
    pytest.mark.mission("M25", "M41", "M47", "M64"),
    pytest.mark.real("isthmus up", "asyncua", "nats-server", "chdb"),
    pytest.mark.timeout(240),
]


@pytest.fixture
def server(tmp_path: Path):
    child = opcua_server.Child(str(tmp_path / "server"), f"operator:{PASSWORD}")
    yield child
    child.end()


async def command(*words: object) -> str:
    told = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "isthmus", *map(str, words)],
        capture_output=True,
        text=True,
        env=environment(),
    )
    assert told.returncode == 0, told.stderr
    return told.stdout


async def test_what_a_server_offers_becomes_tags_with_values(server, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("ISTHMUS_TEST_PASSWORD", PASSWORD)
    plant, tags = tmp_path / "plant.yaml", tmp_path / "pumps.csv"
    async with System(tmp_path / "data") as system:
        where = ("--data", system.folder)
        plant.write_text(PLANT.format(url=server.url))
        await command("apply", plant, *where)
        told = await command("browse", "pumps", "--csv", tags, "--path", "hall", *where)
        assert told == f"{tags}: 9 tags, 1 more as comments\n"  # the array is one
        listed = {row["path"]: row for row in csv.DictReader(tags.read_text().splitlines())}
        assert listed["hall/Pump/Set"]["unit"] == "bar"

        plant.write_text(PLANT.format(url=server.url) + "tag_files: [pumps.csv]\n")
        assert "hall/Pump/Speed" in await command("plan", plant, *where)
        await command("apply", plant, *where)
        await values(system, TRUTH)
        await server.asked(do="set", values={"Pump.Speed": (9.5, "Double"), "Pump.Name": ("pump 8", "String")})
        await values(system, TRUTH | {"Speed": 9.5, "Name": "pump 8"})

        found = certificates(system.folder, time.time_ns())
        (own,) = (c for c in found if c.file.endswith("drivers/opcua/own.der"))
        assert own.state == "ok"
        assert (own.days_left or 0) > 1000
        assert not [c for c in found if c.state == "unreadable"]


async def values(system: System, wanted: dict[str, object]) -> None:
    """Wait until the tags have these values, all of them good."""
    deadline = time.monotonic() + 20
    while True:
        answer = await asyncio.to_thread(system.get, "tags/values?under=hall")
        found = {one["path"].rpartition("/")[2]: (one["value"], one["status"]) for one in answer["values"]}
        wrong = {name: (found.get(name), value) for name, value in wanted.items() if found.get(name) != (value, "Good")}
        if not wrong:
            return
        if time.monotonic() > deadline:
            pytest.fail(f"(found, wanted) by name: {wrong}")
        await asyncio.sleep(0.1)
