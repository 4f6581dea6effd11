"""The commands of change control and owners: what they ask core and what they print."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from isthmus import __version__
from isthmus.cli import change, plant
from isthmus.cli.main import command_line

LINE = {"action": "change", "what": "tag", "path": "a/x", "detail": "address: hr 0 → hr 1"}
OBSTACLE = {
    "zone": "line1",
    "rule": "line1",
    "code": "window_closed",
    "reason": "closed now",
    "opens": "2026-06-13T20:00:00Z",
}
CHANGE = {
    "id": 3, "state": "approved", "base": 7, "author": "Eva", "own": False, "created": "2026-06-12T08:00:00Z", "reason": "meter",
    "zones": ["line1", ""], "decided_by": "Sam", "decided": "2026-06-12T09:00:00Z", "decision": "", "closed_by": "", "closed": None,
    "version": None, "changes": [LINE], "obstacles": [OBSTACLE], "may": [], "text": "",
}  # fmt: skip
OWNERS = {
    "owners": [
        {"kind": "asset", "path": "a/x", "owner": ["Line 1"], "source": "a"},
        {"kind": "connection", "path": "plc1", "owner": [], "source": ""},
    ],
    "gaps": [{"kind": "connection", "path": "plc1", "owner": [], "source": ""}],
    "compensations": [
        {"connection": "old", "reason": "no maker", "control": "own switch", "review": "2020-01-01", "due": True},
        {"connection": "new", "reason": "no maker", "control": "own switch", "review": "2999-01-01", "due": False},
    ],
}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, Any]]:
    """What core was asked; it answers what the commands need."""
    found: list[tuple[str, str, Any]] = []

    def call(data: Path, method: str, path: str, body: Any = None) -> Any:
        found.append((method, path, body))
        if path == "plant/plan":
            control = {"zones": ["line1"], "reason_required": True, "approvals": 1, "obstacles": []}
            return {"base": 7, "token": "t", "changes": [LINE], "warnings": [], "control": control}
        if path == "plant":
            return {"version": 7, "text": "new", "files": {}}
        if path.startswith("plant/versions/"):
            return {"version": 2, "text": "old", "files": {"a.csv": ""}}
        if path == "owners":
            return OWNERS
        if path.startswith("plant/changes?"):
            return {"changes": [CHANGE]}
        return {"version": 8} if path.endswith("/apply") else CHANGE

    monkeypatch.setattr(change, "call", call)
    monkeypatch.setattr(plant, "call", call)
    return found


def said(*words: str) -> str:
    result = CliRunner().invoke(command_line(), list(words))
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.mission("M86")
def test_changes_are_listed_shown_and_moved(asked: list[Any]) -> None:
    assert "approved" in said("change", "list", "--state", "approved")
    assert asked[-1][1] == "plant/changes?state=approved"
    assert json.loads(said("change", "list", "--json"))[0]["id"] == 3
    shown = said("change", "show", "3")
    assert "change 3 is approved; Eva planned it on version 7: meter" in shown
    assert "decided by Sam" in shown
    assert "! closed now; opens 2026-06-13T20:00:00Z" in shown
    assert json.loads(said("change", "show", "3", "--json"))["id"] == 3
    said("change", "approve", "3", "--reason", "good")
    assert asked[-1] == ("POST", "plant/changes/3/approve", {"reason": "good"})
    said("change", "reject", "3", "--reason", "bad")
    assert asked[-1] == ("POST", "plant/changes/3/reject", {"reason": "bad"})
    said("change", "withdraw", "3")
    assert asked[-1] == ("POST", "plant/changes/3/withdraw", None)
    assert "version 8 is current" in said("change", "apply", "3", "--emergency", "line down")
    assert asked[-1] == ("POST", "plant/changes/3/apply", {"emergency": "line down"})


@pytest.mark.mission("M86")
def test_apply_propose_and_revert_say_why(asked: list[Any], tmp_path: Path) -> None:
    file = tmp_path / "plant.yaml"
    file.write_text("plant: {}\n")
    said("apply", str(file))
    assert asked[-1][2]["reason"] == "", "where a rule asks for a reason none is made up"
    said("apply", str(file), "--reason", "meter", "--emergency", "line down")
    assert asked[-1][2]["emergency"] == "line down"
    assert "change 3 is put forward" in said("change", "propose", str(file), "--reason", "meter")
    assert asked[-1] == ("POST", "plant/changes", {"text": "plant: {}\n", "files": {}, "base": 7, "reason": "meter"})
    said("revert", "2", "--reason", "it leaks")
    assert asked[-1][1:] == (
        "plant/apply",
        {"text": "old", "files": {"a.csv": ""}, "base": 7, "reason": "back to version 2: it leaks", "emergency": ""},
    )
    assert "change 3 is put forward" in said("revert", "2", "--propose")
    assert asked[-1][1] == "plant/changes"


@pytest.mark.mission("M90", "M79")
def test_owners_and_gaps(asked: list[Any]) -> None:
    everything = said("owners")
    assert "Line 1  (from a)" in everything
    assert "next review 2999-01-01" in everything
    gaps = said("owners", "--gaps")
    assert "a/x" not in gaps
    assert "unpatchable old: no maker; instead: own switch; review is due since 2020-01-01" in gaps
    assert "unpatchable new" not in gaps
    assert "1 of 2 have no owner" in gaps
    assert json.loads(said("owners", "--json")) == OWNERS


def test_the_version_and_where_the_bill_of_materials_is() -> None:
    assert said("--version") == f"isthmus {__version__}\n"
    found = json.loads(said("--version", "--json"))
    assert found["version"] == __version__
    assert found["sbom"] is None or Path(found["sbom"]).exists()
    assert CliRunner().invoke(command_line(), []).exit_code == 2
