"""Which passwords are fit: long, and not what anybody would try first. No rule says which kinds of characters.

Source: OWASP ASVS 5.0, V6.2 (length, no composition rules, common and context words refused); the words are our own.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Final

from isthmus.values.errors import ConfigError

MIN_PASSWORD_CHARS = 12
MAX_PASSWORD_CHARS = 256
MIN_PIN_DIGITS = 6
MAX_PIN_DIGITS = 12
_LEAST_BITS: Final = 32.0
"""Below this many doublings of guesses by the rules here, a password counts as a common one."""

_COMMON: Final = """
pass password passwd passwort parole motdepasse contrasena senha wachtwoord welcome willkommen bienvenue benvenuto
bienvenido hello hallo bonjour hola admin administrator root user guest test tester testing demo default secret geheim
login logon letmein changeme change please access master super superman batman dragon monkey shadow sunshine princess
football fussball baseball soccer hockey basketball iloveyou love angel flower freedom whatever trust nothing computer
internet server system network windows linux service support manager office company business internal private public
security secure safety summer winter spring autumn fall sommer herbst fruhling ete hiver printemps automne january
february march april may june july august september october november december januar februar maerz mai juni juli
oktober dezember janvier fevrier mars avril juin juillet aout septembre octobre novembre decembre monday tuesday
wednesday thursday friday saturday sunday montag dienstag mittwoch donnerstag freitag samstag sonntag lundi mardi
mercredi jeudi vendredi samedi dimanche michael jessica jennifer thomas daniel charlie jordan robert andrea martin
maria peter anna operator engineer maintenance supervisor viewer worker shift plant factory machine line scada hmi plc
historian pump motor valve filler press robot isthmus station tablet abc qwerty qwertz azerty asdf qazwsx king queen
star mustang ferrari porsche mercedes google facebook apple samsung cheese chocolate coffee cookie pepper ginger
banana orange starwars pokemon killer hunter ranger tiger lion eagle falcon phoenix matrix ninja rainbow purple silver
golden
"""
_WORDS: Final = frozenset(_COMMON.split())
_ROWS: Final = (
    "abcdefghijklmnopqrstuvwxyz",
    "01234567890",
    "qwertyuiop",
    "asdfghjkl",
    "zxcvbnm",
    "qwertzuiop",
    "yxcvbnm",
    "azertyuiop",
    "qsdfghjklm",
    "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik9ol0p",
)
"""Keys in the order of a keyboard or of counting; read both ways."""
_SPOKEN: Final = str.maketrans("@4310$5!78", "aaeiossitb")
"""Signs and digits that are used for letters."""


@cache
def _runs() -> str:
    return " ".join(_ROWS) + " " + " ".join(row[::-1] for row in _ROWS)


def check_password(password: str, name: str, context: Sequence[str] = ()) -> str:
    """The password when it is fit. ``context`` are words that anybody here would try: the plant's and the site's names.

    Raises: ConfigError; the text never holds the password
    """
    if len(password) < MIN_PASSWORD_CHARS:
        raise ConfigError(f"password: must have {MIN_PASSWORD_CHARS} characters or more, has {len(password)}")
    if len(password) > MAX_PASSWORD_CHARS:
        raise ConfigError(f"password: must have {MAX_PASSWORD_CHARS} characters or fewer, has {len(password)}")
    if password.casefold() == name.casefold() or len(set(password)) < 4:
        raise ConfigError("password: must not be the name, nor three characters or fewer repeated")
    if guess_bits(password, (name, *context)) < _LEAST_BITS:
        raise ConfigError(
            "password: is made of common words, names of this place, years or runs of keys, which are tried first; "
            "take several words that have nothing to do with each other"
        )
    return password


def guess_bits(password: str, context: Sequence[str] = ()) -> float:
    """Doublings of guesses after which somebody who tries the common first has it, at most.

    The password is cut into pieces (words, runs, repeats, years, single characters), each with its price; the cheapest cut counts.
    Cost: about a millisecond for 64 characters
    """
    plain = password.casefold()[:64]  # what is longer than that has its bits there
    spoken = plain.translate(_SPOKEN)
    words = _WORDS | {w for text in context for w in _parts(text) if len(w) >= 3}
    best = [0.0] + [math.inf] * len(plain)
    for start in range(len(plain)):
        for length, bits in _pieces(plain, spoken, start, words):
            end = start + length
            best[end] = min(best[end], best[start] + bits)
    return best[-1]


def _parts(text: str) -> Iterator[str]:
    folded = text.casefold()
    yield "".join(c for c in folded if c.isalnum())
    yield from "".join(c if c.isalnum() else " " for c in folded).split()


def _pieces(plain: str, spoken: str, start: int, words: frozenset[str]) -> Iterator[tuple[int, float]]:
    """(length, bits) of everything known that begins here."""
    first = plain[start]
    yield 1, 3.33 if first.isdecimal() else 4.7 if first.isalpha() and first.isascii() else 5.5
    for length in range(3, min(20, len(plain) - start) + 1):
        piece = plain[start : start + length]
        if piece in words or spoken[start : start + length] in words:
            yield length, 8.0
        if piece in _runs() and " " not in piece:
            yield length, 6.0
    if plain[start : start + 2] in ("19", "20") and plain[start : start + 4].isdecimal() and len(plain) >= start + 4:
        yield 4, 6.0
    for width in range(1, min(12, start) + 1):  # what came just before, again
        same = 0
        while start + same < len(plain) and plain[start + same] == plain[start + same - width]:
            same += 1
        if same >= min(width, 3):
            yield same, 1.0 + math.log2(1 + same / width)


def check_pin(pin: str, badge: str) -> str:
    """The PIN when it is fit: digits, and no run, repeat or part of the badge.

    Raises: ConfigError; the text never holds the PIN
    """
    if not (pin.isascii() and pin.isdecimal() and MIN_PIN_DIGITS <= len(pin) <= MAX_PIN_DIGITS):
        raise ConfigError(f"pin: must be {MIN_PIN_DIGITS} to {MAX_PIN_DIGITS} digits")
    twice = "01234567890123456789"
    halves = any(len(pin) % n == 0 and pin == pin[:n] * (len(pin) // n) for n in range(1, len(pin) // 2 + 1))
    if halves or pin in twice or pin in twice[::-1] or (badge and pin in badge):
        raise ConfigError("pin: must not count up or down, repeat itself or be part of the badge's number")
    return pin
