"""An OPC UA server that plays a device: nodes by declaration, any number of them, with users and certificates if asked.

It is asyncua's server, in a process of its own: `python -m isthmus.simulators.opcua --count 1000`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import datetime as dt
import logging
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from asyncua import Server, ua
from asyncua.common.callback import CallbackType
from asyncua.crypto.cert_gen import setup_self_signed_certificate
from asyncua.crypto.permission_rules import SimpleRoleRuleset
from asyncua.server.user_managers import User, UserManager, UserRole
from cryptography.x509.oid import ExtendedKeyUsageOID

URI: Final = "http://isthmus.example/simulated"
"""Namespace of the simulated nodes."""

MAX_WRITES: Final = 250_000
"""Writes a server remembers; older ones are only counted."""

_APPLICATION: Final = "urn:isthmus:simulated"
_POLICIES: Final = (
    ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt,
    ua.SecurityPolicyType.Basic256Sha256_Sign,
    ua.SecurityPolicyType.Aes256Sha256RsaPss_SignAndEncrypt,
)


@dataclass(frozen=True, slots=True)
class Variable:
    """One node below its folder. ``name`` is `Folder.Name`; the type is one of the standard's built-in ones."""

    name: str
    value: Any
    type: ua.VariantType
    unit: str = ""
    writable: bool = False


@dataclass(frozen=True, slots=True)
class NodeWrite:
    """One write of a client, whatever became of it: ``status`` is what it was answered, 0 where it was taken."""

    name: str
    value: Any
    status: int


class _Kept(ua.DataValue):  # type: ignore[misc]  # asyncua ships no usable types
    """A value that is replaced and never changed: asyncua need not copy it for each client that monitors it."""

    __slots__ = ()

    def __deepcopy__(self, _: dict[int, Any]) -> _Kept:
        return self


class _Users(UserManager):  # type: ignore[misc]  # asyncua ships no usable types
    def __init__(self, users: Mapping[str, str]) -> None:
        self._users = users

    def get_user(self, iserver: Any, username: Any = None, password: Any = None, certificate: Any = None) -> Any:
        if not self._users or (username is not None and self._users.get(username) == password):
            return User(role=UserRole.Admin, name=username)
        return None


def _kept(value: Any, status: int, time: dt.datetime | None) -> _Kept:
    return _Kept(Value=value, StatusCode=ua.StatusCode(status), SourceTimestamp=time, ServerTimestamp=time)


class OpcUaServer:
    """A server on loopback. With ``home`` it has a certificate and offers secured endpoints only, unless ``open_too`` is set."""

    def __init__(
        self, port: int = 0, home: Path | None = None, users: Mapping[str, str] | None = None, *, open_too: bool = False
    ) -> None:
        self._port, self._home, self._users = port, home, dict(users or {})
        self._open = open_too or home is None
        self._server: Any = None
        self._index = 0
        self._folders: dict[str, Any] = {}
        self.nodes: dict[str, Any] = {}
        self.writes: deque[NodeWrite] = deque(maxlen=MAX_WRITES)
        self.write_count = 0
        self.on_write: Callable[[NodeWrite], None] | None = None

    @property
    def port(self) -> int:
        """Where it listens, once it does."""
        return self._port

    @property
    def url(self) -> str:
        """What a client is told."""
        return f"opc.tcp://127.0.0.1:{self._port}"

    async def start(self, variables: Iterable[Variable] = (), before: Iterable[str] = ()) -> None:
        """Listen, with these nodes. ``before`` are namespaces that come first, so that ours gets another number."""
        logging.getLogger("asyncua").setLevel(logging.CRITICAL + 1)
        server = Server(user_manager=_Users(self._users)) if self._users else Server()
        await server.init()
        server.set_endpoint(f"opc.tcp://127.0.0.1:{self._port}/")
        server.set_server_name("Isthmus simulator")
        await server.set_application_uri(_APPLICATION)
        policies = [ua.SecurityPolicyType.NoSecurity] if self._open else []
        if self._home is not None:
            policies += _POLICIES
            key, certificate = self._home / "server.key.pem", self._home / "server.der"
            self._home.mkdir(parents=True, exist_ok=True, mode=0o700)
            await setup_self_signed_certificate(
                key, certificate, _APPLICATION, "localhost", [ExtendedKeyUsageOID.SERVER_AUTH], {}
            )
            await server.load_certificate(certificate)
            await server.load_private_key(key)
        server.set_security_policy(policies, permission_ruleset=SimpleRoleRuleset())
        if self._users:
            server.set_identity_tokens([ua.UserNameIdentityToken])
        for uri in before:
            await server.register_namespace(uri)
        self._server = server
        self._index = await server.register_namespace(URI)
        await self.add(variables)
        server.subscribe_server_callback(CallbackType.PostWrite, self._written)
        await server.start()
        self._port = server.bserver.port

    async def add(self, variables: Iterable[Variable]) -> None:
        """More nodes."""
        for variable in variables:
            folder, _, name = variable.name.rpartition(".")
            parent = await self._folder(folder)
            value = ua.Variant(variable.value, variable.type)
            node = await parent.add_variable(
                ua.NodeId(variable.name, self._index), ua.QualifiedName(name, self._index), value
            )
            held = self._server.iserver.aspace[node.nodeid].attributes[ua.AttributeIds.Value]
            held.value = _kept(value, 0, held.value.SourceTimestamp)
            if variable.writable:
                await node.set_writable()
            if variable.unit:
                unit = ua.EUInformation(
                    DisplayName=ua.LocalizedText(variable.unit), Description=ua.LocalizedText(variable.unit)
                )
                await node.add_property(
                    ua.NodeId(f"{variable.name}.EngineeringUnits", self._index),
                    ua.QualifiedName("EngineeringUnits", 0),
                    unit,
                )
            self.nodes[variable.name] = node

    def _written(self, event: Any, _: Any) -> None:
        """What a client wrote to nodes of ours; what the server writes by itself is not external."""
        if not event.is_external:
            return
        for asked, result in zip(event.request_params.NodesToWrite, event.response_params, strict=True):
            if asked.NodeId.NamespaceIndex != self._index:
                continue
            value = asked.Value.Value.Value if asked.Value.Value is not None else None
            write = NodeWrite(str(asked.NodeId.Identifier), value, int(result.value))
            self.write_count += 1
            self.writes.append(write)
            if self.on_write is not None:
                self.on_write(write)

    async def remove(self, name: str) -> None:
        """A node vanishes; who monitors it is told, as asyncua does not do by itself."""
        gone = ua.DataValue(StatusCode=ua.StatusCode(ua.StatusCodes.BadNodeIdUnknown))
        await self._server.write_attribute_value(self.nodes[name].nodeid, gone)
        await self._server.delete_nodes([self.nodes.pop(name)])

    async def _folder(self, path: str) -> Any:
        if path == "":
            return self._server.nodes.objects
        known = self._folders.get(path)
        if known is None:
            above, _, name = path.rpartition(".")
            parent = await self._folder(above)
            known = await parent.add_folder(ua.NodeId(path, self._index), ua.QualifiedName(name, self._index))
            self._folders[path] = known
        return known

    async def set(
        self, name: str, value: Any, kind: ua.VariantType, status: int = 0, time: dt.datetime | None = None
    ) -> None:
        """A node's new value, whatever type it had before."""
        stamp = time or dt.datetime.now(dt.UTC)
        data = _kept(ua.Variant(value, kind), status, stamp)
        node = self.nodes[name].nodeid
        attributes = self._server.iserver.aspace[node].attributes
        before = attributes[ua.AttributeIds.Value].value
        if before is not None and before.Value is not None and before.Value.VariantType != kind:
            attributes[ua.AttributeIds.Value].value = ua.DataValue(ua.Variant(None, ua.VariantType.Null))
            attributes[ua.AttributeIds.DataType].value = ua.DataValue(
                ua.Variant(ua.NodeId(kind.value), ua.VariantType.NodeId)
            )
        await self._server.write_attribute_value(node, data)

    async def get(self, name: str) -> Any:
        """A node's value as it stands."""
        return await self.nodes[name].get_value()

    def limit(self, read: int = 0, items_per_call: int = 0) -> None:
        """Say how much a request may hold."""
        ids = ua.ObjectIds
        for number, value in (
            (ids.Server_ServerCapabilities_OperationLimits_MaxNodesPerRead, read),
            (ids.Server_ServerCapabilities_OperationLimits_MaxMonitoredItemsPerCall, items_per_call),
        ):
            node = self._server.iserver.aspace[ua.NodeId(number)]
            node.attributes[ua.AttributeIds.Value].value = ua.DataValue(ua.Variant(value, ua.VariantType.UInt32))

    async def stop(self) -> None:
        """Listen no more; clients lose their sessions."""
        server, self._server = self._server, None
        if server is not None:
            await server.stop()


def many(count: int, per_folder: int = 500) -> list[Variable]:
    """So many numbers, spread over folders: `Line0.Value0` …"""
    kinds = (ua.VariantType.Double, ua.VariantType.Float, ua.VariantType.Int32, ua.VariantType.Boolean)
    found = []
    for i in range(count):
        kind = kinds[i % len(kinds)]
        value = bool(i & 4) if kind is ua.VariantType.Boolean else (i if kind is ua.VariantType.Int32 else i / 8)
        found.append(Variable(f"Line{i // per_folder}.Value{i}", value, kind))
    return found


async def ended(parent: int) -> None:
    """Until SIGINT, SIGTERM, or the end of whoever started us."""
    loop, end = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, end.set)
    while not end.is_set() and os.getppid() == parent:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(end.wait(), 1.0)


async def serve(options: argparse.Namespace) -> None:
    """Serve until told to end; prints `ready PORT` once it listens."""
    parent = os.getppid()
    users = dict(pair.split(":", 1) for pair in options.user)
    server = OpcUaServer(options.port, options.home, users, open_too=options.open)
    await server.start(many(options.count))
    sys.stdout.write(f"ready {server.port}\n")
    sys.stdout.flush()
    changing = asyncio.create_task(_change(server, options.count, options.every))
    try:
        await ended(parent)
    finally:
        changing.cancel()
        await asyncio.gather(changing, return_exceptions=True)
        await server.stop()


async def _change(server: OpcUaServer, count: int, every_s: float) -> None:
    turn = 0
    numbers = [name for i, name in enumerate(server.nodes) if i % 4 == 0][:count]
    while every_s > 0:
        await asyncio.sleep(every_s)
        turn += 1
        for i, name in enumerate(numbers):
            await server.set(name, i / 8 + turn, ua.VariantType.Double)


def main() -> None:
    """Run from a shell."""
    parser = argparse.ArgumentParser(description="An OPC UA server with simulated nodes.")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--count", type=int, default=100, help="how many nodes")
    parser.add_argument(
        "--every", type=float, default=1.0, help="seconds between changes of every fourth node; 0: never"
    )
    parser.add_argument("--home", type=Path, help="keep a certificate here and offer secured endpoints")
    parser.add_argument("--open", action="store_true", help="offer an open endpoint beside them")
    parser.add_argument("--user", action="append", default=[], metavar="NAME:PASSWORD")
    asyncio.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
