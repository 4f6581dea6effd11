"""Makes call-out of its parts: accounts, the plant's zone, secrets, and the key that signs links."""

from __future__ import annotations

import logging
import secrets as chance
from collections.abc import Callable
from random import SystemRandom

from sqlalchemy import Engine

from isthmus.alarms.callout.channels import Ways
from isthmus.alarms.callout.service import CallOut, CallOutConfig, Person, Place
from isthmus.app.secrets import Secrets
from isthmus.app.settings import Settings
from isthmus.namespace.model import Plant
from isthmus.security.model import Action, Principal, Proof
from isthmus.security.names import name_key
from isthmus.security.policy import Policies
from isthmus.security.service import Security
from isthmus.values.clock import Clock
from isthmus.values.errors import ConfigError

KEY = "callout-links"
"""Name of the secret that signs links; without it, or with another in its place, links of before do nothing."""


def call_out(
    engine: Engine,
    clock: Clock,
    settings: Settings,
    secrets: Secrets,
    security: Security,
    plant: Callable[[], Plant],
    log: logging.Logger,
) -> CallOut:
    """Call-out over the records. The room alarms is attached to it, and feeds it, once there is one."""
    policies = Policies(plant)

    def people() -> list[Person]:
        policy = policies.current()
        return [
            Person(
                user.name,
                not user.disabled,
                # of the role alone: from where somebody will answer is not known yet
                policy.decide(
                    Principal(user.name, user.role, Proof.SOCKET, "", user.id), Action.ALARM_ACKNOWLEDGE, part=True
                ).allowed,
            )
            for user in security.users()
        ]

    def place() -> Place:
        return Place(plant().site or "Isthmus", plant().timezone or "UTC")

    config = CallOutConfig(
        link=settings.callout.link or next(iter(settings.web.origins), ""),
        link_s=settings.callout.link_hours * 3600.0,
        keep_s=settings.callout.keep_days * 86_400.0,
    )
    return CallOut(
        engine,
        clock,
        SystemRandom(),
        place=place,
        people=people,
        ways=Ways(secrets.reveal, clock),
        key=lambda: link_key(secrets),
        key_of=name_key,
        config=config,
        log=log,
    )


def link_key(secrets: Secrets) -> bytes:
    """The key that signs links; made when it is first needed.

    Raises: ConfigError if it is there and cannot be read
    """
    try:
        return bytes.fromhex(secrets.reveal(f"secret:{KEY}"))
    except ConfigError:
        if KEY in secrets.names():
            raise
    except ValueError:
        pass  # somebody set it by hand, and it is no key
    secrets.set(KEY, chance.token_hex(32))
    return bytes.fromhex(secrets.reveal(f"secret:{KEY}"))
