"""From a value to what is written: a variant of the type the node has; and from a status to what became of it.

Source: OPC 10000-4 sections 5.11.4 (Write) and 7.38.2 (common StatusCodes)
"""

from __future__ import annotations

import math
import struct
from datetime import UTC, datetime
from typing import Any, Final

from asyncua import ua

from isthmus.drivers.opcua.address import parse
from isthmus.drivers.opcua.session import Link, code_in_words
from isthmus.ports.writes import PointWrite
from isthmus.values.errors import NotConnected, Rejected

_KIND: Final = ua.VariantType
_CODES: Final = ua.StatusCodes
_INTEGERS: Final = {
    _KIND.SByte: (-(1 << 7), (1 << 7) - 1),
    _KIND.Byte: (0, (1 << 8) - 1),
    _KIND.Int16: (-(1 << 15), (1 << 15) - 1),
    _KIND.UInt16: (0, (1 << 16) - 1),
    _KIND.Int32: (-(1 << 31), (1 << 31) - 1),
    _KIND.UInt32: (0, (1 << 32) - 1),
    _KIND.Int64: (-(1 << 63), (1 << 63) - 1),
    _KIND.UInt64: (0, (1 << 64) - 1),
}
UNCERTAIN: Final = frozenset(
    (
        _CODES.BadUnexpectedError,
        _CODES.BadInternalError,
        _CODES.BadTimeout,
        _CODES.BadRequestTimeout,
        _CODES.BadRequestInterrupted,
        _CODES.BadCommunicationError,
        _CODES.BadResponseTooLarge,
        _CODES.BadDeviceFailure,
    )
)
"""What a server says when the write may have reached the device all the same."""


async def write(link: Link, item: PointWrite, kinds: dict[str, ua.VariantType]) -> None:
    """Write one value; ``kinds`` keeps what is known of the nodes' types.

    Raises: Rejected if the server said no or the value does not fit; NotConnected if nobody knows whether it arrived
    """
    address = parse(item.address)
    if address.steps:
        raise Rejected(f"{item.address}: a part of an array or a structure cannot be written alone")
    node = link.node_id(address)
    if node is None:
        raise Rejected(f"{item.address}: the server has no namespace {address.namespace}")
    kind = kinds.get(item.address) or await _kind(link, item.address, node)
    kinds[item.address] = kind
    value = ua.WriteValue()
    value.NodeId, value.AttributeId = node, ua.AttributeIds.Value
    value.Value = ua.DataValue(Value=ua.Variant(_fitting(item, kind), kind), StatusCode=None)
    parameters = ua.WriteParameters()
    parameters.NodesToWrite = [value]
    session = link.session
    try:
        (result,) = await link.ask(lambda: session.write(parameters), f"write {item.address}")
        code = int(result.value)
        link.traffic.errors += bool(code >> 30)
    except ua.UaStatusCodeError as error:
        code = int(error.code)
    except (ValueError, TypeError, AttributeError) as error:
        link.give_up(f"write {item.address}: the answer was for another request")
        raise NotConnected(link.lost) from error
    _judge(link, item.address, code, kinds)


def _judge(link: Link, address: str, code: int, kinds: dict[str, ua.VariantType]) -> None:
    """Good (0) passes, Bad (2) is a refusal, and what leaves it open, Uncertain (1) too, is told as such.

    Raises: Rejected, NotConnected
    """
    severity = code >> 30
    if severity == 0:
        return
    words = code_in_words(code)
    if severity == 1 or code in UNCERTAIN:
        link.give_up(f"write {address}: nobody knows whether it took effect, {words}")
        raise NotConnected(link.lost)
    if code == _CODES.BadTypeMismatch:
        kinds.pop(address, None)  # it may have another type by now
    link.traffic.last_error = f"write {address}: refused, {words}"
    raise Rejected(link.traffic.last_error)


async def _kind(link: Link, address: str, node: ua.NodeId) -> ua.VariantType:
    """The type the node's value has now."""
    answer = await _attribute(link, node, ua.AttributeIds.Value)
    code = 0 if answer.StatusCode is None else int(answer.StatusCode.value)
    if code in {_CODES.BadNodeIdUnknown, _CODES.BadNodeIdInvalid}:
        raise Rejected(f"{address}: refused, {code_in_words(code)}")
    if answer.Value is not None and answer.Value.is_array:
        raise Rejected(f"{address}: an array cannot be written")
    if answer.Value is not None and answer.Value.VariantType not in {None, _KIND.Null}:
        return ua.VariantType(answer.Value.VariantType)
    answer = await _attribute(link, node, ua.AttributeIds.DataType)
    told = answer.Value.Value if answer.Value is not None else None
    if isinstance(told, ua.NodeId) and told.NamespaceIndex == 0 and told.Identifier in {k.value for k in _KIND}:
        return ua.VariantType(told.Identifier)
    raise Rejected(f"{address}: nobody knows the type of its value")


async def _attribute(link: Link, node: ua.NodeId, attribute: ua.AttributeIds) -> ua.DataValue:
    """One attribute; nothing was sent yet if it cannot be had.

    Raises: Rejected if the server does not tell; NotConnected
    """
    try:
        (answer,) = await link.attributes([node], attribute)
    except ua.UaStatusCodeError as error:
        raise Rejected(f"the type of the node is not known, {code_in_words(error.code)}") from error
    except ValueError as error:
        link.give_up("the answer about the type of a node was for another request")
        raise NotConnected(link.lost) from error
    return answer


def _fitting(item: PointWrite, kind: ua.VariantType) -> Any:
    """The value in the node's type.

    Raises: Rejected if it does not fit
    """
    value = item.value
    if kind in _INTEGERS or kind is _KIND.Boolean:
        low, high = _INTEGERS.get(kind, (0, 1))
        if isinstance(value, str) or not math.isfinite(value) or value != int(value) or not low <= value <= high:
            raise Rejected(f"{item.address}: needs a whole number from {low} to {high}, was {value!r}")
        return bool(value) if kind is _KIND.Boolean else int(value)
    if kind in {_KIND.Float, _KIND.Double}:
        if isinstance(value, str) or not math.isfinite(value):
            raise Rejected(f"{item.address}: needs a finite number, was {value!r}")
        try:
            struct.pack("<f" if kind is _KIND.Float else "<d", value)
        except OverflowError:
            raise Rejected(f"{item.address}: {value!r} is too large for {kind.name}") from None
        return float(value)
    if kind in {_KIND.String, _KIND.LocalizedText, _KIND.DateTime}:
        if not isinstance(value, str):
            raise Rejected(f"{item.address}: needs a text, was {value!r}")
        if kind is _KIND.String:
            return value
        return ua.LocalizedText(value) if kind is _KIND.LocalizedText else _time(item.address, value)
    raise Rejected(f"{item.address}: a value of type {kind.name} cannot be written")


def _time(address: str, value: str) -> datetime:
    try:
        time = datetime.fromisoformat(value)
    except ValueError:
        raise Rejected(f"{address}: needs a time such as 2026-01-31T12:00:00Z, was {value!r}") from None
    return time if time.tzinfo is None else time.astimezone(UTC).replace(tzinfo=None)
