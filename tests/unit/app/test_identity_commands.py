"""The commands for people, tokens and stations say to core what was typed, and print what a person needs."""

from __future__ import annotations

from typing import Any

import pytest
from typer.testing import CliRunner

from isthmus.app.settings import load_settings
from isthmus.cli import access
from isthmus.cli.main import command_line
from isthmus.values.errors import ConfigError

Calls = list[tuple[str, str, Any]]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    made: Calls = []
    answers: dict[str, Any] = {
        "tokens": {"token": "isk_x"}, "stations": {"code": "AAAAA-BBBBB-CCCCC"}, "users/break-glass": {"credential": "DDDDD"}, "users/link": {"link": "l"},
    }  # fmt: skip

    def call(_: object, method: str, path: str, body: Any = None) -> Any:
        made.append((method, path, body))
        return answers.get(path)

    monkeypatch.setattr(access, "call", call)
    return made


def run(*arguments: str, stdin: str = "") -> str:
    result = CliRunner().invoke(command_line(), [*arguments, "--data", "x"], input=stdin)
    assert result.exit_code == 0, result.output
    return result.output.strip()


def test_a_token_is_narrowed_as_typed(calls: Calls) -> None:
    typed = "token create --role engineer --allow read --under hall/line1 --under hall/line2 --zone z1 --from 10.0.0.0/8 --expires 90d --service"
    assert run(*typed.split()) == "isk_x"
    scope = {"actions": ["read"], "under": ["hall/line1", "hall/line2"], "zones": ["z1"], "sources": ["10.0.0.0/8"]}
    body = {"name": "command line", "role": "engineer", "scope": scope, "kind": "service", "lifetime_s": 90 * 86_400.0}
    assert calls == [("POST", "tokens", body)]
    assert CliRunner().invoke(command_line(), ["token", "create", "--expires", "soon", "--data", "x"]).exit_code != 0


@pytest.mark.mission("M33")
def test_stations_and_badges(calls: Calls) -> None:
    assert run("station", "add", "line 1", "--under", "hall/line1", "--idle", "5m") == "AAAAA-BBBBB-CCCCC"
    run("user", "change", "ana", "--badge", "04A1", "--pin", stdin="903817\n")
    run("station", "remove", "line 1")
    assert calls == [
        ("POST", "stations", {"name": "line 1", "under": ["hall/line1"], "role": "operator", "badge_only": False, "idle_s": 300.0}),
        ("PATCH", "users/ana", {"badge": "04A1", "pin": "903817"}),
        ("DELETE", "stations/line%201", None),
    ]  # fmt: skip


def test_accounts(calls: Calls) -> None:
    run("user", "change", "ana", "--disable", "--role", "shift-lead")
    run("user", "sign-out", "ana")
    run("user", "reset-totp", "ana")
    run("user", "end-session", "0123456789abcdef")
    assert run("user", "break-glass") == "DDDDD"
    assert run("user", "link", "ana", "--role", "shift-lead") == "/welcome?link=l"
    assert calls == [
        ("PATCH", "users/ana", {"role": "shift-lead", "disabled": True}),
        ("DELETE", "users/ana/sessions", None),
        ("DELETE", "users/ana/totp", None),
        ("DELETE", "sessions/0123456789abcdef", None),
        ("POST", "users/break-glass", None),
        ("POST", "users/link", {"name": "ana", "role": "shift-lead"}),
    ]


def test_settings_of_signing_in(tmp_path: Any) -> None:
    file = tmp_path / "isthmus.toml"
    file.write_text("[sign_in]\nidle_minutes = 30\nkiosk_idle_minutes = 2\n")
    policy = load_settings(file).sign_in.lifetimes()
    assert (policy.idle_s, policy.kiosk_idle_s, policy.step_up_s) == (1800, 120, 900)
    file.write_text("[sign_in]\nidle_minutes = 0\n")
    with pytest.raises(ConfigError, match="idle_minutes"):
        load_settings(file)
