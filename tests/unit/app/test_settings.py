from __future__ import annotations

from pathlib import Path

import pytest

from isthmus.app.settings import Settings, load_settings
from isthmus.values.errors import ConfigError

OIDC = """
[oidc.company]
issuer = 'https://login.company.example'
client_id = 'isthmus'
roles = { staff = 'viewer' }
"""


def write(folder: Path, text: str) -> Path:
    file = folder / "isthmus.toml"
    file.write_text(text)
    return file


def test_no_file_means_the_defaults(tmp_path: Path) -> None:
    settings = load_settings(tmp_path / "isthmus.toml")
    assert settings == Settings()
    assert settings.web.host == "127.0.0.1"


def test_what_stands_there_is_taken(tmp_path: Path) -> None:
    settings = load_settings(write(tmp_path, "[web]\nport = 9000\n[node]\nedges = ['edge-1', 'edge-2']\n"))
    assert (settings.web.port, settings.node.edges) == (9000, ("edge-1", "edge-2"))


def test_providers_of_sign_on_are_sections_of_their_own(tmp_path: Path) -> None:
    text = OIDC + "client_secret = 'secret:sign-on'\nlabel = 'Company'\n" + OIDC.replace("company]", "second]")
    first, second = load_settings(write(tmp_path, text)).oidc
    assert (first.name, first.label, first.client_secret) == ("company", "Company", "secret:sign-on")
    assert (second.name, second.roles, second.scopes) == ("second", {"staff": "viewer"}, ("openid", "profile", "email"))


def test_a_secret_in_the_settings_is_not_repeated(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load_settings(write(tmp_path, OIDC + "client_secret = 'hunter2'\n"))
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[wbe]\n", "wbe: unknown section"),
        ("[web]\nprot = 1\n", "web.prot: unknown key"),
        ("[web]\nport = '8420'\n", "web.port: must be int, was '8420'"),
        ("[web]\nport = 70000\n", "web.port: must be 1 to 65535, was 70000"),
        ("[web]\nport = true\n", "web.port: must be int, was True"),
        ("[web]\ntrusted_proxy = 'proxy.example'\n", "web.trusted_proxy: must be an address such as 10.0.0.5"),
        ("[node]\nbuffer_rows = 10\n", "node.buffer_rows: must be 10000 or more, was 10"),
        ("[log]\nfiles = 0\n", "log.files: must be 1 to 100, was 0"),
        ("[log]\nfile_mb = 5000\n", "log.file_mb: must be 1 to 1000, was 5000"),
        ("[node]\nedges = ['a b']\n", "node.edges"),
        ("[web]\norigins = ['http://plant.example']\n", "web.origins: must be https beyond this machine"),
        ("[oidc]\nissuer = 'x'\n", "oidc.issuer: must be a section [oidc.issuer]"),
        ("oidc = 3\n", "oidc: must be sections [oidc.NAME]"),
        (OIDC + "isuer = 'x'\n", "oidc.company.isuer: unknown key"),
        (OIDC + "name = 'x'\n", "oidc.company.name: unknown key"),
        (OIDC.replace("company", "Com_pany"), "oidc.Com_pany: a name has"),
        (OIDC.replace("https", "http"), "oidc.company.issuer: must be https://"),
        (OIDC.replace("https://", "https://me:pw@"), "oidc.company.issuer: must be https://"),
        (OIDC.replace("'isthmus'", "''"), "oidc.company.client_id: must be given"),
        (OIDC + "client_secret = 'hunter2'\n", "oidc.company.client_secret: must be a reference"),
        (OIDC + "scopes = ['email']\n", "oidc.company.scopes: must hold openid"),
        (OIDC + "hosts = [1]\n", "oidc.company.hosts: must be words"),
        (OIDC.replace("{ staff = 'viewer' }", "{}"), "oidc.company.roles: must give a role"),
        (OIDC.replace("'viewer'", "7"), "oidc.company.roles: must be words"),
        ("web = 3\n", "web: must be a section"),
        ("[web\n", "isthmus.toml"),
    ],
)
def test_a_mistake_names_file_key_and_value(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_settings(write(tmp_path, text))
    assert message in str(caught.value)
    assert "isthmus.toml" in str(caught.value)
