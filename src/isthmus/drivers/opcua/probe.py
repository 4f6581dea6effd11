"""How far a connection gets, step by step, in words for a technician."""

from __future__ import annotations

from collections.abc import Sequence

from asyncua import ua

from isthmus.drivers.opcua.config import OpcUaConfig
from isthmus.drivers.opcua.session import Opener, offered
from isthmus.drivers.opcua.trust import fingerprint
from isthmus.ports.drivers import DriverContext, Traffic
from isthmus.values.clock import Clock
from isthmus.values.errors import ConfigError, NotConnected


async def probe(config: OpcUaConfig, context: DriverContext, traffic: Traffic) -> Sequence[tuple[str, bool, str]]:
    """Name, port and endpoints, security and trust, session, a first read; stops at the first failure."""
    host, port = config.place()
    opener, clock = Opener(config, context, traffic), context.clock
    steps: list[tuple[str, bool, str]] = []
    what = f"Name {host} resolves"
    try:
        began_ns = clock.monotonic_ns()
        addresses = await opener.resolve()
        steps.append((what, True, f"{', '.join(addresses)}, {_since(clock, began_ns)}"))
        what, began_ns = f"Port {port} answers with endpoints", clock.monotonic_ns()
        offers = await opener.offers()
        steps.append((what, True, f"{', '.join(offered(offers)) or 'none'}, {_since(clock, began_ns)}"))
        what = f"Security {config.security}, certificates trusted"
        endpoint, own = await opener.endpoint()
        if endpoint is None or own is None:
            steps.append((what, True, "the channel is open to everybody on its way"))
        else:
            detail = (
                f"server {fingerprint(endpoint.certificate)}; own {own.fingerprint}, valid until {own.until:%Y-%m-%d}"
            )
            steps.append((what, True, detail))
        what, began_ns = f"Session for {config.user or 'anonymous'}", clock.monotonic_ns()
        link = await opener.session(endpoint, own)
        try:
            steps.append((what, True, _since(clock, began_ns)))
            what, began_ns = "Server state read", clock.monotonic_ns()
            (answer,) = await link.attributes(
                [ua.NodeId(ua.ObjectIds.Server_ServerStatus_State)], ua.AttributeIds.Value
            )
            state = answer.Value.Value if answer.Value is not None else None
            name = ua.ServerState(state).name if isinstance(state, int) else "not told"
            return [*steps, (what, True, f"{name}, {len(link.namespaces)} namespaces, {_since(clock, began_ns)}")]
        finally:
            await link.close()
    except (NotConnected, ConfigError) as error:
        return [*steps, (what, False, str(error))]
    except ua.UaStatusCodeError as error:
        return [*steps, (what, False, str(error))]


def _since(clock: Clock, began_ns: int) -> str:
    return f"{(clock.monotonic_ns() - began_ns) / 1e6:.1f} ms"
