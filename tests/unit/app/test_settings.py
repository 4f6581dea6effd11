from __future__ import annotations

from pathlib import Path

import pytest

from isthmus.app.settings import Settings, load_settings
from isthmus.values.errors import ConfigError


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
        ("web = 3\n", "web: must be a section"),
        ("[web\n", "isthmus.toml"),
    ],
)
def test_a_mistake_names_file_key_and_value(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_settings(write(tmp_path, text))
    assert message in str(caught.value)
    assert "isthmus.toml" in str(caught.value)
