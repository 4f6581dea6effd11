from __future__ import annotations

import io
import json
import random
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.app import archive
from isthmus.app.archive import Archive, Encryptor, read_archive, read_secret
from isthmus.values.errors import ConfigError, Malformed

SECRET = b"correct horse battery"


def write(members: dict[str, bytes], secret: bytes | None) -> bytes:
    out = io.BytesIO()
    sink = Encryptor(out, secret, n=2) if secret else out
    made = Archive(sink)
    for name, data in members.items():
        made.add_bytes(name, data)
    made.finish({"made": "now"})
    if isinstance(sink, Encryptor):
        sink.close()
    return out.getvalue()


def read(path: Path, secret: bytes | None) -> dict[str, bytes]:
    found = {}

    def take(name: str, size: int, blocks: Iterator[bytes]) -> None:
        found[name] = b"".join(blocks)
        assert len(found[name]) == size

    read_archive(path, secret, take, lambda _: None)
    return found


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("archive") / "a.isb"


NAMES = st.text("abcé/ .", min_size=1, max_size=200).filter(lambda n: n.strip("/. ") == n and n not in ("manifest.json", "checksum"))  # fmt: skip


@settings(max_examples=30, deadline=None)
@given(members=st.dictionaries(NAMES, st.binary(max_size=3000), max_size=5), secret=st.sampled_from([None, SECRET]))
def test_what_was_written_comes_back(place: Path, members: dict[str, bytes], secret: bytes | None) -> None:
    place.write_bytes(write(members, secret))
    assert read(place, secret) == members


@pytest.mark.parametrize("secret", [None, SECRET])
def test_members_larger_than_a_chunk_come_back(place: Path, secret: bytes | None) -> None:
    members = {"large": random.Random(5).randbytes(3 * archive.CHUNK + 17), "exact": bytes(archive.CHUNK), "none": b""}
    place.write_bytes(write(members, secret))
    assert read(place, secret) == members


@pytest.mark.mission("M4")
@pytest.mark.parametrize("secret", [None, SECRET])
def test_an_altered_byte_anywhere_is_refused(place: Path, secret: bytes | None) -> None:
    good = write({"a": b"x" * 700, "b": b"y"}, secret)
    for at in range(0, len(good), 1 if secret is None else 7):
        bad = bytearray(good)
        bad[at] ^= 0x20
        place.write_bytes(bad)
        with pytest.raises((Malformed, ConfigError)):
            read(place, secret)


@pytest.mark.mission("M4")
@pytest.mark.parametrize("secret", [None, SECRET])
def test_a_backup_cut_off_anywhere_is_refused(place: Path, secret: bytes | None) -> None:
    good = write({"a": b"x" * 700, "b": b"y"}, secret)
    for length in range(0, len(good), 13):
        place.write_bytes(good[:length])
        with pytest.raises((Malformed, ConfigError)):
            read(place, secret)
    place.write_bytes(good + b"\0")
    with pytest.raises(Malformed):
        read(place, secret)


def test_whole_chunks_left_out_or_moved_are_refused(place: Path) -> None:
    good = write({"a": random.Random(1).randbytes(5 * archive.CHUNK)}, SECRET)
    step = archive.CHUNK + 20
    start = len(good) % step
    head = good.index(b"\x00\x10\x00\x10")  # the length of the first full chunk
    first, second = good[head : head + step], good[head + step : head + 2 * step]
    assert start
    for bad in (
        good[:head] + good[head + step :],
        good[:head] + second + first + good[head + 2 * step :],
        good[: head + 3 * step],
    ):
        place.write_bytes(bad)
        with pytest.raises(Malformed):
            read(place, SECRET)


def test_a_wrong_or_missing_passphrase_says_so(place: Path) -> None:
    place.write_bytes(write({"a": b"1"}, SECRET))
    with pytest.raises(Malformed, match="the passphrase is wrong"):
        read(place, b"another passphrase")
    with pytest.raises(ConfigError, match="is encrypted"):
        read(place, None)
    place.write_bytes(write({"a": b"1"}, None))
    with pytest.raises(ConfigError, match="is not encrypted"):
        read(place, SECRET)


def test_an_encrypted_backup_shows_nothing_of_what_is_in_it(place: Path) -> None:
    content = write({"files/bus/passwords.json": b"hunter2 hunter2"}, SECRET)
    assert b"hunter2" not in content
    assert b"passwords" not in content
    assert write({"a": b"1"}, SECRET) != write({"a": b"1"}, SECRET)


@pytest.mark.real("tar")
def test_a_plain_backup_opens_with_any_tar_program(place: Path) -> None:
    place.write_bytes(write({"records.db": b"1", "history/sample/p/data.bin": b"22"}, None))
    with tarfile.open(place) as tar:
        assert tar.getnames() == ["records.db", "history/sample/p/data.bin", "manifest.json", "checksum"]
        manifest = json.loads(tar.extractfile("manifest.json").read())  # type: ignore[union-attr]  # it is a file
    assert manifest["members"]["records.db"]["bytes"] == 1


def test_a_header_cannot_ask_for_all_memory(place: Path) -> None:
    header = json.dumps({"kdf": "scrypt", "n": 1 << 30, "salt": "00", "cipher": "aes-256-gcm"}).encode()
    place.write_bytes(archive.MAGIC + len(header).to_bytes(2, "big") + header + b"\0\0\0\x10" + bytes(16))
    with pytest.raises(Malformed):
        read(place, SECRET)


def test_a_member_that_changes_its_size_is_no_member() -> None:
    with pytest.raises(Malformed, match="changed while it was copied"):
        Archive(io.BytesIO()).add("a", 5, iter([b"1234"]))


def test_secrets_come_from_files_and_short_ones_are_refused(tmp_path: Path) -> None:
    (tmp_path / "p").write_text("correct horse battery\r\nnote\n")
    assert read_secret(tmp_path / "p") == SECRET
    (tmp_path / "k").write_bytes(b"\xff\xfe" * 16 + b"\n1")
    assert read_secret(tmp_path / "k") == b"\xff\xfe" * 16 + b"\n1"
    (tmp_path / "s").write_text("short")
    with pytest.raises(ConfigError, match="12 characters"):
        read_secret(tmp_path / "s")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_secret(tmp_path / "gone")
