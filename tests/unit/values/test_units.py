from __future__ import annotations

import math

import pytest

from isthmus.values.errors import ConfigError
from isthmus.values.units import PLAIN, check_unit, convert, parse_duration_s, parse_unit, same_dimension

COMMON = """% degC °C K bar mbar Pa kPa MPa psi m mm µm μm um m/s mm/s 1/min rpm Hz 1/h 1/s s min h d ms kg g t kg/h t/h N kN Nm W
    kW MW kWh MWh J kJ V mV A mA kVA VAr kvar Ohm Ω kΩ l L ml m3 m³ m3/h l/min l/s pH ppm lux dB dB(A) pcs bottles kWh/pcs 1 -
    W/(m2*K) mPa.s m·s⁻² {kegs}/h kg{CO2e} kg{CO2e}/h EUR/kWh µS/cm °Bx Nm3/h Nm³/h mbar(a) barg bar(g) mH2O %RH kB/s U/min °"""


@pytest.mark.mission("M45")
def test_units_of_plants_are_known() -> None:
    for text in COMMON.split():
        assert check_unit(text) == text
        unit = parse_unit(text)
        again = parse_unit(unit.text)
        assert (again.factor, again.offset, again.share) == (unit.factor, unit.offset, unit.share)
        assert same_dimension(text, unit.text)


CONVERSIONS = [
    (1, "bar", "mbar", 1000),
    (1, "m3/h", "l/min", 50 / 3),
    (20, "°C", "°F", 68),
    (0, "K", "degC", -273.15),
    (3, "bar(g)", "bar", 4.01325),
    (1, "kWh", "MJ", 3.6),
    (60, "rpm", "Hz", 1),
    (90, "km/h", "m/s", 25),
    (1, "%", "ppm", 10_000),
    (5, "", "%", 5),
    (12, "pcs/min", "1/h", 720),
    (180, "°", "rad", math.pi),
    (1, "psi", "Pa", 6894.757293168361),
    (1, "gal", "l", 3.785411784),
    (1, "kcal", "kJ", 4.1868),
    (230, "W", "kW", 0.23),
    (1, "W/(m2*K)", "kW.m-2.K-1", 0.001),
    (7, "m^3", "m³", 7),
    (1, "1/(m*s)", "1/m/s", 1),
]


def test_conversions() -> None:
    for value, a, b, wanted in CONVERSIONS:
        assert convert(value, a, b) == pytest.approx(wanted, rel=1e-15)
        assert convert(convert(value, a, b), b, a) == pytest.approx(value, abs=1e-12)


def test_what_is_no_number_stays_so() -> None:
    assert convert(math.inf, "bar", "mbar") == math.inf
    assert math.isnan(convert(math.nan, "degC", "K"))


NO_UNITS = [
    ("KW", "unit 'KW' is not known: did you mean kW?"),
    ("Kwh/pcs", "unit 'Kwh' in 'Kwh/pcs' is not known: did you mean kWh?"),
    ("wibble", "a unit of your own is written in braces, {wibble}"),
    ("m//s", "cannot be read at '/s'"),
    ("kg/", "cannot be read to its end"),
    ("(m", "cannot be read to its end"),
    ("(m]", "cannot be read at ']'"),
    ("m)", "cannot be read at ')'"),
    ("m 3", "cannot be read at '3'"),
    ("m m", "cannot be read at 'm'"),
    ("5", "cannot be read at '5'"),
    ("m^12", "the exponent of a unit must be at most 9, was 12"),
    ("TWh9", "too large or too small"),
    ("pWh9*pWh9", "too large or too small"),
    ("x" * 61, "at most 60 characters"),
    ("A⁻", "cannot be read at '⁻'"),
    ("kbar(g)", "cannot be read at '(g)'"),
    ("mdegC", "is not known"),
]


def test_what_is_no_unit_is_refused() -> None:
    for text, words in NO_UNITS:
        with pytest.raises(ConfigError) as caught:
            parse_unit(text)
        assert words in str(caught.value), text


def test_clashing_dimensions() -> None:
    assert not same_dimension("bar", "degC")
    with pytest.raises(ConfigError, match="cannot convert bar to degC"):
        convert(1, "bar", "degC")
    with pytest.raises(ConfigError, match="cannot convert a plain number to EUR"):
        convert(1, "", "EUR")
    with pytest.raises(ConfigError, match="cannot convert EUR to a plain number"):
        convert(1, "EUR", "1")
    assert not same_dimension("EUR", "USD")


def test_algebra_keeps_the_symbols() -> None:
    assert parse_unit("kWh").times(parse_unit("pcs"), -1).text == "kWh/pcs"
    assert parse_unit("1/min").times(parse_unit("min")) == PLAIN
    assert parse_unit("m/s").power(2).text == "m2/s2"
    assert parse_unit("%").power(2).text == "%^2"
    assert parse_unit("m").power(0) == PLAIN
    assert parse_unit("1/m/s").text == "1/(m*s)"
    assert parse_unit("°F").difference == parse_unit("K")
    assert parse_unit("barg").difference.text == "bar"
    assert parse_unit("m").difference.text == "m"


DURATIONS = [
    ("500 ms", 0.5),
    ("1 s", 1.0),
    ("10 min", 600.0),
    ("2h", 7200.0),
    ("7 d", 604_800.0),
    (" 1 w ", 604_800.0),
    ("1.5 min", 90.0),
    ("0 s", 0.0),
]


def test_durations() -> None:
    for text, seconds in DURATIONS:
        assert parse_duration_s(text) == seconds


NO_DURATIONS = ["", "5", "s", "-1 s", "1e3 s", "5 minutes", "1 h 30 min", "nan s", "9" * 30 + " s", "٣ s"]


def test_what_is_no_duration_is_refused() -> None:
    for text in NO_DURATIONS:
        with pytest.raises(ConfigError, match="a duration is a number and ms, s, min, h, d or w"):
            parse_duration_s(text)


def test_durations_have_an_end() -> None:
    with pytest.raises(ConfigError, match="at most a hundred years"):
        parse_duration_s("99999 d")
