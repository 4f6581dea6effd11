"""The front of the MQTT listener as a process: between devices and nats-server."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from isthmus.app.ca import Authority
from isthmus.app.datadir import DataDir
from isthmus.app.exposure import refuse
from isthmus.app.logs import log_to_files
from isthmus.app.renewal import Shown
from isthmus.app.settings import AUTO, MqttSettings, Settings
from isthmus.bus.field import ListenerAddress
from isthmus.bus.shim import Front
from isthmus.bus.tasks import end
from isthmus.values.clock import SystemClock
from isthmus.values.errors import ConfigError


def shown(data: DataDir, settings: MqttSettings) -> Shown | None:
    """What devices are shown; None where they speak plaintext, which they may on this machine only.

    Raises: ConfigError
    """
    if not settings.certificate:
        return None
    if settings.certificate == AUTO:
        return Shown(Authority(data.tls, SystemClock()).shown_file)
    try:
        return Shown(Path(settings.certificate), Path(settings.key))
    except ConfigError as error:
        raise ConfigError(f"mqtt.certificate: cannot be used with mqtt.key: {error}") from error


async def run_listener(data: DataDir, settings: Settings, stop: asyncio.Event, log: logging.Logger) -> None:
    """The process's main."""
    refuse(settings)
    log_to_files(data.logs, "mqtt", settings.log)
    place = ListenerAddress.load(data.bus.listener)
    follows = shown(data, settings.mqtt)
    tls = follows.context if follows is not None else None
    front = Front(place.inner_port, log)
    try:
        await front.listen("127.0.0.1", place.local_port)
        await front.listen(place.host, place.port, tls)
    except OSError as error:
        await front.close()
        raise ConfigError(f"mqtt.listen: cannot listen on {place.host} port {place.port}: {error.strerror}") from error
    log.info("MQTT devices are heard on %s port %d%s", place.host, place.port, " (TLS)" if tls else "")
    following = None
    if follows is not None:
        authority = Authority(data.tls, SystemClock())
        where = (lambda: authority.shown_file) if settings.mqtt.certificate == AUTO else None
        following = asyncio.create_task(follows.run(log, where), name="certificate")
    try:
        await stop.wait()
    finally:
        if following is not None:
            await end([following])
        await front.close()
