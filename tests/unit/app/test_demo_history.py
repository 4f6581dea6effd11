"""The demo's past: made once for a new hall, sent a day a block, taken up where it was cut off."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from isthmus.app import demo_history
from isthmus.app.demo_history import batches_of, prepare, read_plan, record
from isthmus.namespace.model import EMPTY, Tag
from isthmus.simulators.bottling import fast, quarter
from isthmus.simulators.bottling.hall import open_state, place
from isthmus.simulators.bottling.production import LINE
from isthmus.values.errors import ConfigError, NotConnected
from isthmus.values.sample import ValueType
from isthmus.web.routes.transfer import read_block

LOG = logging.getLogger("test")
NOW_S = 1_790_012_345.0


class Core:
    """A core that knows tags and keeps blocks; it goes away when told."""

    def __init__(self, monkeypatch) -> None:
        self.blocks: dict[int, bytes] = {}
        self.sent = 0
        self.away_after = 10**9
        paths = [*quarter.signals(), f"{LINE}/state"]
        self.tags = [
            {
                "id": i,
                "path": path,
                "type": "text" if path.endswith("recipe") else "int" if path.endswith("state") else "float",
            }
            for i, path in enumerate(dict.fromkeys(paths), 1)
        ]
        monkeypatch.setattr(demo_history, "call", self.call)
        monkeypatch.setattr(demo_history, "ImportDoor", lambda *_: self)

    def call(self, _: Any, method: str, path: str) -> Any:
        assert (method, path.partition("?")[0]) == ("GET", "tags")
        return {"tags": self.tags, "total": len(self.tags)}

    def position(self, key: str) -> tuple[int | None, int]:
        return (1, max(self.blocks)) if self.blocks else (None, 0)

    def send(self, key: str, epoch: int, block: int, body: bytes) -> None:
        if self.sent >= self.away_after:
            raise NotConnected("no Isthmus answers")
        self.sent += 1
        self.blocks[block] = body

    def close(self) -> None: ...


@pytest.mark.mission("M95")
def test_a_new_hall_has_a_past_and_counts_on_from_it(tmp_path, short_days, monkeypatch) -> None:
    core = Core(monkeypatch)
    past = prepare(tmp_path, 3, LOG, now_s=NOW_S)
    assert past is not None
    plan = read_plan(tmp_path)
    assert plan is not None
    assert (plan.end_s, plan.done) == (1_790_012_340, False)
    good = open_state(tmp_path)[place("palletiser.good")]
    assert good == past.good["palletiser"][-1]
    samples = record(tmp_path, tmp_path, past, LOG)
    assert sorted(core.blocks) == [1, 2, 3]
    assert samples > 5_000
    done = read_plan(tmp_path)
    assert done is not None
    assert (done.done, done.samples) == (True, samples)
    assert prepare(tmp_path, 3, LOG) is None, "once is enough"


def test_what_was_cut_off_goes_on_with_the_same_bytes(tmp_path, short_days, monkeypatch) -> None:
    core = Core(monkeypatch)
    past = prepare(tmp_path, 3, LOG, now_s=NOW_S)
    core.away_after = 1
    with pytest.raises(NotConnected):
        record(tmp_path, tmp_path, past, LOG)
    first = dict(core.blocks)
    core.away_after = 10**9
    again = prepare(tmp_path, 3, LOG)  # the demo starts anew, later
    assert again is not None
    assert again.end_s == past.end_s
    record(tmp_path, tmp_path, again, LOG)
    assert core.sent == 3, "what was stored is not sent again"
    whole = Core(monkeypatch)
    record(tmp_path, tmp_path, again, LOG)
    assert whole.blocks == {**core.blocks, **first}


def test_a_hall_that_has_lived_gets_no_other_past(tmp_path, short_days) -> None:
    open_state(tmp_path)
    with pytest.raises(ConfigError, match="has lived already"):
        prepare(tmp_path, 3, LOG)
    (tmp_path / "history.json").write_text(
        json.dumps({"days": 3, "seed": 1, "end_s": 1_790_000_000, "done": True, "samples": 5})
    )
    assert prepare(tmp_path, 3, LOG) is None
    with pytest.raises(ConfigError, match="has a past of 3 d"):
        prepare(tmp_path, 90, LOG)


def test_whoever_stops_the_demo_need_not_wait_for_its_past(tmp_path, monkeypatch) -> None:
    day = fast.Day(0, 86_400, (1, 1))
    monkeypatch.setattr(quarter, "production_days", lambda *_: [day])
    assert prepare(tmp_path, 1, LOG, stopped=lambda: True, now_s=NOW_S) is None
    assert read_plan(tmp_path) is None
    assert not list(tmp_path.glob("hall-*"))


def test_blocks_are_what_an_import_takes() -> None:
    times = np.array([1_790_000_000_000_000_000, 1_790_000_001_000_000_000], np.int64)
    made = [
        quarter.Samples("a/state", times, np.array([4, 6])),
        quarter.Samples("a/speed", times, np.array([0.5, 120.0])),
        quarter.Samples("a/recipe", times, ("Still", "Lemon")),
        quarter.Samples("gone", times, np.array([1.0, 2.0])),
    ]
    known = {"a/state": (1, ValueType.INT), "a/speed": (2, ValueType.FLOAT), "a/recipe": (3, ValueType.TEXT)}
    batches = list(batches_of(made, known))
    assert [(b.type, len(b)) for b in batches] == [(ValueType.FLOAT, 2), (ValueType.INT, 2), (ValueType.TEXT, 2)]
    assert batches[2].text == ("Still", "Lemon")

    tags = {i: Tag(i, path, "a", path[2:], "value", kind) for path, (i, kind) in known.items()}
    back = read_block(demo_history.encode(batches), replace(EMPTY, by_id=tags))
    assert [b.value.tolist() for b in back] == [[0.5, 120.0], [4, 6], [0, 1]]
