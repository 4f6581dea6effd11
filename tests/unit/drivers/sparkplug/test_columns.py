"""Messages read as columns become what they become metric by metric."""

from __future__ import annotations

import random

import pytest

from isthmus.drivers.sparkplug import host as module
from isthmus.drivers.sparkplug import payload as sparkplug
from isthmus.drivers.sparkplug.host import Host
from isthmus.ports.drivers import Point, Traffic

pytestmark = pytest.mark.mission("M42")
NOW_NS = 1_700_000_000_000_000_000
NOW_MS = NOW_NS // 1_000_000
KINDS = [sparkplug.DOUBLE, sparkplug.FLOAT, sparkplug.INT32, sparkplug.STRING]


def message(chance: random.Random, seq: int, mixed: float) -> bytes:
    said = sparkplug.Payload(timestamp=NOW_MS, seq=seq)
    many = sparkplug.DOUBLE if chance.random() < 0.7 else sparkplug.FLOAT
    again = chance.random() < mixed  # the same metric twice in a message
    places = chance.choices(range(40), k=50) if again else chance.sample(range(40), chance.randrange(1, 40))
    for place in places:
        kind = many if chance.random() > mixed else chance.choice(KINDS)
        alias = place * 4 + KINDS.index(kind) + (chance.random() < mixed / 9)
        value = "x" if kind == sparkplug.STRING else chance.randrange(-9, 9)
        at_ms = 0 if chance.random() < mixed / 5 else NOW_MS + chance.randrange(99)
        old = chance.random() < mixed / 5
        sparkplug.add_metric(said, "", kind, None if old else value, at_ms, alias=alias, historical=old)
        if chance.random() < mixed / 5:
            said.metrics[-1].ClearField("datatype")
    return bytes(said.SerializeToString())


@pytest.mark.parametrize("mixed", [0.0, 0.02, 0.5])
def test_both_ways_say_the_same(mixed: float, monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(4)
    points = [Point(i, f"G/N:m{i} {('float', 'float', 'int', 'text')[i % 4]}") for i in range(150)]
    birth = sparkplug.Payload(timestamp=NOW_MS, seq=0)
    for i in range(160):
        kind = KINDS[i % 4]
        sparkplug.add_metric(birth, f"m{i}", kind, "x" if kind == sparkplug.STRING else 1, NOW_MS, alias=i)
    sent = [message(chance, (n + 1) & 0xFF, mixed) for n in range(120)]
    if mixed:
        sent += [bytes(chance.choice(m[:-1]).to_bytes(1, "big")).join([m[:9], m[9:]]) for m in sent[:60]]
    results, fast = [], []
    plain = Host._data_columns
    for worth in (module._WORTH, 2**60):
        monkeypatch.setattr(module, "_WORTH", worth)
        monkeypatch.setattr(Host, "_data_columns", lambda *a: fast.append(plain(*a)) or fast[-1])
        traffic = Traffic()
        host = Host(points, traffic)
        host.hear(b"spBv1.0/G/NBIRTH/N", birth.SerializeToString(), NOW_NS)
        found = []
        for data in sent:
            host.hear(b"spBv1.0/G/NDATA/N", data, NOW_NS)
            for collected in host.take():
                for column in collected.of.values():
                    rows = list(zip(column.ids, column.times, column.values, column.statuses, strict=True))
                    found.append(sorted(rows, key=lambda r: r[0]))  # stable: the order of one tag counts
        results.append((found, traffic.errors, traffic.dropped, traffic.last_error))
    assert results[0] == results[1]
    assert any(fast) == (mixed < 0.1)  # the last ones are too mixed for columns
