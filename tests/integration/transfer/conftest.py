"""Libraries that keep descriptors for as long as the process lives open them before anybody counts."""

from __future__ import annotations

import contextlib
import io

import clickhouse_connect
import pyarrow.csv as pcsv
import pytest


@pytest.fixture(scope="session", autouse=True)
def arrow_reads_csv():
    pcsv.read_csv(io.BytesIO(b"a\n1\n"))


@pytest.fixture(scope="session", autouse=True)
def engine_loaded(tmp_path_factory):
    client = clickhouse_connect.get_client(dsn=f"chdb://{tmp_path_factory.mktemp('warm')}")
    with contextlib.suppress(clickhouse_connect.driver.exceptions.ClickHouseError):
        client.raw_query("SELECT throwIf(1)")
    client.close()
