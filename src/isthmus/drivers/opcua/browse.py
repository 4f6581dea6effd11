"""What a server offers, as a flat list: browsed level by level, many nodes a request, then the types read in bulk."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Final

from asyncua import ua
from asyncua.common.utils import Buffer
from asyncua.ua.ua_binary import nodeid_from_binary

from isthmus.drivers.opcua import encode
from isthmus.drivers.opcua.decode import Decoder, Surprise, decode_node_ids, decode_read
from isthmus.drivers.opcua.references import Browsed, Reference, browsed_plainly, decode_browse
from isthmus.drivers.opcua.session import Link, code_in_words
from isthmus.ports.drivers import Found
from isthmus.values.errors import NotConnected, Rejected
from isthmus.values.sample import ValueType

MAX_NODES: Final = 500_000
MAX_DEPTH: Final = 40
MAX_TYPES: Final = 10_000
_OBJECTS: Final = encode.node_of("i", ua.ObjectIds.ObjectsFolder, 0)
_OWN: Final = frozenset(encode.node_of("i", i, 0) for i in (ua.ObjectIds.Server, ua.ObjectIds.Aliases))
"""What every server has of its own: diagnostics, and other names for nodes that stand elsewhere."""
_PROPERTY: Final = encode.node_of("i", ua.ObjectIds.PropertyType, 0)
_SUBTYPE: Final = encode.node_of("i", ua.ObjectIds.HasSubtype, 0)
_DOWNWARDS: Final = frozenset(
    encode.node_of("i", number, 0)
    for number in (
        ua.ObjectIds.HierarchicalReferences,
        ua.ObjectIds.HasChild,
        ua.ObjectIds.Organizes,
        ua.ObjectIds.HasEventSource,
        ua.ObjectIds.Aggregates,
        ua.ObjectIds.HasProperty,
        ua.ObjectIds.HasComponent,
        ua.ObjectIds.HasNotifier,
        ua.ObjectIds.HasOrderedComponent,
        ua.ObjectIds.HasHistoricalConfiguration,
    )
)
"""References that lead downwards; those derived from them are asked for."""
_VARIABLE: Final = int(ua.NodeClass.Variable)
_WANTED: Final = int(
    ua.BrowseResultMask.ReferenceTypeId
    | ua.BrowseResultMask.NodeClass
    | ua.BrowseResultMask.BrowseName
    | ua.BrowseResultMask.TypeDefinition
)

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

    id: bytes
    path: str
    unit: bytes = b""  # the property that tells its unit
    type: ua.NodeId | None = None
    rank: int = -1
    text: str = ""


@dataclass(slots=True)
class _Walk:
    """What is known so far. Nodes are their bytes."""

    downwards: frozenset[bytes] = _DOWNWARDS
    variables: dict[bytes, _Node] = field(default_factory=dict)
    seen: set[bytes] = field(default_factory=set)


async def browse(link: Link, root: ua.NodeId | None) -> list[Found]:
    """All variables below a node, the server's own diagnostics left out unless asked for.

    Raises: Rejected if the server does not know the node; NotConnected
    Cost:   a few requests a level and two for each thousand variables; 15 µs of our own for each variable
    """
    walk = _Walk(await _downwards(link))
    level = [(encode.node_bytes(root) if root is not None else _OBJECTS, "")]
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
    await _units(link, [node for node in walk.variables.values() if node.unit])
    kinds = await _kinds(link, {node.type for node in walk.variables.values() if node.type is not None})
    return [_found(link, node, kinds) for node in walk.variables.values()]


async def _downwards(link: Link) -> frozenset[bytes]:
    """Types of references that lead downwards.

    They are asked for once: a server that has to find out for each reference of each node whether its type is derived
    from the wanted one takes half as long again.
    """
    known = set(_DOWNWARDS)
    level = sorted(known)
    while level and len(known) < MAX_TYPES:
        answers = await _references(link, level, _SUBTYPE, ua.NodeClass.ReferenceType)
        found = {r.node for answer in answers for r in answer.references if r.type == _SUBTYPE}
        level = sorted(found - known)
        known |= found
    return frozenset(known)


async def _level(
    link: Link, walk: _Walk, nodes: Sequence[tuple[bytes, str]], *, first: bool
) -> list[tuple[bytes, str]]:
    step = min(link.limits.browse, 500)
    parts = [nodes[i : i + step] for i in range(0, len(nodes), step)]
    wanted = ua.NodeClass.Object | ua.NodeClass.Variable
    answers = await asyncio.gather(*(_references(link, [node for node, _ in part], b"", wanted) for part in parts))
    below: list[tuple[bytes, str]] = []
    for part, results in zip(parts, answers, strict=True):
        for (parent, path), answer in zip(part, results, strict=True):
            if first and answer.code >> 31:
                raise Rejected(f"{node_of(parent).to_string()} cannot be browsed: {code_in_words(answer.code)}")
            for reference in answer.references:
                child = _take(walk, parent, path, reference)
                if child is not None:
                    below.append(child)
    return below


def _take(walk: _Walk, parent: bytes, path: str, reference: Reference) -> tuple[bytes, str] | None:
    """Note what a reference leads to; what is to be browsed next."""
    if reference.type not in walk.downwards:
        return None
    found, variable = reference.node, reference.node_class == _VARIABLE
    if variable and reference.definition == _PROPERTY and reference.name == "EngineeringUnits":
        owner = walk.variables.get(parent)
        if owner is not None:
            owner.unit = found
        return None
    if found in walk.seen:
        return None
    walk.seen.add(found)
    name = _segment(reference.name or node_of(found).to_string())
    below = f"{path}/{name}" if path else name
    if variable:
        if reference.definition == _PROPERTY and parent in walk.variables:
            return None  # a range, a definition: about the variable, no value of the machine
        walk.variables[found] = _Node(found, below)
        if reference.definition == _PROPERTY:
            return None
    return found, below


def node_of(node: bytes) -> ua.NodeId:
    """A node as asyncua has it."""
    found: ua.NodeId = nodeid_from_binary(Buffer(node))
    return found


def _segment(name: str) -> str:
    return name.replace("/", "%2F")


async def _references(link: Link, nodes: Sequence[bytes], kind: bytes, classes: int) -> list[Browsed]:
    """What each node leads to, however many requests the server makes of it."""

    async def ask(request: encode.Ready, count: int) -> list[Browsed]:
        answers = await link.answer(request, "browsing", partial(decode_browse, count=count), browsed_plainly)
        if len(answers) != count:
            link.give_up(f"{link.peer} answered for {len(answers)} of {count} nodes")
            raise NotConnected(link.lost)
        return answers

    found = await ask(encode.browse(nodes, kind, int(classes), _WANTED), len(nodes))
    more = [answer for answer in found if answer.point]
    while more:
        answers = await ask(encode.browse_next([answer.point for answer in more]), len(more))
        for answer, further in zip(more, answers, strict=True):
            answer.references += further.references
            answer.point = further.point
        more = [answer for answer in more if answer.point]
    return found


def _upwards(node: ua.NodeId) -> ua.BrowseDescription:
    """Asks for the type that a type is derived from."""
    wanted = ua.BrowseDescription()
    wanted.NodeId = node
    wanted.BrowseDirection = ua.BrowseDirection.Inverse
    wanted.ReferenceTypeId = ua.NodeId(ua.ObjectIds.HasSubtype)
    wanted.IncludeSubtypes = True
    wanted.ResultMask = 0
    return wanted


async def _types(link: Link, nodes: Sequence[_Node]) -> None:
    """Data type and rank of each variable."""
    ids = [node.id for node in nodes]
    types, ranks = await asyncio.gather(_data_types(link, ids), _ranks(link, ids))
    for node, found, rank in zip(nodes, types, ranks, strict=True):
        node.type, node.rank = found, rank


async def _data_types(link: Link, ids: Sequence[bytes]) -> list[ua.NodeId | None]:
    """The data type of each variable; None where the server does not tell."""
    step = link.limits.read
    parts = [ids[i : i + step] for i in range(0, len(ids), step)]
    known: dict[bytes, ua.NodeId] = {}

    async def ask(part: Sequence[bytes]) -> list[ua.NodeId | None]:
        body = await link.body(encode.read(part, ua.AttributeIds.DataType), "reading")
        try:
            return decode_node_ids(body, len(part), known)
        except Surprise:
            answers = await link.attributes([node_of(node) for node in part], ua.AttributeIds.DataType)
            values = [answer.Value.Value if answer.Value is not None else None for answer in answers]
            return [value if isinstance(value, ua.NodeId) else None for value in values]

    return [one for found in await asyncio.gather(*(ask(part) for part in parts)) for one in found]


async def _ranks(link: Link, ids: Sequence[bytes]) -> list[int]:
    """How many dimensions each value has, -1 for a single one; plain numbers, so they go the fast way."""
    ranks = [-1] * len(ids)

    async def ask(start: int) -> None:
        part = ids[start : start + link.limits.read]
        try:
            body = await link.body(encode.read(part, ua.AttributeIds.ValueRank), "reading")
            column = decode_read(Decoder(handles=False), body).ints
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
    answers = await link.attributes([node_of(node.unit) for node in nodes], ua.AttributeIds.Value)
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
        parameters.NodesToBrowse = [_upwards(node) for node in way.values()]
        session = link.session
        results = await link.ask(lambda: session.browse(parameters), "browsing")  # noqa: B023  awaited right here
        for start, result in zip(list(way), results, strict=True):
            if not result.References:
                del way[start]
                continue
            above = result.References[0].NodeId
            way[start] = node_of(encode.node_bytes(above))
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
    text = node_text(link, node_of(node.id))
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
