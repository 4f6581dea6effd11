"""One session at one server: the only place that knows how asyncua is held.

asyncua carries the channel, security and services; we open and renew, count what goes over the line, and take publish and
read responses as bytes. `_Session.publish_soon` and `_Client._make_protocol` lean on asyncua's inside, so its minor version
is pinned, and a test decodes every message both ways.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, TypeVar

from asyncua import Client, ua
from asyncua.client.ua_client import UaClient, UASocketProtocol
from asyncua.client.ua_session import UaSession
from asyncua.common.utils import Buffer
from asyncua.crypto import security_policies, uacrypto
from asyncua.ua.status_codes import get_name_and_doc
from asyncua.ua.ua_binary import struct_from_binary

from isthmus.drivers.opcua import encode
from isthmus.drivers.opcua.address import NodeAddress
from isthmus.drivers.opcua.config import OpcUaConfig
from isthmus.drivers.opcua.decode import Surprise
from isthmus.drivers.opcua.thread import off_loop
from isthmus.drivers.opcua.trust import Own, check_server, own_certificate
from isthmus.ports.drivers import DriverContext, Traffic
from isthmus.values.clock import NS_PER_S, Clock
from isthmus.values.errors import ConfigError, IsthmusError, NotConnected
from isthmus.values.model import Budget

T = TypeVar("T")

FAREWELL_S: Final = 0.5
"""How long a server may take to hear that we leave."""

SESSION_S: Final = 60.0
"""Asked for as the session's time-out: what a lost session and its subscriptions cost the server at most."""

MAX_UNPARSED: Final = 64 << 20
PER_CALL: Final = 1000
"""Nodes of one request where the server does not say how many it takes."""

FAULT: Final = b"\x01\x00\x8d\x01"  # NodeId i=397, ServiceFault
_NS_PER_MS: Final = 1_000_000

logging.getLogger("asyncua").setLevel(logging.CRITICAL + 1)  # what it has to say reaches the user as a reason, once


class _Line:
    """A transport that counts what is written to it."""

    def __init__(self, transport: asyncio.Transport, traffic: Traffic) -> None:
        self._transport, self._traffic = transport, traffic

    def write(self, data: bytes) -> None:
        self._traffic.sent_bytes += len(data)
        self._transport.write(data)

    def close(self) -> None:
        self._transport.close()

    def abort(self) -> None:
        self._transport.abort()


class _Protocol(UASocketProtocol):  # type: ignore[misc]  # asyncua ships no types that pass strict
    traffic: Traffic

    def connection_made(self, transport: Any) -> None:
        super().connection_made(_Line(transport, self.traffic))

    def data_received(self, data: bytes) -> None:
        self.traffic.received_bytes += len(data)
        super().data_received(data)
        if self.receive_buffer and len(self.receive_buffer) > MAX_UNPARSED:
            self.disconnect_socket()

    def _send_request(
        self, request: Any, timeout: float = 1, message_type: ua.MessageType = ua.MessageType.SecureMessage
    ) -> asyncio.Future[Any]:
        """As asyncua does it, for requests whose bytes are written already."""
        if not isinstance(request, encode.Ready):
            answer: asyncio.Future[Any] = super()._send_request(request, timeout, message_type)
            return answer
        if self.transport is None:
            raise ConnectionError("Connection is not open")
        header = ua.RequestHeader()
        self._setup_request_header(header, timeout)
        self.revolve_security_token()
        self._request_id += 1
        message = self._connection.message_to_binary(request.to_binary(header), message_type, self._request_id)
        answer = self._callbackmap[self._request_id] = asyncio.get_running_loop().create_future()
        self.transport.write(message)
        return answer


class _Session(UaSession):  # type: ignore[misc]  # asyncua ships no types that pass strict
    def ensure_publish_loop(self) -> None:
        """Publishing is ours: asyncua's own loop takes one response at a time, and takes it apart slowly."""

    def publish_soon(self, acks: Sequence[ua.SubscriptionAcknowledgement]) -> asyncio.Future[Buffer]:
        """Send a publish request; responses resolve in the order they arrive."""
        protocol = self._client.protocol
        if protocol is None:
            raise ConnectionError("Connection is not open")
        request = ua.PublishRequest()
        request.Parameters.SubscriptionAcknowledgements = list(acks)
        answer: asyncio.Future[Buffer] = protocol._send_request(request, timeout=0)  # noqa: SLF001  the seam this module is for
        answer.add_done_callback(_noticed)  # when the link is lost several end, and one of them tells
        return answer


def _noticed(answer: asyncio.Future[Buffer]) -> None:
    if not answer.cancelled():
        answer.exception()


class _Client(UaClient):  # type: ignore[misc]  # asyncua ships no types that pass strict
    def __init__(self, timeout_s: float, traffic: Traffic) -> None:
        super().__init__(timeout_s)
        self.own_session = self.session = _Session(self)
        self._traffic = traffic

    def _make_protocol(self) -> UASocketProtocol:
        protocol = _Protocol(self._timeout, security_policy=self.security_policy)
        protocol.traffic = self._traffic
        protocol.on_connection_lost = self._on_transport_lost
        protocol.is_session_closing = self._is_session_closing
        self.protocol = protocol
        return protocol


@dataclass(frozen=True, slots=True)
class Limits:
    """Most nodes of one request, by service, and most monitored items of one subscription (0: no limit known)."""

    read: int = PER_CALL
    write: int = PER_CALL
    browse: int = PER_CALL
    monitor: int = PER_CALL
    items: int = 0


class Pace:
    """Keeps to the connection's budget: so many requests at once, so many a second, a pause after each answer."""

    def __init__(self, budget: Budget, clock: Clock) -> None:
        self._slots = asyncio.Semaphore(max(1, budget.outstanding))
        self._step_ns = round(NS_PER_S / budget.requests_per_s) if budget.requests_per_s > 0 else 0
        self._pause_ns = round(budget.pause_s * NS_PER_S)
        self._clock, self._next_ns = clock, 0

    @contextlib.asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for a place, and for its time."""
        async with self._slots:
            now_ns = self._clock.monotonic_ns()
            wait_ns = self._next_ns - now_ns
            self._next_ns = max(self._next_ns, now_ns) + self._step_ns
            if wait_ns > 0:
                await asyncio.sleep(wait_ns / NS_PER_S)
            try:
                yield
            finally:
                if self._pause_ns:
                    self._next_ns = max(self._next_ns, self._clock.monotonic_ns() + self._pause_ns)


@dataclass(slots=True)
class Endpoint:
    """What the server offers for the security we want."""

    certificate: bytes
    policy: type[Any]
    mode: ua.MessageSecurityMode


@dataclass(slots=True)
class Link:
    """An open session. ``lost`` tells why it is gone, once it is."""

    client: Client
    transport: _Client
    peer: str
    traffic: Traffic
    pace: Pace
    clock: Clock
    timeout_s: float
    limits: Limits = field(default_factory=Limits)
    namespaces: list[str] = field(default_factory=list)
    lost: str = ""
    on_lost: Callable[[], None] | None = None
    _renewing: asyncio.Task[None] | None = None

    @property
    def session(self) -> _Session:
        """The session as asyncua has it."""
        return self.transport.own_session

    @property
    def alive(self) -> bool:
        """Whether nothing is known to be wrong."""
        protocol = self.transport.protocol
        return not self.lost and protocol is not None and not protocol.is_closed

    def give_up(self, reason: str) -> None:
        """The link is of no use any more; whoever waits for an answer hears it at once."""
        if not self.lost:
            self.lost = reason
            self.traffic.last_error = reason
        self.transport.disconnect_socket()
        if self.on_lost is not None:
            self.on_lost()

    async def ask(self, work: Callable[[], Awaitable[T]], what: str, patience_s: float = 0.0) -> T:
        """One request within the budget, counted and timed; ``patience_s`` is for what may take longer than a read.

        Raises: NotConnected when there is no answer; what the server refuses is raised as asyncua's UaStatusCodeError
        """
        async with self.pace.turn():
            if not self.alive:
                raise NotConnected(self.lost or f"{self.peer}: not open")
            self.traffic.requests += 1
            began_ns = self.clock.monotonic_ns()
            limit_s = max(patience_s, self.timeout_s)
            try:
                async with asyncio.timeout(limit_s):
                    return await work()
            except ua.UaStatusCodeError as error:
                self.traffic.errors += 1
                if error.code in _FATAL:
                    self.give_up(in_words(error, self.peer))
                    raise NotConnected(self.lost) from error
                self.traffic.last_error = f"{what}: {code_in_words(error.code)}"
                raise
            except TimeoutError as error:
                self.traffic.errors += 1
                self.give_up(f"{self.peer}: {what}: no answer within {limit_s:g} s")
                raise NotConnected(self.lost) from error
            except Exception as error:  # asyncua's words for a broken line are of many kinds
                self.traffic.errors += 1
                self.give_up(in_words(error, self.peer))
                raise NotConnected(self.lost) from error
            finally:
                took_s = (self.clock.monotonic_ns() - began_ns) / NS_PER_S
                self.traffic.slowest_s = max(self.traffic.slowest_s, took_s)

    async def body(self, request: encode.Ready, what: str, patience_s: float = 0.0) -> bytes:
        """The bytes of the response to a request, as ``ask``."""

        async def work() -> bytes:
            return body_of(await self.session._send_request(request))  # noqa: SLF001  as above

        return await self.ask(work, what, patience_s)

    async def answer(
        self,
        request: encode.Ready,
        what: str,
        fast: Callable[[bytes], T],
        plainly: Callable[[bytes], T],
        patience_s: float = 0.0,
    ) -> T:
        """What a response says, taken apart the fast way or the long one.

        Raises: as ``ask``; NotConnected too where it cannot be read either way
        """

        async def work() -> T:
            body = body_of(await self.session._send_request(request))  # noqa: SLF001  as above
            try:
                return fast(body)
            except Surprise:
                return plainly(body)

        return await self.ask(work, what, patience_s)

    async def attributes(self, nodes: Sequence[ua.NodeId], attribute: ua.AttributeIds) -> list[ua.DataValue]:
        """One attribute of many nodes, in as many requests as the server needs."""
        step = self.limits.read
        parts = [nodes[i : i + step] for i in range(0, len(nodes), step)]
        found: list[list[ua.DataValue]] = await asyncio.gather(
            *(self.ask(partial(self.session.read_attributes, list(part), attribute), "reading") for part in parts)
        )
        return [value for values in found for value in values]

    async def refresh_namespaces(self) -> None:
        """Learn the server's namespaces: their numbers may be others than before."""
        node = ua.NodeId(ua.ObjectIds.Server_NamespaceArray)
        (answer,) = await self.attributes([node], ua.AttributeIds.Value)
        value = answer.Value.Value if answer.Value is not None else None
        self.namespaces = [str(uri) for uri in value] if isinstance(value, list) else []

    async def learn_limits(self) -> None:
        """Ask how much of everything the server takes; what it does not say stays at a sensible number."""
        ids = ua.ObjectIds
        prefix = "Server_ServerCapabilities_OperationLimits_"
        names = ("MaxNodesPerRead", "MaxNodesPerWrite", "MaxNodesPerBrowse", "MaxMonitoredItemsPerCall")
        numbers = [getattr(ids, prefix + name) for name in names]
        numbers.append(getattr(ids, "Server_ServerCapabilities_MaxMonitoredItemsPerSubscription", 24_104))
        answers = await self.attributes([ua.NodeId(number) for number in numbers], ua.AttributeIds.Value)
        said = [a.Value.Value if a.Value is not None else None for a in answers]
        whole = [int(n) if isinstance(n, int) and n > 0 else 0 for n in said]
        calls = [min(n, PER_CALL) if n else PER_CALL for n in whole[:4]]
        self.limits = Limits(calls[0], calls[1], calls[2], calls[3], whole[4])

    def node(self, address: NodeAddress) -> bytes | None:
        """The node of an address as it stands in a message; None while the server has no such namespace."""
        index = self._index(address)
        return None if index is None else encode.node_of(address.kind, address.identifier, index)

    def knows(self, address: NodeAddress) -> bool:
        """Whether the server has the namespace of an address."""
        return self._index(address) is not None

    def _index(self, address: NodeAddress) -> int | None:
        index = address.namespace
        if isinstance(index, str):
            return self.namespaces.index(index) if index in self.namespaces else None
        return index

    def node_id(self, address: NodeAddress) -> ua.NodeId | None:
        """The same as asyncua has it."""
        index = self._index(address)
        if index is None:
            return None
        kinds = {
            "i": ua.NodeIdType.Numeric,
            "s": ua.NodeIdType.String,
            "g": ua.NodeIdType.Guid,
            "b": ua.NodeIdType.ByteString,
        }
        return ua.NodeId(address.identifier, index, kinds[address.kind])

    def start_renewing(self) -> None:
        """Renew the channel's keys before they expire, for as long as the link lives."""
        self._renewing = asyncio.create_task(self._renew(), name=f"renew {self.peer}")

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(0.75 * self.client.secure_channel_timeout / 1000)
            try:
                await self.client.open_secure_channel(renew=True)
                self.transport.revolve_security_token()
            except Exception as error:
                self.give_up(f"{self.peer}: the channel's keys could not be renewed ({_said(error)})")
                return

    async def close(self) -> None:
        """Say good-bye for as long as somebody listens, then hang up."""
        task, self._renewing = self._renewing, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        alive, self.lost = self.alive, self.lost or f"{self.peer}: closed"
        if alive:
            with contextlib.suppress(Exception):
                async with asyncio.timeout(FAREWELL_S):
                    await self.session.close_session(True)
                    await self.client.close_secure_channel()
        await hang_up(self.transport)
        if self.on_lost is not None:
            self.on_lost()


async def hang_up(transport: _Client) -> None:
    """Close the socket now, and let the loop notice."""
    protocol = transport.protocol
    if protocol is not None and protocol.transport is not None:
        protocol.transport.abort()
    transport.disconnect_socket()
    await asyncio.sleep(0)


def body_of(data: Buffer) -> bytes:
    """The bytes of a response that nobody has read from yet."""
    body: bytes = data.copy().read(len(data))
    return body


def fault(body: bytes) -> int | None:
    """The status of a ServiceFault; None where it is another response."""
    if body[:4] != FAULT:
        return None
    data = Buffer(body)
    data.skip(4)
    return int(struct_from_binary(ua.ResponseHeader, data).ServiceResult.value)


class Opener:
    """Opens sessions for one driver; ``cancel`` ends an attempt that is under way."""

    def __init__(self, config: OpcUaConfig, context: DriverContext, traffic: Traffic) -> None:
        self._config, self._context, self._traffic = config, context, traffic
        self._host, self._port = config.place()
        self.peer = f"{self._host} port {self._port}"
        self._pace = Pace(context.budget, context.clock)
        self._transport: _Client | None = None
        self._cancelled = False

    def cancel(self) -> None:
        """Whoever is connecting ends at once."""
        self._cancelled = True
        if self._transport is not None:
            self._transport.disconnect_socket()

    async def open(self) -> Link:
        """A session, with what the server says about itself.

        Raises: NotConnected with the reason in words a technician understands; ConfigError where the settings are to blame
        """
        self._cancelled = False
        await self.resolve()
        endpoint, own = await self.endpoint()
        return await self.session(endpoint, own)

    async def resolve(self) -> list[str]:
        """The host's addresses."""
        loop = asyncio.get_running_loop()
        limit_s = self._config.connect_timeout_s
        try:
            async with asyncio.timeout(limit_s):
                found = await loop.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        except TimeoutError:
            raise NotConnected(f"the name {self._host} was not resolved within {limit_s:g} s") from None
        except (OSError, UnicodeError) as error:
            raise NotConnected(
                f"the name {self._host} is not known ({getattr(error, 'strerror', None) or error})"
            ) from None
        return list(dict.fromkeys(str(entry[4][0]) for entry in found))

    async def offers(self) -> list[ua.EndpointDescription]:
        """The endpoints the server offers, asked over an open channel."""
        client = self._client()

        async def work() -> list[ua.EndpointDescription]:
            await self._channel(client)
            found: list[ua.EndpointDescription] = await client.get_endpoints()
            return found

        try:
            return await self._guard(work, "asking for its endpoints")
        finally:
            await hang_up(client.uaclient)

    async def endpoint(self) -> tuple[Endpoint | None, Own | None]:
        """What is needed for a secured channel: the server's certificate, believed, and our own. None for an open one."""
        config = self._config
        if config.policy == "None":
            return None, None
        own = await off_loop(partial(own_certificate, self._context.home, self._context.clock))
        policy: Any = getattr(security_policies, f"SecurityPolicy{config.policy}")
        mode = ua.MessageSecurityMode.SignAndEncrypt if config.encrypted else ua.MessageSecurityMode.Sign
        offers = await self.offers()
        for offer in offers:
            if offer.SecurityPolicyUri == policy.URI and offer.SecurityMode == mode and _is_tcp(offer):
                certificate = _first(offer.ServerCertificate or b"")
                self._believe(certificate)
                return Endpoint(certificate, policy, mode), own
        raise NotConnected(
            f"{self.peer} does not offer {config.security}; it offers {', '.join(offered(offers)) or 'nothing'}"
        )

    def _believe(self, certificate: bytes) -> str:
        config = self._config
        try:
            return check_server(
                certificate,
                config.trust,
                config.allow_expired,
                self._context.home,
                self._host,
                self._port,
                self._context.clock,
            )
        except OSError as error:
            raise NotConnected(f"trust: cannot keep the server's certificate ({error.strerror})") from None

    async def session(self, endpoint: Endpoint | None, own: Own | None) -> Link:
        """Channel, session and user, then namespaces and limits."""
        config, clock = self._config, self._context.clock
        client = self._client()
        transport: _Client = client.uaclient
        password = self._context.secret(config.password) if config.password else ""
        try:
            if endpoint is not None and own is not None:
                client.application_uri = own.uri
                await self._guard(lambda: _secure(client, endpoint, own), "preparing the channel")

            async def connect() -> None:
                await self._channel(client)
                await client.create_session()
                if config.user:
                    self._check_user(client, endpoint)
                    client.set_user(config.user)
                    client.set_password(password)
                await client.activate_session(username=config.user or None, password=password)

            await self._guard(connect, "opening the session", own)
            link = Link(client, transport, self.peer, self._traffic, self._pace, clock, config.connect_timeout_s)
            await self._guard(lambda: self._learn(link), "reading what the server says about itself")
            link.timeout_s = config.timeout_s
            if transport.protocol is not None:
                transport.protocol.timeout = 60  # shorter ones are ours from here on
                transport.protocol.on_connection_lost = lambda error: self._dropped(link, error)
            link.start_renewing()
        except BaseException:
            await hang_up(transport)
            raise
        finally:
            self._transport = None
        return link

    async def _learn(self, link: Link) -> None:
        before = self._traffic.requests
        await link.refresh_namespaces()
        with contextlib.suppress(ua.UaStatusCodeError):
            await link.learn_limits()
        self._traffic.requests = before  # opening is not counted, as it is not for any other driver

    def _dropped(self, link: Link, error: Exception | None) -> None:
        if not link.lost:
            link.give_up(f"{self.peer} closed the connection" + (f" ({_said(error)})" if error else ""))

    def _check_user(self, client: Client, endpoint: Endpoint | None) -> None:
        """Whether the password would travel encrypted, to somebody we believe."""
        policy = client.server_policy(ua.UserTokenType.UserName)
        kinds = {p.TokenType for p in client._policy_ids}  # noqa: SLF001  as above
        if ua.UserTokenType.UserName not in kinds:
            raise NotConnected(f"{self.peer} takes no user names at this endpoint")
        encrypts = policy.SecurityPolicyUri not in {"", None, security_policies.SecurityPolicyNone.URI}
        if endpoint is None and encrypts:
            self._believe(_first(client.security_policy.peer_certificate or b""))
        if not encrypts and not self._config.encrypted and not self._config.plain_password:
            raise NotConnected(
                f"{self.peer} would take the password unencrypted; choose a security with SignAndEncrypt, "
                "or set plain_password: true where the network is trusted"
            )

    def _client(self) -> Client:
        config = self._config
        client = Client(config.endpoint, timeout=config.connect_timeout_s)
        transport = _Client(config.connect_timeout_s, self._traffic)
        client.uaclient = transport
        client.name = client.description = self._context.name
        client.product_uri = "urn:isthmus"
        client.application_uri = f"urn:isthmus:{self._context.name}"
        client.session_timeout = round(SESSION_S * 1000)
        self._transport = transport
        return client

    async def _channel(self, client: Client) -> None:
        await client.uaclient.connect_socket(self._host, self._port)
        await client.send_hello()
        await client.open_secure_channel()

    async def _guard(self, work: Callable[[], Awaitable[T]], what: str, own: Own | None = None) -> T:
        """Its result, or the reason in words."""
        try:
            if self._cancelled:
                raise NotConnected(f"{self.peer}: closed while connecting")
            result = await work()
        except IsthmusError:
            raise
        except Exception as error:
            if self._cancelled:
                raise NotConnected(f"{self.peer}: closed while connecting") from None
            raise NotConnected(self._reason(error, what, own)) from error
        if self._cancelled:
            raise NotConnected(f"{self.peer}: closed while connecting")
        return result

    def _reason(self, error: Exception, what: str, own: Own | None) -> str:
        if isinstance(error, ConnectionRefusedError):
            return f"nobody listens on port {self._port} at {self._host} (connection refused)"
        if isinstance(error, TimeoutError):
            return f"{self.peer}: {what}: no answer within {self._config.connect_timeout_s:g} s"
        if isinstance(error, OSError) and error.errno in {errno.EHOSTUNREACH, errno.ENETUNREACH}:
            return f"no way to {self.peer} ({error.strerror})"
        if own is not None and (_code(error) in _UNTRUSTED or isinstance(error, ConnectionError)):
            said = code_in_words(_code(error)) if _code(error) else "it hung up"
            return (
                f"{self.peer} does not take our certificate ({said}): let it trust {own.certificate_file}, "
                f"fingerprint {own.fingerprint}"
            )
        return in_words(error, self.peer, what)


async def _secure(client: Client, endpoint: Endpoint, own: Own) -> None:
    await client.set_security(
        endpoint.policy,
        uacrypto.CertProperties(own.certificate_file, "der"),
        uacrypto.CertProperties(own.key_file, "pem"),
        server_certificate=uacrypto.CertProperties(endpoint.certificate, "der"),
        mode=endpoint.mode,
    )


def _first(der: bytes) -> bytes:
    """The first certificate of a chain."""
    return der[: int.from_bytes(der[2:4], "big") + 4] if der[:2] == b"\x30\x82" else der


def _is_tcp(offer: ua.EndpointDescription) -> bool:
    return (offer.EndpointUrl or "").startswith("opc.tcp")


def offered(offers: Iterable[ua.EndpointDescription]) -> list[str]:
    """The securities a server offers, as our settings name them."""
    names = []
    for offer in offers:
        policy = (offer.SecurityPolicyUri or "").rpartition("#")[2].replace("_", "")
        mode = offer.SecurityMode.name.rstrip("_")
        names.append("none" if mode == "None" else f"{policy}-{mode}")
    return sorted(set(names))


_CODES = ua.StatusCodes
_UNTRUSTED: Final = frozenset(
    code
    for name, code in vars(_CODES).items()
    if name.startswith("BadCertificate") or name == "BadSecurityChecksFailed"
)
_FATAL: Final = frozenset(
    (
        _CODES.BadSessionIdInvalid,
        _CODES.BadSessionClosed,
        _CODES.BadSessionNotActivated,
        _CODES.BadSecureChannelIdInvalid,
        _CODES.BadSecureChannelClosed,
        _CODES.BadConnectionClosed,
        _CODES.BadServerHalted,
        _CODES.BadShutdown,
        _CODES.BadCommunicationError,
    )
)
_WORDS: Final = {
    _CODES.BadUserAccessDenied: "refuses the user or the password",
    _CODES.BadIdentityTokenRejected: "refuses the user or the password",
    _CODES.BadIdentityTokenInvalid: "refuses the user or the password",
    _CODES.BadTcpEndpointUrlInvalid: "does not know this endpoint: check the path behind the port",
    _CODES.BadServiceUnsupported: "does not offer this service",
    _CODES.BadTooManySessions: "has no session left for us",
    _CODES.BadSecurityPolicyRejected: "refuses this security policy",
    _CODES.BadSecurityModeRejected: "refuses this security mode",
}


def _code(error: Exception) -> int:
    return int(error.code) if isinstance(error, ua.UaStatusCodeError) else 0


def code_in_words(code: int) -> str:
    """A status code by its name in the standard."""
    name: str = get_name_and_doc(code & 0xFFFF0000)[0]
    return name if name not in {"Bad", "Good", "Uncertain"} else f"{name} 0x{code:08X}"


def in_words(error: Exception, peer: str, what: str = "") -> str:
    """What went wrong, for a technician."""
    code = _code(error)
    if code:
        said = _WORDS.get(code)
        return (
            f"{peer} {said} ({code_in_words(code)})" if said else f"{peer}: {what or 'refused'}: {code_in_words(code)}"
        )
    if isinstance(error, ConnectionError):
        return f"{peer} closed the connection" + (f" while {what}" if what else "")
    return f"{peer}: {what + ': ' if what else ''}{_said(error)}"


def _said(error: BaseException) -> str:
    return str(error) or type(error).__name__


__all__ = ["ConfigError", "Limits", "Link", "Opener", "body_of", "code_in_words", "fault", "in_words", "offered"]
