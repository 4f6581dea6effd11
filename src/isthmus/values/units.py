"""Units of measure as plants write them: parsed, checked and converted; no table of ours is ever changed at run time.

A unit is a product of symbols: `kWh/pcs`, `1/min`, `W/(m2*K)`, `m³/h`, `m.s-1`. SI prefixes go before the symbols that
take them. Things that are counted (`pcs`, `bottles`) have no dimension; a word of one's own is written in braces as UCUM
does it: `{kegs}/h`. Shares (`%`, `‰`, `ppm`, `ppb`) have no dimension either: they convert among themselves, but a
number without a unit is taken as it stands, so that `100 * good / total` is a value in `%`.

Source: SI brochure 9th edition tables 2, 4, 7 and 8; NIST SP 811 (2008) annex B for the others; UCUM 2.1 section 6 for braces
"""

from __future__ import annotations

import difflib
import math
import re
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from typing import Final

from isthmus.values.errors import ConfigError

MAX_UNIT_CHARS: Final = 60
MAX_EXPONENT: Final = 9
_MAX_MAGNITUDE: Final = Fraction(10) ** 100  # far from where a quotient of two factors leaves float64

Dimension = tuple[tuple[str, int], ...]
"""Base symbols with their exponents, sorted; () where there is none."""


@dataclass(frozen=True, slots=True)
class Unit:
    """One unit; a value in SI base units is ``value * factor + offset``, exactly.

    ``share`` and ``shares`` keep the `%` and its kin apart from the factor: how much, and to which power.
    """

    dimension: Dimension = ()
    factor: Fraction = Fraction(1)
    offset: Fraction = Fraction(0)
    share: Fraction = Fraction(1)
    shares: int = 0
    parts: Dimension = ()  # the symbols it was written with, for the text of products

    @property
    def text(self) -> str:
        """The unit as people write it; empty for a plain number."""
        above = "*".join(_power(symbol, n) for symbol, n in self.parts if n > 0)
        below = "*".join(_power(symbol, -n) for symbol, n in self.parts if n < 0)
        if not below:
            return above
        return f"{above or '1'}/{f'({below})' if '*' in below else below}"

    @property
    def plain(self) -> bool:
        """Whether it is the unit of a number without any."""
        return not self.parts

    @property
    def difference(self) -> Unit:
        """The unit of a difference of two values in this one; itself where it has no zero of its own."""
        return parse_unit(_DIFFERENCES[self.parts[0][0].partition("{")[0]]) if self.offset else self

    def times(self, other: Unit, sign: int = 1) -> Unit:
        """The product with a unit (``sign`` 1) or the quotient by it (-1); offsets do not take part.

        Raises: ConfigError where the result is beyond all reason
        """
        return _checked(
            Unit(
                dimension=_combine(self.dimension, other.dimension, sign),
                factor=self.factor * other.factor**sign,
                share=self.share * other.share**sign,
                shares=self.shares + sign * other.shares,
                parts=_combine(self.parts, other.parts, sign),
            )
        )

    def power(self, exponent: int) -> Unit:
        """The unit to a whole power.

        Raises: ConfigError where the result is beyond all reason
        """
        if abs(exponent) > MAX_EXPONENT:
            raise ConfigError(f"the exponent of a unit must be at most {MAX_EXPONENT}, was {exponent}")
        return _checked(
            Unit(
                dimension=_scaled(self.dimension, exponent),
                factor=self.factor**exponent,
                share=self.share**exponent,
                shares=self.shares * exponent,
                parts=_scaled(self.parts, exponent),
            )
        )


PLAIN: Final = Unit()
"""The unit of a number without any."""


def _power(symbol: str, exponent: int) -> str:
    if exponent == 1:
        return symbol
    return f"{symbol}{exponent}" if symbol.isalpha() else f"{symbol}^{exponent}"


def _combine(a: Dimension, b: Dimension, sign: int) -> Dimension:
    """Exponents added (or taken away), in the order the symbols came; those at 0 leave."""
    total = dict(a)
    for symbol, exponent in b:
        total[symbol] = total.get(symbol, 0) + sign * exponent
    return tuple((symbol, n) for symbol, n in total.items() if n)


def _scaled(a: Dimension, by: int) -> Dimension:
    return tuple((symbol, n * by) for symbol, n in a if by)


def _checked(unit: Unit) -> Unit:
    """Raises: ConfigError where the numbers of a product grew out of hand"""
    exponents = [abs(n) for _, n in (*unit.dimension, *unit.parts)]
    if max(exponents, default=0) > MAX_EXPONENT * MAX_EXPONENT or not all(
        1 / _MAX_MAGNITUDE < f < _MAX_MAGNITUDE for f in (unit.factor, unit.share)
    ):
        raise ConfigError(f"the unit {unit.text[:MAX_UNIT_CHARS]} is too large or too small to compute with")
    return unit


def _dimension(text: str) -> Dimension:
    """From a short notation of the table below: "kg m2 s-3"."""
    found = (re.fullmatch(r"([A-Za-z]+?)(-?\d)?", word) for word in text.split())
    return tuple((m[1], int(m[2] or 1)) for m in found if m)


# Symbols that take SI prefixes: factor to SI base units, dimension
_PREFIXED: Final = """
    m 1 m | g 0.001 kg | s 1 s | A 1 A | K 1 K | mol 1 mol | cd 1 cd
    Hz 1 s-1 | N 1 kg m s-2 | Pa 1 kg m-1 s-2 | J 1 kg m2 s-2 | W 1 kg m2 s-3 | C 1 A s | V 1 kg m2 s-3 A-1
    F 1 kg-1 m-2 s4 A2 | Ohm 1 kg m2 s-3 A-2 | S 1 kg-1 m-2 s3 A2 | Wb 1 kg m2 s-2 A-1 | T 1 kg s-2 A-1
    H 1 kg m2 s-2 A-2 | lm 1 cd | lx 1 cd m-2 | rad 1 | Bq 1 s-1
    l 0.001 m3 | t 1000 kg | bar 100000 kg m-1 s-2 | Nm 1 kg m2 s-2 | Wh 3600 kg m2 s-2 | VA 1 kg m2 s-3
    VAr 1 kg m2 s-3 | VArh 3600 kg m2 s-2 | VAh 3600 kg m2 s-2 | Ah 3600 A s | cal 4.1868 kg m2 s-2
    bit 1 bit | B 8 bit
"""

# Symbols that take none
_ALONE: Final = """
    min 60 s | h 3600 s | d 86400 s | w 604800 s | rpm 1/60 s-1 | ha 10000 m2 | Nm3 1 m3 | Sm3 1 m3
    in 0.0254 m | ft 0.3048 m | yd 0.9144 m | mi 1609.344 m | lb 0.45359237 kg | oz 0.028349523125 kg
    gal 0.003785411784 m3 | gpm 0.003785411784/60 m3 s-1 | cfm 0.028316846592/60 m3 s-1
    lbf 4.4482216152605 kg m s-2 | kgf 9.80665 kg m s-2 | psi 6894.757293168361 kg m-1 s-2
    atm 101325 kg m-1 s-2 | at 98066.5 kg m-1 s-2 | Torr 101325/760 kg m-1 s-2 | mmHg 133.322387415 kg m-1 s-2
    mmH2O 9.80665 kg m-1 s-2 | mH2O 9806.65 kg m-1 s-2 | inH2O 249.08891 kg m-1 s-2
    hp 745.69987158227022 kg m2 s-3 | PS 735.49875 kg m2 s-3 | BTU 1055.05585262 kg m2 s-2
    P 0.1 kg m-1 s-1 | cP 0.001 kg m-1 s-1 | St 0.0001 m2 s-1 | cSt 0.000001 m2 s-1
    dB 1 | dB(A) 1 | pH 1 | NTU 1 | FNU 1 | °Bx 1 | °P 1 | °dH 1
"""

# Units with a zero of their own: factor, offset and dimension
_SHIFTED: Final[dict[str, tuple[str, str, str]]] = {
    "degC": ("1", "273.15", "K"),
    "degF": ("5/9", "45967/180", "K"),
    "bar(g)": ("100000", "101325", "kg m-1 s-2"),
    "mbarg": ("100", "101325", "kg m-1 s-2"),
}

_DIFFERENCES: Final = {"degC": "K", "degF": "K", "bar(g)": "bar", "mbarg": "mbar"}

_SHARES: Final = {"%": Fraction(1, 100), "‰": Fraction(1, 1000), "ppm": Fraction(1, 10**6), "ppb": Fraction(1, 10**9)}

_COUNTED: Final = """pc pcs piece pieces ea EA unit units item items part parts bottle bottles can cans case cases crate
    crates box boxes pack packs bag bags roll rolls sheet sheets label labels cap caps pallet pallets batch batches order
    orders cycle cycles stroke strokes rev revs turn turns pulse pulses count counts U Stk Stück shift shifts person
    persons sample samples value values CFU"""

_CURRENCIES: Final = "EUR USD GBP CHF JPY CNY SEK NOK DKK PLN CZK HUF INR BRL MXN CAD AUD KRW TRY ZAR"

_ALIASES: Final = {
    "°C": "degC", "℃": "degC", "°F": "degF", "barg": "bar(g)", "bara": "bar", "bar(a)": "bar", "L": "l", "ohm": "Ohm",
    "Ω": "Ohm", "var": "VAr", "varh": "VArh", "lux": "lx", "dBA": "dB(A)", "deg": "°", "mbara": "mbar", "€": "EUR",
    "sec": "s", "hr": "h", "day": "d", "days": "d", "U/min": "rpm", "%RH": "%", "%rH": "%", "vol%": "%", "Nm³": "Nm3",
    "Sm³": "Sm3", "byte": "B", "tonne": "t", "mbar(a)": "mbar", "mbar(g)": "mbarg",
}  # fmt: skip

_PREFIXES: Final = {
    "T": 12, "G": 9, "M": 6, "k": 3, "h": 2, "d": -1, "c": -2, "m": -3, "µ": -6, "n": -9, "p": -12,
}  # fmt: skip


def _table(rows: str) -> dict[str, Unit]:
    found = {}
    for row in re.split(r"[|\n]", rows):
        if row.strip():
            symbol, factor, *dimension = row.split()
            found[symbol] = _entry(symbol, factor, "0", " ".join(dimension))
    return found


def _entry(symbol: str, factor: str, offset: str, dimension: str) -> Unit:
    above, _, below = factor.partition("/")
    exact = Fraction(above) / Fraction(below or "1")
    return Unit(tuple(sorted(_dimension(dimension))), exact, Fraction(offset), parts=((symbol, 1),))


_PREFIXABLE: Final = _table(_PREFIXED)
_KNOWN: Final[dict[str, Unit]] = {
    **_PREFIXABLE,
    **_table(_ALONE),
    **{symbol: _entry(symbol, *row) for symbol, row in _SHIFTED.items()},
    **{symbol: Unit(share=share, shares=1, parts=((symbol, 1),)) for symbol, share in _SHARES.items()},
    **{symbol: Unit(parts=((symbol, 1),)) for symbol in _COUNTED.split()},
    **{symbol: Unit(dimension=((symbol, 1),), parts=((symbol, 1),)) for symbol in _CURRENCIES.split()},
    "°": Unit(factor=Fraction("0.017453292519943295"), parts=(("°", 1),)),
}

_SUPERSCRIPTS: Final = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
_SUGGESTED: Final = [
    *_KNOWN, *_ALIASES, "kg", "mg", "km", "mm", "cm", "µm", "ms", "µs", "kW", "MW", "GW", "mW", "kWh", "MWh", "GWh", "kPa",
    "MPa", "hPa", "mbar", "kN", "kNm", "kV", "mV", "mA", "kA", "kVA", "MVA", "kVAr", "ml", "cl", "hl", "kHz", "MHz", "kJ",
    "MJ", "GJ", "mPa", "µS", "mS", "kcal", "kOhm", "MOhm", "mAh", "kB", "MB", "GB", "kbit", "Mbit",
]  # fmt: skip

_LETTER: Final = "[^\\W\\d_⁰¹²³⁴-⁹]"
_TOKEN = re.compile(
    rf"(?P<word>dB\(A\)|m?bar\([ag]\)|U/min|%rH|%RH|vol%|[NS]m[3³]|m?mH2O|inH2O|°?{_LETTER}+|[%‰€Ω℃°])"
    r"(?P<note>\{[^{}]+\})?|(?P<custom>\{[^{}]+\})|(?P<one>1(?!\d))|(?P<sign>[*·⋅./()])"
)


_EXPONENT = re.compile(r"\^?-?[0-9]{1,3}|⁻?[⁰¹²³⁴-⁹]{1,3}")


@lru_cache(maxsize=4096)
def parse_unit(text: str) -> Unit:
    """The unit a text stands for; the empty text, `1` and `-` are plain numbers.

    Raises: ConfigError naming the part that is no unit, with near matches
    """
    if len(text) > MAX_UNIT_CHARS:
        raise ConfigError(f"a unit must be at most {MAX_UNIT_CHARS} characters, was {text[:MAX_UNIT_CHARS]}…")
    stripped = text.strip().replace("μ", "µ").replace("\u2126", "Ω")  # two code points each look the same
    if stripped in {"", "-", "1"}:
        return PLAIN
    return _Parser(stripped, text).whole()


class _Parser:
    """Reads a unit from left to right; depth is bounded by the length of a unit."""

    def __init__(self, text: str, written: str) -> None:
        self._text, self._written, self._at = text, written, 0

    def whole(self) -> Unit:
        unit = self._product()
        if self._at < len(self._text):
            raise self._wrong()
        return unit

    def _wrong(self) -> ConfigError:
        rest = self._text[self._at :]
        return ConfigError(f"unit {self._written!r} cannot be read {'at ' + repr(rest) if rest else 'to its end'}")

    def _next(self) -> re.Match[str]:
        while self._text[self._at : self._at + 1] == " ":
            self._at += 1
        match = _TOKEN.match(self._text, self._at)
        if match is None:
            raise self._wrong()
        return match

    def _sign(self, signs: str) -> str:
        """The sign that comes next, taken, if it is one of these."""
        if self._at < len(self._text):
            match = self._next()
            if match["sign"] and match["sign"] in signs:
                self._at = match.end()
                return match["sign"]
        return ""

    def _product(self) -> Unit:
        unit = self._factor()
        while sign := self._sign("*·⋅./"):
            unit = unit.times(self._factor(), -1 if sign == "/" else 1)
        return unit

    def _factor(self) -> Unit:
        if self._sign("("):
            unit = self._product()
            if not self._sign(")"):
                raise self._wrong()
            return unit
        match = self._next()
        if match["sign"]:
            raise self._wrong()
        self._at = match.end()
        if match["one"]:
            return PLAIN
        unit = self._symbol(match["word"]) if match["word"] else Unit(parts=((match["custom"], 1),))
        if match["note"]:
            unit = replace(unit, parts=((unit.text + match["note"], 1),))
        exponent = _EXPONENT.match(self._text, self._at)
        if exponent is None:
            return unit
        self._at = exponent.end()
        return unit.power(int(exponent[0].lstrip("^").translate(_SUPERSCRIPTS)))

    def _symbol(self, word: str) -> Unit:
        unit = _look_up(word)
        if unit is None:
            inside = "" if word == self._text else f" in {self._written!r}"
            raise ConfigError(f"unit {word!r}{inside} is not known{_did_you_mean(word)}")
        return unit


def _look_up(word: str) -> Unit | None:
    """The symbol itself, its alias, or a prefix and a symbol that takes one."""
    symbol = _ALIASES.get(word, word)
    if symbol in _KNOWN:
        return _KNOWN[symbol]
    prefix, rest = ("µ", word[1:]) if word[0] == "u" else (word[0], word[1:])
    base = _PREFIXABLE.get(_ALIASES.get(rest, rest))
    if prefix not in _PREFIXES or base is None:
        return None
    factor = base.factor * Fraction(10) ** _PREFIXES[prefix]
    return Unit(base.dimension, factor, parts=((prefix + base.parts[0][0], 1),))


def _did_you_mean(word: str) -> str:
    same = [s for s in _SUGGESTED if s.lower() == word.lower()]
    near = same or difflib.get_close_matches(word, _SUGGESTED, n=3, cutoff=0.6)
    if near:
        return f": did you mean {' or '.join(near)}?"
    return f": a unit of your own is written in braces, {{{word}}}"


def check_unit(text: str) -> str:
    """The text itself when it is a unit.

    Raises: ConfigError as `parse_unit` does
    """
    parse_unit(text)
    return text


def same_dimension(a: str, b: str) -> bool:
    """Whether values in one unit can be told in the other.

    Raises: ConfigError if either is no unit
    """
    return _canonical(parse_unit(a)) == _canonical(parse_unit(b))


def _canonical(unit: Unit) -> Dimension:
    return tuple(sorted(unit.dimension))


def compatible(a: Unit, b: Unit) -> bool:
    """As `same_dimension`, of parsed units."""
    return _canonical(a) == _canonical(b)


def _exact(a: Unit, b: Unit) -> tuple[Fraction, Fraction]:
    if not compatible(a, b):
        raise ConfigError(f"cannot convert {a.text or 'a plain number'} to {b.text or 'a plain number'}")
    ratio = a.factor / b.factor
    if a.shares == b.shares:
        ratio *= a.share / b.share
    return ratio, (a.offset - b.offset) / b.factor


def conversion(a: Unit, b: Unit) -> tuple[float, float]:
    """Factor and offset that take a value in ``a`` to one in ``b``; each rounded once.

    Raises: ConfigError if their dimensions differ
    """
    factor, offset = _exact(a, b)
    return float(factor), float(offset)


def convert(value: float, a: str, b: str) -> float:
    """A value in unit ``a``, told in unit ``b``; rounded once. What is no number stays as it is.

    Raises: ConfigError if either is no unit or their dimensions differ
    """
    factor, offset = _exact(parse_unit(a), parse_unit(b))
    return float(Fraction(value) * factor + offset) if math.isfinite(value) else value


_DURATION = re.compile(r"\s*([0-9]{1,15}(?:\.[0-9]{1,15})?)\s*(ms|s|min|h|d|w)\s*")
_MAX_DURATION_S: Final = 100 * 366 * 86_400.0


def parse_duration_s(text: str) -> float:
    """Seconds of a duration such as `500 ms`, `1 s`, `10 min`, `2 h`, `7 d` or `1 w`.

    Raises: ConfigError if it is none, or longer than a hundred years
    """
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ConfigError(f"a duration is a number and ms, s, min, h, d or w, such as 10 min, was {text[:60]!r}")
    factor = _KNOWN[match[2]].factor if match[2] != "ms" else Fraction(1, 1000)
    seconds = float(Fraction(match[1]) * factor)
    if seconds > _MAX_DURATION_S:
        raise ConfigError(f"a duration must be at most a hundred years, was {text[:60]!r}")
    return seconds
