from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from isthmus.app.records import open_records
from isthmus.quality.service import Quality
from isthmus.quality.store import metadata
from isthmus.values.clock import ManualClock

sys.path.insert(0, str(Path(__file__).parent))  # so that tests here can share `filling`
from filling import Bench, Orders, make_plant


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    clock, orders = ManualClock(), Orders()
    engine = open_records(tmp_path / "records.db")
    metadata.create_all(engine)
    quality = Quality(engine, clock, orders)
    quality._begin(make_plant())
    yield Bench(quality, clock, orders, engine)
    engine.dispose()
