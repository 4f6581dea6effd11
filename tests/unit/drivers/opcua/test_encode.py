"""Requests are the bytes asyncua would write, and answers about many nodes mean to us what they mean to asyncua."""

from __future__ import annotations

import datetime as dt
import random
import uuid

import pytest
from asyncua import ua
from asyncua.common.utils import Buffer
from asyncua.ua.ua_binary import nodeid_to_binary, struct_from_binary, struct_to_binary
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from isthmus.drivers.opcua import encode
from isthmus.drivers.opcua.decode import Surprise
from isthmus.drivers.opcua.references import (
    browsed_plainly,
    decode_browse,
    decode_monitored,
    monitored_plainly,
)

from .test_decode import EPOCH, mutated, node_ids

pytestmark = [pytest.mark.mission("M25", "M64"), pytest.mark.real("asyncua")]

HEADER = ua.RequestHeader(RequestHandle=7, TimeoutHint=4000)
identities = st.one_of(
    st.tuples(st.just("i"), st.integers(0, 2**32 - 1)),
    st.tuples(st.just("s"), st.text(min_size=1, max_size=9)),
    st.tuples(st.just("g"), st.uuids()),
    st.tuples(st.just("b"), st.binary(max_size=9)),
)
KINDS = {"i": ua.NodeIdType.Numeric, "s": ua.NodeIdType.String, "g": ua.NodeIdType.Guid, "b": ua.NodeIdType.ByteString}


@given(identities, st.integers(0, 65_535))
def test_a_node_is_written_as_asyncua_writes_it(identity, namespace) -> None:
    kind, identifier = identity
    node = ua.NodeId(identifier, namespace, KINDS[kind])
    assert encode.node_of(kind, identifier, namespace) == nodeid_to_binary(node) == encode.node_bytes(node)


@given(node_ids)
def test_each_node_has_one_form(node) -> None:
    number = node.NodeIdType in {ua.NodeIdType.TwoByte, ua.NodeIdType.FourByte}
    same = ua.NodeId(node.Identifier, node.NamespaceIndex, ua.NodeIdType.Numeric) if number else node
    assert encode.plain(nodeid_to_binary(node)) == nodeid_to_binary(same) == encode.node_bytes(node)


@given(st.lists(node_ids, max_size=9), st.sampled_from([ua.AttributeIds.Value, ua.AttributeIds.DataType]))
def test_a_read_request_is_asyncuas(nodes, attribute) -> None:
    request = ua.ReadRequest(RequestHeader=HEADER)
    request.Parameters.TimestampsToReturn = ua.TimestampsToReturn.Neither
    request.Parameters.NodesToRead = [ua.ReadValueId(NodeId=node, AttributeId=attribute) for node in nodes]
    ours = encode.read([nodeid_to_binary(node) for node in nodes], attribute)
    assert ours.to_binary(HEADER) == struct_to_binary(request)


@given(st.lists(node_ids, max_size=9), st.none() | node_ids, st.integers(0, 255))
def test_a_browse_request_is_asyncuas(nodes, references, classes) -> None:
    request = ua.BrowseRequest(RequestHeader=HEADER)
    request.Parameters.View.Timestamp = ua.win_epoch_to_datetime(0)
    for node in nodes:
        wanted = ua.BrowseDescription(NodeId=node, ReferenceTypeId=references or ua.NodeId())
        wanted.BrowseDirection, wanted.IncludeSubtypes = ua.BrowseDirection.Forward, True
        wanted.NodeClassMask, wanted.ResultMask = classes, 45
        request.Parameters.NodesToBrowse.append(wanted)
    kind = b"" if references is None else nodeid_to_binary(references)
    ours = encode.browse([nodeid_to_binary(node) for node in nodes], kind, classes, 45)
    assert ours.to_binary(HEADER) == struct_to_binary(request)


@given(st.lists(st.binary(max_size=9), max_size=9))
def test_a_request_for_more_is_asyncuas(points) -> None:
    request = ua.BrowseNextRequest(RequestHeader=HEADER)
    request.Parameters.ReleaseContinuationPoints, request.Parameters.ContinuationPoints = False, points
    assert encode.browse_next(points).to_binary(HEADER) == struct_to_binary(request)


@given(
    st.lists(st.tuples(node_ids, st.integers(0, 2**32 - 1), st.floats(0, 1e9)), max_size=9),
    st.integers(0, 2**32 - 1),
    st.integers(0, 10_000),
)
def test_a_request_to_monitor_is_asyncuas(items, subscription, queue) -> None:
    request = ua.CreateMonitoredItemsRequest(RequestHeader=HEADER)
    request.Parameters.SubscriptionId = subscription
    request.Parameters.TimestampsToReturn = ua.TimestampsToReturn.Both
    for node, handle, every_ms in items:
        item = ua.MonitoredItemCreateRequest(MonitoringMode=ua.MonitoringMode.Reporting)
        item.ItemToMonitor.NodeId, item.ItemToMonitor.AttributeId = node, ua.AttributeIds.Value
        asked = item.RequestedParameters
        asked.ClientHandle, asked.SamplingInterval, asked.QueueSize, asked.DiscardOldest = handle, every_ms, queue, True
        request.Parameters.ItemsToCreate.append(item)
    ours = encode.monitor(subscription, [(nodeid_to_binary(n), h, e) for n, h, e in items], queue)
    assert ours.to_binary(HEADER) == struct_to_binary(request)


references = st.builds(
    lambda kind, node, name, shown, locale, node_class, definition: ua.ReferenceDescription(
        ReferenceTypeId=kind,
        NodeId=node,
        BrowseName=ua.QualifiedName(name, 2),
        DisplayName=ua.LocalizedText(shown, locale),
        NodeClass=node_class,
        TypeDefinition=definition,
    ),
    node_ids,
    node_ids,
    st.none() | st.text(max_size=9),
    st.none() | st.text(max_size=9),
    st.none() | st.just("en"),
    st.sampled_from(ua.NodeClass),
    node_ids,
)
results = st.builds(
    lambda code, point, found: ua.BrowseResult(ua.StatusCode(code), point, found),
    st.sampled_from([0, 0, 0x80340000]),
    st.sampled_from([None, b"", b"more"]),
    st.lists(references, max_size=4),
)


def browsed(found: list[ua.BrowseResult], kind: type = ua.BrowseResponse, **header) -> bytes:
    response = kind()
    (response if kind is ua.BrowseResponse else response.Parameters).Results = found
    response.ResponseHeader.Timestamp = EPOCH
    for name, value in header.items():
        setattr(response.ResponseHeader, name, value)
    return struct_to_binary(response)


@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.lists(results, max_size=6), st.sampled_from([ua.BrowseResponse, ua.BrowseNextResponse]))
def test_what_browsing_found_reads_the_same_both_ways(found, kind) -> None:
    body = browsed(found, kind)
    assert decode_browse(body, len(found)) == browsed_plainly(body)
    for end in range(0, len(body), 37):
        with pytest.raises(Surprise):
            decode_browse(body[:end], len(found))
    with pytest.raises(Surprise):
        decode_browse(body, len(found) + 1)


def test_nodes_of_other_servers_and_failed_services_go_the_long_way() -> None:
    abroad = ua.ExpandedNodeId(5, 1, ua.NodeIdType.Numeric, "urn:elsewhere", 3)
    found = ua.ReferenceDescription(NodeId=abroad, BrowseName=ua.QualifiedName("x", 1))
    body = browsed([ua.BrowseResult(References=[found])])
    with pytest.raises(Surprise):
        decode_browse(body, 1)
    assert browsed_plainly(body)[0].references[0].node == encode.node_of("i", 5, 1)
    body = browsed([], ServiceResult=ua.StatusCode(ua.StatusCodes.BadNothingToDo))
    with pytest.raises(Surprise):
        decode_browse(body, 0)
    with pytest.raises(ua.UaStatusCodeError):
        browsed_plainly(body)


def monitored(found: list[tuple[int, int]], answer: object = None) -> bytes:
    response = ua.CreateMonitoredItemsResponse()
    response.ResponseHeader.Timestamp = EPOCH
    response.Results = [
        ua.MonitoredItemCreateResult(ua.StatusCode(code), item, 500.0, 2, answer or ua.ExtensionObject())
        for code, item in found
    ]
    return struct_to_binary(response)


@given(st.lists(st.tuples(st.sampled_from([0, 0x80340000, 0x80DB0000]), st.integers(0, 2**32 - 1)), max_size=9))
def test_what_is_monitored_reads_the_same_both_ways(found) -> None:
    body = monitored(found)
    codes, items = decode_monitored(body, len(found))
    assert list(zip(codes, items, strict=True)) == found
    assert (codes, items) == monitored_plainly(body)
    for end in range(0, len(body), 5):
        with pytest.raises(Surprise):
            decode_monitored(body[:end], len(found))


def test_the_answer_to_a_filter_goes_the_long_way() -> None:
    body = monitored([(0, 5)], ua.EventFilterResult())
    with pytest.raises(Surprise):
        decode_monitored(body, 1)
    assert monitored_plainly(body) == ([0], [5])


def survives(count: int, seed: int) -> None:
    """Mutated answers are either a surprise, or mean to us what they mean to asyncua."""
    chance = random.Random(seed)
    found = ua.ReferenceDescription(
        ReferenceTypeId=ua.NodeId(35),
        NodeId=ua.NodeId("Line.Value", 2),
        BrowseName=ua.QualifiedName("Value", 2),
        DisplayName=ua.LocalizedText("Value"),
        NodeClass=ua.NodeClass.Variable,
        TypeDefinition=ua.NodeId(63),
    )
    browse = browsed([ua.BrowseResult(References=[found, found]), ua.BrowseResult(), ua.BrowseResult()])
    items = monitored([(0, 1), (0x80340000, 0), (0, 3)])
    taken = 0
    for turn in range(count):
        fast, plainly, body = (
            (decode_browse, browsed_plainly, mutated(browse, chance))
            if turn % 2
            else (decode_monitored, monitored_plainly, mutated(items, chance))
        )
        try:
            ours = fast(body, 3)
        except Surprise:
            continue
        try:
            theirs = plainly(body)
        except Exception:
            # What asyncua cannot hold, such as a node class the standard does not know, may still be read.
            continue
        taken += 1
        assert ours == theirs, body.hex()
    assert taken > count // 20


def test_two_thousand_mutated_answers() -> None:
    survives(2_000, 3)


@pytest.mark.soak
def test_fifty_thousand_mutated_answers() -> None:
    survives(50_000, 4)


def test_written_requests_are_what_a_server_reads() -> None:
    """The bytes behind the header, taken apart as a server does."""
    nodes = [encode.node_of("s", "Line.Speed", 2), encode.node_of("g", uuid.UUID(int=5), 1)]
    read = struct_from_binary(ua.ReadRequest, Buffer(encode.read(nodes, 13).to_binary(HEADER)))
    assert [n.NodeId for n in read.Parameters.NodesToRead] == [
        ua.NodeId("Line.Speed", 2),
        ua.NodeId(uuid.UUID(int=5), 1),
    ]
    assert read.RequestHeader.RequestHandle == 7
    assert read.RequestHeader.Timestamp.replace(tzinfo=None) <= dt.datetime.now(dt.UTC).replace(tzinfo=None)
