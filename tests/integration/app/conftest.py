from __future__ import annotations

import pytest


@pytest.fixture(scope="session", autouse=True)
def engine_loaded(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The historian's engine keeps descriptors for as long as the process lives: it opens them before anybody counts."""
    import clickhouse_connect

    client = clickhouse_connect.get_client(dsn=f"chdb://{tmp_path_factory.mktemp('warm')}")
    client.raw_query("SELECT 1")
    client.close()
