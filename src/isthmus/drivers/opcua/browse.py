"""What a server offers, as a flat list: browsed level by level, many nodes a request, then the types read in bulk."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final

from asyncua import ua

from isthmus.drivers.opcua.decode import Decoder, Surprise, decode_node_ids, decode_read
from isthmus.drivers.opcua.session import Link, code_in_words
from isthmus.ports.drivers import Found
from isthmus.values.errors import Rejected
from isthmus.values.sample import ValueType

MAX_NODES: Final = 500_000
MAX_DEPTH: Final = 40
_OBJECTS: Final = ua.NodeId(ua.ObjectIds.ObjectsFolder)
_OWN: Final = frozenset((ua.NodeId(ua.ObjectIds.Server), ua.NodeId(ua.ObjectIds.Aliases)))
"""What every server has of its own: diagnostics, and other names for nodes that stand elsewhere."""
_PROPERTY: Final = ua.NodeId(ua.ObjectIds.PropertyType)
_BELOW: Final = ua.NodeId(ua.ObjectIds.HierarchicalReferences)
_AGGREGATES: Final = ua.NodeId(ua.ObjectIds.Aggregates)
"""Below a variable there are its parts and properties, nothing else (OPC 10000-3, 7.7, 7.8): servers find them sooner."""
_SUBTYPE: Final = ua.NodeId(ua.ObjectIds.HasSubtype)
_WANTED: Final = ua.BrowseResultMask.NodeClass | ua.BrowseResultMask.BrowseName | ua.BrowseResultMask.TypeDefinition

_TYPES: Final[dict[int, ValueType]] = {
    **dict.fromkeys((1, 2, 3, 4, 5, 6, 7, 8, 9, 19, 27, 28, 29), ValueType.INT),
    **dict.fromkeys((10, 11, 26), ValueType.FLOAT),
    **dict.fromkeys((12, 13, 21), ValueType.TEXT),
}
"""Value types of the standard's data types, abstract ones (Number, Integer, UInteger, Enumeration) among them."""

_NAMES: Final = {14: "a GUID", 15: "a ByteString", 22: "a structure", 24: "of any type"}


@dataclass(slots=True)
class _Node:
    """A variable that was found."""

    id: ua.NodeId
    path: str
    unit: ua.NodeId | None = None  # the property that tells its unit
    type: ua.NodeId | None = None
    rank: int = -1
    text: str = ""


@dataclass(slots=True)
class _Walk:
    """What is known so far."""

    variables: dict[ua.NodeId, _Node] = field(default_factory=dict)
    seen: set[ua.NodeId] = field(default_factory=set)


async def browse(link: Link, root: ua.NodeId | None) -> list[Found]:
    """All variables below a node, the server's own diagnostics left out unless asked for.

    Raises: Rejected if the server does not know the node; NotConnected
    Cost:   a few requests a level and two for each thousand variables; 50 µs of our own for each variable
    """
    walk = _Walk()
    level: list[tuple[ua.NodeId, str]] = [(root or _OBJECTS, "")]
    fresh: list[_Node] = []
    if root is None:
        walk.seen |= _OWN
    walk.seen.add(level[0][0])
    for depth in range(MAX_DEPTH):
        if not level or len(walk.seen) > MAX_NODES:
            break
        known = len(walk.variables)
        level, _ = await asyncio.gather(_level(link, walk, level, first=depth == 0), _types(link, fresh))
        fresh = list(islice(walk.variables.values(), known, None))
    await _types(link, fresh)
    await _units(link, [node for node in walk.variables.values() if node.unit is not None])
    kinds = await _kinds(link, {node.type for node in walk.variables.values() if node.type is not None})
    return [_found(link, node, kinds) for node in walk.variables.values()]


async def _level(
    link: Link, walk: _Walk, nodes: Sequence[tuple[ua.NodeId, str]], *, first: bool
) -> list[tuple[ua.NodeId, str]]:
    step = min(link.limits.browse, 500)
    parts = [nodes[i : i + step] for i in range(0, len(nodes), step)]
    answers = await asyncio.gather(*(_browse(link, walk, [node for node, _ in part]) for part in parts))
    below: list[tuple[ua.NodeId, str]] = []
    for part, results in zip(parts, answers, strict=True):
        for (parent, path), (code, references) in zip(part, results, strict=True):
            if first and code >> 31:
                raise Rejected(f"{parent.to_string()} cannot be browsed: {code_in_words(code)}")
            for reference in references:
                child = _take(walk, parent, path, reference)
                if child is not None:
                    below.append(child)
    return below


def _take(
    walk: _Walk, parent: ua.NodeId, path: str, reference: ua.ReferenceDescription
) -> tuple[ua.NodeId, str] | None:
    """Note what a reference leads to; what is to be browsed next."""
    found = reference.NodeId
    if found.NodeIdType in {ua.NodeIdType.TwoByte, ua.NodeIdType.FourByte} or isinstance(found, ua.ExpandedNodeId):
        found = ua.NodeId(found.Identifier, found.NamespaceIndex, _plain_kind(found.NodeIdType))
    name = (reference.BrowseName.Name if reference.BrowseName is not None else "") or found.to_string()
    if (
        reference.NodeClass == ua.NodeClass.Variable
        and reference.TypeDefinition == _PROPERTY
        and name == "EngineeringUnits"
    ):
        owner = walk.variables.get(parent)
        if owner is not None:
            owner.unit = found
        return None
    if found in walk.seen:
        return None
    walk.seen.add(found)
    below = f"{path}/{_segment(name)}" if path else _segment(name)
    if reference.NodeClass == ua.NodeClass.Variable:
        if reference.TypeDefinition == _PROPERTY and parent in walk.variables:
            return None  # a range, a definition: about the variable, no value of the machine
        walk.variables[found] = _Node(found, below)
        if reference.TypeDefinition == _PROPERTY:
            return None
    return found, below


def _plain_kind(kind: ua.NodeIdType) -> ua.NodeIdType:
    return ua.NodeIdType.Numeric if kind in {ua.NodeIdType.TwoByte, ua.NodeIdType.FourByte} else kind


def _segment(name: str) -> str:
    return name.replace("/", "%2F")


async def _browse(
    link: Link, walk: _Walk, nodes: Iterable[ua.NodeId]
) -> list[tuple[int, list[ua.ReferenceDescription]]]:
    """Status and references of each node, however many requests the server makes of it."""
    parameters = ua.BrowseParameters()
    parameters.RequestedMaxReferencesPerNode = 0
    session = link.session

    async def work() -> list[ua.BrowseResult]:
        parameters.NodesToBrowse = [
            _description(node, _AGGREGATES if node in walk.variables else _BELOW) for node in nodes
        ]
        answer: list[ua.BrowseResult] = await session.browse(parameters)
        return answer

    results = await link.ask(work, "browsing")
    found = [(int(result.StatusCode.value), list(result.References or [])) for result in results]
    more = {i: result.ContinuationPoint for i, result in enumerate(results) if result.ContinuationPoint}
    while more:
        follow = ua.BrowseNextParameters()
        follow.ReleaseContinuationPoints = False
        follow.ContinuationPoints = list(more.values())
        results = await link.ask(lambda: session.browse_next(follow), "browsing")  # noqa: B023  awaited right here
        later: dict[int, Any] = {}
        for i, result in zip(more, results, strict=True):
            found[i][1].extend(result.References or [])
            if result.ContinuationPoint:
                later[i] = result.ContinuationPoint
        more = later
    return found


def _description(node: ua.NodeId, references: ua.NodeId) -> ua.BrowseDescription:
    wanted = ua.BrowseDescription()
    wanted.NodeId = node
    up = references is _SUBTYPE
    wanted.BrowseDirection = ua.BrowseDirection.Inverse if up else ua.BrowseDirection.Forward
    wanted.ReferenceTypeId = references
    wanted.IncludeSubtypes = True
    wanted.NodeClassMask = 0 if up else ua.NodeClass.Object | ua.NodeClass.Variable
    wanted.ResultMask = _WANTED
    return wanted


async def _types(link: Link, nodes: Sequence[_Node]) -> None:
    """Data type and rank of each variable."""
    ids = [node.id for node in nodes]
    types, ranks = await asyncio.gather(_data_types(link, ids), _ranks(link, ids))
    for node, found, rank in zip(nodes, types, ranks, strict=True):
        node.type, node.rank = found, rank


async def _data_types(link: Link, ids: Sequence[ua.NodeId]) -> list[ua.NodeId | None]:
    """The data type of each variable; None where the server does not tell."""
    step = link.limits.read
    parts = [ids[i : i + step] for i in range(0, len(ids), step)]
    known: dict[bytes, ua.NodeId] = {}

    async def ask(part: Sequence[ua.NodeId]) -> list[ua.NodeId | None]:
        wanted = [ua.ReadValueId(NodeId=node, AttributeId=ua.AttributeIds.DataType) for node in part]
        body = await link.read_body(wanted)
        try:
            return decode_node_ids(body, len(part), known)
        except Surprise:
            answers = await link.attributes(part, ua.AttributeIds.DataType)
            values = [answer.Value.Value if answer.Value is not None else None for answer in answers]
            return [value if isinstance(value, ua.NodeId) else None for value in values]

    return [one for found in await asyncio.gather(*(ask(part) for part in parts)) for one in found]


async def _ranks(link: Link, ids: Sequence[ua.NodeId]) -> list[int]:
    """How many dimensions each value has, -1 for a single one; plain numbers, so they go the fast way."""
    decoder, ranks = Decoder(handles=False), [-1] * len(ids)

    async def ask(start: int) -> None:
        part = ids[start : start + link.limits.read]
        wanted = [ua.ReadValueId(NodeId=node, AttributeId=ua.AttributeIds.ValueRank) for node in part]
        try:
            column = decode_read(decoder, await link.read_body(wanted)).ints
        except Surprise:
            return
        for handle, rank, status in zip(
            column.handle.tolist(), column.value.tolist(), column.status.tolist(), strict=True
        ):
            if not status >> 31 and handle < len(part):
                ranks[start + handle] = rank

    await asyncio.gather(*(ask(start) for start in range(0, len(ids), link.limits.read)))
    return ranks


async def _units(link: Link, nodes: Sequence[_Node]) -> None:
    answers = await link.attributes([node.unit for node in nodes if node.unit is not None], ua.AttributeIds.Value)
    for node, answer in zip(nodes, answers, strict=True):
        value = answer.Value.Value if answer.Value is not None else None
        if isinstance(value, ua.EUInformation) and value.DisplayName is not None:
            node.text = value.DisplayName.Text or ""


async def _kinds(link: Link, types: Iterable[ua.NodeId]) -> dict[ua.NodeId, int]:
    """The standard's data type each type is derived from; types are few, so each way up is walked at once."""
    kinds: dict[ua.NodeId, int] = {}
    way = {node: node for node in types}
    for _ in range(MAX_DEPTH):
        for start, at in list(way.items()):
            if (
                at.NamespaceIndex == 0
                and isinstance(at.Identifier, int)
                and (at.Identifier in _TYPES or at.Identifier in _NAMES)
            ):
                kinds[start] = at.Identifier
                del way[start]
        if not way:
            break
        parameters = ua.BrowseParameters()
        parameters.NodesToBrowse = [_description(node, _SUBTYPE) for node in way.values()]
        session = link.session
        results = await link.ask(lambda: session.browse(parameters), "browsing")  # noqa: B023  awaited right here
        for start, result in zip(list(way), results, strict=True):
            if not result.References:
                del way[start]
                continue
            above = result.References[0].NodeId
            way[start] = ua.NodeId(above.Identifier, above.NamespaceIndex, _plain_kind(above.NodeIdType))
    return kinds


def _found(link: Link, node: _Node, kinds: dict[ua.NodeId, int]) -> Found:
    kind = kinds.get(node.type, 24) if node.type is not None else 24
    value_type = _TYPES.get(kind)
    note = ""
    if node.rank >= 0:
        note = "an array: name an element, as in [3]"
    elif value_type is None:
        note = _NAMES.get(kind, "of a type that is not read")
        note += ": name a field, as in #Speed" if kind == 22 else ""
    value_type = value_type or ValueType.FLOAT
    text = node_text(link, node.id)
    address = f"{text} {value_type.value}" if value_type is not ValueType.FLOAT or _ambiguous(text) else text
    return Found(address, node.path, value_type, unit=node.text, note=note)


def _ambiguous(text: str) -> bool:
    """Whether the last word of a node would be taken for a type, an element or a field."""
    return " " in text


def node_text(link: Link, node: ua.NodeId) -> str:
    """A node as an address, its namespace by URI, for indexes change."""
    kind = {ua.NodeIdType.String: "s", ua.NodeIdType.Guid: "g", ua.NodeIdType.ByteString: "b"}.get(node.NodeIdType, "i")
    identifier = node.Identifier
    if isinstance(identifier, bytes):
        identifier = base64.b64encode(identifier).decode()
    index = node.NamespaceIndex
    if index == 0:
        return f"{kind}={identifier}"
    if index < len(link.namespaces):
        uri = link.namespaces[index].replace("%", "%25").replace(";", "%3B")
        return f"nsu={uri};{kind}={identifier}"
    return f"ns={index};{kind}={identifier}"
