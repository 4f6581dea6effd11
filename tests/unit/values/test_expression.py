from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from isthmus.values import status
from isthmus.values.errors import ConfigError
from isthmus.values.expression import MAX_CHARS, MAX_DEPTH, Column, ExpressionError, Symbol, compile_expression
from isthmus.values.packml import MODES, STATE_NUMBERS, STATES

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "expressions.md").read_text()
CODES = {name: code for code, name in status.NAMES.items()}
TRUTHS = {"true": True, "false": False}


def page_tags():
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in PAGE.splitlines() if line.startswith("| ")]
    env, values = {}, {}
    for name, kind, unit, value, code in rows[2:]:
        env[name] = Symbol("number", "", STATES) if kind == "packml" else Symbol(kind, unit)
        values[name] = (literal(value), CODES[code])
    return env, values


def literal(text):
    if text in TRUTHS:
        return TRUTHS[text]
    try:
        return int(text) if re.fullmatch(r"-?\d+", text) else float(text)
    except ValueError:
        return text


ENV, VALUES = page_tags()


def blocks(kind):
    found = re.findall(rf"```{kind}\n(.*?)```", PAGE, re.DOTALL)
    return [line for block in found for line in block.splitlines()]


@pytest.mark.mission("M45", "M48")
def test_examples_of_the_page() -> None:
    lines = blocks("examples")
    assert len(lines) > 20
    for line in lines:
        follows_the_page(line)


def follows_the_page(line) -> None:
    text, _, wanted = (part.strip() for part in line.partition("->"))
    words = wanted.split()
    code = CODES[words.pop()] if words[-1] in CODES else 0
    unit = words[1] if len(words) > 1 else None
    expression = compile_expression(text, ENV, unit=unit)
    value, got = expression.evaluate_one(VALUES)
    assert got == code, line
    if words:
        assert (value, type(value)) == (literal(words[0]), type(literal(words[0]))), line
    travelled = compile_expression(expression.resolved)
    assert travelled.evaluate_one(VALUES) == (value, got)
    assert travelled.names == expression.names


def test_refusals_of_the_page() -> None:
    lines = blocks("refused")
    assert len(lines) > 5
    for line in lines:
        text, _, message = line.partition("  ")
        with pytest.raises(ExpressionError) as caught:
            compile_expression(text, ENV)
        assert str(caught.value) == message.strip()


REFUSALS = [
    ("", 1, "must not be empty"),
    (" ", 1, "must not be empty"),
    ("(1", 3, "expected ) to close the parenthesis, found the end"),
    ("1 2", 3, "did not expect '2' here"),
    ("min(1", 6, "expected ) or ,"),
    ("min()", 5, "min needs something in its parentheses"),
    ("abs(1, 2)", 1, "abs takes 1 arguments, found 2"),
    ("round(1, 2, 3)", 1, "round takes 1 or 2 arguments"),
    ("coalesce(1)", 1, "coalesce takes 2 or more arguments"),
    ("foor(1)", 1, "there is no function foor: did you mean floor?"),
    ("zzz(1)", 1, "there is no function zzz"),
    ("if 1", 4, "expected ( after if"),
    ("1 if true", 10, "expected else"),
    ("1 in 2", 6, "expected ( after in"),
    ("1 not 2", 3, "write and not"),
    ("1 + not true", 5, "put not and what it negates in parentheses"),
    ("1 < 2 < 3", 7, "do not chain"),
    ("1 +", 4, "ends where a value should come"),
    ("* 2", 1, "did not expect '*' here"),
    ("{ }", 1, "must not be empty"),
    ("{a", 1, "closed by }"),
    ("'a", 1, "closed by '"),
    ("a $ b", 3, "is not part of the language"),
    ("99999999999999999999", 1, "at most 9223372036854775807"),
    ("1e999", 1, "at most 1.8e308"),
    ("5 [foo]", 2, "'foo' is not known"),
    ("1" + " " * MAX_CHARS, MAX_CHARS + 1, "at most 4000 characters"),
    ("(" * MAX_DEPTH + "1" + ")" * MAX_DEPTH, MAX_DEPTH + 1, "must not nest deeper than 64"),
    ("{no such}", 1, "there is no tag no such"),
    ("nothing_like_it", 1, "there is no tag nothing_like_it"),
    ("recipe > 1", 1, "> needs a number, but recipe is a text"),
    ("recipe + 1", 1, "+ needs a number"),
    ("recipe and true", 1, "and needs true or false, but recipe is a text"),
    ("guard_closed == 1", 17, "needs values of one type"),
    ("if(1, 2, 3)", 4, "if needs true or false, but 1 is a number"),
    ("if(true, 2, 'x')", 13, "needs values of one type"),
    ("state == 'Abborted'", 10, "is not a state of state"),
    ("state == zzzz", 10, "zzzz is not a state of state"),
    ("pressure > inlet", 12, "cannot compare bar with degC"),
    ("pressure - speed", 12, "cannot subtract bar and 1/min"),
    ("pressure % speed", 12, "cannot divide bar and 1/min"),
    ("max(pressure, speed)", 15, "cannot use in one max bar and 1/min"),
    ("inlet > 300 K", 9, "counts from a zero of its own"),
    ("300 K - inlet", 9, "counts from a zero of its own"),
    ("inlet * voltage", 1, "has no zero to multiply from"),
    ("voltage / inlet", 11, "has no zero to multiply from"),
    ("inlet ** 2", 1, "** of a value in degC has no meaning"),
    ("voltage ** word", 12, "a whole number from 1 to 9 only"),
    ("voltage ** 0.5", 12, "a whole number from 1 to 9 only"),
    ("2 ** voltage", 6, "an exponent of a value in V has no meaning"),
    ("sqrt(pressure)", 6, "sqrt of a value in bar has no meaning"),
    ("exp(pressure)", 5, "exp of a value in bar has no meaning"),
    ("round(speed, word)", 14, "a whole number from 0 to 9"),
    ("round(speed, 10)", 14, "a whole number from 0 to 9"),
    ("round(speed, 1 + 1)", 16, "a whole number from 0 to 9"),
    ("number(recipe)", 8, "number needs a number"),
    ("number(speed, 5)", 15, "must be a text"),
    ("number(speed, recipe)", 15, "must be a text"),
    ("number(speed, 'bar')", 15, "cannot tell 1/min in bar"),
    ("number(speed, 'foo')", 1, "'foo' is not known"),
    ("(voltage ** 9) ** 9 * (voltage ** 9) ** 9", 16, "too large or too small"),
    ("vacuum > 1.5e308 bar", 10, "too large to convert"),
]


def test_refusals_name_the_column() -> None:
    for text, column, words in REFUSALS:
        with pytest.raises(ConfigError) as caught:
            compile_expression(text, ENV)
        assert words in str(caught.value), text
        assert str(caught.value).startswith(f"column {column}: "), text
        assert (caught.value.column, caught.value.problem) == (column, str(caught.value).split(": ", 1)[1])


RESOLVED = [
    ("pressure > 4000 mbar", "pressure > 4.0", "bool", ""),
    ("vacuum > 1 bar", "vacuum > 1000.0", "bool", ""),
    ("vacuum + 1.5 bar + 1", "vacuum + 1500.0 + 1", "number", "mbar"),
    ("guard_closed", "guard_closed != 0", "bool", ""),
    ("not guard_closed", "not guard_closed != 0", "bool", ""),
    ("'Execute' == state", "6 == state", "bool", ""),
    ("state not in (Idle, Held)", "not state in (4, 11)", "bool", ""),
    ("coalesce(state, 0) == Idle", "coalesce(state, 0) == 4", "bool", ""),
    ("1 + pressure", "1 + pressure", "number", "bar"),
    ("2 * pressure", "2 * pressure", "number", "bar"),
    ("2 / pressure", "2 / pressure", "number", "1/bar"),
    ("speed * 1 h", "speed * 1 * 60.0", "number", ""),
    ("speed * 1 min", "speed * 1", "number", ""),
    ("voltage ** 2", "voltage ** 2", "number", "V2"),
    ("sqrt(voltage * voltage / 1 Ohm ** 2)", "sqrt(voltage * voltage / 1 ** 2)", "number", "V/Ohm"),
    ("(inlet + outlet) / 2", "(inlet + outlet) / 2", "number", "degC"),
    ("5 K + inlet", "5 + inlet", "number", "degC"),
    ("inlet - 5", "inlet - 5", "number", "degC"),
    ("inlet - 9 [K]", "inlet - 9", "number", "degC"),
    ("outlet % inlet", "outlet % inlet", "number", "degC"),
    ("number(inlet, '°F')", "number(inlet * 1.8 + 32.0)", "number", ""),
    ("number(guard_closed)", "number(guard_closed != 0)", "number", ""),
    ("+speed", "speed", "number", "1/min"),
    ("-speed ** 2 ", "-speed ** 2", "number", "1/min2"),
    ("pow(2, 3)", "2 ** 3", "number", ""),
    ("clamp(vacuum, 0, 1 bar)", "clamp(vacuum, 0, 1000.0)", "number", "mbar"),
    ("2 ** -1 ** 2", "2 ** -1 ** 2", "number", ""),
    ("(2 ** 3) ** 2", "(2 ** 3) ** 2", "number", ""),
    ("(1 < 2) == (2 < 3)", "(1 < 2) == (2 < 3)", "bool", ""),
    ("(1 if true else 2) + 1", "if(true, 1, 2) + 1", "number", ""),
    ("1 if true else 2 if false else 3", "if(true, 1, if(false, 2, 3))", "number", ""),
    ('"it\'s" == recipe', '"it\'s" == recipe', "bool", ""),
    ("tank1.level > 50 % and true", "tank1.level > 50 and true", "bool", ""),
    ("word % 3", "word % 3", "number", ""),
    (".5 + 1e3", "0.5 + 1000.0", "number", ""),
]


def test_resolved_form_type_and_unit() -> None:
    for text, resolved, kind, unit in RESOLVED:
        expression = compile_expression(text, ENV)
        assert (expression.resolved, expression.type, expression.unit) == (resolved, kind, unit)
        assert expression.text == text


def test_without_an_environment_names_may_be_anything() -> None:
    expression = compile_expression("a and b > 5 bar or {x y} == 'on'")
    assert expression.names == {"a", "b", "x y"}
    assert expression.type == "bool"
    assert compile_expression("a").type == "any"
    assert compile_expression("coalesce(a, 1)").type == "number"


def test_declared_unit() -> None:
    assert compile_expression("voltage * current", ENV, unit="kW").resolved == "voltage * current / 1000.0"
    assert compile_expression("100 * good / (good + reject)", ENV, unit="%").unit == "%"
    assert compile_expression("speed > 1", ENV, unit="").unit == ""
    for text, unit, words in [
        ("voltage", "A", "the result is in V, which cannot be told in A"),
        ("speed > 1", "A", "the result is true or false and cannot have the unit A"),
        ("outlet - inlet", "°C", "counts from a zero of its own"),
        ("speed", "foo", "'foo' is not known"),
    ]:
        with pytest.raises(ConfigError, match=re.escape(words)):
            compile_expression(text, ENV, unit=unit)


def test_symbols_that_are_wrong_themselves() -> None:
    with pytest.raises(ExpressionError, match="the unit of x: unit 'foo' is not known"):
        compile_expression("x", {"x": Symbol("number", "foo")})
    with pytest.raises(ExpressionError, match="Far is not a state of s"):
        compile_expression("s == Far", {"s": Symbol("number", "", {2**63: "Far"})})


def test_a_word_that_is_a_tag_and_a_state_must_say_which() -> None:
    env = {"s": Symbol("number", "", {4: "Idle"}), "Idle": Symbol("number")}
    with pytest.raises(ExpressionError, match="both a tag and a state of s"):
        compile_expression("s == Idle", env)
    assert compile_expression("s == {Idle}", env).names == {"s", "Idle"}
    assert compile_expression("s == 'Idle'", env).names == {"s"}
    assert compile_expression("s + Idle", env).names == {"s", "Idle"}
    env["other"] = Symbol("number")
    assert compile_expression("s == other", env).names == {"s", "other"}


def test_what_grows_too_long_when_written_out_is_refused() -> None:
    env = {"p": Symbol("number", "mbar"), "q": Symbol("number", "bar")}
    with pytest.raises(ExpressionError, match="written out with its conversions, an expression must be at most"):
        compile_expression("p" + "+q" * 1_900, env)
    travels = compile_expression("p" + "+q" * 1_000, env)
    assert len(travels.resolved) > MAX_CHARS
    assert compile_expression(travels.resolved).steps != ()


def column(values, codes=0):
    return Column.of(values, codes)


def test_long_chains_are_not_deep() -> None:
    expression = compile_expression("+".join(["a"] * 1_999))
    assert expression.evaluate({"a": column([1, 2])}).value.tolist() == [1_999, 3_998]


def test_every_kind_of_column_is_taken() -> None:
    double = compile_expression("x + x")
    for dtype in (np.int8, np.uint16, np.int64, np.uint64, np.float32, np.float64, np.bool_):
        got = double.evaluate({"x": Column(np.array([1], dtype), np.zeros(1, np.uint32))})
        assert got.value.tolist() == [2]
        assert got.status.tolist() == [0]
    large = double.evaluate({"x": Column(np.array([2**63, 1], np.uint64), np.zeros(2, np.uint32))})
    assert large.status.tolist() == [status.BAD_OUT_OF_RANGE, 0]
    nan = double.evaluate({"x": Column(np.array([np.nan, 1.0, np.inf]), np.array([0, 0, status.BAD], np.uint32))})
    assert nan.status.tolist() == [status.BAD_OUT_OF_RANGE, 0, status.BAD]
    assert nan.value[1] == 2.0


def test_types_that_turn_out_wrong_are_bad_and_nothing_else() -> None:
    text = column(["x", "y"])
    for source in ("a + 1", "a and true", "a == 1", "if(true, a, 1)", "sqrt(a)", "coalesce(a, 1)"):
        got = compile_expression(source).evaluate({"a": text})
        assert got.status.tolist() == [status.BAD_TYPE_MISMATCH] * 2 or source == "coalesce(a, 1)"
    assert compile_expression("a and false").evaluate({"a": text}).status.tolist() == [0, 0]
    mixed = Column(np.array(["x", None], np.object_), np.zeros(2, np.uint32))
    got = compile_expression("a == 'x'").evaluate({"a": mixed})
    assert got.status.tolist() == [0, status.BAD_TYPE_MISMATCH]
    assert compile_expression("a == b").evaluate({"a": column([True]), "b": column([1])}).value.tolist() == [True]
    assert compile_expression("if(a, a, b)").evaluate({"a": column([2]), "b": column([1.5])}).value.tolist() == [2.0]
    assert compile_expression("if(b, b, a)").evaluate({"a": column([2]), "b": column([False])}).value.tolist() == [2]


def test_mixed_comparisons_are_exact() -> None:
    def ask(text, n, x):
        return compile_expression(text).evaluate_one({"n": (n, 0), "x": (x, 0)})[0]

    assert ask("n == x", 2**53 + 1, 2.0**53) is False
    assert ask("n > x", 2**53 + 1, 2.0**53) is True
    assert ask("x < n", 2**53 + 1, 2.0**53) is True
    assert ask("n < x", 2**63 - 1, 2.0**63) is True
    assert ask("n <= x", -(2**63), -(2.0**63)) is True
    assert ask("x >= n", 3, 2.5) is False


CONSTANTS = [
    ("round(2.5)", 3.0),
    ("round(-2.5)", -3.0),
    ("round(0.49999999999999994)", 0.0),
    ("round(1234.5678, 2)", 1234.57),
    ("round(7, 2)", 7),
    ("round(1e300, 2)", 1e300),
    ("-7 % 3", 2),
    ("7.5 % -2", -0.5),
    ("bit(5, 2)", True),
    ("bit(-1, 63)", True),
    ("bit(4.0, 1)", False),
    ("bit(4.5, 1)", None),
    ("bit(-9223372036854775808.0, 63)", True),
    ("bit(9223372036854775808.0, 63)", None),
    ("bit(1, 64)", None),
    ("clamp(5, 1, 3)", 3),
    ("clamp(5, 3, 1)", None),
    ("5 % 0", None),
    ("5 % 0.0", None),
    ("0 ** -1", None),
    ("(-8) ** 0.5", None),
    ("1e308 * 10", None),
    ("log(0)", None),
    ("exp(1000)", None),
    ("-(-9223372036854775807 - 1)", None),
    ("abs(-9223372036854775807 - 1)", None),
    ("-9223372036854775807 - 2", None),
    ("3037000500 * 3037000500", None),
    ("3037000499 * 3037000499", 3037000499**2),
    ("4611686018427387904 * -2", -(2**63)),
    ("2 in (1, 2, 3)", True),
    ("'a' in ('b', 'c')", False),
    ("max(1, 2.5, 2)", 2.5),
    ("number(true) + 1", 2),
    ("'x'", "x"),
]


def test_constants() -> None:
    for text, wanted in CONSTANTS:
        value, code = compile_expression(text).evaluate_one({})
        if wanted is None:
            assert code == status.BAD_OUT_OF_RANGE, text
        else:
            assert (value, code, type(value)) == (wanted, 0, type(wanted)), text


def test_rows() -> None:
    one = compile_expression("1")
    assert one.evaluate({}).value.tolist() == [1]
    assert one.evaluate({}, 3).value.tolist() == [1, 1, 1]
    assert one.evaluate({}, 3).status.shape == (3,)
    both = compile_expression("a + 1")
    assert both.evaluate({"a": column([])}).value.shape == (0,)
    assert both.evaluate({"a": column([])}, 0).status.shape == (0,)
    with pytest.raises(ValueError, match="input a has"):
        both.evaluate({"a": column([1, 2])}, 3)
    with pytest.raises(KeyError):
        both.evaluate({})


def test_columns_of_python_values() -> None:
    assert Column.of([True, False]).value.dtype == np.bool_
    assert Column.of([1, True]).value.dtype == np.int64
    assert Column.of([1, 2.5]).value.dtype == np.float64
    assert Column.of([2**70]).value.dtype == np.float64
    assert Column.of(["a", None], [0, status.BAD]).value.tolist() == ["a", ""]
    assert Column.of([None, 2], [status.BAD, 0]).value.tolist() == [0, 2]


def test_a_row_does_not_depend_on_other_rows() -> None:
    expression = compile_expression("a + b > 3 and (a if b > 1 else b) < 9")
    codes = [0, status.GOOD_LOCAL_OVERRIDE, status.UNCERTAIN, status.BAD_TIMEOUT]
    rows = [(a, b, x, y) for a in (1, 5) for b in (0, 2) for x in codes for y in codes]
    whole = expression.evaluate({"a": column([r[0] for r in rows], [r[2] for r in rows]),
                                 "b": column([r[1] for r in rows], [r[3] for r in rows])})  # fmt: skip
    for i, (a, b, x, y) in enumerate(rows):
        value, code = expression.evaluate_one({"a": (a, x), "b": (b, y)})
        assert code == whole.status[i]
        assert status.is_bad(np.array([code], np.uint32))[0] or value == whole.value[i]


def test_packml_numbers() -> None:
    assert STATES[6] == "Execute"
    assert STATE_NUMBERS["Aborted"] == 9
    assert sorted(STATES) == list(range(1, 18))
    assert MODES[1] == "Production"
