from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from types import SimpleNamespace

import pytest

from isthmus.app import expose
from isthmus.app.ca import Authority
from isthmus.app.datadir import DataDir
from isthmus.app.exposure import check, refuse_address
from isthmus.app.settings import Settings, load_settings
from isthmus.bus.broker import BusAddress
from isthmus.values.clock import SystemClock
from isthmus.values.errors import ConfigError

pytestmark = pytest.mark.mission("M78", "M77")


def settings(tmp_path: Path, text: str) -> Settings:
    file = tmp_path / "isthmus.toml"
    file.write_text(text)
    return load_settings(file)


@pytest.mark.parametrize(
    ("text", "key", "mend"),
    [
        ('[mqtt]\nlisten = "0.0.0.0:1883"', "mqtt.listen", "isthmus expose --mqtt 1883"),
        ('[mqtt]\nlisten = "192.0.2.1:0"', "mqtt.listen", "isthmus expose --mqtt 8883"),
        ('[mqtt]\nlisten = "[::]:1883"', "mqtt.listen", "isthmus expose"),
        ('[mqtt]\nlisten = "hall.local:1883"', "mqtt.listen", "isthmus expose"),
        ('[historian]\nurl = "http://isthmus@192.0.2.9:8123/db"', "historian.url", "https://"),
        ('[historian]\nurl = "http://isthmus@clickhouse/db"', "historian.url", "https://"),
    ],
)
async def test_plaintext_beyond_this_machine_is_refused_with_its_key(
    tmp_path: Path, text: str, key: str, mend: str
) -> None:
    from isthmus.app.core import run_core
    from isthmus.app.listener import run_listener
    from isthmus.app.up import run_up

    found = settings(tmp_path, text)
    assert [p.key for p in check(found)] == [key]
    assert mend in check(found)[0].mend
    data, stop, log = DataDir(tmp_path / "data"), asyncio.Event(), logging.getLogger("x")
    for start in (
        run_up(data, found, 8420, stop, log),
        run_core(data, found, 8420, stop, log),
        run_listener(data, found, stop, log),
    ):
        with pytest.raises(ConfigError, match=rf"plaintext beyond this machine is refused: {key}: .*{mend}"):
            await start
    assert not data.root.exists(), "refused before anything was made"


@pytest.mark.parametrize(
    "text",
    [
        "",
        '[mqtt]\nlisten = "127.0.0.1:1883"',
        '[mqtt]\nlisten = "[::1]:1883"',
        '[mqtt]\nlisten = "0.0.0.0:8883"\ncertificate = "auto"',
        '[mqtt]\nlisten = "0.0.0.0:8883"\ncertificate = "a.pem"\nkey = "b.pem"',
        '[historian]\nurl = "https://isthmus@192.0.2.9:8443/db"',
        '[historian]\nurl = "http://isthmus@localhost:8123/db"',
        '[web]\nhost = "0.0.0.0"',
        '[bus]\nlisten = "0.0.0.0:4222"',
    ],
)
def test_what_is_encrypted_or_stays_here_passes(tmp_path: Path, text: str) -> None:
    assert check(settings(tmp_path, text)) == []


def test_screens_beyond_this_machine_are_https_whatever_is_set(tmp_path: Path) -> None:
    assert settings(tmp_path, '[web]\nhost = "0.0.0.0"\nhttps = false').web.tls
    assert settings(tmp_path, "[web]\nhttps = true").web.tls
    assert not Settings().web.tls


@pytest.mark.parametrize("url", ["nats://192.0.2.1:4222", "nats://hall:4222", "ws://192.0.2.1:1"])
def test_an_edge_speaks_no_plaintext_to_a_bus_elsewhere(url: str) -> None:
    with pytest.raises(ConfigError, match=r"plaintext beyond this machine, which is refused.*isthmus edge join"):
        refuse_address(BusAddress(url, "edge-1", "x", "y"))
    refuse_address(BusAddress("nats://127.0.0.1:4222", "edge-1", "x", "y"))
    refuse_address(BusAddress("tls://192.0.2.1:4222", "edge-1", "x", "y"))


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ('[bus]\nlisten = "0.0.0.0:0"', "needs a port that stays"),
        ('[bus]\nlisten = "4222"', "bus.listen: must be HOST:PORT"),
        ('[web]\nhosts = ["https://hall"]', "web.hosts: must be names or addresses"),
        ('[web]\nhosts = ["a\\nb"]', "web.hosts"),
        ("[web]\nhosts = [1]", "web.hosts"),
        ('[mqtt]\ncertificate = "auto"\nkey = "b.pem"', "belong together"),
        ('[mqtt]\ncertificate = "a.pem"', "belong together"),
    ],
)
def test_settings_that_mean_nothing_are_refused(tmp_path: Path, text: str, error: str) -> None:
    with pytest.raises(ConfigError, match=error):
        settings(tmp_path, text)


# isthmus expose

FILE = """\
# ours, keep this
[web]
# the old port
port = 8430  # because of # the "other" thing

[node]
edges = ["edge-1"]   # one

[mqtt]
listen = "127.0.0.1:1883"
"""


def test_settings_are_changed_and_everything_else_stays(tmp_path: Path) -> None:
    data = DataDir(tmp_path)
    data.prepare()
    data.settings.write_text(FILE)
    wish = expose.Wish(names=("hall.local",), address="192.0.2.7", port=443, mqtt_port=8883, edges_port=4222)
    made = expose.plan(data, wish, SystemClock())
    assert data.settings.read_text() == FILE, "a plan changes nothing"
    assert len(made.reachable) == 3
    expose.carry_out(data, made, SystemClock())
    text = data.settings.read_text()
    for kept in (
        "# ours, keep this",
        "# the old port",
        '# because of # the "other" thing',
        'edges = ["edge-1"]   # one',
    ):
        assert kept in text
    found = load_settings(data.settings)
    assert (found.web.host, found.web.port, found.web.hosts) == ("192.0.2.7", 443, ("hall.local",))
    assert (found.mqtt.listen, found.mqtt.certificate, found.bus.listen) == ("192.0.2.7:8883", "auto", "192.0.2.7:4222")
    assert check(found) == []
    authority = Authority(data.tls, SystemClock())
    assert authority.may_vouch_for("192.0.2.7")
    # once more, with another name, then all the way back
    again = expose.plan(data, expose.Wish(names=("two.local",)), SystemClock())
    expose.carry_out(data, again, SystemClock())
    assert set(expose.undo(data)) >= {"web.host", "web.port", "web.hosts"}
    back = data.settings.read_text()
    assert load_settings(data.settings) == load_settings(_file(tmp_path / "before.toml", FILE))
    assert "# ours, keep this" in back
    with pytest.raises(ConfigError, match="nothing was exposed"):
        expose.undo(data)


def _file(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_a_fresh_directory_is_exposed_by_its_own_names(tmp_path: Path) -> None:
    data = DataDir(tmp_path)
    data.prepare()
    made = expose.plan(data, expose.Wish(), SystemClock())
    expose.carry_out(data, made, SystemClock())
    found = load_settings(data.settings)
    assert found.web.host == "0.0.0.0"
    assert found.web.hosts
    expose.undo(data)
    assert load_settings(data.settings) == Settings()


def test_mqtt_alone_leaves_the_screens_where_they_are(tmp_path: Path) -> None:
    data = DataDir(tmp_path)
    data.prepare()
    expose.carry_out(data, expose.plan(data, expose.Wish(mqtt_port=8883), SystemClock()), SystemClock())
    found = load_settings(data.settings)
    assert found.web == Settings().web
    assert (found.mqtt.listen, found.mqtt.certificate) == ("0.0.0.0:8883", "auto")


@pytest.mark.parametrize(
    "text", ["web.port = 1234\n", "web = {port = 1234}\n", '[web]\nhosts = [\n  "a",\n]\n', '["web"]\nport = 8430\n']
)
def test_a_form_it_does_not_understand_is_left_alone(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match=r"set by hand: web\.port = 99; web\.hosts = \[\"b\"\]"):
        expose.edit(text, {"web.port": 99, "web.hosts": ["b"]}, tmp_path / "isthmus.toml")


@pytest.mark.parametrize("name", ["https://hall", "hall:8420", "a b", "", "1.2.3", "ha\nll", "-x"])
def test_what_is_no_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="name: must be"):
        expose.plan(DataDir(tmp_path), expose.Wish(names=(name,)), SystemClock())


def test_a_name_the_authority_may_not_vouch_for_is_told_where_somebody_trusts_it(tmp_path: Path) -> None:
    data = DataDir(tmp_path)
    data.prepare()
    authority = Authority(data.tls, SystemClock())
    first = authority.root()
    made = expose.plan(data, expose.Wish(names=("hall.example.com",)), SystemClock())
    assert (made.new_root, made.warning) == (True, "")  # nobody trusts the first one yet
    expose.carry_out(data, made, SystemClock())
    second = authority.root()
    assert second != first
    made = expose.plan(data, expose.Wish(names=("other.example.org",)), SystemClock())
    assert "tablets have to trust the new one" in made.warning


def test_the_command_says_what_and_asks(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch) -> None:
    from isthmus.cli import expose as command

    monkeypatch.setattr("sys.stdin", SimpleNamespace(isatty=lambda: False))
    arguments = {
        "name": ["hall.local"],
        "address": "",
        "port": None,
        "mqtt": 0,
        "edges": 0,
        "back": False,
        "data": tmp_path,
    }
    with pytest.raises(ConfigError, match="nothing was changed; run it again with --yes"):
        command.expose(**arguments, yes=False)
    assert "screens and API: port 8420 on all addresses" in capsys.readouterr().out
    assert not DataDir(tmp_path).settings.exists()
    command.expose(**arguments, yes=True)
    said = capsys.readouterr().out
    assert "https://hall.local:8420/trust" in said
    command.show(data=tmp_path)
    fingerprint = capsys.readouterr().out.split("SHA-256 ")[1].split()[0]
    assert fingerprint in said
