from __future__ import annotations

import io
import stat
from pathlib import Path

import pytest

from isthmus.app.secrets import MAX_BYTES, Secrets
from isthmus.values.errors import ConfigError
from isthmus.values.secrets import check_reference


@pytest.mark.parametrize(
    "text", ["hunter2", "secret:", "secret:../x", "secret:a/b", "env:1A", "secret:a\n", "", 7, None]
)
def test_what_is_no_reference_is_refused_without_repeating_it(text: object) -> None:
    with pytest.raises(ConfigError, match="never the secret itself") as refused:
        check_reference(text, "password")
    assert "hunter2" not in str(refused.value)
    assert str(refused.value).startswith("password: ")


def test_a_secret_is_kept_for_its_owner_only_and_revealed(tmp_path: Path) -> None:
    secrets = Secrets.of(tmp_path)
    secrets.set("press-7", "hünter 2\n")
    file = tmp_path / "secrets" / "press-7"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert secrets.reveal("secret:press-7") == "hünter 2\n"
    secrets.set("press-7", "new")
    assert secrets.reveal("secret:press-7") == "new"
    assert secrets.names() == ["press-7"]
    secrets.remove("press-7")
    assert secrets.names() == []


def test_each_problem_tells_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = Secrets.of(tmp_path)
    with pytest.raises(ConfigError, match="isthmus secret set press-7"):
        secrets.reveal("secret:press-7")
    with pytest.raises(ConfigError, match="env:NOT_SET_HERE: the environment variable is not set"):
        secrets.reveal("env:NOT_SET_HERE")
    monkeypatch.setenv("SET_HERE", "x")
    assert secrets.reveal("env:SET_HERE") == "x"
    with pytest.raises(ConfigError, match="there is none"):
        secrets.remove("press-7")
    for value in ("", "x" * (MAX_BYTES + 1)):
        with pytest.raises(ConfigError, match="must have 1 to"):
            secrets.set("press-7", value)
    secrets.set("open", "x")
    (tmp_path / "secrets" / "open").chmod(0o644)
    with pytest.raises(ConfigError, match="others may read"):
        secrets.reveal("secret:open")


def test_the_command_reads_standard_input_and_prints_no_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from isthmus.cli.secret import list_secrets, remove_secret, set_secret

    monkeypatch.setattr("sys.stdin", io.StringIO("open sesame\r\n"))
    set_secret("door", data=tmp_path)
    assert Secrets.of(tmp_path).reveal("secret:door") == "open sesame"
    list_secrets(data=tmp_path)
    assert capsys.readouterr().out == "door\n"
    remove_secret("door", data=tmp_path)
    with pytest.raises(ConfigError):
        remove_secret("door", data=tmp_path)
