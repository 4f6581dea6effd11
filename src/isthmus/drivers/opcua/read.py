"""Polling: the nodes of a list of points in as few read requests as the server allows."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from asyncua import ua
from asyncua.common.utils import Buffer
from asyncua.ua.ua_binary import struct_from_binary

from isthmus.drivers.opcua import encode
from isthmus.drivers.opcua.decode import Column, Decoder, Items, Surprise, decode_read, plain_items
from isthmus.drivers.opcua.rows import Rows
from isthmus.drivers.opcua.session import Link, code_in_words
from isthmus.ports.drivers import Point
from isthmus.values.errors import NotConnected
from isthmus.values.sample import SampleBatch, join_by_type
from isthmus.values.status import BAD_NO_DATA, BAD_NODE_ID_UNKNOWN


@dataclass(slots=True)
class _Request:
    """Nodes of one read request, and which handles they stand for."""

    written: encode.Ready
    handles: list[int]


class ReadPlan:
    """How a list of points is read. ``resolved`` is false until its nodes are those of the session at hand."""

    def __init__(self, points: Sequence[Point]) -> None:
        self.points = points
        self.resolved = False
        self._rows = Rows(points)
        self._requests: list[_Request] = []
        self._unknown: list[int] = []
        self._refused: set[int] = set()

    async def read(self, link: Link) -> list[SampleBatch]:
        """All points once: n rows, all with the time when the last byte had arrived.

        Raises: NotConnected
        """
        if not self.resolved:
            self._resolve(link)
        rows = self._rows
        answers = await asyncio.gather(*(self._ask(link, request) for request in self._requests))
        now_ns = link.clock.now_ns()
        batches = rows.refused_addresses(now_ns)
        batches += rows.refused(((row, BAD_NODE_ID_UNKNOWN) for h in self._unknown for row in rows.of[h]), now_ns)
        if rows.wrong:
            link.traffic.last_error = rows.wrong[-1][1]
        for items in answers:
            told, said, _ = rows.told(items, now_ns, "arrival")
            if said:
                link.traffic.last_error = said
            self._count_refused(link, items)
            batches += [batch for batch, _ in told]
        return list(join_by_type(batches))

    def _resolve(self, link: Link) -> None:
        self._requests, self._unknown, self._refused = [], [], set()
        nodes: list[tuple[int, bytes]] = []
        for handle, address in enumerate(self._rows.nodes):
            node = link.node(address)
            if node is None:
                self._unknown.append(handle)
                link.traffic.errors += 1
                link.traffic.last_error = f"{address.text}: the server has no namespace {address.namespace}"
                continue
            nodes.append((handle, node))
        step = link.limits.read
        for i in range(0, len(nodes), step):
            part = nodes[i : i + step]
            written = encode.read([node for _, node in part], ua.AttributeIds.Value)
            self._requests.append(_Request(written, [handle for handle, _ in part]))
        self.resolved = True

    async def _ask(self, link: Link, request: _Request) -> Items:
        decoder = Decoder(handles=False)
        try:
            body = await link.body(request.written, "reading")
        except ua.UaStatusCodeError as error:  # the whole request was refused: each of its nodes is
            return plain_items((h, ua.DataValue(StatusCode=ua.StatusCode(error.code))) for h in request.handles)
        try:
            items = decode_read(decoder, body)
        except Surprise:
            items = _plainly(link, body)
        if len(items) != len(request.handles):
            link.give_up(f"{link.peer} answered for {len(items)} of {len(request.handles)} nodes")
            raise NotConnected(link.lost)
        handles = np.array(request.handles, np.int64)
        for column in (items.floats, items.ints, items.texts):
            column.handle = handles[column.handle]
        items.others = [replace(other, handle=request.handles[other.handle]) for other in items.others]
        return items

    def _count_refused(self, link: Link, items: Items) -> None:
        """A node that is refused counts as an error when it begins to be."""
        column: Column = items.ints
        bad = (column.status >> 31).astype(np.bool_) & (column.status != BAD_NO_DATA)
        refused = dict(zip(column.handle[bad].tolist(), column.status[bad].tolist(), strict=True))
        for handle in refused.keys() - self._refused:
            link.traffic.errors += 1
            link.traffic.last_error = f"{self._rows.nodes[handle].text}: {code_in_words(refused[handle])}"
        self._refused -= set(column.handle[~bad].tolist()) | set(items.floats.handle.tolist())
        self._refused |= refused.keys()


def _plainly(link: Link, body: bytes) -> Items:
    try:
        response = struct_from_binary(ua.ReadResponse, Buffer(body))
        return plain_items(enumerate(response.Results or []))
    except Exception as error:
        link.traffic.dropped += 1
        link.give_up(f"{link.peer} sent an answer that cannot be read")
        raise NotConnected(link.lost) from error
