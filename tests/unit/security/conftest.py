"""Identity over real records, a clock that stands still and hashes that cost little."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from argon2 import PasswordHasher
from sqlalchemy import Engine

from isthmus.app.records import open_records
from isthmus.app.sealing import Sealer
from isthmus.security.service import Security
from isthmus.security.store import metadata
from isthmus.values.clock import ManualClock

FAST = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = open_records(tmp_path / "records.db")
    metadata.create_all(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def security(engine: Engine, clock: ManualClock, tmp_path: Path) -> Security:
    sealer = Sealer.of(tmp_path)
    return Security(engine, clock, hasher=FAST, sealer=sealer, context=lambda: ("acme", "lyon"))
