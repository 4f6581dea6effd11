from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.security import names
from isthmus.security.model import Role
from isthmus.security.names import check_account_name, look_alike, name_key, scripts, skeletons
from isthmus.security.service import Security
from isthmus.values.errors import ConfigError, Denied


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Ana", "Аnа"),  # Cyrillic А, а
        ("paul", "раuӏ"),
        ("cop", "сор"),  # Cyrillic throughout
        ("Nikos", "Νikοs"),  # Greek
        ("admin", "adm1n"),
        ("admin", "admın"),
        ("Bill", "BiII"),
        ("Olaf", "0laf"),
        ("Bernd", "Bemd"),
        ("Otto", "Ott٥".replace("٥", "0")),
        ("O'Brien", "O’Brien"),
        ("Jean-Luc", "Jean‐Luc"),
        ("ana", "ana\u200b"),
        ("ana", "a\u034fna"),
        ("ana", "ᴀɴᴀ"),
        ("Fin", "ﬁn"),
        ("Wolf", "VVolf"),
        ("Ana Ruiz", "Ana  Ruiz"),
    ],
)
def test_names_that_look_alike_are_found(one: str, other: str) -> None:
    assert look_alike(other, [one]) == one


@pytest.mark.parametrize(
    ("one", "other"),
    [("Neil", "Nell"), ("José", "Jose"), ("Ali", "Ail"), ("Anna", "Ana"), ("Müller", "Muller"), ("Søren", "Soren"), ("王芳", "王方")],
)  # fmt: skip
def test_names_of_people_that_differ_stay_apart(one: str, other: str) -> None:
    assert look_alike(other, [one]) is None


@pytest.mark.parametrize(
    "name",
    [
        "", " ana", "a\nb", "x" * 65, "a\u202eb", "ana\u200d", "a\ufe0fna", "a\u3164na", "a\u2800na", "Аnа", "Anα", "a/b", "a\\b", "..", "-",
        "ana\ud800", "ﷺ" * 10,
    ],
)  # fmt: skip
def test_names_that_hide_or_mix_are_refused(name: str) -> None:
    with pytest.raises(ConfigError):
        check_account_name(name)


@pytest.mark.parametrize(
    "name", ["Ana", "José García", "Анна Петрова", "Νίκος", "田中ひろし Tanaka", "김민준 Kim", "shift 2", "o'Neil"]
)
def test_names_of_people_everywhere_are_taken(name: str) -> None:
    assert check_account_name(name) == name


def test_a_name_is_kept_in_its_usual_form() -> None:
    assert check_account_name(unicodedata.normalize("NFD", "José")) == "José"
    assert check_account_name("Ａｎａ") == "Ana"
    assert name_key("JOSÉ") == name_key(unicodedata.normalize("NFD", "josé"))


@given(st.text(max_size=40))
def test_whatever_is_taken_is_found_again_under_each_spelling(text: str) -> None:
    assert skeletons(text) == skeletons(unicodedata.normalize("NFC", text))
    try:
        name = check_account_name(text)
    except ConfigError:
        return
    assert check_account_name(name) == name
    assert name.isprintable()
    assert name_key(name) == name_key(name_key(name))
    assert look_alike(name, [text]) == text
    assert len(scripts(name)) <= 4


@given(st.text(alphabet="abcdefghijklmopqstuxyz", min_size=1, max_size=12), st.data())
def test_one_letter_swapped_for_its_twin_is_found(name: str, data: st.DataObject) -> None:
    twins = [(twin, plain) for twin, plain in names._LATIN_LIKE.items() if plain in name]
    if twins:
        twin, plain = data.draw(st.sampled_from(twins))
        assert look_alike(name.replace(plain, twin), [name]) == name


@pytest.mark.mission("M36")
def test_an_account_that_looks_like_another_is_refused_and_named(security: Security) -> None:
    security.create_user("paul", Role.VIEWER)
    with pytest.raises(Denied) as denied:
        security.create_user("pau1", Role.ADMIN)
    assert denied.value.code == "look_alike"
    assert "paul" in str(denied.value)
    security.create_user("vera", Role.VIEWER)
    with pytest.raises(Denied) as renamed:
        security.change_user("vera", new_name="PauI")
    assert renamed.value.code == "look_alike"
    with pytest.raises(ConfigError, match="kept for emergencies"):
        security.create_user("Break-Glass", Role.ADMIN)
