"""Every message is taken apart both ways, ours and asyncua's, and the columns are compared."""

from __future__ import annotations

import datetime as dt
import math
import random
import uuid

import numpy as np
import pytest
from asyncua import ua
from asyncua.ua.ua_binary import struct_to_binary
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from isthmus.drivers.opcua.decode import (
    Decoder,
    Items,
    Published,
    Surprise,
    decode_node_ids,
    decode_publish,
    decode_read,
    plain_items,
)
from isthmus.drivers.opcua.subscribe import published_plainly

pytestmark = [pytest.mark.mission("M25", "M64"), pytest.mark.real("asyncua")]

K = ua.VariantType
DECODER = Decoder(handles=True)
EPOCH = dt.datetime(1970, 1, 1)  # noqa: DTZ001  as asyncua has them

times = st.one_of(
    st.none(),
    st.datetimes(dt.datetime(1990, 1, 1), dt.datetime(2100, 1, 1)),  # noqa: DTZ001  as above
)
scalars = st.one_of(
    st.builds(lambda v: ua.Variant(v, K.Boolean), st.booleans()),
    st.builds(lambda v: ua.Variant(v, K.SByte), st.integers(-128, 127)),
    st.builds(lambda v: ua.Variant(v, K.Byte), st.integers(0, 255)),
    st.builds(lambda v: ua.Variant(v, K.Int16), st.integers(-(1 << 15), (1 << 15) - 1)),
    st.builds(lambda v: ua.Variant(v, K.UInt16), st.integers(0, (1 << 16) - 1)),
    st.builds(lambda v: ua.Variant(v, K.Int32), st.integers(-(1 << 31), (1 << 31) - 1)),
    st.builds(lambda v: ua.Variant(v, K.UInt32), st.integers(0, (1 << 32) - 1)),
    st.builds(lambda v: ua.Variant(v, K.Int64), st.integers(-(1 << 63), (1 << 63) - 1)),
    st.builds(lambda v: ua.Variant(v, K.UInt64), st.integers(0, (1 << 64) - 1)),
    st.builds(lambda v: ua.Variant(v, K.Float), st.floats(width=32)),
    st.builds(lambda v: ua.Variant(v, K.Double), st.floats()),
    st.builds(lambda v: ua.Variant(v, K.String), st.none() | st.text(max_size=12)),
    st.builds(lambda v: ua.Variant(v, K.DateTime), times.filter(bool)),
    st.builds(
        lambda text, locale: ua.Variant(ua.LocalizedText(text, locale), K.LocalizedText),
        st.none() | st.text(max_size=5),
        st.none() | st.just("en"),
    ),
    st.builds(lambda v: ua.Variant(ua.StatusCode(v), K.StatusCode), st.sampled_from([0, 0x80340000, 0x40000000])),
    st.just(ua.Variant(None, K.Null)),
    st.builds(lambda v: ua.Variant(v, K.Guid), st.uuids()),
    st.builds(lambda v: ua.Variant(v, K.ByteString), st.binary(max_size=9)),
    st.builds(lambda v: ua.Variant(v, K.Int32), st.lists(st.integers(-9, 9), max_size=4)),
    st.builds(lambda v: ua.Variant(v, K.String), st.lists(st.text(max_size=3), min_size=1, max_size=3)),
    st.just(ua.Variant(ua.EUInformation(DisplayName=ua.LocalizedText("bar")), K.ExtensionObject)),
    st.just(ua.Variant(ua.Range(1.0, 2.0), K.ExtensionObject)),
    st.just(ua.Variant(ua.NodeId("x", 2), K.NodeId)),
)
values = st.builds(
    lambda variant, status, source, server: ua.DataValue(
        Value=variant, StatusCode=status, SourceTimestamp=source, ServerTimestamp=server
    ),
    scalars,
    st.sampled_from([None, ua.StatusCode(0), ua.StatusCode(0x40900000), ua.StatusCode(0x80000000)]),
    times,
    times,
)
changes = st.lists(st.tuples(st.integers(0, (1 << 32) - 1), values), max_size=40)


def publish(items: list[tuple[int, ua.DataValue]], **header) -> bytes:
    response = ua.PublishResponse()
    response.ResponseHeader.Timestamp = EPOCH
    for name, value in header.items():
        setattr(response.ResponseHeader, name, value)
    parameters = response.Parameters
    parameters.SubscriptionId, parameters.MoreNotifications = 7, False
    parameters.AvailableSequenceNumbers, parameters.Results = [1, 2], [ua.StatusCode(0)]
    parameters.NotificationMessage.SequenceNumber = 2
    parameters.NotificationMessage.PublishTime = EPOCH
    change = ua.DataChangeNotification()
    change.MonitoredItems = [ua.MonitoredItemNotification(handle, value) for handle, value in items]
    parameters.NotificationMessage.NotificationData = [change]
    return struct_to_binary(response)


def read(found: list[ua.DataValue]) -> bytes:
    response = ua.ReadResponse()
    response.ResponseHeader.Timestamp = EPOCH
    response.Results = found
    return struct_to_binary(response)


def shown(items: Items | None):
    """Everything the columns say, comparable; values of bad rows mean nothing."""
    if items is None:
        return None
    found = {}
    for name in ("floats", "ints", "texts"):
        column = getattr(items, name)
        found[name] = [
            (handle, None if status >> 31 else _value(value), status, _time(source), _time(server))
            for handle, value, status, source, server in zip(
                column.handle.tolist(),
                column.value.tolist(),
                column.status.tolist(),
                column.source.tolist(),
                column.server.tolist(),
                strict=True,
            )
        ]
    found["others"] = [(o.handle, repr(o.value), o.status, _time(o.source), _time(o.server)) for o in items.others]
    return found


def _time(ticks: int) -> int:
    """A time as far as asyncua keeps it: whole microseconds of the years 1601 to 9999."""
    return min(max(ticks, 0), 2_650_467_743_990_000_000) // 10 * 10


def _value(value):
    return "NaN" if isinstance(value, float) and math.isnan(value) else value


def same(ours: Published, theirs: Published) -> bool:
    return (ours.subscription, ours.sequence, ours.keep_alive, shown(ours.items)) == (
        theirs.subscription,
        theirs.sequence,
        theirs.keep_alive,
        shown(theirs.items),
    )


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(changes)
def test_every_publish_response_reads_the_same_both_ways(items) -> None:
    body = publish(items)
    ours = decode_publish(DECODER, body)
    assert same(ours, published_plainly(body))
    assert len(ours.items or ()) == len(items)


@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.lists(values, max_size=30))
def test_every_read_response_reads_the_same_both_ways(found) -> None:
    items = decode_read(Decoder(handles=False), read(found))
    assert shown(items) == shown(plain_items(enumerate(_again(found))))


def _again(found: list[ua.DataValue]) -> list[ua.DataValue]:
    """The values as asyncua reads what it wrote."""
    from asyncua.common.utils import Buffer
    from asyncua.ua.ua_binary import struct_from_binary

    return struct_from_binary(ua.ReadResponse, Buffer(read(found))).Results


def mutated(body: bytes, chance: random.Random) -> bytes:
    data = bytearray(body)
    for _ in range(chance.choice([1, 1, 2, 5])):
        if not data:
            break
        turn, at = chance.random(), chance.randrange(len(data))
        if turn < 0.6:
            data[at] = chance.choice([0, 1, 0x7F, 0x80, 0xFF, data[at] ^ (1 << chance.randrange(8))])
        elif turn < 0.75:
            del data[at : at + chance.randrange(1, 9)]
        elif turn < 0.9:
            data[at:at] = chance.randbytes(chance.randrange(1, 9))
        else:
            del data[max(at, 1) :]
    return bytes(data)


class WithoutPicoseconds(Decoder):
    """asyncua puts picoseconds behind both times, the standard each behind its own: there nothing can be compared."""

    def __init__(self) -> None:
        super().__init__(handles=True)
        self._layouts = {key: layout for key, layout in self._layouts.items() if not key[0] & 0x30}

    def _odd(self, body, at, *rest):
        if body[at + 4] & 0x30:
            raise Surprise("picoseconds")
        return super()._odd(body, at, *rest)


STRICT = WithoutPicoseconds()


def survives(count: int, seed: int) -> None:
    """A mutated message is either a surprise, or means to us what it means to asyncua."""
    chance = random.Random(seed)
    plain = ua.DataValue(Value=ua.Variant(1.5, K.Double), SourceTimestamp=EPOCH, ServerTimestamp=EPOCH)
    text = ua.DataValue(Value=ua.Variant("pump", K.String), SourceTimestamp=EPOCH)
    whole = ua.DataValue(Value=ua.Variant(-3, K.Int32), StatusCode=ua.StatusCode(0x40900000))
    array = ua.DataValue(Value=ua.Variant([1, 2], K.Int16))
    bodies = [publish([(i, v) for i, v in enumerate(mix)]) for mix in ([plain] * 4, [plain, text, whole, array], [])]
    taken = 0
    for _ in range(count):
        body = mutated(chance.choice(bodies), chance)
        try:
            ours = decode_publish(STRICT, body)
        except Surprise:
            continue
        taken += 1
        theirs = published_plainly(body)
        assert same(ours, theirs), body.hex()
    assert taken > count // 20


def test_two_thousand_mutated_messages() -> None:
    survives(2_000, 1)


@pytest.mark.soak
def test_fifty_thousand_mutated_messages() -> None:
    survives(50_000, 2)


def test_picoseconds_stand_behind_their_own_time() -> None:
    """OPC 10000-6 section 5.2.2.17; asyncua 2.1 expects both behind both times."""
    body = bytearray(
        publish([(3, ua.DataValue(Value=ua.Variant(1.5, K.Double), SourceTimestamp=EPOCH, ServerTimestamp=EPOCH))])
    )
    value = body.index(b"\x0f\x0b") if b"\x0f\x0b" in body else body.index(b"\x0d\x0b")
    had_status = body[value] & 2
    body[value] |= 0x30
    behind = value + 1 + 1 + 8 + (4 if had_status else 0) + 8
    body[behind:behind] = b"\x01\x00"
    body[behind + 2 + 8 : behind + 2 + 8] = b"\x02\x00"
    at = body.index(b"\x01\x00\x2b\x03\x01") + 5
    length = int.from_bytes(body[at : at + 4], "little") + 4
    body[at : at + 4] = length.to_bytes(4, "little")
    items = decode_publish(DECODER, bytes(body)).items
    assert items is not None
    assert items.floats.value.tolist() == [1.5]
    assert items.floats.source.tolist() == items.floats.server.tolist() == [116_444_736_000_000_000]


def test_surprises_go_the_long_way() -> None:
    response = ua.PublishResponse()
    response.ResponseHeader.Timestamp = EPOCH
    response.Parameters.SubscriptionId = 7
    response.Parameters.NotificationMessage.PublishTime = EPOCH
    response.Parameters.NotificationMessage.NotificationData = [
        ua.StatusChangeNotification(Status=ua.StatusCode(0x800A0000))
    ]
    body = struct_to_binary(response)
    with pytest.raises(Surprise):
        decode_publish(DECODER, body)
    assert published_plainly(body).closed == "BadTimeout"
    odd = publish([], StringTable=["a"])
    with pytest.raises(Surprise):
        decode_publish(DECODER, odd)
    assert published_plainly(odd).subscription == 7


def test_what_has_no_value_is_bad_and_order_holds_within_a_type() -> None:
    found = [
        (1, ua.DataValue(Value=ua.Variant(1, K.Int32))),
        (1, ua.DataValue(Value=ua.Variant(2, K.Int16), SourceTimestamp=EPOCH)),
        (1, ua.DataValue(Value=ua.Variant(None, K.Null), StatusCode=ua.StatusCode(0))),
        (1, ua.DataValue(Value=ua.Variant(3, K.Int32))),
        (2, ua.DataValue(Value=ua.Variant(1 << 63, K.UInt64))),
        (3, ua.DataValue(Value=ua.Variant(uuid.UUID(int=5), K.Guid))),
    ]
    items = decode_publish(DECODER, publish(found)).items
    assert items is not None
    assert items.ints.value.tolist()[:4] == [1, 2, 0, 3]
    assert [hex(s) for s in items.ints.status.tolist()] == ["0x0", "0x0", "0x809b0000", "0x0", "0x803c0000"]
    assert [o.what for o in items.others] == ["a Guid"]
    assert np.array_equal(items.ints.handle, [1, 1, 1, 1, 2])


node_ids = st.one_of(
    st.builds(lambda i: ua.NodeId(i, 0, ua.NodeIdType.TwoByte), st.integers(0, 255)),
    st.builds(lambda i, n: ua.NodeId(i, n, ua.NodeIdType.FourByte), st.integers(0, 65_535), st.integers(0, 255)),
    st.builds(lambda i, n: ua.NodeId(i, n, ua.NodeIdType.Numeric), st.integers(0, 2**32 - 1), st.integers(0, 65_535)),
    st.builds(lambda i, n: ua.NodeId(i, n, ua.NodeIdType.String), st.text(max_size=9), st.integers(0, 65_535)),
    st.builds(lambda i, n: ua.NodeId(i, n, ua.NodeIdType.ByteString), st.binary(max_size=9), st.integers(0, 65_535)),
    st.builds(lambda i, n: ua.NodeId(i, n, ua.NodeIdType.Guid), st.uuids(), st.integers(0, 65_535)),
)


@given(st.lists(st.tuples(st.none() | node_ids, st.sampled_from([None, 0, 0x40900000, 0x80340000]), times), max_size=9))
def test_node_ids_are_read_as_they_were_written(told) -> None:
    answers = [
        ua.DataValue(
            None if node is None else ua.Variant(node, K.NodeId),
            StatusCode=None if status is None else ua.StatusCode(status),
            SourceTimestamp=source,
            ServerTimestamp=source,
        )
        for node, status, source in told
    ]
    body = read(answers)
    expected = [None if (status or 0) >> 31 else node for node, status, _ in told]
    assert decode_node_ids(body, len(told), {}) == expected
    for end in range(0, len(body), 7):
        with pytest.raises(Surprise):
            decode_node_ids(body[:end], len(told), {})
    with pytest.raises(Surprise):
        decode_node_ids(body, len(told) + 1, {})


def test_what_is_no_node_id_is_a_surprise() -> None:
    for value in (ua.Variant(1, K.Int32), ua.Variant([ua.NodeId(1)], K.NodeId)):
        with pytest.raises(Surprise):
            decode_node_ids(read([ua.DataValue(value)]), 1, {})
