"""What a Sparkplug host application knows: which nodes and devices are born, what their aliases mean, what is missing.

No network and no clock: messages come in, rows of tags and wishes for a rebirth come out.

Source: Eclipse Sparkplug 3.0, sections 5 (operational behavior) and 6 (payloads)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, Final

from isthmus.drivers.mqtt.mapping import Collector
from isthmus.drivers.sparkplug import columns
from isthmus.drivers.sparkplug import payload as sparkplug
from isthmus.drivers.sparkplug.address import parse, write
from isthmus.ports.drivers import Found, Point, Traffic
from isthmus.values import status
from isthmus.values.errors import Malformed, Rejected
from isthmus.values.sample import ValueType

NAMESPACE: Final = b"spBv1.0"
MAX_NODES: Final = 10_000
MAX_METRICS: Final = 200_000
"""Of one node, with its devices; what is beyond is not known, and said so."""
MAX_MEMBERS: Final = 8
BIRTH_NS: Final = 2 * 10**9
"""Devices that are not born this soon after their node are no longer believed."""
SKEW_NS: Final = 5 * 10**9
"""A birth tells what is so at the moment it arrives; its own time counts if it lies within this of the edge's clock."""
_WORTH: Final = 320
"""Bytes from which on a message is tried as columns."""
_NOBODY: Final = -1
_NS_END: Final = 2**62
_INT64: Final = 2**63

_FIELDS: Final = {
    **dict.fromkeys((1, 2, 3, 5, 6, 7), "int_value"),
    **dict.fromkeys((4, 8, 13), "long_value"),
    9: "float_value",
    10: "double_value",
    11: "boolean_value",
    **dict.fromkeys((12, 14, 15), "string_value"),
}
_ALSO: Final = {
    "int_value": "long_value",
    "long_value": "int_value",
    "float_value": "double_value",
    "double_value": "float_value",
}
_GETTERS: Final = {name: attrgetter(name) for name in {*_FIELDS.values()}}


@dataclass(frozen=True, slots=True)
class _Tag:
    """A tag that wants a metric, or a member of it."""

    row: int
    type: ValueType
    members: tuple[str, ...]


@dataclass(slots=True)
class _Metric:
    """A metric as its birth declared it, with what a DATA of it becomes."""

    name: str
    datatype: int
    tags: tuple[_Tag, ...]
    field: str = ""  # where its value is; empty: not a plain value
    get: Callable[[Any], Any] = _GETTERS["int_value"]
    convert: Callable[[Any], Any] | None = None  # from the field to the number that is meant
    only: tuple[int, ValueType, bool] | None = (
        None  # the fast way: one tag, whole metric; whether an integer becomes a float
    )
    alias: int | None = None
    read_only: bool = False

    def prepare(self) -> None:
        self.field = _FIELDS.get(self.datatype, "")
        if self.field:
            self.get = _GETTERS[self.field]
        self.convert = _converter(self.datatype)
        kind = sparkplug.TYPES.get(self.datatype)
        if len(self.tags) == 1 and not self.tags[0].members and self.field:
            wanted = self.tags[0].type
            if wanted is kind or (wanted is ValueType.FLOAT and kind is ValueType.INT):
                self.only = self.tags[0].row, wanted, wanted is not kind


@dataclass(frozen=True, slots=True)
class Target:
    """A metric as a command names it: by its alias where it has one, by its name otherwise. ``rows`` are the tags that read it."""

    topic: str
    name: str
    alias: int | None
    datatype: int
    rows: tuple[tuple[int, ValueType], ...]


@dataclass(slots=True)
class _Node:
    """An edge node."""

    alive: bool = False
    seq: int = -1
    bdseq: int = -1
    born: set[str] = field(default_factory=set)  # devices that are
    metrics: dict[str, dict[str, _Metric]] = field(default_factory=dict)  # by device, by name
    aliases: dict[int, _Metric | None] = field(default_factory=dict)  # None: said of two metrics


class Host:
    """Follows all nodes. ``wanted`` are nodes whose rebirth would help, for whoever may ask for it to take."""

    def __init__(self, points: Sequence[Point], traffic: Traffic, *, device_times: bool = True) -> None:
        self._traffic, self._device_times = traffic, device_times
        self._nodes: dict[tuple[bytes, bytes], _Node] = {}
        self._tags: dict[tuple[str, str, str], dict[str, list[_Tag]]] = {}
        for point in points:
            address = parse(point.address)
            tags = self._tags.setdefault(address.source, {}).setdefault(address.metric, [])
            tags.append(_Tag(point.id, address.type, address.members))
        self.groups = sorted({g for g, _, _ in self._tags})
        self.wanted: dict[tuple[bytes, bytes], str] = {
            (g.encode(), n.encode()): "we are new here" for g, n, _ in self._tags
        }
        self._awaited: dict[tuple[bytes, bytes], int] = {}
        self.live, self.kept = Collector(), Collector()

    def due_ns(self) -> int | None:
        """When `settle` has something to do, on the clock of ``now_ns``."""
        return min(self._awaited.values(), default=None)

    def settle(self, now_ns: int) -> None:
        """Devices that were not born again in time: their tags wait."""
        for place in [p for p, due_ns in self._awaited.items() if now_ns >= due_ns]:
            del self._awaited[place]
            born = self._nodes[place].born
            for (group, name, device), metrics in self._tags.items():
                if (group.encode(), name.encode()) == place and device and device not in born:
                    self._bad(
                        [t for some in metrics.values() for t in some], status.BAD_WAITING_FOR_INITIAL_DATA, now_ns
                    )

    def hear(self, topic: bytes, data: bytes, now_ns: int) -> None:
        """One message. Rows of tags are in ``live``, those of samples the device had kept in ``kept``."""
        parts = topic.split(b"/")
        if parts[0] != NAMESPACE or len(parts) not in (4, 5):
            return
        place, kind = (parts[1], parts[3]), parts[2]
        device = parts[4] if len(parts) == 5 else b""
        if kind in (b"NCMD", b"DCMD") or (kind[:1] == b"D") != bool(device):
            return
        try:
            topic.decode()
            if kind in (b"DDATA", b"NDATA") and len(data) >= _WORTH and self._data_columns(place, device, data, now_ns):
                return
            message = sparkplug.parse(data)
            if kind in (b"DDATA", b"NDATA"):
                self._data(place, device, message, now_ns)
            elif kind == b"NBIRTH":
                self._node_birth(place, message, now_ns)
            elif kind == b"DBIRTH":
                self._device_birth(place, device, message, now_ns)
            elif kind == b"NDEATH":
                self._node_death(place, message, now_ns)
            elif kind == b"DDEATH":
                self._device_death(place, device, message, now_ns)
        except (Malformed, UnicodeDecodeError) as error:
            self._drop(topic, str(error))
            if place in self._nodes:
                self._want(place, "a message did not parse")

    def take(self) -> tuple[Collector, Collector]:
        """What was collected since the last call: live rows, kept rows."""
        taken = self.live, self.kept
        self.live, self.kept = Collector(), Collector()
        return taken

    def offered(self, root: str = "") -> list[Found]:
        """All metrics of all births that can become a tag, in the order they were born."""
        found = []
        for (group, node), known in self._nodes.items():
            for device, metrics in known.metrics.items():
                for metric in metrics.values():
                    kind = sparkplug.TYPES.get(metric.datatype)
                    if kind is None or metric.name == "bdSeq":
                        continue
                    address = write(group.decode(), node.decode(), device, metric.name, (), kind)
                    if address.startswith(root):
                        found.append(Found(address, metric.name, kind, sparkplug.NAMES[metric.datatype]))
        return found

    def target(self, text: str) -> Target:
        """Whom a command to this address goes to.

        Raises: Rejected if node or device are not there, or the metric is unknown or cannot be written
        Source: Eclipse Sparkplug 3.0, sections 4.1 (topics), 6.4.6 (an alias, where there is one, in place of the name)
        """
        address = parse(text)
        group, name, device = address.source
        node = self._nodes.get((group.encode(), name.encode()))
        if node is None:
            raise Rejected(f"{text}: nothing was heard of the node {group}/{name} yet")
        if not node.alive:
            raise Rejected(f"{text}: the node {group}/{name} is offline")
        if device not in node.born:
            raise Rejected(f"{text}: the device {device} of {group}/{name} is offline, or there is none")
        metric = node.metrics[device].get(address.metric)
        if metric is None:
            raise Rejected(f"{text}: the birth names no metric {address.metric}")
        if address.members:
            raise Rejected(f"{text}: a member of a template cannot be written alone")
        if metric.read_only:
            raise Rejected(f"{text}: its birth says that it is read-only")
        if metric.datatype not in sparkplug.TYPES or metric.name == "bdSeq":
            what = sparkplug.NAMES.get(metric.datatype, f"datatype {metric.datatype}")
            raise Rejected(f"{text}: a metric of {what} cannot be written")
        if metric.alias is not None and node.aliases.get(metric.alias) is not metric:
            raise Rejected(f"{text}: its alias {metric.alias} stands for another metric as well")
        topic = f"spBv1.0/{group}/DCMD/{name}/{device}" if device else f"spBv1.0/{group}/NCMD/{name}"
        rows = tuple((t.row, t.type) for t in metric.tags if not t.members)
        named = metric.name if metric.alias is None else ""
        return Target(topic, named, metric.alias, metric.datatype, rows)

    # ---------------------------------------------------------------- births

    def _node_birth(self, place: tuple[bytes, bytes], message: Any, now_ns: int) -> None:
        if place not in self._nodes and len(self._nodes) >= MAX_NODES:
            self._drop(b"/".join(place), f"more than {MAX_NODES} nodes")
            return
        node = self._nodes[place] = _Node(alive=True, seq=message.seq & 0xFF)
        self.wanted.pop(place, None)
        for metric in message.metrics:
            if metric.name == "bdSeq":
                node.bdseq = metric.long_value or metric.int_value
        self._awaited[place] = now_ns + BIRTH_NS  # devices are born after their node, and until then are as they were
        self._born(place, node, "", message, now_ns)

    def _device_birth(self, place: tuple[bytes, bytes], device: bytes, message: Any, now_ns: int) -> None:
        node = self._nodes.get(place)
        if node is None or not node.alive:
            self._early(place, "the birth of a device before that of its node")
            return
        self._count(place, node, message)
        self._born(place, node, device.decode(), message, now_ns)

    def _born(self, place: tuple[bytes, bytes], node: _Node, device: str, message: Any, now_ns: int) -> None:
        """Learn the metrics and take their first values; tags the birth does not name will never come."""
        group, name = place[0].decode(), place[1].decode()
        wanted = self._tags.get((group, name, device), {})
        gone = {id(m) for m in node.metrics.get(device, {}).values()}
        node.aliases = {a: m for a, m in node.aliases.items() if m is None or id(m) not in gone}
        metrics = node.metrics[device] = {}
        node.born.add(device)
        room = MAX_METRICS - sum(map(len, node.metrics.values()))
        for said in message.metrics:
            if len(metrics) >= room:
                self._drop(b"/".join(place), f"more than {MAX_METRICS} metrics")
                break
            metric = _Metric(said.name, said.datatype, tuple(wanted.get(said.name, ())))
            metric.prepare()
            metric.alias = said.alias if said.HasField("alias") else None
            metric.read_only = sparkplug.is_read_only(said)
            metrics[metric.name] = metric
            if said.HasField("alias"):
                self._alias(place, node, said.alias, metric)
        at_ns = self._birth_ns(message, now_ns)
        spoilt = {id(m) for m in metrics.values()} - {id(m) for m in node.aliases.values()}
        for said in message.metrics:
            known = metrics.get(said.name)
            if known is None or not known.tags:
                continue
            if said.HasField("alias") and id(known) in spoilt:
                self._bad(known.tags, status.BAD_CONFIGURATION_ERROR, now_ns)
            else:
                self._value(known, said, at_ns, now_ns, birth=True)
        missing = [t for name, tags in wanted.items() if name not in metrics for t in tags]
        if missing:
            self._traffic.last_error = f"{group}/{name}/{device}: its birth has no metric for {len(missing)} tags"
            self._bad(missing, status.BAD_NODE_ID_UNKNOWN, now_ns)

    def _alias(self, place: tuple[bytes, bytes], node: _Node, alias: int, metric: _Metric) -> None:
        other = node.aliases.get(alias, metric)
        if alias in node.aliases and other is not metric:
            self._traffic.errors += 1
            named = other.name if other is not None else "another"
            self._traffic.last_error = f"{_words(place)}: alias {alias} stands for {metric.name} and for {named}"
            node.aliases[alias] = None
            return
        node.aliases[alias] = metric

    def _birth_ns(self, message: Any, now_ns: int) -> int:
        said_ns = int(message.timestamp) * 1_000_000
        return said_ns if self._device_times and abs(said_ns - now_ns) <= SKEW_NS else now_ns

    # ---------------------------------------------------------------- deaths

    def _node_death(self, place: tuple[bytes, bytes], message: Any, now_ns: int) -> None:
        node = self._nodes.get(place)
        if node is None or not node.alive:
            return
        said = [m.long_value or m.int_value for m in message.metrics if m.name == "bdSeq"]
        # a smaller number is the will of a session before this one; the next number cannot be that: some senders leave in good order
        # with the number of the session to come, and a session that dies before its birth leaves nobody alive either
        if said and said[0] not in (node.bdseq, (node.bdseq + 1) & 0xFF):
            return
        node.alive = False
        node.born.clear()
        self._awaited.pop(place, None)
        self._traffic.last_error = f"{_words(place)}: the node has gone"
        self._mark(place, status.BAD_NO_COMMUNICATION, now_ns)

    def _device_death(self, place: tuple[bytes, bytes], device: bytes, message: Any, now_ns: int) -> None:
        node = self._nodes.get(place)
        if node is None or not node.alive:
            self._early(place, "the death of a device before the birth of its node")
            return
        self._count(place, node, message)
        node.born.discard(device.decode())
        self._traffic.last_error = f"{_words(place)}/{device.decode()}: the device has gone"
        tags = self._tags.get((place[0].decode(), place[1].decode(), device.decode()), {})
        self._bad([t for some in tags.values() for t in some], status.BAD_NO_COMMUNICATION, now_ns)

    def _mark(self, place: tuple[bytes, bytes], code: int, now_ns: int) -> None:
        """All tags of a node and its devices."""
        whose = place[0].decode(), place[1].decode()
        for (group, name, _), metrics in self._tags.items():
            if (group, name) == whose:
                self._bad([t for some in metrics.values() for t in some], code, now_ns)

    def _bad(self, tags: Sequence[_Tag], code: int, now_ns: int) -> None:
        for tag in tags:
            self.live.of[tag.type].add(tag.row, now_ns, None, code)

    # ------------------------------------------------------------------ data

    def _data(self, place: tuple[bytes, bytes], device: bytes, message: Any, now_ns: int) -> None:
        node = self._nodes.get(place)
        name = device.decode()
        if node is None or not node.alive or name not in node.born:
            self._early(place, "data before the birth")
            if node is not None and node.alive:
                self._count(place, node, message)
            return
        self._count(place, node, message)
        metrics, aliases = node.metrics[name], node.aliases
        default_ns = int(message.timestamp) * 1_000_000
        device_times = self._device_times
        floats, whole = self.live.of[ValueType.FLOAT], self.live.of[ValueType.INT]
        for said in message.metrics:
            by_name = said.name
            metric = metrics.get(by_name) if by_name else aliases.get(said.alias)
            if metric is None:
                self._unknown(place, said)
                continue
            only = metric.only
            if only is None:
                if metric.tags:
                    self._value(metric, said, default_ns, now_ns)
                continue
            if said.is_historical or said.WhichOneof("value") != metric.field:
                self._value(metric, said, default_ns, now_ns)
                continue
            row, kind, to_float = only
            value = metric.get(said)
            if metric.convert is not None:
                value = metric.convert(value)
                if value is None:
                    self._value(metric, said, default_ns, now_ns)
                    continue
            time_ns = said.timestamp * 1_000_000 or default_ns
            if not device_times or not 0 < time_ns < _NS_END:
                time_ns = now_ns
            if kind is ValueType.TEXT:
                self.live.of[kind].add(row, time_ns, value, status.GOOD)
                continue
            columns = floats if kind is ValueType.FLOAT else whole
            columns.ids.append(row)
            columns.times.append(time_ns)
            columns.values.append(float(value) if to_float else value)
            columns.statuses.append(status.GOOD)

    def _data_columns(self, place: tuple[bytes, bytes], device: bytes, data: bytes, now_ns: int) -> bool:
        """Read a message of metrics of one make at once; False, and nothing done, if it is not like that all through."""
        node = self._nodes.get(place)
        if node is None or not node.alive or device.decode() not in node.born:
            return False
        message = sparkplug.outline(data)
        if len(message.metrics) < columns.FEWEST:
            return False
        parts = columns.read(message.metrics)
        if parts is None:
            return False
        aliases = node.aliases
        ready = []
        for part in parts:
            wanted = "double_value" if part.double else "float_value"
            rows = []
            for alias in part.alias:
                metric = aliases.get(alias)
                if metric is None:
                    return False
                if metric.only is not None and metric.field == wanted:
                    rows.append(metric.only[0])
                elif metric.tags:
                    return False
                else:
                    rows.append(_NOBODY)
            times, values = self._times_ns(part.time_ms, int(message.timestamp), now_ns), part.value
            if _NOBODY in rows:
                asked = [i for i, row in enumerate(rows) if row != _NOBODY]
                rows, times = [rows[i] for i in asked], [times[i] for i in asked]
                values = [values[i] for i in asked]
            ready.append((rows, times, values))
        if len(parts) > 1 and len({row for rows, _, _ in ready for row in rows}) < sum(len(r) for r, _, _ in ready):
            return False  # the same metric twice: its order counts
        self._count(place, node, message)
        floats = self.live.of[ValueType.FLOAT]
        for rows, times, values in ready:
            floats.ids += rows
            floats.times += times
            floats.values += values
            floats.statuses += [status.GOOD] * len(rows)
        return True

    def _times_ns(self, said_ms: list[int], default_ms: int, now_ns: int) -> list[int]:
        """The times of samples, as `_data` takes them one by one."""
        if not self._device_times:
            return [now_ns] * len(said_ms)
        times = [(ms or default_ms) * 1_000_000 for ms in said_ms]
        return times if min(times) > 0 and max(times) < _NS_END else [t if 0 < t < _NS_END else now_ns for t in times]

    def _value(self, metric: _Metric, said: Any, default_ns: int, now_ns: int, *, birth: bool = False) -> None:
        """One metric said, for all tags that want a part of it; whatever it is, each gets a row."""
        time_ns = default_ns if birth and not said.is_historical else int(said.timestamp) * 1_000_000 or default_ns
        if not self._device_times or not 0 < time_ns < _NS_END:
            time_ns = now_ns
        into = self.kept if said.is_historical else self.live
        for tag in metric.tags:
            value, code = self._part(metric, said, tag)
            into.of[tag.type].add(tag.row, time_ns, value, code)

    def _part(self, metric: _Metric, said: Any, tag: _Tag) -> tuple[Any, int]:
        datatype = metric.datatype
        for member in tag.members[:MAX_MEMBERS]:
            if said.WhichOneof("value") != "template_value":
                return self._refused(metric, f"has no member {member}, as it is no template", status.BAD_NO_DATA)
            inner = next((m for m in said.template_value.metrics if m.name == member), None)
            if inner is None:
                return self._refused(metric, f"has no member {member}", status.BAD_NO_DATA)
            said, datatype = inner, inner.datatype
        if said.is_null:
            return None, status.BAD_NO_DATA
        kind = sparkplug.TYPES.get(datatype)
        if kind is None:
            what = sparkplug.NAMES.get(datatype, f"datatype {datatype}")
            hint = "; name a member by metric#member" if datatype == sparkplug.TEMPLATE else ""
            return self._refused(metric, f"is of {what}, which cannot be a tag{hint}", status.BAD_NOT_SUPPORTED)
        which, wanted = said.WhichOneof("value"), _FIELDS[datatype]
        if which is None:
            return self._refused(metric, "has no value", status.BAD_NO_DATA)
        if which not in (wanted, _ALSO.get(wanted)):
            return self._refused(metric, f"is said as {which}, but was born as {sparkplug.NAMES[datatype]}")
        value = getattr(said, which)
        convert = _converter(datatype)
        if convert is not None:
            value = convert(value)
            if value is None:
                return self._refused(metric, "does not fit into 64 bits with a sign", status.BAD_OUT_OF_RANGE)
        if tag.type is kind:
            return value, status.GOOD
        if tag.type is ValueType.FLOAT and kind is ValueType.INT:
            return float(value), status.GOOD
        if tag.type is ValueType.INT and kind is ValueType.FLOAT and value.is_integer() and abs(value) < _INT64:
            return int(value), status.GOOD
        return self._refused(
            metric, f"is {sparkplug.NAMES[datatype]}, the tag wants {tag.type}", status.BAD_TYPE_MISMATCH
        )

    def _refused(self, metric: _Metric, why: str, code: int = status.BAD_DECODING_ERROR) -> tuple[None, int]:
        self._traffic.errors += 1
        self._traffic.last_error = f"metric {metric.name} {why}"[:500]
        return None, code

    # -------------------------------------------------------------- sequence

    def _count(self, place: tuple[bytes, bytes], node: _Node, message: Any) -> None:
        """A number left out means that something was lost: only a rebirth tells what is so now."""
        expected, node.seq = (node.seq + 1) & 0xFF, message.seq & 0xFF
        if node.seq != expected:
            self._traffic.errors += 1
            self._traffic.last_error = f"{_words(place)}: message {expected} is missing, {node.seq} came"
            self._want(place, "messages are missing")

    def _early(self, place: tuple[bytes, bytes], what: str) -> None:
        self._drop(b"/".join(place), what)
        self._want(place, what)

    def _unknown(self, place: tuple[bytes, bytes], said: Any) -> None:
        what = f"metric {said.name}" if said.name else f"alias {said.alias}"
        self._drop(b"/".join(place), f"{what} was not in the birth, or stands for two metrics")
        self._want(place, f"{what} is not known")

    def _want(self, place: tuple[bytes, bytes], why: str) -> None:
        if len(self.wanted) < MAX_NODES:
            self.wanted.setdefault(place, why)

    def _drop(self, topic: bytes, reason: str) -> None:
        self._traffic.dropped += 1
        self._traffic.last_error = f"{topic.decode(errors='replace')}: {reason}"[:500]


def _words(place: tuple[bytes, bytes]) -> str:
    return b"/".join(place).decode(errors="replace")


def _converter(datatype: int) -> Callable[[Any], Any] | None:
    """From what the field holds to the number that is meant; its answer None: does not fit."""
    if datatype in sparkplug.MASKS:
        mask, sign = sparkplug.MASKS[datatype]
        return lambda value: ((value & mask) ^ sign) - sign
    if datatype in sparkplug.UNSIGNED:
        bits = sparkplug.UNSIGNED[datatype]
        return lambda value: value & bits
    if datatype in (sparkplug.UINT64, sparkplug.DATETIME):
        return lambda value: value if value < _INT64 else None
    return int if datatype == sparkplug.BOOLEAN else None
