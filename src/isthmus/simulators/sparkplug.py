"""A Sparkplug B edge node with its devices, as paho-mqtt speaks it: born, giving data by alias, born again when asked, taking
commands, dying.

Source: Eclipse Sparkplug 3.0, section 5 (operational behavior)
"""

from __future__ import annotations

import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final, cast

import orjson
import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from isthmus.drivers.sparkplug import payload as sparkplug

Value = float | str | bool | None
Metrics = Mapping[str, Mapping[str, tuple[int, Value]]]
"""By device (the empty name is the node itself), by metric: datatype and first value."""

MAX_COMMANDS: Final = 10_000


class EdgeNode:
    """One edge node; ``say`` from any thread. It connects again by itself, and is born again then.

    ``commands`` are those that came, as (device, metric, value), newest last. Metrics that are ``writable``, as (device, metric),
    obey; births say of those that are ``read_only`` that nobody may write them. ``client_id`` and credentials are those of the device at the listener; the host application whose STATE it follows is any.
    """

    def __init__(
        self,
        port: int,
        group: str,
        node: str,
        metrics: Metrics,
        *,
        host: str = "127.0.0.1",
        user: str = "",
        password: str = "",
        client_id: str = "",
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        writable: Collection[tuple[str, str]] = (),
        read_only: Collection[tuple[str, str]] = (),
    ) -> None:
        self._writable, self._read_only = frozenset(writable), frozenset(read_only)
        self.commands: deque[tuple[str, str, Value]] = deque(maxlen=MAX_COMMANDS)
        self._place, self._group, self._node = (host, port), group, node
        self._types = {d: {m: t for m, (t, _) in some.items()} for d, some in metrics.items()}
        self._values = {d: {m: v for m, (_, v) in some.items()} for d, some in metrics.items()}
        self._names = [(d, m) for d, some in metrics.items() for m in some]
        self._alias = {name: i + 1 for i, name in enumerate(self._names)}
        self._now_ms = now_ms
        self._lock = threading.RLock()
        self._seq = self._bdseq = 0
        self._hosts: dict[str, int] = {}
        self.born = threading.Event()
        self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id or f"{group}-{node}")
        self._client.max_queued_messages_set(1000)
        self._client.reconnect_delay_set(1, 5)
        if user:
            self._client.username_pw_set(user, password)
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._client.on_message = self._on_message

    def start(self) -> None:
        """Connect, in a thread of its own, now and whenever the link is lost."""
        self._client.will_set(self._topic("NDEATH"), self._death(), 1)
        self._client.connect_async(*self._place)
        self._client.loop_start()

    def stop(self, *, orderly: bool = True) -> None:
        """Say our death, and end; not orderly: as a power cut does, so that the broker says it."""
        if orderly:
            self._client.publish(self._topic("NDEATH"), self._death(), 1)
            self._client.disconnect()
        elif (link := self._client.socket()) is not None:
            self._client.on_disconnect = None
            self._client.reconnect_delay_set(3600, 3600)
            cast(socket.socket, link).shutdown(socket.SHUT_RDWR)
        self._client.loop_stop()
        self._client._reset_sockets()  # noqa: SLF001  paho closes its socket pair only when it is collected

    def say(self, device: str, values: Mapping[str, Value], *, historical: bool = False, time_ms: int = 0) -> None:
        """Publish a DATA of these metrics; while there is no link only the last value is kept, for the birth."""
        with self._lock:
            if not historical:
                self._values[device].update(values)
            if not self.born.is_set():
                return
            message = self._message()
            for name, value in values.items():
                alias = self._alias[device, name]
                sparkplug.add_metric(
                    message,
                    "",
                    self._types[device][name],
                    value,
                    time_ms or self._now_ms(),
                    alias=alias,
                    historical=historical,
                )
            self._publish("DDATA" if device else "NDATA", device, message)

    def die(self, device: str) -> None:
        """Say the death of one device."""
        with self._lock:
            self._publish("DDEATH", device, self._message())

    def be_born(self) -> None:
        """Say what there is: the node, then its devices."""
        with self._lock:
            self._seq = 0
            for device in sorted(self._types.keys() | {""}):
                message = self._message()
                if not device:
                    sparkplug.add_metric(message, "bdSeq", sparkplug.INT64, self._bdseq, message.timestamp)
                    sparkplug.add_metric(message, "Node Control/Rebirth", sparkplug.BOOLEAN, False, message.timestamp)
                for name, datatype in self._types.get(device, {}).items():
                    value = self._values[device][name]
                    alias = self._alias[device, name]
                    closed = (device, name) in self._read_only
                    sparkplug.add_metric(
                        message, name, datatype, value, message.timestamp, alias=alias, read_only=closed
                    )
                self._publish("DBIRTH" if device else "NBIRTH", device, message)
            self.born.set()

    def raw(self, kind: str, device: str, data: bytes) -> None:
        """Publish whatever, as a broken node would."""
        self._client.publish(self._topic(kind, device), data)

    def _topic(self, kind: str, device: str = "") -> str:
        return f"spBv1.0/{self._group}/{kind}/{self._node}" + (f"/{device}" if device else "")

    def _message(self) -> Any:
        message = sparkplug.Payload(timestamp=self._now_ms(), seq=self._seq)
        self._seq = (self._seq + 1) & 0xFF
        return message

    def _publish(self, kind: str, device: str, message: Any) -> None:
        self._client.publish(self._topic(kind, device), message.SerializeToString())

    def _death(self) -> bytes:
        message = sparkplug.Payload(timestamp=self._now_ms())
        sparkplug.add_metric(message, "bdSeq", sparkplug.INT64, self._bdseq, message.timestamp)
        data: bytes = message.SerializeToString()
        return data

    def _on_connect(self, client: paho.Client, _: Any, __: Any, code: Any, ___: Any) -> None:
        if code.is_failure:
            return
        client.subscribe([(self._topic("NCMD"), 1), (self._topic("DCMD", "+"), 1), ("spBv1.0/STATE/+", 1)])
        self.be_born()

    def _on_disconnect(self, client: paho.Client, *_: Any) -> None:
        with self._lock:
            self.born.clear()
            self._bdseq = (self._bdseq + 1) & 0xFF
            client.will_set(self._topic("NDEATH"), self._death(), 1)

    def _on_message(self, _: paho.Client, __: Any, message: paho.MQTTMessage) -> None:
        """A rebirth that was asked for, another command, or a host application that is there anew."""
        kind = message.topic.split("/")[2]
        if kind in ("NCMD", "DCMD"):
            command = sparkplug.Payload.FromString(message.payload)
            if any(m.name == "Node Control/Rebirth" and m.boolean_value for m in command.metrics):
                self.be_born()
                return
            self._obey(message.topic.split("/")[4] if kind == "DCMD" else "", command)
            return
        try:
            said = orjson.loads(message.payload)
            online, at_ms = bool(said["online"]), int(said["timestamp"])
        except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
            return
        if online and self._hosts.get(message.topic, 0) < at_ms and not message.retain:
            self.be_born()
        self._hosts[message.topic] = at_ms

    def _obey(self, device: str, command: Any) -> None:
        for said in command.metrics:
            known = 0 < said.alias <= len(self._names)
            of, name = (device, said.name) if said.name else self._names[said.alias - 1] if known else (device, "")
            datatype = self._types.get(device, {}).get(name)
            if of != device or datatype is None:
                continue
            value = _value(datatype, said)
            self.commands.append((device, name, value))
            if (device, name) in self._writable:
                self.say(device, {name: value})


def _value(datatype: int, said: Any) -> Value:
    which = said.WhichOneof("value")
    value: Value = None if which is None else getattr(said, which)
    if isinstance(value, int) and datatype in sparkplug.MASKS:
        mask, sign = sparkplug.MASKS[datatype]
        return ((value & mask) ^ sign) - sign
    return value
