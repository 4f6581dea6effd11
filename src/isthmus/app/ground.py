"""What every room of core stands on: records, plant, live values, bus, record of samples, accounts, audit trail."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from sqlalchemy import Engine

from isthmus.app.datadir import DataDir
from isthmus.app.disk import DiskReserve
from isthmus.app.migrate import migrate
from isthmus.app.pumps import HistorianPump
from isthmus.app.records import open_records
from isthmus.app.sealing import Sealer
from isthmus.app.secrets import Secrets
from isthmus.app.settings import Settings
from isthmus.bus.broker import BusAddress
from isthmus.bus.client import Bus
from isthmus.historian.service import Historian
from isthmus.namespace.live import LiveTable
from isthmus.namespace.model import Plant
from isthmus.namespace.service import Namespace
from isthmus.ports.drivers import driver_spec
from isthmus.security.audit.log import LogConfig
from isthmus.security.audit.service import Trail
from isthmus.security.origins import Origins
from isthmus.security.policy import Lockouts
from isthmus.security.service import Security
from isthmus.values.clock import Clock


@dataclass(frozen=True, slots=True)
class Ground:
    """Made and opened before any room is loaded: the record goes on with these alone."""

    data: DataDir
    settings: Settings
    port: int
    log: logging.Logger
    clock: Clock
    reserve: DiskReserve
    engine: Engine
    namespace: Namespace
    security: Security
    live: LiveTable
    bus: Bus
    historian: Historian
    pump: HistorianPump
    secrets: Secrets
    trail: Trail
    lockouts: Lockouts
    origins: Origins
    hosts: tuple[str, ...]

    @classmethod
    def of(
        cls,
        data: DataDir,
        settings: Settings,
        port: int,
        clock: Clock,
        historian: Historian,
        log: logging.Logger,
    ) -> Ground:
        """That of a data directory, whose records are of this build's schema then.

        Raises: ConfigError if they are of a newer one, or a setting is wrong
        """
        reserve = DiskReserve(data.root, settings.disk.reserve_mb * 2**20)
        engine = open_records(data.records)
        migrate(engine, data.records, log)
        namespace = Namespace(engine, clock, driver_spec)
        bus = Bus(BusAddress.load(data.bus.address_file("core")), log)
        secrets = Secrets.of(data.root, settings.secrets.key_file)
        known = Origins(origins(settings, port))
        return cls(
            data=data,
            settings=settings,
            port=port,
            log=log,
            clock=clock,
            reserve=reserve,
            engine=engine,
            namespace=namespace,
            security=Security(
                engine,
                clock,
                settings.sign_in.lifetimes(),
                sealer=Sealer.of(data.root, settings.secrets.key_file),
                context=lambda: (namespace.current().enterprise, namespace.current().site),
            ),
            live=LiveTable(),
            bus=bus,
            historian=historian,
            pump=HistorianPump(bus, historian, reserve.reason, log),
            secrets=secrets,
            trail=Trail(
                data.audit,
                engine,
                clock,
                LogConfig(segment_bytes=settings.audit.segment_mb * 2**20, keep_s=settings.audit.keep_days * 86_400.0),
                settings.audit.targets(secrets.reveal),
                log,
            ),
            lockouts=Lockouts(data.root / "lockouts.json"),
            origins=known,
            hosts=known_hosts(settings, known.allowed),
        )

    async def describe(self, plant: Plant) -> None:
        """Tell live values and record about the tags of a plant."""
        self.live.describe(plant)
        await self.historian.describe(plant.tags, plant.retention)


def origins(settings: Settings, port: int) -> tuple[str, ...]:
    """Addresses under which browsers reach this core; the first is where a provider of sign-on sends back to."""
    scheme = "https" if settings.web.tls else "http"
    known = [*settings.web.origins, f"{scheme}://localhost:{port}"]
    known += [f"https://{host}:{port}" for host in settings.web.hosts if settings.web.tls and ":" not in host]
    return tuple(dict.fromkeys(known))


def known_hosts(settings: Settings, allowed: Sequence[str]) -> tuple[str, ...]:
    """Names under which browsers may reach this core: those of origins, of ``web.hosts``, and of links in messages."""
    links = (*allowed, settings.callout.link)
    return (*(host for link in links if (host := urlsplit(link).hostname)), *settings.web.hosts)
