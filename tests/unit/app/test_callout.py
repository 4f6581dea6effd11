"""Call-out as app makes it: settings, hosts, the key of links, who may acknowledge."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from isthmus.alarms.callout.store import metadata as callout_tables
from isthmus.app.callout import KEY, call_out, link_key
from isthmus.app.ground import known_hosts
from isthmus.app.records import open_records
from isthmus.app.sealing import Sealer
from isthmus.app.secrets import Secrets
from isthmus.app.settings import CalloutSettings, Settings, WebSettings, load_settings
from isthmus.namespace.model import EMPTY
from isthmus.security.service import Security
from isthmus.security.store import metadata as security_tables
from isthmus.values.clock import ManualClock
from isthmus.values.errors import ConfigError

pytestmark = pytest.mark.mission("M14")


def test_the_host_of_links_is_one_we_answer_to() -> None:
    settings = Settings(
        web=WebSettings(hosts=("pi.plant",)), callout=CalloutSettings(link="https://call.plant.example")
    )
    assert known_hosts(settings, ("http://localhost:8420",)) == ("localhost", "call.plant.example", "pi.plant")
    assert known_hosts(Settings(), ()) == ()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('link = "http://plant.example"', "callout.link: origins: must be https beyond this machine"),
        ('link = "https://plant.example/"', "callout.link: origins: must be such as"),
        ("link_hours = 0", "callout.link_hours: must be 1 to 168"),
        ("keep_days = 99999", "callout.keep_days: must be 1 to 3650"),
    ],
)
def test_settings_that_cannot_be_are_refused(tmp_path: Path, text: str, problem: str) -> None:
    file = tmp_path / "isthmus.toml"
    file.write_text(f"[callout]\n{text}\n")
    with pytest.raises(ConfigError, match=problem):
        load_settings(file)


def test_the_key_of_links_is_made_once_and_sealed(tmp_path: Path) -> None:
    secrets = Secrets.of(tmp_path)
    key = link_key(secrets)
    assert len(key) == 32
    assert link_key(Secrets.of(tmp_path)) == key
    assert key.hex().encode() not in (secrets.folder / KEY).read_bytes()
    secrets.remove(KEY)
    assert link_key(secrets) != key  # links of before are void
    secrets.set(KEY, "no key at all")
    assert len(link_key(secrets)) == 32


async def test_accounts_are_people_and_roles_say_who_may_acknowledge(tmp_path: Path) -> None:
    engine = open_records(tmp_path / "records.db")
    security_tables.create_all(engine)
    callout_tables.create_all(engine)
    security = Security(engine, ManualClock(), sealer=Sealer.of(tmp_path))
    for name, role in (("ana", "operator"), ("max", "maintainer"), ("old", "operator")):
        security.create_user(name, role)
    security.change_user("old", disabled=True)
    callout = call_out(
        engine, ManualClock(), Settings(), Secrets.of(tmp_path), security, lambda: EMPTY, logging.getLogger("test")
    )
    people = {one.name: (one.open, one.may_acknowledge) for one in callout._people()}
    assert people == {"ana": (True, True), "max": (True, False), "old": (False, True)}
    assert (await callout.state()).people == ["ana", "max"]
    engine.dispose()
