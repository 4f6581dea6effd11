"""Settings, the body and what each answer means, without a network."""

from __future__ import annotations

import numpy as np
import pytest

from isthmus.connectors.http_push import HttpPush, HttpPushConfig, document
from isthmus.ports.connectors import ConnectorContext, Delivery, TagTable, connector, connector_spec, connectors
from isthmus.values.clock import NS_PER_S, ManualClock
from isthmus.values.errors import ConfigError, NotConnected
from isthmus.values.sample import SampleBatch, ValueType

NOW = 1_700_000_000 * NS_PER_S


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "url"),
        ({"url": "ftp://x/y"}, "url: must be http"),
        ({"url": "http://"}, "url: must be http"),
        ({"url": "http://h:0x1/"}, "url: must be http"),
        ({"url": "http://h:99999/"}, "url: must be http"),
        ({"url": "http://h/a b"}, "url: must be http"),
        ({"url": 5}, "url: must be text"),
        ({"url": "http://erp.plant.example/in"}, "url: must be https:// beyond this machine"),
        ({"url": "https://ann:pass@h/"}, "no user and password"),
        ({"url": "https://h/", "bearer": "hunter2"}, "bearer: must be a reference"),
        ({"url": "https://h/", "compress": "yes"}, "compress: must be true or false"),
        ({"url": "https://h/", "timeout_s": 0}, "timeout_s: must be more than 0"),
        ({"url": "https://h/", "timeout_s": True}, "timeout_s: must be more than 0"),
        ({"url": "https://h/", "ca": 7}, "ca: must be a file name"),
        ({"url": "https://h/", "colour": "red"}, "colour: not a setting of connector http-push"),
    ],
)
def test_a_wrong_setting_is_named(settings, said) -> None:
    with pytest.raises(ConfigError, match=said) as raised:
        connector_spec("http-push").configure(settings)
    assert "hunter2" not in str(raised.value)
    assert "ann:pass" not in str(raised.value)


def table() -> TagTable:
    return TagTable(
        3, "acme", "lyon", np.array([4, 9], np.int32), ("a/speed", "a/recipe"), ("1/min", ""), (ValueType.FLOAT, ValueType.TEXT)
    )  # fmt: skip


def batch(ids, values, statuses, *, step_ns=10**9, text=()) -> SampleBatch:
    times = NOW + np.arange(len(ids)) * step_ns
    return SampleBatch(np.array(ids, np.int32), times, values, np.array(statuses, np.uint32), text)


def test_the_body_names_tags_and_has_no_value_where_there_is_none() -> None:
    speed = batch([4] * 4, np.array([1.5, np.nan, np.inf, 3.0]), [0, 0, 0, 0x80050000])
    recipe = batch([9, 9], np.array([1, 0], np.int32), [0, 0x40000000], step_ns=1, text=("Cola", "Wässer"))
    body = document(Delivery("k", (speed, recipe)), table())
    assert (body["key"], body["enterprise"], body["site"]) == ("k", "acme", "lyon")
    assert [s["value"] for s in body["samples"]] == [1.5, None, None, None, "Wässer", "Cola"]
    assert {s["tag"] for s in body["samples"][:4]} == {"a/speed"}
    assert body["samples"][1]["time"] == "2023-11-14T22:13:21.000Z"
    assert body["samples"][5]["time"] == "2023-11-14T22:13:20.000000001Z"
    assert body["samples"][3]["status"] == "BadCommunicationError"
    assert Delivery("k", (speed, recipe)).rows == 6


def test_a_wait_is_what_the_receiver_asks_for() -> None:
    made = HttpPush(HttpPushConfig("https://h/"), ConnectorContext(ManualClock(NOW)))
    assert made._wait_s("7") == 7
    assert made._wait_s("-7") == 0
    assert made._wait_s("Tue, 14 Nov 2023 22:13:50 GMT") == 30
    assert made._wait_s("Tue, 14 Nov 2000 22:13:50 GMT") == 0
    assert made._wait_s("soon") == made._wait_s("") == 5


async def test_what_is_not_open_is_not_connected_and_close_is_safe() -> None:
    made = HttpPush(HttpPushConfig("http://127.0.0.1:1/"), ConnectorContext(ManualClock(NOW)))
    await made.close()
    with pytest.raises(NotConnected):
        await made.deliver(Delivery("k", ()))
    with pytest.raises(NotConnected, match="nobody listens"):
        await made.open(table())
    await made.close()
    await made.close()


async def test_a_missing_secret_or_certificate_file_is_a_config_error() -> None:
    with pytest.raises(ConfigError, match="no secrets here"):
        await HttpPush(HttpPushConfig("https://h/", bearer="secret:x"), ConnectorContext(ManualClock(NOW))).open(
            table()
        )
    with pytest.raises(ConfigError, match="ca: "):
        await HttpPush(HttpPushConfig("https://h/", ca="/nowhere.pem"), ConnectorContext(ManualClock(NOW))).open(
            table()
        )


def test_two_connectors_of_one_name_are_refused() -> None:
    assert connector("http-push", config=HttpPushConfig, title="HTTP push (JSON)")(HttpPush) is HttpPush
    with pytest.raises(ValueError, match="two connectors"):
        connector("http-push", config=HttpPushConfig)(ManualClock)
    with pytest.raises(ConfigError, match="http-push"):
        connector_spec("no-such")
    assert "http-push" in connectors()


def test_a_table_finds_its_rows() -> None:
    assert len(table()) == 2
    assert table().rows_of(np.array([9, 4, 9], np.int32)).tolist() == [1, 0, 1]
