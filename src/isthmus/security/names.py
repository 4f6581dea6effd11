"""Names of accounts: fit to be shown anywhere, and none that looks like another's.

Source: the ideas of Unicode UTS #39 (skeletons, section 4; the restriction level "highly restrictive", section 5.2); the
    tables here are our own and short: letters of the alphabets that have look-alikes among the Latin ones.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from typing import Final

from isthmus.values.errors import ConfigError

MAX_NAME_CHARS = 64

_INVISIBLE: Final = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
"""Blank or ignored when shown, and yet letters, marks or symbols by their category."""
_LATIN_LIKE: Final = {
    # Cyrillic
    "а": "a", "А": "A", "в": "B", "В": "B", "е": "e", "Е": "E", "ё": "ë", "Ё": "Ë", "к": "k", "К": "K", "м": "M",
    "М": "M", "н": "H", "Н": "H", "о": "o", "О": "O", "р": "p", "Р": "P", "с": "c", "С": "C", "т": "T", "Т": "T",
    "у": "y", "У": "Y", "х": "x", "Х": "X", "і": "i", "І": "I", "ї": "ï", "Ї": "Ï", "ј": "j", "Ј": "J", "ѕ": "s",
    "Ѕ": "S", "ԁ": "d", "ԛ": "q", "Ԛ": "Q", "ԝ": "w", "Ԝ": "W", "һ": "h", "Һ": "H", "ӏ": "l", "Ӏ": "l", "ѵ": "v",
    "ѡ": "w", "г": "r", "п": "n", "з": "3", "З": "3", "ь": "b", "Ь": "b", "б": "6", "ү": "y", "Ү": "Y", "ғ": "f",
    # Greek
    "Α": "A", "Β": "B", "Ε": "E", "Ζ": "Z", "Η": "H", "Ι": "I", "Κ": "K", "Μ": "M", "Ν": "N", "Ο": "O", "Ρ": "P",
    "Τ": "T", "Υ": "Y", "Χ": "X", "α": "a", "γ": "y", "ε": "e", "η": "n", "ι": "i", "κ": "k", "ν": "v", "ο": "o",
    "ρ": "p", "σ": "o", "τ": "T", "υ": "u", "χ": "x", "ω": "w", "ϳ": "j", "Ϳ": "J",
    # Armenian
    "օ": "o", "Օ": "O", "ս": "u", "Ս": "U", "ո": "n", "հ": "h", "յ": "j", "ց": "g", "զ": "q", "ռ": "n", "Լ": "L",
    # Latin letters that pass for others
    "ı": "i", "ɑ": "a", "ɡ": "g", "ɩ": "i", "ʋ": "u", "ʏ": "y", "ǀ": "l", "ƽ": "s", "ꞌ": "'",
    # digits and signs
    "0": "O", "5": "S", "$": "S",
}  # fmt: skip
_STROKES: Final = "1I|"
"""Stand for an l to one eye and for an i to another."""
_PAIRS: Final = (("rn", "m"), ("vv", "w"))
"""Two letters which, set tight, are one."""
_TOGETHER: Final = (
    frozenset({"LATIN", "CJK", "HIRAGANA", "KATAKANA"}),
    frozenset({"LATIN", "CJK", "BOPOMOFO"}),
    frozenset({"LATIN", "CJK", "HANGUL"}),
)
"""Scripts that people do write beside each other in one name."""


def name_key(name: str) -> str:
    """What two spellings of one name have in common: case and compatibility forms do not count."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())


def check_account_name(name: str) -> str:
    """The name of a person, token or station in its usual form (NFKC), when it is fit to be shown anywhere.

    Raises: ConfigError naming what is wrong with it
    """
    usual = unicodedata.normalize("NFKC", name)
    if not usual or max(len(name), len(usual)) > MAX_NAME_CHARS or usual != usual.strip() or not usual.isprintable():
        raise ConfigError(f"name: must have 1 to {MAX_NAME_CHARS} printable characters, was {name[:80]!r}")
    if any(map(_hidden, name)):
        raise ConfigError(f"name: holds characters that cannot be seen, was {name[:80]!a}")
    if "/" in usual or "\\" in usual or not any(c.isalnum() for c in usual):
        raise ConfigError(f"name: must have a letter or digit and no slash, was {name[:80]!r}")
    found = scripts(usual)
    if len(found) > 1 and not any(found <= allowed for allowed in _TOGETHER):
        raise ConfigError(f"name: mixes letters of {', '.join(sorted(s.title() for s in found))}, was {name[:80]!r}")
    return usual


def _hidden(character: str) -> bool:
    """Zero width, filler, or a variation of the character before it."""
    code = ord(character)
    return (
        character in _INVISIBLE
        or unicodedata.category(character) in ("Cf", "Cc", "Co", "Cn", "Cs")
        or 0xFE00 <= code <= 0xFE0F
        or 0xE0100 <= code <= 0xE01EF
        or 0x180B <= code <= 0x180F
    )


def scripts(text: str) -> frozenset[str]:
    """The writing systems of the letters in a text, as the first word of their Unicode names."""
    return frozenset(_script(c) for c in text if unicodedata.category(c)[0] == "L")


def _script(letter: str) -> str:
    first = unicodedata.name(letter, "UNKNOWN").split(" ")[0].split("-")[0]
    return "CJK" if first == "IDEOGRAPHIC" else "LATIN" if first in ("FEMININE", "MASCULINE", "MICRO") else first


def skeletons(name: str) -> tuple[str, str]:
    """What is left of a name once everything is gone that an eye may miss, strokes read as l and as i.

    Names look alike when either is equal.
    """
    usual = unicodedata.normalize("NFKC", name)
    return _skeleton(usual, "l"), _skeleton(usual, "i")


def _skeleton(usual: str, stroke: str) -> str:
    text = "".join(_shape(c, stroke) for c in usual if not _hidden(c))
    text = unicodedata.normalize("NFKC", text.casefold())
    for pair, one in _PAIRS:
        text = text.replace(pair, one)
    return " ".join(text.split())


def _shape(character: str, stroke: str) -> str:
    found = stroke if character in _STROKES else _LATIN_LIKE.get(character)
    if found is not None:
        return found
    category = unicodedata.category(character)
    if category == "Pd":
        return "-"
    if category == "Nd":  # any script's digit, by its value
        digit = str(unicodedata.digit(character))
        return digit if digit == character else _shape(digit, stroke)
    if character in "\u2018\u2019\u201b\u02bc\u02b9\u00b4\u0060\u055a\u05f3":
        return "'"
    words = unicodedata.name(character, "").split(" ")
    if words[:3] == ["LATIN", "LETTER", "SMALL"] and words[3:4] == ["CAPITAL"] and len(words[-1]) == 1:
        return words[-1]
    return character


def look_alike(name: str, others: Iterable[str]) -> str | None:
    """The first of the others that looks like this name; None when none does."""
    as_l, as_i = skeletons(name)

    def alike(other: str) -> bool:
        found = skeletons(other)
        return found[0] == as_l or found[1] == as_i

    return next(filter(alike, others), None)
