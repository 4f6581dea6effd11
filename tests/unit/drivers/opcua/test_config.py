"""Settings: each mistake names the key, the problem and the value; a password never."""

from __future__ import annotations

import pytest

from isthmus.drivers.opcua import OpcUa, OpcUaConfig, OpcUaSubscribed, build
from isthmus.ports.drivers import DriverContext, Streams, driver_spec
from isthmus.values.clock import ManualClock
from isthmus.values.errors import ConfigError
from isthmus.values.model import Budget

URL = "opc.tcp://127.0.0.1:4840"


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"endpoint": "http://x"}, "endpoint: must be an address"),
        ({"endpoint": "opc.tcp://u:p@x"}, "endpoint: must be an address"),
        ({"endpoint": "opc.tcp://x:99999"}, "endpoint: must be an address"),
        ({"endpoint": 4}, "endpoint: must be an address"),
        ({"endpoint": URL, "security": "Basic128Rsa15-Sign"}, "security: must be one of"),
        ({"endpoint": URL, "mode": "push"}, "mode: must be one of"),
        ({"endpoint": URL, "timestamps": "mine"}, "timestamps: must be one of"),
        ({"endpoint": URL, "password": "env:X"}, "user: is missing"),
        ({"endpoint": URL, "trust": ""}, "trust: must be first-use"),
        ({"endpoint": URL, "user": 3}, "user: must be a text"),
        ({"endpoint": URL, "allow_expired": 1}, "allow_expired: must be true or false"),
        ({"endpoint": URL, "queue": 0}, "queue: must be a whole number"),
        ({"endpoint": URL, "timeout_s": 0}, "timeout_s: must be more than 0"),
        ({"endpoint": URL, "host": "x"}, "host: not a setting"),
    ],
)
def test_mistakes(settings, problem) -> None:
    with pytest.raises(ConfigError, match=problem):
        driver_spec("opcua").configure(settings)


@pytest.mark.mission("M47")
def test_a_password_itself_is_refused_and_not_repeated() -> None:
    with pytest.raises(ConfigError) as raised:
        OpcUaConfig(URL, user="op", password="hunter2")
    assert "hunter2" not in str(raised.value)


def test_the_mode_decides_whether_it_listens() -> None:
    context = DriverContext(Budget(), ManualClock())
    subscribed, polled = build(OpcUaConfig(URL), context), build(OpcUaConfig(URL, mode="poll"), context)
    assert isinstance(subscribed, OpcUaSubscribed)
    assert isinstance(subscribed, Streams)
    assert isinstance(polled, OpcUa)
    assert not isinstance(polled, Streams)
