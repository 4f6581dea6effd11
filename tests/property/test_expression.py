"""Random expressions against a slow oracle that takes one row at a time in plain Python."""

from __future__ import annotations

import math
import operator

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from isthmus.values import status
from isthmus.values.errors import ConfigError
from isthmus.values.expression import Column, ExpressionError, Symbol, compile_expression
from isthmus.values.expression.parse import parse, write
from isthmus.values.units import MAX_UNIT_CHARS, parse_unit

OUT_OF_RANGE = status.BAD_OUT_OF_RANGE
CODES = [
    0,
    status.GOOD_LOCAL_OVERRIDE,
    status.UNCERTAIN,
    status.UNCERTAIN_LAST_USABLE_VALUE,
    status.BAD,
    status.BAD_TIMEOUT,
]
NUMBERS = {"a": float, "b": float, "n": int, "m": int}
TRUTHS = ("p", "q")
TEXTS = ("s", "t")


# --- the oracle: a tree is (operator, *branches); a leaf is ("const", value) or ("name", name) ------------------------


def severity(code):
    return code >> 30


def worst(*codes):
    return max(codes, key=lambda code: (severity(code), code != 0))  # the first among equals, as max does


def is_bad(code):
    return severity(code) >= 2


def fits(value):
    return math.isfinite(value) if isinstance(value, float) else -(2**63) <= value < 2**63


def result(value, code):
    if is_bad(code):
        return 0, code
    return (value, code) if fits(value) else (0, OUT_OF_RANGE)


def by_numpy(function, *values):
    """Functions whose last bit is numpy's business are asked of numpy, one at a time."""
    with np.errstate(all="ignore"):
        return float(function(*(np.array([float(v)]) for v in values))[0])


def arithmetic(op, x, y):
    if isinstance(x, float) or isinstance(y, float) or op == "/":
        x, y = float(x), float(y)
    try:
        return {"+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv, "%": operator.mod}[op](
            x, y
        )
    except (ZeroDivisionError, OverflowError):
        return math.nan


def half_away(value):
    if isinstance(value, int):
        return value
    whole = math.floor(abs(value))
    return math.copysign(whole + (abs(value) - whole >= 0.5), value)


def alike(*values):
    """As branches of one column: whole numbers beside real ones become real."""
    return [float(v) if any(isinstance(w, float) for w in values) and not isinstance(v, bool) else v for v in values]


def kind_is_real(tree):
    """Whether a number's column holds floats, whatever this row's value is."""
    op = tree[0]
    if op == "const":
        return isinstance(tree[1], float)
    if op == "name":
        return NUMBERS.get(tree[1]) is float
    if op in {"/", "**", "sqrt", "exp", "log", "log10"}:
        return True
    branches = tree[2:] if op == "if" else tree[1:2] if op == "round" else tree[1:]
    return op != "number" and any(kind_is_real(b) for b in branches)


def oracle(tree, row):
    op, *branches = tree
    if op == "const":
        return branches[0], 0
    if op == "name":
        value, code = row[branches[0]]
        return value, code
    known = [oracle(b, row) for b in branches]
    values, codes = [v for v, _ in known], [c for _, c in known]
    if op in {"and", "or"}:
        return logic(op == "or", *known)
    if op == "is_good":
        return severity(codes[0]) == 0, 0
    if op == "is_bad":
        return is_bad(codes[0]), 0
    if op == "if":
        if is_bad(codes[0]):
            return 0, codes[0]
        index = 1 if values[0] else 2
        value = float(values[index]) if kind_is_real(tree) else values[index]
        return value, worst(codes[0], codes[index])
    if op == "coalesce":
        index = next((i for i, c in enumerate(codes) if not is_bad(c)), len(codes) - 1)
        return (float(values[index]) if kind_is_real(tree) else values[index]), codes[index]
    if op == "in":
        found = (False, 0)
        for i, (value, code) in enumerate(known[1:]):
            one = (values[0] == value, worst(codes[0], code))
            found = one if i == 0 else logic(True, found, one)
        return found
    code = worst(*codes)
    if is_bad(code):
        return 0, code
    return computed(op, values, code, tree)


def computed(op, values, code, tree):
    x = values[0]
    if op == "not":
        return not x, code
    if op in {"==", "!=", "<", "<=", ">", ">="}:
        functions = {"==": "eq", "!=": "ne", "<": "lt", "<=": "le", ">": "gt", ">=": "ge"}
        return getattr(operator, functions[op])(x, values[1]), code
    if op in {"+", "-", "*", "/", "%"}:
        return result(arithmetic(op, x, values[1]), code)
    if op == "**":
        return result(by_numpy(np.power, x, values[1]), code)
    if op in {"sqrt", "exp", "log", "log10"}:
        return result(by_numpy(getattr(np, op), x), code)
    if op == "neg":
        return result(-x, code)
    if op == "abs":
        return result(abs(x), code)
    if op in {"min", "max"}:
        values = [float(v) for v in values] if kind_is_real(tree) else values
        return (min if op == "min" else max)(values), code
    if op == "clamp":
        x, low, high = [float(v) for v in values] if kind_is_real(tree) else values
        return (0, OUT_OF_RANGE) if low > high else (min(max(x, low), high), code)
    if op in {"floor", "ceil"}:
        return (float(getattr(math, op)(x)) if isinstance(x, float) else x), code
    if op == "round":
        return half_away(x), code
    if op == "number":
        return int(x), code
    assert op == "bit"
    if x != int(x) or not fits(int(x)) or values[1] not in range(64):
        return 0, OUT_OF_RANGE
    return bool(int(x) >> int(values[1]) & 1), code


def logic(deciding, *sides):
    """One known deciding side is enough, and the best of those that decide is the one that counts."""
    decisive = [code for value, code in sides if not is_bad(code) and bool(value) is deciding]
    if decisive:
        return deciding, min(decisive, key=severity)
    return not deciding, worst(*(code for _, code in sides))


def text_of(tree):
    """The expression with every parenthesis there can be."""
    op, *branches = tree
    if op == "const":
        value = branches[0]
        if isinstance(value, bool):
            return str(value).lower()
        return repr(value)
    if op == "name":
        return branches[0]
    inside = [text_of(b) for b in branches]
    if op in {"neg", "not"}:
        return f"({'-' if op == 'neg' else 'not'} {inside[0]})"
    if op == "in":
        return f"({inside[0]} in ({', '.join(inside[1:])}))"
    if op.isidentifier() and op not in {"and", "or"}:
        return f"{op}({', '.join(inside)})"
    return f"({inside[0]} {op} {inside[1]})"


# --- strategies -------------------------------------------------------------------------------------------------------

INTS = st.one_of(
    st.integers(-5, 5), st.sampled_from([2**63 - 1, -(2**63), 2**53 + 1, 2**62, 3037000500, -3037000500, 2**31])
)
FLOATS = st.one_of(
    st.sampled_from([0.0, 0.5, -0.5, 2.5, 1.0, 9007199254740992.0, 9.223372036854775807e18, 1e308, -1e308, 1e-308]),
    st.floats(-1e3, 1e3),
)
CODE = st.sampled_from(CODES + [0] * 6)

number_leaves = st.one_of(
    st.sampled_from([("name", n) for n in NUMBERS]),
    st.integers(0, 70).map(lambda v: ("const", v)),
    st.sampled_from([0.5, 2.0, 1e300, 0.0]).map(lambda v: ("const", v)),
)
truth_leaves = st.one_of(st.sampled_from([("name", n) for n in TRUTHS]), st.booleans().map(lambda v: ("const", v)))
text_leaves = st.one_of(
    st.sampled_from([("name", n) for n in TEXTS]), st.sampled_from([("const", "x"), ("const", "y")])
)


def nodes(ops, *branches):
    return st.sampled_from(ops).flatmap(lambda op: st.tuples(st.just(op), *branches))


def numbers(depth):
    if depth == 0:
        return number_leaves
    n, t = st.deferred(lambda: numbers(depth - 1)), st.deferred(lambda: truths(depth - 1))
    return st.one_of(
        number_leaves,
        nodes(["+", "-", "*", "/", "%", "**", "min", "max", "coalesce"], n, n),
        nodes(["neg", "abs", "floor", "ceil", "round", "sqrt", "exp", "log", "log10"], n),
        nodes(["clamp", "coalesce", "max"], n, n, n),
        nodes(["if"], t, n, n),
        nodes(["number"], t),
    )


def truths(depth):
    if depth == 0:
        return truth_leaves
    n, t = st.deferred(lambda: numbers(depth - 1)), st.deferred(lambda: truths(depth - 1))
    return st.one_of(
        truth_leaves,
        nodes(["and", "or", "==", "!=", "coalesce"], t, t),
        nodes(["not"], t),
        nodes(["==", "!=", "<", "<=", ">", ">="], n, n),
        nodes(["==", "!="], text_leaves, text_leaves),
        nodes(["in"], text_leaves, text_leaves, text_leaves),
        nodes(["in"], n, n, n),
        nodes(["is_good", "is_bad"], n),
        nodes(["bit"], n, n),
        nodes(["if"], t, t, t),
    )


ROWS = st.lists(
    st.fixed_dictionaries(
        {
            **{name: st.tuples(FLOATS if kind is float else INTS, CODE) for name, kind in NUMBERS.items()},
            **{name: st.tuples(st.booleans(), CODE) for name in TRUTHS},
            **{name: st.tuples(st.sampled_from(["x", "y", "z"]), CODE) for name in TEXTS},
        }
    ),
    min_size=1,
    max_size=6,
)
ENV = {
    **{name: Symbol("number") for name in NUMBERS},
    **{name: Symbol("bool") for name in TRUTHS},
    **{name: Symbol("text") for name in TEXTS},
}


def columns(rows):
    kinds = {**{k: np.float64 if v is float else np.int64 for k, v in NUMBERS.items()}, "p": np.bool_, "q": np.int64}
    return {
        name: Column(
            np.array([row[name][0] for row in rows], kinds.get(name, np.object_)),
            np.array([row[name][1] for row in rows], np.uint32),
        )
        for name in rows[0]
    }


def check_against_oracle(tree, rows):
    text = text_of(tree)
    inputs = columns(rows)
    checked = compile_expression(text, ENV)
    travelled = compile_expression(checked.resolved)
    for expression in (checked, travelled):
        got = expression.evaluate(inputs, len(rows))
        assert got.value.shape == got.status.shape == (len(rows),)
        assert got.status.dtype == np.uint32
        if got.value.dtype.kind == "f":
            assert np.isfinite(got.value).all()
        for i, row in enumerate(rows):
            value, code = oracle(tree, row)
            assert int(got.status[i]) == code, (text, row)
            if not is_bad(code):
                assert got.value[i] == value, (text, row)


ROW = {
    "a": (0.5, 0),
    "b": (2.0, 0),
    "n": (3, 0),
    "m": (4, 0),
    "p": (True, 0),
    "q": (False, 0),
    "s": ("x", 0),
    "t": ("y", 0),
}


@pytest.mark.mission("M45")
@example(("%", ("const", 50), ("if", ("name", "p"), ("name", "a"), ("name", "b"))), [ROW])
@settings(max_examples=150, deadline=None)
@given(st.one_of(numbers(3), truths(3)), ROWS)
def test_columns_agree_with_one_row_at_a_time(tree, rows) -> None:
    check_against_oracle(tree, rows)


@pytest.mark.soak
@pytest.mark.timeout(1_800)
@settings(max_examples=20_000, deadline=None)
@given(st.one_of(numbers(4), truths(4)), ROWS)
def test_columns_agree_with_one_row_at_a_time_long(tree, rows) -> None:
    check_against_oracle(tree, rows)


@settings(max_examples=100, deadline=None)
@given(st.one_of(numbers(3), truths(3)))
def test_what_is_written_reads_back_the_same(tree) -> None:
    steps = parse(text_of(tree))
    text = write(steps)
    again = parse(text)
    assert len(again) == len(steps)
    assert all(a.same(b) for a, b in zip(again, steps, strict=True))
    assert write(again) == text


LANGUAGE = (
    "a b n p s tank1.level {x y} 1 2.5 1e3 5bar 5 [1/min] 50% 'x' \"y\" true false + - * / % ** == != < <= > >= = and or not in "
    "if else ( ) , min( max( round( coalesce( is_good( bit( if( number( clamp( { } [ ] ' \" ! & ° µ ³ é \n \t \0 . .. 9e999"
)


WORDS = st.sampled_from(LANGUAGE.split(" "))


def never_anything_else(text: str) -> None:
    for env in (None, ENV):
        try:
            compiled = compile_expression(text, env)
        except ExpressionError:
            continue
        inputs = {name: Column(np.array([1.5]), np.zeros(1, np.uint32)) for name in compiled.names}
        answer = compiled.evaluate(inputs, 1)
        assert answer.value.dtype.kind != "f" or np.isfinite(answer.value).all()


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=60))
@example("(" * 4000)
@example("-" * 4000)
@example("not " * 1000)
@example("a**" * 1300 + "a")
@example("a+" * 1999 + "a")
@example("a if b else " * 300 + "a")
@example("if(" * 1000)
@example("9" * 4000)
@example("2 ** 2 ** 2 ** 2 ** 2 ** 2 ** 2")
@example("x" * 5000)
@example("{" + "x" * 3000)
def test_any_text_is_compiled_or_refused(text) -> None:
    never_anything_else(text)


@settings(max_examples=400, deadline=None)
@given(st.lists(WORDS, max_size=25).map(" ".join))
def test_any_words_are_compiled_or_refused(text) -> None:
    never_anything_else(text)


UNIT_SYMBOLS = "kW h m 3 ³ s -1 ^ / * . ( ) % °C {x} 1 bar (g) pcs µ Ω ppm EUR ⁻¹ -"
UNIT_WORDS = st.sampled_from(UNIT_SYMBOLS.split())


@settings(max_examples=400, deadline=None)
@given(st.one_of(st.text(max_size=20), st.lists(UNIT_WORDS, max_size=10).map("".join)))
@example("TWh^9/pWh^9")
@example("(" * 60)
@example("x" * 100)
def test_any_unit_is_read_or_refused(text) -> None:
    try:
        unit = parse_unit(text)
    except ConfigError:
        return
    if len(unit.text) <= MAX_UNIT_CHARS:
        again = parse_unit(unit.text)
        assert (again.factor, again.share, again.shares) == (unit.factor, unit.share, unit.shares)
        assert sorted(again.dimension) == sorted(unit.dimension)
