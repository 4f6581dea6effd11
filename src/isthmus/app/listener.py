"""The front of the MQTT listener as a process: between devices and nats-server."""

from __future__ import annotations

import asyncio
import logging
import ssl

from isthmus.app.datadir import DataDir
from isthmus.app.logs import log_to_files
from isthmus.app.settings import MqttSettings, Settings
from isthmus.bus.field import ListenerAddress
from isthmus.bus.shim import Front
from isthmus.values.errors import ConfigError


def _tls(settings: MqttSettings) -> ssl.SSLContext | None:
    if not settings.certificate:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(settings.certificate, settings.key)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"mqtt.certificate: cannot be used with mqtt.key: {error}") from error
    return context


async def run_listener(data: DataDir, settings: Settings, stop: asyncio.Event, log: logging.Logger) -> None:
    """The process's main."""
    log_to_files(data.logs, "mqtt", settings.log)
    place = ListenerAddress.load(data.bus.listener)
    tls = _tls(settings.mqtt)
    if tls is None and place.host not in ("127.0.0.1", "::1", "localhost"):
        log.warning("devices send their passwords unencrypted to %s; set mqtt.certificate and mqtt.key", place.host)
    front = Front(place.inner_port, log)
    try:
        await front.listen("127.0.0.1", place.local_port)
        await front.listen(place.host, place.port, tls)
    except OSError as error:
        await front.close()
        raise ConfigError(f"mqtt.listen: cannot listen on {place.host} port {place.port}: {error.strerror}") from error
    log.info("MQTT devices are heard on %s port %d%s", place.host, place.port, " (TLS)" if tls else "")
    try:
        await stop.wait()
    finally:
        await front.close()
