"""Hashes against published ones; nats-server's own judgement is in tests/integration/mqtt."""

from __future__ import annotations

import pytest

from isthmus.bus.bcrypt import _ALPHABET, hashed


def salt(text: str) -> bytes:
    bits = "".join(f"{_ALPHABET.index(c):06b}" for c in text)
    return bytes(int(bits[i : i + 8], 2) for i in range(0, 128, 8))


@pytest.mark.parametrize(
    ("password", "expected"),
    [
        ("U*U", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"),
        ("U*U*", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.VGOzA784oUp/Z0DY336zx7pLYAy0lwK"),
        ("U*U*U", "$2a$05$XXXXXXXXXXXXXXXXXXXXXOAcXxm9kjPGEMsLznoKqmqw7tc8WCx4a"),
    ],
)
def test_known_hashes(password, expected) -> None:
    assert hashed(password, salt(expected[7:29]), 5) == expected


def test_two_hashes_of_one_password_differ() -> None:
    assert hashed("x") != hashed("x")


@pytest.mark.parametrize("password", ["", "x" * 73])
def test_what_bcrypt_would_cut_off_is_refused(password) -> None:
    with pytest.raises(ValueError, match="bcrypt"):
        hashed(password)
