"""The ports of loopback that an installation takes for its own servers."""

from __future__ import annotations

import socket

import pytest

from isthmus.bus import broker
from isthmus.bus.broker import free_port
from isthmus.values.errors import ConfigError


def test_no_port_is_given_twice_nor_one_that_is_held() -> None:
    with socket.socket() as held:
        first = free_port()
        held.bind(("127.0.0.1", first + 1))
        given = [free_port() for _ in range(50)]
    assert len(set(given)) == 50
    assert first not in given
    assert first + 1 not in given


def test_the_port_somebody_is_about_to_take_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    first = free_port()
    monkeypatch.setattr(broker, "_TURNS", iter([first - broker._FIRST_PORT] * 2 + [first + 1 - broker._FIRST_PORT] * 2))
    assert free_port() == first
    assert free_port(first) == first + 1


def test_it_says_when_every_port_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as held:
        port = free_port()
        held.bind(("127.0.0.1", port))
        monkeypatch.setattr(broker, "_TURNS", iter([port - broker._FIRST_PORT] * 3))
        with pytest.raises(ConfigError, match="none is free from 10240"):
            free_port()
