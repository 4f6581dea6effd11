"""The bytes of the requests that name many nodes: reading, browsing and monitoring ten thousand nodes is mostly writing them.

A node is its bytes as they stand in a message, so what a browse found is asked for again without being taken apart. Small
and rare requests are asyncua's.

Source: OPC 10000-6 sections 5.2.2.9 (NodeId), 5.2.5 (arrays); OPC 10000-4 sections 5.9.2 (Browse), 5.9.3 (BrowseNext),
        5.11.2 (Read), 5.13.2 (CreateMonitoredItems)
"""

from __future__ import annotations

import struct
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from asyncua import ua
from asyncua.ua.ua_binary import nodeid_to_binary, struct_to_binary

NOBODY: Final = b"\x00\x00"
"""The node that is none: stands for what the server does not know, and is refused by it."""

_READ: Final = b"\x01\x00\x77\x02"  # NodeId i=631, ReadRequest
_BROWSE: Final = b"\x01\x00\x0f\x02"  # NodeId i=527, BrowseRequest
_BROWSE_NEXT: Final = b"\x01\x00\x15\x02"  # NodeId i=533, BrowseNextRequest
_MONITOR: Final = b"\x01\x00\xef\x02"  # NodeId i=751, CreateMonitoredItemsRequest
_WHOLE_VALUE: Final = struct.pack("<iHi", -1, 0, -1)  # no range of indexes, no data encoding

_U32 = struct.Struct("<I")
_I32 = struct.Struct("<i")
_TEXT = struct.Struct("<BHi")
_NUMBER = struct.Struct("<BHI")
_ITEM = struct.Struct("<IId3xI?")  # mode, handle, sampling interval, no filter, queue, the oldest goes first


@dataclass(frozen=True, slots=True)
class Ready:
    """A request whose bytes are written but for its header, of which each sending has its own."""

    kind: bytes
    rest: bytes

    def to_binary(self, header: ua.RequestHeader) -> bytes:
        """What goes over the line."""
        return b"".join((self.kind, struct_to_binary(header), self.rest))


def node_of(kind: str, identifier: int | str | bytes | uuid.UUID, namespace: int) -> bytes:
    """A node by the standard's notation: i, s, g or b, and what stands behind it."""
    if isinstance(identifier, int):
        return _NUMBER.pack(2, namespace, identifier)
    if isinstance(identifier, uuid.UUID):
        return b"\x04" + namespace.to_bytes(2, "little") + identifier.bytes_le
    text = identifier.encode() if isinstance(identifier, str) else identifier
    return _TEXT.pack(3 if kind == "s" else 5, namespace, len(text)) + text


def node_bytes(node: ua.NodeId) -> bytes:
    """A node as asyncua has it; where it is another server's, as if it were this one's."""
    if isinstance(node, ua.ExpandedNodeId):
        node = ua.NodeId(node.Identifier, node.NamespaceIndex, node.NodeIdType)
    written: bytes = nodeid_to_binary(node)
    return plain(written)


def plain(node: bytes) -> bytes:
    """One form for each node: numbers are written in full."""
    if node[0] == 0:
        return b"\x02\x00\x00" + node[1:2] + b"\x00\x00\x00"
    if node[0] == 1:
        return b"\x02" + node[1:2] + b"\x00" + node[2:4] + b"\x00\x00"
    return node


def read(nodes: Sequence[bytes], attribute: int) -> Ready:
    """One attribute of each node, as it is now, without times."""
    tail = _U32.pack(attribute) + _WHOLE_VALUE
    head = struct.pack("<dIi", 0.0, ua.TimestampsToReturn.Neither, len(nodes))
    return Ready(_READ, head + b"".join([node + tail for node in nodes]))


def browse(nodes: Sequence[bytes], references: bytes, classes: int, wanted: int) -> Ready:
    """References of each node onwards, subtypes included, all the server tells at one go; no ``references`` are all."""
    tail = struct.pack("<I", ua.BrowseDirection.Forward) + (references or NOBODY)
    tail += struct.pack("<?II", True, classes, wanted)
    head = NOBODY + struct.pack("<qIIi", 0, 0, 0, len(nodes))  # no view, its time and version; any number of references
    return Ready(_BROWSE, head + b"".join([node + tail for node in nodes]))


def browse_next(points: Iterable[bytes]) -> Ready:
    """More of what browsing did not tell at one go."""
    written = [_I32.pack(len(point)) + point for point in points]
    return Ready(_BROWSE_NEXT, struct.pack("<?i", False, len(written)) + b"".join(written))


def monitor(subscription: int, items: Iterable[tuple[bytes, int, float]], queue: int) -> Ready:
    """Report changes of the values of nodes: (node, handle, sampling interval in ms)."""
    value = _U32.pack(ua.AttributeIds.Value) + _WHOLE_VALUE
    mode = int(ua.MonitoringMode.Reporting)
    written = [node + value + _ITEM.pack(mode, handle, every_ms, queue, True) for node, handle, every_ms in items]
    head = struct.pack("<IIi", subscription, ua.TimestampsToReturn.Both, len(written))
    return Ready(_MONITOR, head + b"".join(written))
