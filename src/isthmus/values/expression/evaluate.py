"""The machine that runs a program on columns.

A value on the stack is a column of float64, int64, bool or str with its status; a constant is a column of one row, and
no status at all means that every row is Good. A function gets numbers it can compute with; whatever comes out as no
number (a division by zero, a root of -1, an overflow) is marked BadOutOfRange.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from isthmus.values import status
from isthmus.values.expression.program import Step

Scalar = float | int | bool | str
Data = NDArray[Any]
Statuses = NDArray[np.uint32] | None

_INT64_MIN: Final = -(2**63)
_SURELY_FITS: Final = 2.0**62  # products estimated below it are exact for sure, the others are looked at one by one
_OUT_OF_RANGE: Final = np.uint32(status.BAD_OUT_OF_RANGE)
_MISMATCH: Final = np.array([status.BAD_TYPE_MISMATCH], np.uint32)
_ZERO: Final = np.zeros(1, np.int64)
_IS_TEXT: Final = np.frompyfunc(lambda value: isinstance(value, str), 1, 1)


@dataclass(frozen=True, slots=True)
class Column:
    """Values of one input or result with their status codes; the value is undefined where the status is bad.

    Shapes: value (n,) of float64, int64 (any integer or bool is taken), bool or str objects; status (n,) uint32
    """

    value: NDArray[Any]
    status: NDArray[np.uint32]

    @classmethod
    def of(cls, values: Sequence[Scalar | None], statuses: Sequence[int] | int = 0) -> Column:
        """A column from Python values; None stands for a value that is undefined."""
        known = [v for v in values if v is not None]
        if any(isinstance(v, str) for v in known):
            data = np.array(["" if v is None else v for v in values], np.object_)
        else:
            filled = [0 if v is None else v for v in values]
            kind = np.float64 if any(isinstance(v, float) for v in known) else _whole_type(filled)
            data = np.array(filled, kind)
        return cls(data, np.full(len(data), statuses, np.uint32))


def _whole_type(values: Sequence[Any]) -> Any:
    if values and all(isinstance(v, bool) for v in values):
        return np.bool_
    return np.int64 if all(_INT64_MIN <= v < 2**63 for v in values) else np.float64


@dataclass(frozen=True, slots=True)
class _Value:
    data: Data
    status: Statuses = None

    @property
    def kind(self) -> str:
        """b, i, f or O."""
        return self.data.dtype.kind


def run(steps: Sequence[Step], inputs: Mapping[str, Column], rows: int | None) -> Column:
    """The result of the program for every row; see `Expression.evaluate`."""
    if rows is None:
        rows = max((len(c.value) for c in inputs.values()), default=1)
    values = {name: _input(name, column, rows) for name, column in inputs.items()}
    stack: list[_Value] = []
    with np.errstate(all="ignore"):
        for step in steps:
            if step.op == "const":
                stack.append(_constant(step.value))
            elif step.op == "name":
                stack.append(values[str(step.value)])
            else:
                taken = stack[len(stack) - step.arity :]
                del stack[len(stack) - step.arity :]
                stack.append(_FUNCTIONS[step.op](taken))
    result = stack[0]
    codes = np.zeros(rows, np.uint32) if result.status is None else result.status
    return Column(_spread(result.data, rows), _spread(codes, rows))


def _spread(data: Data, rows: int) -> Data:
    """A constant repeated for every row; anything else is that long already."""
    return data if len(data) == rows else np.broadcast_to(data, rows)


def _constant(value: Scalar) -> _Value:
    if isinstance(value, str):
        return _Value(np.array([value], np.object_))
    return _Value(np.array([value]))


def _input(name: str, column: Column, rows: int) -> _Value:
    """The column in one of the four kinds; values that are none at all become bad."""
    data = column.value
    if data.shape != (rows,) or column.status.shape != (rows,):
        raise ValueError(f"input {name} has {data.shape} values and {column.status.shape} codes, wanted {rows} of each")
    codes: Statuses = column.status if column.status.any() else None
    kind = data.dtype.kind
    if kind == "f":
        return _finite(data.astype(np.float64, copy=False), codes)
    if kind in "bi":
        return _Value(data if kind == "b" else data.astype(np.int64, copy=False), codes)
    if kind == "u":
        return _marked(data.astype(np.int64), data > np.uint64(2**63 - 1), codes)
    texts = data.astype(np.object_)
    right = _IS_TEXT(texts).astype(np.bool_)
    if right.all():
        return _Value(texts, codes)
    return _Value(np.where(right, texts, ""), _worst(codes, np.where(right, np.uint32(0), _MISMATCH)))


# --- statuses ---------------------------------------------------------------------------------------------------------


def _worse(a: NDArray[np.uint32], b: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Row by row the more severe, the first among equals; plain Good gives way to any other.

    That last rule is why a column without codes may be left out: a row's answer never depends on other rows.
    """
    return np.where(((b & status.SEVERITY_MASK) > (a & status.SEVERITY_MASK)) | (a == 0), b, a)


def _worst(*codes: Statuses) -> Statuses:
    given = [c for c in codes if c is not None]
    return functools.reduce(_worse, given) if given else None


def _marked(data: Data, wrong: NDArray[np.bool_], codes: Statuses) -> _Value:
    """Rows that have no value become BadOutOfRange, unless an input was bad before."""
    if not wrong.any():
        return _Value(data, codes)
    return _Value(
        np.where(wrong, data.dtype.type(0), data), _worst(codes, np.where(wrong, _OUT_OF_RANGE, np.uint32(0)))
    )


def _finite(data: Data, codes: Statuses) -> _Value:
    fine = np.isfinite(data)
    return _Value(data, codes) if fine.all() else _marked(data, ~fine, codes)


def _codes(value: _Value) -> NDArray[np.uint32]:
    return np.zeros(1, np.uint32) if value.status is None else value.status


# --- kinds ------------------------------------------------------------------------------------------------------------


def _number(value: _Value) -> _Value:
    """As int64 or float64; a truth is 0 or 1, a text is a mismatch."""
    if value.kind == "b":
        return _Value(value.data.astype(np.int64), value.status)
    if value.kind == "O":
        return _Value(_ZERO, _worst(value.status, _MISMATCH))
    return value


def _float(value: _Value) -> _Value:
    number = _number(value)
    return _Value(number.data.astype(np.float64, copy=False), number.status)


def _truth(value: _Value) -> _Value:
    """As bool; a number is true where it is not 0, a text is a mismatch."""
    number = value if value.kind == "b" else _number(value)
    return number if number.kind == "b" else _Value(number.data != 0, number.status)


def _alike(values: Sequence[_Value]) -> list[_Value]:
    """All in one kind: all texts, all truths, or all numbers of one dtype; texts beside others are a mismatch."""
    kinds = {v.kind for v in values}
    if len(kinds) == 1:
        return list(values)
    if kinds == {"b", "i"}:
        return [_number(v) for v in values]
    if "O" in kinds and kinds != {"O"}:
        return [_number(v) for v in values]
    return [_float(v) for v in values]


# --- arithmetic -------------------------------------------------------------------------------------------------------


def _arithmetic(
    whole: Callable[[Data, Data], tuple[Data, NDArray[np.bool_]]], real: Callable[[Data, Data], Data]
) -> Callable[[list[_Value]], _Value]:
    """An operator that is exact on whole numbers and says where they leave int64."""

    def apply(taken: list[_Value]) -> _Value:
        a, b = _number(taken[0]), _number(taken[1])
        codes = _worst(a.status, b.status)
        if a.kind == b.kind == "i":
            data, wrong = whole(a.data, b.data)
            return _marked(data, wrong, codes)
        return _finite(real(a.data.astype(np.float64, copy=False), b.data.astype(np.float64, copy=False)), codes)

    return apply


def _add(a: Data, b: Data) -> tuple[Data, NDArray[np.bool_]]:
    total = a + b
    return total, ((a ^ total) & (b ^ total)) < 0


def _subtract(a: Data, b: Data) -> tuple[Data, NDArray[np.bool_]]:
    rest = a - b
    return rest, ((a ^ b) & (a ^ rest)) < 0


def _multiply(a: Data, b: Data) -> tuple[Data, NDArray[np.bool_]]:
    product = a * b
    doubtful = np.abs(a.astype(np.float64) * b) >= _SURELY_FITS
    if doubtful.any():
        wide_a, wide_b = np.broadcast_arrays(a, b)
        for row in np.flatnonzero(doubtful):
            doubtful[row] = not _INT64_MIN <= int(wide_a[row]) * int(wide_b[row]) < 2**63
    return product, doubtful


def _remainder(a: Data, b: Data) -> tuple[Data, NDArray[np.bool_]]:
    zero = b == 0
    return np.remainder(a, np.where(zero, 1, b)), np.broadcast_to(zero, np.broadcast_shapes(a.shape, b.shape))


def _floats(function: Callable[..., Data]) -> Callable[[list[_Value]], _Value]:
    """A function of floats."""

    def apply(taken: list[_Value]) -> _Value:
        values = [_float(v) for v in taken]
        return _finite(function(*(v.data for v in values)), _worst(*(v.status for v in values)))

    return apply


def _rounded(function: Callable[[Data], Data]) -> Callable[[list[_Value]], _Value]:
    """A function that leaves whole numbers as they are."""

    def apply(taken: list[_Value]) -> _Value:
        value = _number(taken[0])
        return value if value.kind == "i" else _Value(function(value.data), value.status)

    return apply


def _half_away(data: Data) -> Data:
    """To the nearest whole number, halves away from zero."""
    whole = np.trunc(data)
    return whole + np.where(np.abs(data - whole) >= 0.5, np.sign(data), 0.0)


def _round(taken: list[_Value]) -> _Value:
    if len(taken) == 1:
        return _rounded(_half_away)(taken)
    scale = 10.0 ** int(taken[1].data[0])

    def to_digits(data: Data) -> Data:
        large = data * scale
        return np.where(np.abs(large) < 2.0**52, _half_away(large) / scale, data)

    return _rounded(to_digits)(taken[:1])


def _negate(taken: list[_Value]) -> _Value:
    value = _number(taken[0])
    return (
        _marked(-value.data, value.data == _INT64_MIN, value.status)
        if value.kind == "i"
        else _Value(-value.data, value.status)
    )


def _absolute(taken: list[_Value]) -> _Value:
    value = _number(taken[0])
    wrong = value.data == _INT64_MIN if value.kind == "i" else np.zeros(1, np.bool_)
    return _marked(np.abs(value.data), wrong, value.status)


def _extreme(function: Callable[[Data, Data], Data]) -> Callable[[list[_Value]], _Value]:
    def apply(taken: list[_Value]) -> _Value:
        values = _alike([_number(v) for v in taken])
        data = values[0].data
        for value in values[1:]:
            data = function(data, value.data)
        return _Value(data, _worst(*(v.status for v in values)))

    return apply


def _clamp(taken: list[_Value]) -> _Value:
    value, low, high = _alike([_number(v) for v in taken])
    data = np.minimum(np.maximum(value.data, low.data), high.data)
    crossed = np.broadcast_to(low.data > high.data, data.shape)
    return _marked(data, crossed, _worst(value.status, low.status, high.status))


def _bit(taken: list[_Value]) -> _Value:
    """Whether bit n (0 the lowest) is set, of a whole number in two's complement."""
    value, index = _number(taken[0]), _number(taken[1])
    whole, place = _whole(value.data), _whole(index.data)
    wrong = whole[1] | place[1] | (place[0] < 0) | (place[0] > 63)
    data = (whole[0] >> np.clip(place[0], 0, 63)) & 1
    return _marked(data != 0, np.broadcast_to(wrong, data.shape), _worst(value.status, index.status))


def _whole(data: Data) -> tuple[Data, NDArray[np.bool_]]:
    """As int64, and where it is none."""
    if data.dtype.kind == "i":
        return data, np.zeros(1, np.bool_)
    wrong = (data != np.trunc(data)) | (data >= 2.0**63) | (data < -(2.0**63))
    return np.where(wrong, 0.0, data).astype(np.int64), wrong


# --- comparison and logic ---------------------------------------------------------------------------------------------


def _order(a: Data, b: Data) -> Data:
    """-1, 0 or 1 between an int64 and a float64; exact, which neither type alone would be."""
    if a.dtype.kind == "f":
        return -_order(b, a)
    near = a.astype(np.float64)
    beyond = b >= 2.0**63
    exact = np.where(beyond | (near != b), 0.0, b).astype(np.int64)
    tied = np.where(a < exact, -1, np.where(a > exact, 1, 0))
    return np.where(near < b, -1, np.where(near > b, 1, np.where(beyond, -1, tied)))


def _compare(function: Callable[[Data, Any], Data]) -> Callable[[list[_Value]], _Value]:
    """A comparison of two numbers."""

    def apply(taken: list[_Value]) -> _Value:
        a, b = _number(taken[0]), _number(taken[1])
        codes = _worst(a.status, b.status)
        if a.kind == b.kind:
            return _Value(function(a.data, b.data), codes)
        return _Value(function(_order(a.data, b.data), 0), codes)

    return apply


def _equal(taken: list[_Value]) -> _Value:
    a, b = taken
    if a.kind == b.kind == "O":
        same = np.equal(a.data, b.data).astype(np.bool_)
        return _Value(same, _worst(a.status, b.status))
    return _compare(np.equal)(taken)


def _unequal(taken: list[_Value]) -> _Value:
    return _not([_equal(taken)])


def _in(taken: list[_Value]) -> _Value:
    found = _equal(taken[:2])
    for member in taken[2:]:
        found = _either(True)([found, _equal([taken[0], member])])
    return found


def _not(taken: list[_Value]) -> _Value:
    value = _truth(taken[0])
    return _Value(~value.data, value.status)


def _either(deciding: bool) -> Callable[[list[_Value]], _Value]:
    """`or` (deciding is True) and `and` (False): one known deciding side is enough, whatever the other is."""

    def apply(taken: list[_Value]) -> _Value:
        a, b = _truth(taken[0]), _truth(taken[1])
        data = (a.data | b.data) if deciding else (a.data & b.data)
        if a.status is None and b.status is None:
            return _Value(data)
        code_a, code_b = np.broadcast_arrays(_codes(a), _codes(b))
        a_decides = (a.data == deciding) & ~status.is_bad(code_a)
        b_decides = (b.data == deciding) & ~status.is_bad(code_b)
        severer = (code_b & status.SEVERITY_MASK) < (code_a & status.SEVERITY_MASK)
        best = np.where(severer, code_b, code_a)
        codes = np.where(
            a_decides,
            np.where(b_decides, best, code_a),
            np.where(b_decides, code_b, _worse(code_a, code_b)),
        )
        return _Value(np.where(a_decides | b_decides, deciding, data), codes.astype(np.uint32, copy=False))

    return apply


def _choose(taken: list[_Value]) -> _Value:
    condition = _truth(taken[0])
    yes, no = _alike(taken[1:])
    data = np.where(condition.data, yes.data, no.data)
    if yes.status is None and no.status is None:
        return _Value(data, condition.status)
    chosen = np.where(condition.data, _codes(yes), _codes(no))
    return _Value(data, _worst(condition.status, chosen))


def _coalesce(taken: list[_Value]) -> _Value:
    """The first that is not bad, row by row; the last one as it is."""
    values = _alike(taken)
    result = values[-1]
    for value in reversed(values[:-1]):
        if value.status is None:
            result = value
            continue
        bad = status.is_bad(value.status)
        result = _Value(np.where(bad, result.data, value.data), np.where(bad, _codes(result), value.status))
    return result


def _quality(test: Callable[[NDArray[np.uint32]], NDArray[np.bool_]]) -> Callable[[list[_Value]], _Value]:
    def apply(taken: list[_Value]) -> _Value:
        return _Value(test(_codes(taken[0])))

    return apply


_FUNCTIONS: Final[dict[str, Callable[[list[_Value]], _Value]]] = {
    "+": _arithmetic(_add, np.add),
    "-": _arithmetic(_subtract, np.subtract),
    "*": _arithmetic(_multiply, np.multiply),
    "%": _arithmetic(_remainder, np.remainder),
    "/": _floats(np.divide),
    "**": _floats(np.power),
    "neg": _negate,
    "abs": _absolute,
    "min": _extreme(np.minimum),
    "max": _extreme(np.maximum),
    "round": _round,
    "floor": _rounded(np.floor),
    "ceil": _rounded(np.ceil),
    "sqrt": _floats(np.sqrt),
    "exp": _floats(np.exp),
    "log": _floats(np.log),
    "log10": _floats(np.log10),
    "clamp": _clamp,
    "coalesce": _coalesce,
    "is_good": _quality(status.is_good),
    "is_bad": _quality(status.is_bad),
    "bit": _bit,
    "if": _choose,
    "number": lambda taken: _number(taken[0]),
    "==": _equal,
    "!=": _unequal,
    "<": _compare(np.less),
    "<=": _compare(np.less_equal),
    ">": _compare(np.greater),
    ">=": _compare(np.greater_equal),
    "in": _in,
    "not": _not,
    "and": _either(False),
    "or": _either(True),
}
