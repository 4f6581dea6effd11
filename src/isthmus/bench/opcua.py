"""OPC UA: changes decoded and bound per CPU second of the edge, browsing and subscribing of ten thousand nodes.

A peer in a process of its own answers every publish request at once with a prepared response, so that the client alone is
measured; stock asyncua listens to the same peer in the same run. Browsing and subscribing meet asyncua's real server.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import struct
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from asyncua import Client, ua
from asyncua.common.utils import Buffer
from asyncua.ua.ua_binary import nodeid_from_binary, struct_from_binary, struct_to_binary

from isthmus.acquisition.binding import Binder, TagTable
from isthmus.bench.system import environment
from isthmus.drivers.opcua import OpcUaConfig, build
from isthmus.ports.drivers import DriverContext, Point
from isthmus.values.clock import SystemClock
from isthmus.values.model import Budget, TagColumns
from isthmus.values.sample import ValueType

BUDGET: dict[str, tuple[str, float]] = {
    "opcua_changes_per_cpu_s": (">=", 150_000.0),
    "opcua_over_asyncua_ratio": (">=", 4.0),
    "opcua_browse_10000_s": ("<=", 2.0),
    "opcua_subscribe_10000_s": ("<=", 3.0),
    "opcua_encrypted_browse_10000_s": ("<=", 2.0),
    "opcua_encrypted_subscribe_10000_s": ("<=", 3.0),
}
NODES = 10_000
PER_RESPONSE = 1_000
SECURE = "Basic256Sha256-SignAndEncrypt"


# ------------------------------------------------------------------------- the peer that only replays


class Peer(asyncio.Protocol):
    """As much of a server as a client needs to subscribe; then the same publish responses again and again."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._sequence = self._notification = self._items = 0
        self._handles: list[int] = []
        self._bodies: list[tuple[bytes, int]] = []
        self._waiting: list[int] = []  # publish requests that came before all items were there
        self._line: Any = None

    def connection_made(self, transport: Any) -> None:
        self._line = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while len(self._buffer) >= 8:
            size = int.from_bytes(self._buffer[4:8], "little")
            if len(self._buffer) < size:
                return
            message, self._buffer = bytes(self._buffer[:size]), self._buffer[size:]
            self._message(message)

    def _message(self, message: bytes) -> None:
        kind = message[:3]
        if kind == b"HEL":
            self._line.write(b"ACKF" + struct.pack("<6I", 28, 0, 65_535, 65_535, 0, 0))
        elif kind == b"OPN":
            data = Buffer(message, 12)
            struct_from_binary(ua.AsymmetricAlgorithmHeader, data)
            request = struct_from_binary(ua.SequenceHeader, data).RequestId
            response = ua.OpenSecureChannelResponse()
            response.Parameters.SecurityToken.ChannelId = response.Parameters.SecurityToken.TokenId = 1
            response.Parameters.SecurityToken.RevisedLifetime = 3_600_000
            policy = b"http://opcfoundation.org/UA/SecurityPolicy#None"
            security = struct.pack("<i", len(policy)) + policy + struct.pack("<ii", -1, -1)
            self._send(b"OPN", security, request, struct_to_binary(response))
        elif kind == b"MSG":
            self._request(int.from_bytes(message[20:24], "little"), Buffer(message, 24))

    def _send(self, kind: bytes, security: bytes, request: int, body: bytes) -> None:
        self._sequence += 1
        content = security + struct.pack("<II", self._sequence, request) + body
        self._line.write(kind + b"F" + struct.pack("<II", 12 + len(content), 1) + content)

    def _request(self, number: int, data: Buffer) -> None:
        whole = data.copy()
        kind = int(nodeid_from_binary(data).Identifier)
        answer = self._answers().get(kind)
        if answer is None:
            self._waiting.append(number)
        else:
            self._send(b"MSG", struct.pack("<I", 1), number, struct_to_binary(answer(whole)))
        if len(self._handles) >= NODES:
            waiting, self._waiting = self._waiting, []
            for one in waiting:
                self._send(b"MSG", struct.pack("<I", 1), one, self._publish())

    def _answers(self) -> dict[int, Callable[[Buffer], Any]]:
        ids = ua.ObjectIds
        return {
            ids.CreateSessionRequest_Encoding_DefaultBinary: self._session,
            ids.ActivateSessionRequest_Encoding_DefaultBinary: lambda _: ua.ActivateSessionResponse(),
            ids.ReadRequest_Encoding_DefaultBinary: self._read,
            ids.CreateSubscriptionRequest_Encoding_DefaultBinary: self._subscription,
            ids.CreateMonitoredItemsRequest_Encoding_DefaultBinary: self._monitored,
            ids.CloseSessionRequest_Encoding_DefaultBinary: lambda _: ua.CloseSessionResponse(),
            ids.DeleteSubscriptionsRequest_Encoding_DefaultBinary: lambda _: ua.DeleteSubscriptionsResponse(
                Results=[ua.StatusCode(0)]
            ),
        }

    def _session(self, _: Buffer) -> Any:
        response = ua.CreateSessionResponse()
        response.Parameters.AuthenticationToken = ua.NodeId(1)
        response.Parameters.RevisedSessionTimeout = 60_000
        offer = ua.EndpointDescription()
        offer.EndpointUrl, offer.SecurityMode = "opc.tcp://127.0.0.1", ua.MessageSecurityMode.None_
        offer.SecurityPolicyUri = "http://opcfoundation.org/UA/SecurityPolicy#None"
        offer.UserIdentityTokens = [ua.UserTokenPolicy(PolicyId="anonymous", TokenType=ua.UserTokenType.Anonymous)]
        response.Parameters.ServerEndpoints = [offer]
        return response

    def _read(self, data: Buffer) -> Any:
        nodes = struct_from_binary(ua.ReadRequest, data).Parameters.NodesToRead
        response = ua.ReadResponse()
        response.Results = [ua.DataValue(ua.Variant(0, ua.VariantType.Int32)) for _ in nodes]
        return response

    def _subscription(self, data: Buffer) -> Any:
        asked = struct_from_binary(ua.CreateSubscriptionRequest, data).Parameters
        response = ua.CreateSubscriptionResponse()
        response.Parameters.SubscriptionId = 1
        response.Parameters.RevisedPublishingInterval = asked.RequestedPublishingInterval
        response.Parameters.RevisedLifetimeCount = asked.RequestedLifetimeCount
        response.Parameters.RevisedMaxKeepAliveCount = asked.RequestedMaxKeepAliveCount
        return response

    def _monitored(self, data: Buffer) -> Any:
        response = ua.CreateMonitoredItemsResponse()
        for item in struct_from_binary(ua.CreateMonitoredItemsRequest, data).Parameters.ItemsToCreate:
            self._items += 1
            self._handles.append(item.RequestedParameters.ClientHandle)
            response.Results.append(ua.MonitoredItemCreateResult(MonitoredItemId=self._items))
        self._bodies = []
        return response

    def _publish(self) -> bytes:
        """The next of the prepared responses, with the number it has now."""
        if not self._bodies:
            self._bodies = [
                responses(self._handles[i : i + PER_RESPONSE], i) for i in range(0, len(self._handles), PER_RESPONSE)
            ] or [responses([], 0)]
        body, at = self._bodies[self._notification % len(self._bodies)]
        self._notification += 1
        return body[:at] + struct.pack("<I", self._notification) + body[at + 4 :]


def responses(handles: list[int], first: int) -> tuple[bytes, int]:
    """A publish response with a change of each handle, types mixed, and where its number stands."""
    kinds = (ua.VariantType.Double, ua.VariantType.Float, ua.VariantType.Int32, ua.VariantType.Boolean)
    now = ua.datetime_to_win_epoch
    stamp = ua.win_epoch_to_datetime(now(ua.win_epoch_to_datetime(116_444_736_000_000_000)) + round(time.time() * 1e7))
    change = ua.DataChangeNotification()
    for i, handle in enumerate(handles):
        kind = kinds[i % 4]
        number = first + i
        value: Any = number / 8 if i % 4 < 2 else number if i % 4 == 2 else bool(number & 4)
        data = ua.DataValue(ua.Variant(value, kind), SourceTimestamp=stamp, ServerTimestamp=stamp)
        change.MonitoredItems.append(ua.MonitoredItemNotification(handle, data))
    response = ua.PublishResponse()
    response.Parameters.SubscriptionId = 1
    message = response.Parameters.NotificationMessage
    message.SequenceNumber = 0x5EC0_11ED
    message.NotificationData = [change] if handles else []
    body = struct_to_binary(response)
    return body, body.index(struct.pack("<I", 0x5EC0_11ED))


async def _peer() -> None:
    server = await asyncio.get_running_loop().create_server(Peer, "127.0.0.1", 0)
    sys.stdout.write(f"ready {server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    await reader.read()


@contextlib.asynccontextmanager
async def _child(*words: str) -> AsyncIterator[int]:
    """A process that says `ready PORT`; its port."""
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", *words),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env=environment(),
    )
    try:
        line = await asyncio.wait_for(child.stdout.readline(), 120) if child.stdout else b""
        yield int(line.split()[1])
    finally:
        with contextlib.suppress(ProcessLookupError):
            child.terminate()
        await child.wait()


# ------------------------------------------------------------------------- what is measured


def _driver(port: int, home: Path, **settings: Any) -> Any:
    config = OpcUaConfig(f"opc.tcp://127.0.0.1:{port}", connect_timeout_s=30.0, **settings)
    return build(config, DriverContext(Budget(outstanding=4), SystemClock(), home=home))


def _binder(types: list[ValueType]) -> Binder:
    n = len(types)
    columns = TagColumns(
        id=list(range(n)),
        type=[str(t) for t in types],
        deadband=[-1.0] * n,
        max_gap_s=[600.0] * n,
        resolution_ns=[1_000_000] * n,
    )
    return Binder(TagTable.of(columns, range(n)))


async def _replayed(port: int, home: Path, seconds: float) -> float:
    """Changes decoded and bound per CPU second of this process."""
    clock = SystemClock()
    types = [ValueType.FLOAT, ValueType.FLOAT, ValueType.INT, ValueType.INT] * (NODES // 4)
    binder = _binder(types)
    driver = _driver(port, home)
    await driver.open()
    stream = driver.stream([Point(i, f"ns=2;s=Line.Value{i} {types[i]}") for i in range(NODES)])
    try:
        for _ in range(20):
            await anext(stream)
        before, cpu = binder.counts.readings, time.process_time()
        while time.process_time() - cpu < seconds:
            binder.bind(await anext(stream), clock.now_ns(), clock.monotonic_ns())
        return (binder.counts.readings - before) / (time.process_time() - cpu)
    finally:
        await stream.aclose()
        await driver.close()


class _Counting:
    def __init__(self) -> None:
        self.changes = 0

    def datachange_notification(self, node: Any, value: Any, data: Any) -> None:
        self.changes += 1


async def _stock(port: int, seconds: float) -> float:
    """The same through asyncua as it is, with a handler that only counts."""
    client = Client(f"opc.tcp://127.0.0.1:{port}", timeout=60)
    await client.connect()
    handler = _Counting()
    try:
        subscription = await client.create_subscription(1000, handler)
        for i in range(0, NODES, 250):  # one chunk a request
            nodes = [client.get_node(ua.NodeId(f"Line.Value{k}", 2)) for k in range(i, i + 250)]
            await subscription.subscribe_data_change(nodes)
        while handler.changes < 2 * PER_RESPONSE:
            await asyncio.sleep(0.01)
        before, cpu = handler.changes, time.process_time()
        while time.process_time() - cpu < seconds:
            await asyncio.sleep(0.05)
        return (handler.changes - before) / (time.process_time() - cpu)
    finally:
        await client.disconnect()


async def _server(port: int, home: Path, prefix: str, seconds: float, **settings: Any) -> dict[str, float]:
    """Browse all nodes, subscribe them all until each was heard, then listen for a while."""
    driver = _driver(port, home, **settings)
    figures: dict[str, float] = {}
    began = time.monotonic()
    await driver.open()
    figures[f"{prefix}_open_s"] = time.monotonic() - began
    try:
        began = time.monotonic()
        found = await driver.browse()
        figures[f"{prefix}_browse_{NODES}_s"] = time.monotonic() - began
        if len(found) < NODES:
            raise ValueError(f"only {len(found)} nodes were found")
        stream = driver.stream([Point(i, f.address, 1.0) for i, f in enumerate(found)])
        heard: set[int] = set()
        began = time.monotonic()
        while len(heard) < len(found):
            for batch in await anext(stream):
                heard.update(batch.id.tolist())
        figures[f"{prefix}_subscribe_{NODES}_s"] = time.monotonic() - began
        changes, cpu, began = 0, time.process_time(), time.monotonic()
        while time.monotonic() - began < seconds:
            changes += sum(len(batch) for batch in await anext(stream))
        figures[f"{prefix}_server_changes_per_cpu_s"] = changes / (time.process_time() - cpu)
        await stream.aclose()
    finally:
        await driver.close()
    return figures


async def measure(*, quick: bool) -> dict[str, float]:
    """All figures of OPC UA."""
    seconds = 2.0 if quick else 6.0
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        async with _child("isthmus.bench.opcua") as port:
            figures = {"opcua_changes_per_cpu_s": await _replayed(port, home, seconds)}
            figures["asyncua_changes_per_cpu_s"] = await _stock(port, min(seconds, 3.0))
        figures["opcua_over_asyncua_ratio"] = figures["opcua_changes_per_cpu_s"] / figures["asyncua_changes_per_cpu_s"]
        server = (
            "isthmus.simulators.opcua",
            "--count",
            str(NODES),
            "--every",
            "1",
            "--open",
            "--home",
            str(home / "server"),
        )
        async with _child(*server) as port:
            figures |= await _server(port, home, "opcua", seconds)
            figures |= await _server(port, home, "opcua_encrypted", seconds, security=SECURE)
    return figures


def main() -> None:
    """Run the peer until standard input ends; prints `ready PORT`."""
    argparse.ArgumentParser(description="Replays publish responses to OPC UA clients.").parse_args()
    asyncio.run(_peer())


if __name__ == "__main__":
    main()
