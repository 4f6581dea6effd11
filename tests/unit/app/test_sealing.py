from __future__ import annotations

import base64
import io
import logging
import stat
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.app.sealing import KEY_NAME, MAGIC, Sealer
from isthmus.app.secrets import Secrets
from isthmus.values.errors import ConfigError

SECRET = "correct horse battery staple"


@pytest.mark.mission("M78")
def test_a_secret_lies_sealed_and_the_key_is_its_owners_alone(tmp_path: Path) -> None:
    Secrets.of(tmp_path).set("press-7", SECRET)
    kept = (tmp_path / "secrets" / "press-7").read_bytes()
    assert kept.startswith(MAGIC)
    assert SECRET.encode() not in kept
    assert stat.S_IMODE((tmp_path / KEY_NAME).stat().st_mode) == 0o600
    assert Secrets.of(tmp_path).reveal("secret:press-7") == SECRET


@pytest.mark.mission("M78")
def test_a_plain_secret_of_before_is_read_and_sealed(tmp_path: Path) -> None:
    file = tmp_path / "secrets" / "old"
    file.parent.mkdir(mode=0o700)
    file.write_text(SECRET)
    file.chmod(0o600)
    assert Secrets.of(tmp_path).reveal("secret:old") == SECRET
    assert SECRET.encode() not in file.read_bytes()
    assert Secrets.of(tmp_path).reveal("secret:old") == SECRET


def test_reseal_takes_what_nobody_has_read_yet(tmp_path: Path) -> None:
    held = Secrets.of(tmp_path)
    held.set("new", "x")
    file = tmp_path / "secrets" / "old"
    file.write_text(SECRET)
    file.chmod(0o600)
    assert held.reseal() == 1
    assert file.read_bytes().startswith(MAGIC)
    assert held.reseal() == 0


def test_everything_plain_is_sealed_at_the_start(tmp_path: Path) -> None:
    held = Secrets.of(tmp_path)
    held.seal_plain()
    assert not (tmp_path / KEY_NAME).exists(), "no secret, no key"
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "old").write_text(SECRET)
    held.seal_plain()
    assert (tmp_path / "secrets" / "old").read_bytes().startswith(MAGIC)
    assert held.reveal("secret:old") == SECRET


def test_sealed_for_one_name_is_worthless_under_another(tmp_path: Path) -> None:
    held = Secrets.of(tmp_path)
    held.set("door", "open")
    held.set("safe", "closed")
    (tmp_path / "secrets" / "safe").write_bytes((tmp_path / "secrets" / "door").read_bytes())
    with pytest.raises(ConfigError, match=r"secret:safe: is damaged, or was moved"):
        held.reveal("secret:safe")


@settings(max_examples=200, deadline=None)
@given(data=st.binary(max_size=200), place=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_no_flipped_bit_goes_unnoticed(tmp_path_factory: pytest.TempPathFactory, data, place, bit) -> None:
    root = tmp_path_factory.getbasetemp() / "flips"
    root.mkdir(exist_ok=True)
    sealer = Sealer.of(root)
    sealed = bytearray(sealer.seal(data, "x"))
    assert sealer.unseal(bytes(sealed), "x") == data
    sealed[place % len(sealed)] ^= 1 << bit
    with pytest.raises(ConfigError):
        sealer.unseal(bytes(sealed), "x")


def test_a_cut_off_file_is_damaged(tmp_path: Path) -> None:
    sealer = Sealer.of(tmp_path)
    sealed = sealer.seal(b"abc", "x")
    for length in range(len(sealed)):
        with pytest.raises(ConfigError, match="damaged"):
            sealer.unseal(sealed[:length], "x")


def test_another_key_is_named_and_what_to_do(tmp_path: Path) -> None:
    Secrets.of(tmp_path).set("door", "open")
    (tmp_path / KEY_NAME).unlink()
    with pytest.raises(ConfigError, match=r"secrets\.key: the key of the secrets is not there; restore it"):
        Secrets.of(tmp_path).reveal("secret:door")
    Sealer.of(tmp_path).seal(b"", "")  # makes another key
    with pytest.raises(ConfigError, match=r"was sealed by key [0-9a-f]{16}, which .* does not hold"):
        Secrets.of(tmp_path).reveal("secret:door")


def test_a_new_key_seals_everything_and_the_old_one_still_reads(tmp_path: Path) -> None:
    held = Secrets.of(tmp_path)
    held.set("door", "open")
    before = held.sealer.seal(b"of the records", "totp")
    running = Secrets.of(tmp_path)
    assert running.reveal("secret:door") == "open"
    held.sealer.renew()
    assert held.reseal() == 1
    assert running.reveal("secret:door") == "open", "a process that runs hears of the new key"
    assert held.sealer.unseal(before, "totp") == b"of the records"
    (tmp_path / KEY_NAME).write_text((tmp_path / KEY_NAME).read_text().splitlines()[0])
    assert Secrets.of(tmp_path).reveal("secret:door") == "open", "nothing is left under the old key"


def test_key_file_and_credential_are_used_and_never_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = base64.b64encode(bytes(range(32))).decode()
    given = tmp_path / "given"
    with pytest.raises(ConfigError, match="is not there; make it"):
        Secrets.of(tmp_path, str(given)).set("door", "open")
    given.write_text(key)
    given.chmod(0o644)
    with pytest.raises(ConfigError, match="others may read this key"):
        Secrets.of(tmp_path, str(given)).set("door", "open")
    given.chmod(0o600)
    held = Secrets.of(tmp_path, str(given))
    held.set("door", "open")
    with pytest.raises(ConfigError, match="is not written by Isthmus"):
        held.sealer.renew()
    (tmp_path / "isthmus-key").write_text(key + "\n")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert Secrets.of(tmp_path).reveal("secret:door") == "open"
    assert not (tmp_path / KEY_NAME).exists()


@pytest.mark.parametrize("text", ["", "hunter2", "AAAA\n", base64.b64encode(bytes(31)).decode()])
def test_what_is_no_key_is_refused_without_repeating_it(tmp_path: Path, text: str) -> None:
    (tmp_path / KEY_NAME).write_text(text)
    (tmp_path / KEY_NAME).chmod(0o600)
    with pytest.raises(ConfigError, match="must hold keys of 32 bytes") as refused:
        Secrets.of(tmp_path).set("door", "open")
    assert not text.strip() or text.strip() not in str(refused.value)


@pytest.mark.mission("M78")
def test_neither_the_commands_nor_the_logs_tell_a_secret(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    from isthmus.cli.secret import list_secrets, rekey_secrets, set_secret

    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr("sys.stdin", io.StringIO(SECRET))
    set_secret("door", data=tmp_path)
    list_secrets(data=tmp_path)
    rekey_secrets(data=tmp_path)
    held = Secrets.of(tmp_path)
    (tmp_path / "secrets" / "door").write_bytes(b"\xff" + (tmp_path / "secrets" / "door").read_bytes())
    with pytest.raises(ConfigError) as refused:
        held.reveal("secret:door")
    key = (tmp_path / KEY_NAME).read_text().split()[0]
    said = capsys.readouterr()
    for text in (said.out, said.err, caplog.text, repr(held), str(refused.value)):
        assert SECRET not in text
        assert key not in text
