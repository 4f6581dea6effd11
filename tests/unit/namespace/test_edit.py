"""Small edits leave every other byte alone."""

from __future__ import annotations

import pytest

from isthmus.namespace.plantfile import Document, plain_data
from isthmus.values.errors import ConfigError, Findings

NEW = {"driver": "modbus-tcp", "host": "10.0.0.9", "port": 503, "description": "on: the left, 50 %"}
WRITTEN = 'plc9: {driver: modbus-tcp, host: 10.0.0.9, port: 503, description: "on: the left, 50 %"}'
HEAD = "plant: {enterprise: a, site: b} # who\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (HEAD, HEAD + f"connections:\n  {WRITTEN}\n"),
        (HEAD.rstrip("\n"), HEAD + f"connections:\n  {WRITTEN}\n"),
        (
            HEAD + "connections:  # none yet\nassets: {}\n",
            HEAD + f"connections:  # none yet\n  {WRITTEN}\nassets: {{}}\n",
        ),
        (HEAD + "connections: {}\n", HEAD + f"connections: {{{WRITTEN}}}\n"),
        (HEAD + "connections: { x: {driver: d} }\n", HEAD + f"connections: {{ x: {{driver: d}}, {WRITTEN} }}\n"),
        (
            HEAD + "connections:\n    x: {driver: d}  # first\n\n# assets follow\nassets: {}\n",
            HEAD + f"connections:\n    x: {{driver: d}}  # first\n    {WRITTEN}\n\n# assets follow\nassets: {{}}\n",
        ),
        (
            HEAD + "connections:\n  x:\n    driver: d  # which\n    host: h\nassets: {}\n",
            HEAD + f"connections:\n  x:\n    driver: d  # which\n    host: h\n  {WRITTEN}\nassets: {{}}\n",
        ),
        (
            HEAD + "connections:\n  x:\n    driver: d\n    description: |\n      long\n      text\n\nassets: {}\n",
            HEAD
            + f"connections:\n  x:\n    driver: d\n    description: |\n      long\n      text\n  {WRITTEN}\n\nassets: {{}}\n",
        ),
        (
            HEAD.replace("\n", "\r\n") + "connections:\r\n  x: {driver: d}\r\n",
            HEAD.replace("\n", "\r\n") + f"connections:\r\n  x: {{driver: d}}\r\n  {WRITTEN}\r\n",
        ),
    ],
)
def test_a_connection_is_added_and_dropped_again(namespace, before, after):
    assert namespace.add_connection(before, "plc9", NEW) == after
    again = namespace.drop_connection(after, "plc9")
    left = {k: v for k, v in plain_data(Document(before, "x").root).items() if k != "connections"}
    found = plain_data(Document(again, "x").root)
    assert {k: v for k, v in found.items() if k != "connections"} == left
    assert "plc9" not in found["connections"]
    if "x:" in before:
        assert again == before


def test_the_first_of_several_is_dropped(namespace):
    text = HEAD + "connections:\n  x: {driver: d}  # gone\n  y: {driver: d}\n"
    assert namespace.drop_connection(text, "x") == HEAD + "connections:\n  y: {driver: d}\n"
    assert namespace.drop_connection(HEAD + "connections: {x: {a: 1}, y: {}}\n", "x") == HEAD + "connections: {y: {}}\n"


def test_an_added_connection_plans(namespace, example):
    text = namespace.add_connection(example, "plc2", {"driver": "modbus-tcp", "host": "10.0.0.9", "poll": "500 ms"})
    namespace.apply(example, 0, "ann", "")
    assert [str(c) for c in namespace.plan(text, 1).changes] == ["+ connection plc2  driver modbus-tcp"]


def test_what_cannot_be_edited_is_refused(namespace, example):
    with pytest.raises(ConfigError, match="a connection of this name already, was 'plc1'"):
        namespace.add_connection(example, "plc1", NEW)
    with pytest.raises(ConfigError, match="connection must begin with a letter"):
        namespace.add_connection(example, "1", NEW)
    with pytest.raises(ConfigError, match="no connection of this name, was 'plc7'"):
        namespace.drop_connection(example, "plc7")
    with pytest.raises(ConfigError, match="cannot be written to a plant file"):
        namespace.add_connection(example, "plc7", {"driver": object()})
    with pytest.raises(ConfigError, match="connections: must be a mapping"):
        namespace.add_connection(HEAD + "connections: [1]\n", "plc7", NEW)
    with pytest.raises(Findings, match="is not YAML"):
        namespace.add_connection("a: [", "plc7", NEW)
    alias = HEAD + "x: &c {plc1: {driver: d}}\nconnections: *c\n"
    with pytest.raises(ConfigError, match="add plc7 by hand"):
        namespace.add_connection(alias, "plc7", NEW)
