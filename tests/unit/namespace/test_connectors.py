"""The section `connectors` of the plant file."""

from __future__ import annotations

import pytest

import isthmus.connectors.http_push  # noqa: F401  registers itself also where the package is not installed
from isthmus.values.errors import Findings

PLANT = """\
plant: {enterprise: acme, site: lyon}
types:
  pump: {tags: {level: {formula: "1 + 1"}}}
assets:
  yard/pump1: {type: pump}
connectors:
  cloud: %s
"""


def applied(namespace, section: str, base: int = 0):
    namespace.apply(PLANT % section, base, "ann", "")
    return namespace.current().connectors


def test_a_connector_is_compiled_kept_and_compared(namespace) -> None:
    (one,) = applied(
        namespace, "{connector: http-push, url: 'https://h:81/in', tags: [yard], types: [pump], rows: 7, linger: 2 s}"
    )
    assert (one.name, one.connector, one.config) == ("cloud", "http-push", {"url": "https://h:81/in"})
    assert (one.tags, one.types, one.rows, one.linger_s, one.start) == (("yard",), ("pump",), 7, 2.0, "now")
    assert one.endpoint == "https://h:81/in"
    namespace.reload()
    assert namespace.current().connectors == (one,)
    planned = namespace.plan(PLANT % "{connector: http-push, url: 'https://h:82/in'}", 1)
    (change,) = planned.changes
    assert (change.action, change.what, change.path) == ("change", "connector", "cloud")
    assert "rows" in change.detail
    (gone,) = namespace.plan("\n".join((PLANT % "x").splitlines()[:5]), 1).changes
    assert (gone.action, gone.what) == ("remove", "connector")


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ("{connector: carrier-pigeon}", "unknown, known are"),
        ("{connector: http-push}", "url is missing"),
        ("{connector: http-push, url: 'https://h/', color: red}", "no setting of connector http-push"),
        ("{connector: http-push, url: 'gopher://h/'}", "url: must be http"),
        ("{connector: http-push, url: 'https://h/', tags: [garden]}", "no tag or asset of this file is there"),
        ("{connector: http-push, url: 'https://h/', types: [pumpp]}", "no such type"),
        ("{connector: http-push, url: 'https://h/', rows: 0}", "rows: must lie between"),
        ("{connector: http-push, url: 'https://h/', linger: 2 h}", "linger: must be at most"),
        ("{connector: http-push, url: 'https://h/', start: never}", "one of now, all"),
        ("{url: 'https://h/'}", "connector is missing"),
    ],
)
def test_a_mistake_is_named_at_its_place(namespace, section, said) -> None:
    with pytest.raises(Findings) as raised:
        applied(namespace, section)
    assert said in str(raised.value)
    assert any(f.line == 7 for f in raised.value.findings)


def test_diagnostics_may_be_asked_for_and_the_schema_knows_connectors(namespace) -> None:
    (one,) = applied(namespace, "{connector: http-push, url: 'https://h/', tags: [connections]}")
    assert one.tags == ("connections",)
    section = namespace.schema()["$defs"]["ConnectorSection"]
    assert "http-push" in section["properties"]["connector"]["enum"]
    assert any("url" in each["then"]["properties"] for each in section["allOf"])
