"""The link for who operates the demo's line."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest

from isthmus.alarms.callout.channels import Ways
from isthmus.alarms.callout.model import Channel, Quiet, Rule, Setup, Step, check_channel, check_rule
from isthmus.alarms.callout.rota import Rota
from isthmus.alarms.callout.texts import Message
from isthmus.app import demo
from isthmus.app.datadir import DataDir
from isthmus.app.secrets import Secrets
from isthmus.app.settings import Settings
from isthmus.values.clock import NS_PER_S, ManualClock
from isthmus.web.routes.callout import RuleParts


@pytest.mark.mission("M22", "M95")
async def test_the_shift_gets_one_link_as_somebody_who_may_write(tmp_path, monkeypatch, capsys) -> None:
    users = [{"name": "admin"}]
    asked: list[tuple[str, str, Any]] = []

    def call(_: Any, method: str, path: str, body: Any = None) -> Any:
        asked.append((method, path, body))
        if method == "GET":
            return {"users": users}
        users.append({"name": body["name"]})
        return {"link": "once-only"}

    monkeypatch.setattr(demo, "call", call)
    for _ in range(2):
        await demo._offer_shift(DataDir(tmp_path), Settings(), 8420)
    assert capsys.readouterr().out == (
        "To operate the line, sign in as shift: http://localhost:8420/welcome?link=once-only\n"
    )
    made = [(path, body) for method, path, body in asked if method == "POST"]
    assert made == [("users/link", {"name": "shift", "role": "supervisor"})]


@pytest.mark.mission("M14")
async def test_the_example_of_call_out_is_made_once_and_can_be_kept(tmp_path, monkeypatch) -> None:
    known: dict[str, Any] = {"channels": [], "rotas": [], "rules": []}
    made: dict[str, Any] = {}

    def call(_: Any, method: str, path: str, body: Any = None) -> Any:
        if method == "PUT":
            made[path] = body
            known["channels"] = ["one"]
        return known

    monkeypatch.setattr(demo, "call", call)
    for _ in range(2):
        await demo._offer_call_out(DataDir(tmp_path), Settings(), ManualClock(1_700_000_000 * NS_PER_S))
    assert list(made) == [
        "callout/channels/logbook",
        "callout/rotas/shift",
        "callout/rules/line",
        "callout/rules/utilities",
    ]
    assert made["callout/rotas/shift"]["first"] == "2023-11-14"
    ways = Ways(Secrets.of(tmp_path).reveal, ManualClock(1_700_000_000 * NS_PER_S))
    channel = made["callout/channels/logbook"]
    logbook = check_channel(Channel("logbook", channel["kind"], channel["url"], channel["personal"]))
    ways.check(logbook)
    ways.send(logbook, "", Message("lyon: Critical: tank", "Critical: tank\ntoo hot"))
    lines = [json.loads(line) for line in (tmp_path / "calls.jsonl").read_text().splitlines()]
    assert lines == [
        {"at": "2023-11-14T22:13:20+00:00", "title": "lyon: Critical: tank", "text": "Critical: tank\ntoo hot"}
    ]
    setup = Setup({"shift": Rota("shift", ("shift",), date(2023, 11, 14))}, channels={"logbook": logbook})
    for path, body in made.items():
        if path.startswith("callout/rules/"):
            rule = RuleParts.model_validate({k: v for k, v in body.items() if k not in ("base", "reason")})
            steps = tuple(Step(s.who, tuple(s.channels), s.after_s, s.repeat_s, s.times) for s in rule.steps)
            quiet = tuple(Quiet(tuple(q.priorities), q.hours) for q in rule.quiet)
            kept = Rule("r", tuple(rule.priorities), steps, tuple(rule.under), quiet=quiet, until=rule.until)
            check_rule(kept, setup, {"shift"})
