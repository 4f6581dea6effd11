from __future__ import annotations

import secrets
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.security.passwords import check_password, check_pin, guess_bits
from isthmus.values.errors import ConfigError

HERE = ("acme", "lyon", "isthmus")


@pytest.mark.parametrize(
    "password",
    [
        "password1234", "Password1234!", "P@ssw0rd2024", "Summer2026!!", "qwertyuiop12", "azertyuiop789", "123456789012", "abcdefghijkl",
        "letmein12345", "iloveyou2024", "admin1admin1", "acmelyon2026!", "Isthmus-Isthmus", "welcomeacme1", "motdepasse123", "lyonlyonlyon",
        "zxcvbnm,./123", "1qaz2wsx3edc", "ana.ruiz.ana.ruiz",
    ],
)  # fmt: skip
def test_what_is_tried_first_is_refused(password: str) -> None:
    with pytest.raises(ConfigError) as refused:
        check_password(password, "ana.ruiz", HERE)
    assert password not in str(refused.value)


@pytest.mark.parametrize(
    "password",
    [
        "correct horse battery",
        "my dog eats snow",
        "xk7#pQ9vLm2t",
        "drei blaue Elche",
        "ÿ€漢字パスワード十二月",
        "83 ducks & a crow",
    ],
)
def test_no_kind_of_character_is_asked_for(password: str) -> None:
    assert check_password(password, "ana", HERE) == password


@given(st.text(min_size=1, max_size=80), st.text(max_size=10))
def test_more_never_makes_it_easier_by_much_and_nothing_breaks(password: str, more: str) -> None:
    assert guess_bits(password) > 0
    assert guess_bits(password + more) >= guess_bits(password) - 8.0


def test_what_a_generator_makes_is_taken() -> None:
    for _ in range(200):
        check_password("".join(secrets.choice(string.ascii_letters) for _ in range(14)), "ana", HERE)


@pytest.mark.parametrize(
    "pin",
    [
        "",
        "12345",
        "1234567890123",
        "12a456",
        "123456",
        "987654",
        "111111",
        "121212",
        "123123",
        "445566x",
        "٤٤٤٤٧٧",
        "778899",
    ],
)
def test_pins_that_are_guessed_first_are_refused(pin: str) -> None:
    with pytest.raises(ConfigError) as refused:
        check_pin(pin, "0477889912")
    assert not pin or pin not in str(refused.value)


def test_a_pin_is_digits() -> None:
    assert check_pin("903817", "0477") == "903817"
