"""Answers about many nodes, taken apart without an object for each field: what browsing found, what is monitored now.

As in `decode`, what is not plain enough raises `Surprise` and asyncua takes it apart.

Source: OPC 10000-6 section 5.2.2.10 (ExpandedNodeId); OPC 10000-4 sections 5.9.2, 5.13.2, 7.29 (ReferenceDescription)
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from asyncua import ua
from asyncua.common.utils import Buffer
from asyncua.ua.ua_binary import struct_from_binary

from isthmus.drivers.opcua.decode import READING, Surprise, header, no_diagnostics, node_end
from isthmus.drivers.opcua.encode import node_bytes, plain

_BROWSE: Final = b"\x01\x00\x12\x02"  # NodeId i=530, BrowseResponse
_BROWSE_NEXT: Final = b"\x01\x00\x18\x02"  # NodeId i=536, BrowseNextResponse
_MONITORED: Final = b"\x01\x00\xf2\x02"  # NodeId i=754, CreateMonitoredItemsResponse
_NOTHING: Final = (struct.pack("<Iii", 0, -1, 0), struct.pack("<Iii", 0, -1, -1), struct.pack("<Iii", 0, 0, 0))
"""Good, no continuation point, no references: what most variables answer."""

_I32 = struct.Struct("<i")
_RESULT = struct.Struct("<Ii")
_ITEMS = np.dtype([("status", "<u4"), ("item", "<u4"), ("interval", "<f8"), ("queue", "<u4"), ("filter", "u1", 3)])


@dataclass(frozen=True, slots=True)
class Reference:
    """Where a node leads to. Nodes are bytes in their plain form."""

    type: bytes
    node: bytes
    name: str
    node_class: int
    definition: bytes


@dataclass(slots=True)
class Browsed:
    """What a node leads to; ``point`` asks for more, where it is not empty."""

    code: int
    point: bytes = b""
    references: list[Reference] = field(default_factory=list)


def decode_browse(body: bytes, count: int) -> list[Browsed]:
    """The answers to browsing so many nodes, or to asking for more of so many.

    Raises: Surprise
    """
    result, at = header(body, _BROWSE_NEXT if body[:4] == _BROWSE_NEXT else _BROWSE)
    found: list[Browsed] = []
    try:
        if result >> 31 or _I32.unpack_from(body, at)[0] != count:
            raise Surprise("not one answer for each node")
        at += 4
        for _ in range(count):
            if body[at : at + 12] in _NOTHING:
                found.append(Browsed(0))
                at += 12
                continue
            code, length = _RESULT.unpack_from(body, at)
            at += 8
            answer = Browsed(code, body[at : at + max(length, 0)])
            at += max(length, 0)
            references: int = _I32.unpack_from(body, at)[0]
            at += 4
            for _ in range(references):
                reference, at = _reference(body, at)
                answer.references.append(reference)
            found.append(answer)
        no_diagnostics(body, at)
    except (*READING, UnicodeDecodeError) as error:
        raise Surprise(str(error)) from None
    return found


def _reference(body: bytes, at: int) -> tuple[Reference, int]:
    end = node_end(body, at)
    kind = plain(body[at:end])
    at = end + 1  # … and IsForward, which was asked for
    end = node_end(body, at)
    node = plain(body[at:end])
    name, at = _text(body, end + 2)  # behind the namespace of the name
    mask = body[at]
    at += 1
    if mask & ~3:
        raise Surprise("unknown fields in a localized text")
    for bit in (1, 2):
        if mask & bit:
            at += 4 + max(_I32.unpack_from(body, at)[0], 0)
    node_class: int = _I32.unpack_from(body, at)[0]
    at += 4
    end = node_end(body, at)
    if end > len(body):
        raise Surprise("a reference reaches beyond its message")
    return Reference(kind, node, name, node_class, plain(body[at:end])), end


def _text(body: bytes, at: int) -> tuple[str, int]:
    end = at + 4 + max(_I32.unpack_from(body, at)[0], 0)
    return body[at + 4 : end].decode(), end


def browsed_plainly(body: bytes) -> list[Browsed]:
    """The same by asyncua: the way for surprises, and what the fast way is held against.

    Raises: whatever asyncua raises for bytes that are none, or for a service that failed
    """
    further = body[:4] == _BROWSE_NEXT
    response = struct_from_binary(ua.BrowseNextResponse if further else ua.BrowseResponse, Buffer(body))
    response.ResponseHeader.ServiceResult.check()
    results = response.Parameters.Results if further else response.Results
    return [
        Browsed(
            int(result.StatusCode.value),
            result.ContinuationPoint or b"",
            [
                Reference(
                    node_bytes(r.ReferenceTypeId),
                    node_bytes(r.NodeId),
                    (r.BrowseName.Name if r.BrowseName is not None else "") or "",
                    int(r.NodeClass),
                    node_bytes(r.TypeDefinition),
                )
                for r in result.References or []
            ],
        )
        for result in results or []
    ]


def decode_monitored(body: bytes, count: int) -> tuple[list[int], list[int]]:
    """Status and number of each monitored item that was asked for.

    Raises: Surprise
    """
    result, at = header(body, _MONITORED)
    try:
        if result >> 31 or _I32.unpack_from(body, at)[0] != count:
            raise Surprise("not one answer for each item")
        end = at + 4 + count * _ITEMS.itemsize
        if end > len(body):
            raise Surprise("the answers reach beyond their message")
        items = np.frombuffer(body, _ITEMS, count, at + 4)
        if items["filter"].any():
            raise Surprise("the answer to a filter")
        no_diagnostics(body, end)
    except READING as error:
        raise Surprise(str(error)) from None
    return items["status"].tolist(), items["item"].tolist()


def monitored_plainly(body: bytes) -> tuple[list[int], list[int]]:
    """The same by asyncua.

    Raises: whatever asyncua raises for bytes that are none, or for a service that failed
    """
    response = struct_from_binary(ua.CreateMonitoredItemsResponse, Buffer(body))
    response.ResponseHeader.ServiceResult.check()
    results = response.Results or []
    return [int(r.StatusCode.value) for r in results], [int(r.MonitoredItemId) for r in results]
