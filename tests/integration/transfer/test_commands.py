"""A whole Isthmus: files in and out by the commands, and what the client says of it."""

from __future__ import annotations

import asyncio
import json
import os
import runpy
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import openpyxl
import pyarrow.parquet as pq
import pytest

from isthmus.bench.system import System, environment
from isthmus.client import Invalid, NotFound, NotSignedIn, Unreachable, WriteRefused, connect

ROOT = Path(__file__).resolve().parents[3]
PLANT = """
plant: {enterprise: acme, site: lyon}
connections:
  plc1: {driver: modbus-tcp, host: 127.0.0.1, port: 1}
assets:
  hall/oven:
    source: plc1
    tags:
      temp: {unit: "°C", decimals: 2, range: [0, 300], deadband: 0.5, alarms: {high: 250}, at: hr 0 float32}
      count: {kind: counter, at: hr 2 uint32, every: 500 ms}
      state: {kind: state, map: {0: Off, 1: On}, at: hr 4}
"""

pytestmark = [pytest.mark.real("isthmus up", "chdb", "nats-server", "websockets"), pytest.mark.timeout(240)]


async def command(*words: object) -> subprocess.CompletedProcess[str]:
    return await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "isthmus", *map(str, words)],
        capture_output=True,
        text=True,
        env=environment(),
    )


def rows(n: int, wrong: int = 0) -> str:
    begin = datetime.now(UTC) - timedelta(hours=2)
    lines = ["tag,time,value"]
    for i in range(n):
        at = (begin + timedelta(seconds=i)).isoformat()
        lines += [
            f"hall/oven/temp,{at},{i % 300 / 4}",
            f"hall/oven/count,{at},{i}",
            f"hall/oven/state,{at},{('Off', 'On')[i % 2]}",
        ]
    return "\n".join(lines + ["hall/oven/temp,never,1"] * wrong) + "\n"


@pytest.mark.mission("M7", "M43", "M64")
async def test_files_go_in_and_out_of_a_living_system_and_the_client_sees_them(tmp_path):
    async with System(tmp_path / "data") as system:
        await asyncio.to_thread(system.apply, PLANT)
        where = ("--data", system.folder)
        good, wrong = tmp_path / "good.csv", tmp_path / "wrong.csv"
        good.write_text(rows(600))
        wrong.write_text(rows(600, wrong=2))

        told = await command("import", wrong, *where)
        assert told.returncode == 2
        assert f"{wrong}:1802:2: error: time: is no time in ISO 8601" in told.stderr
        told = await command("import", wrong, *where, "--dry-run", "--json")
        assert told.returncode == 1
        (found,) = json.loads(told.stdout)["files"]
        assert (found["rows"], found["samples"], found["refused"], found["tags"]) == (1802, 1800, 2, 3)
        assert (found["wrong"][0]["line"], found["wrong"][0]["value"]) == (1802, "never")
        told = await command("import", wrong, *where, "--rejects", tmp_path / "rejects.csv", "--json")
        assert told.returncode == 0, told.stderr
        assert len((tmp_path / "rejects.csv").read_text().splitlines()) == 3
        told = await command("import", good, *where)
        assert "imported 1,800 samples of 3 tags from 1,800 rows" in told.stdout, told.stderr

        out = tmp_path / "out.parquet"
        told = await command("history", "--under", "hall", "--start", "now-3h", "--end", "now-1h", *where, "-o", out)
        assert told.returncode == 0, told.stderr
        assert pq.read_table(out).num_rows == 3 * len(
            {
                r.split(",")[1]
                for r in (good.read_text() + wrong.read_text()).splitlines()
                if "oven/temp" in r and "never" not in r
            }
        )
        told = await command("history", "hall/oven/state", "--start", "now-3h", "--points", 3, *where)
        assert told.stdout.startswith('"tag","time","first"'), told.stderr
        told = await command("history", "hall/nope", *where)
        assert (told.returncode, "there is none at hall/nope" in told.stderr) == (2, True)

        token = await asyncio.to_thread(system.token)
        await asyncio.to_thread(ask, system.port, token)
        await asyncio.to_thread(example, system.port, token)


def ask(port: int, token: str) -> None:
    with connect(f"http://127.0.0.1:{port}", token) as plant:
        assert [t.path for t in plant.tags("hall")] == ["hall/oven/count", "hall/oven/state", "hall/oven/temp"]
        assert plant.tags("hall")[2].unit == "°C"
        assert plant.values("hall")["hall/oven/temp"].unit == "°C"
        history = plant.history(["hall/oven/temp", "hall/oven/count"], start="now-3h")
        times, values = history.numpy("hall/oven/count")
        assert np.nanmax(values) == 599
        assert (np.diff(times.astype(np.int64)) > 0).all()
        assert set(history.pandas()["tag"]) == {"hall/oven/temp", "hall/oven/count"}
        assert len(plant.history("hall/oven/temp", datetime.now(UTC) - timedelta(hours=3), points=10)) <= 10
        assert plant.history("hall/oven/temp", "now-3h", functions=["max"]).arrow["max"].to_pylist()
        assert len(plant.history("hall/oven/temp", "now-30d", "now-29d")) == 0
        assert plant.history("hall/oven/temp", "now-3h", points=10).wide().shape[1] == 1
        stream = plant.live(["connections/plc1/state", "connections/plc1/errors"])
        first = {}
        while len(first) < 2:
            update = next(stream)
            first[update.path] = update.value
        assert isinstance(first["connections/plc1/errors"], float)
        assert isinstance(first["connections/plc1/state"], str)
        stream.close()
        with pytest.raises(NotFound, match="does not exist"):
            next(plant.live("hall/nope"))
        with pytest.raises(NotFound, match="hall/nope") as missing:
            plant.history("hall/nope")
        assert missing.value.code == "unknown_tag"
        with pytest.raises(Invalid) as senseless:
            plant.history("hall/oven/temp", start="soon")
        assert senseless.value.places[0].path == "start"
        with pytest.raises(WriteRefused, match="needs role operator") as refused:
            plant.write("hall/oven/temp", 20.0, "to see")
        assert (refused.value.status, refused.value.code) == (403, "role_missing")
        assert plant.gaps() == []
        with pytest.raises(ValueError, match="zone"):
            plant.history("hall/oven/temp", datetime.now())  # noqa: DTZ005  that is what is wrong with it
    with connect(f"http://127.0.0.1:{port}", "isk_" + "x" * 43) as nobody:
        with pytest.raises(NotSignedIn):
            nobody.site()
        with pytest.raises(NotSignedIn):
            next(nobody.live("hall/oven/temp"))
    with connect("http://127.0.0.1:1", token) as nowhere, pytest.raises(Unreachable):
        nowhere.site()
    with pytest.raises(ValueError, match="http://host:port"):
        connect("localhost")


def example(port: int, token: str) -> None:
    """The notebook of the documentation runs as it is, on what environment variables say."""
    kept = dict(os.environ)
    os.environ |= {"ISTHMUS_URL": f"http://127.0.0.1:{port}", "ISTHMUS_TOKEN": token}
    try:
        seen = runpy.run_path(str(ROOT / "docs" / "examples" / "plant_data.py"))
    finally:
        os.environ.clear()
        os.environ |= kept
    assert seen["paths"]


@pytest.mark.mission("M45")
async def test_the_tag_list_of_a_plant_comes_out_and_goes_in_again(tmp_path):
    from isthmus.app.plantcheck import check_plant
    from isthmus.cli.plant import read

    async with System(tmp_path / "data") as system:
        await asyncio.to_thread(system.apply, PLANT)
        for name in ("tags.csv", "tags.xlsx"):
            told = await command("export", "--tags", tmp_path / name, "--data", system.folder)
            assert told.returncode == 0, told.stderr
        plant = PLANT.split("assets:", maxsplit=1)[0]
        want = check_plant(PLANT, {}, "plant.yaml")[0]
        for name in ("tags.csv", "tags.xlsx"):
            file = tmp_path / "plant.yaml"
            file.write_text(f"{plant}tag_files: [{name}]\n")
            content = read(file)
            import base64

            found, _ = check_plant(
                content["text"], {n: base64.b64decode(b) for n, b in content["files"].items()}, "plant.yaml"
            )
            strip = [
                (t.path, t.unit, t.low, t.high, t.limits, t.states, t.address, t.period_s, t.kind, t.decimals)
                for t in found.tags
            ]
            assert strip == [
                (t.path, t.unit, t.low, t.high, t.limits, t.states, t.address, t.period_s, t.kind, t.decimals)
                for t in want.tags
            ]
        sheet = openpyxl.load_workbook(tmp_path / "tags.xlsx")["tags"]
        assert [c.value for c in sheet[1]][:3] == ["path", "connection", "address"]
