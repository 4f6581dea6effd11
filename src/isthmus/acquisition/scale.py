"""From a value in a tag's unit back to the device's own number: the exact inverse of what binding does, or a refusal."""

from __future__ import annotations

import math

from isthmus.values.errors import Denied
from isthmus.values.messages.control import Written
from isthmus.values.sample import ValueType

_EXACT = 1e-9
_INT_LIMIT = 2**63


def raw_of(value: Written, type_: ValueType, factor: float, offset: float, raw: ValueType) -> Written:
    """The raw value that is read as ``value`` again.

    Raises: Denied where the device has no such number, naming the ones beside it
    """
    if (type_ is ValueType.TEXT) != isinstance(value, str):
        raise Denied(f"needs {'a text' if type_ is ValueType.TEXT else 'a number'}, was {value!r}", "wrong_type")
    if isinstance(value, str):
        return value
    if not math.isfinite(value):
        raise Denied(f"needs a finite number, was {value}", "wrong_type")
    if type_ is ValueType.INT and value != int(value):
        raise Denied(f"needs a whole number, was {value:g}", "wrong_type")
    if factor == 1.0 and offset == 0.0:
        return _unscaled(value, raw)
    if raw is ValueType.INT:
        return _on_grid(value, factor, offset)
    return (value - offset) / factor


def _unscaled(value: float, raw: ValueType) -> float | int:
    if raw is not ValueType.INT:
        return float(value)
    if value != int(value) or not -_INT_LIMIT <= value < _INT_LIMIT:
        raise Denied(f"the device holds whole numbers here, was {value:g}", "not_representable")
    return int(value)


def _on_grid(value: float, factor: float, offset: float) -> int:
    raw = (value - offset) / factor
    if not math.isfinite(raw) or abs(raw) >= _INT_LIMIT:
        raise Denied(f"the device has no such number, was {value:g}", "not_representable")
    nearest = round(raw)
    if abs(nearest * factor + offset - value) > _EXACT * max(abs(value), abs(offset), abs(factor)):
        beside = sorted(n * factor + offset for n in (math.floor(raw), math.ceil(raw)))
        raise Denied(
            f"the device goes in steps of {abs(factor):g}: {beside[0]:.9g} or {beside[1]:.9g}, was {value:g}",
            "not_representable",
        )
    return nearest
