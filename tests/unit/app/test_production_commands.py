"""`isthmus production replay`: machine by machine, each difference with both values, and what it ends with."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from typer.testing import CliRunner

from isthmus.cli import production
from isthmus.cli.main import command_line
from isthmus.values.errors import ConfigError

pytestmark = pytest.mark.mission("M50")
FIGURES = {"oee": 0.5, "availability": 0.75, "performance": None, "quality": 1.0, "run_s": 10.0, "good": 3.0}
FILLER, VALVE = "line/filler", "line/filler/valve"


def difference(asset: str, kept: float | None = 5.0) -> dict:
    return {"asset": asset, "start": "a", "end": "b", "what": "good (early)", "kept": kept, "computed": 105.0}


class Core:
    """What a core would answer: a machine, and one that stands below it."""

    def __init__(self, *differences: dict) -> None:
        self.differences, self.asked = differences, []

    def __call__(self, data: Path, method: str, path: str) -> dict:
        assert method == "GET"
        query = {key: values[0] for key, values in parse_qs(urlsplit(path).query).items()}
        self.asked.append((urlsplit(path).path, query))
        below = [a for a in (FILLER, VALVE) if f"{a}/".startswith(f"{query['under']}/" if query.get("under") else "")]
        if path.startswith("production/machines"):
            return {"machines": [{"asset": a} for a in below]}
        own = [d for d in self.differences if d["asset"] in below]
        machines = [
            {
                "asset": a, "days": 2, "intervals": 7, "kept": FIGURES, "computed": FIGURES, "notes": ["late: 1 days wait"],
                "differing": sum(d["asset"] == a for d in own),
            }
            for a in below
        ]  # fmt: skip
        return {"equal": not own, "differing": len(own), "differences": own, "machines": machines}


@pytest.fixture
def replayed(monkeypatch):
    def run(core: Core, *words: str):
        monkeypatch.setattr(production, "call", core)
        return CliRunner().invoke(command_line(), ["production", "replay", *words])

    return run


def test_equal_is_said_and_ends_with_0(replayed) -> None:
    core = Core()
    answer = replayed(core, "--start", "now-7d")
    assert answer.exit_code == 0
    assert "line/filler" in answer.output
    assert "oee 50.0000 %, availability 75.0000 %, performance -, quality 100.0000 %: equal" in answer.output
    assert "! line/filler: late: 1 days wait" in answer.output
    assert "2 machines: equal" in answer.output
    assert [query.get("under") for _, query in core.asked] == [None, FILLER, VALVE]
    assert core.asked[1][1]["start"] == "now-7d"


def test_each_difference_is_told_once_and_ends_with_1(replayed) -> None:
    odd = (difference(FILLER), difference(VALVE, None))
    answer = replayed(Core(*odd))
    assert answer.exit_code == 1
    assert "line/filler  a to b  good (early): kept 5, computed 105" in answer.output
    assert "line/filler/valve  a to b  good (early): kept nothing, computed 105" in answer.output
    assert "2 machines: 2 differences" in answer.output
    told = replayed(Core(*odd), "--json")
    found = json.loads(told.output)
    assert (told.exit_code, found["equal"], found["differing"]) == (1, False, 2)
    assert found["differences"] == list(odd)
    assert [m["asset"] for m in found["machines"]] == [FILLER, VALVE]


def test_a_place_without_machines_is_refused(replayed) -> None:
    answer = replayed(Core(), "--under", "yard")
    assert isinstance(answer.exception, ConfigError)
