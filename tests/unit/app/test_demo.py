"""The link for who operates the demo's line."""

from __future__ import annotations

from typing import Any

import pytest

from isthmus.app import demo
from isthmus.app.datadir import DataDir
from isthmus.app.settings import Settings


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
