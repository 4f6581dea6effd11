"""The record as files: frozen while it lives, and attached again in an empty place.

The engine refuses BACKUP to a file; FREEZE makes hard links to every part, which costs milliseconds and no space. Parts
never change, so the links can be copied at leisure while new ones are written beside them.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import orjson

from isthmus.historian.schema import DATABASE
from isthmus.historian.store import Store, literal
from isthmus.values.errors import ConfigError, Malformed


@dataclass(frozen=True, slots=True)
class FrozenTable:
    """One table as it was: the statement that makes it, the folder of its parts, and rows with all their versions."""

    name: str
    create: str
    folder: Path
    rows: int


def freeze(store: Store, root: Path, name: str) -> list[FrozenTable]:
    """Hard links to every part of every table. To be run where nothing is committed in between.

    Cost: milliseconds; space is held only for parts that are merged away while the links exist
    """
    tables = store.rows(
        "SELECT name, create_table_query, data_paths[1] FROM system.tables "
        f"WHERE database = '{DATABASE}' AND engine LIKE '%MergeTree' ORDER BY name"
    )
    frozen = []
    for table, create, place in tables:
        store.command(f"ALTER TABLE {DATABASE}.`{table}` FREEZE WITH NAME {literal(name)}")
        inside = os.path.relpath(place, root.resolve())
        folder = root / "shadow" / name / inside
        rows = sum(int((part / "count.txt").read_text()) for part in folder.iterdir()) if folder.is_dir() else 0
        frozen.append(FrozenTable(table, create, folder, rows))
    return frozen


def thaw(root: Path, name: str = "") -> None:
    """Remove the links of one freeze, or of all that a killed process left."""
    shutil.rmtree(root / "shadow" / name if name else root / "shadow", ignore_errors=True)


def attach(
    root: Path, creates: Mapping[str, str], parts: Path, rows: Mapping[str, int], done: Callable[[str], None]
) -> None:
    """Make a record in an empty folder from frozen parts (``parts``/<table>/<part>/…), which are moved into it.

    Raises: Malformed if other rows came out than were frozen, ConfigError if the engine refuses
    """
    import clickhouse_connect
    from clickhouse_connect.driver.exceptions import ClickHouseError

    root.mkdir(parents=True, mode=0o700)
    client = clickhouse_connect.get_client(dsn=f"chdb://{root}")
    try:
        client.command(f"CREATE DATABASE IF NOT EXISTS {DATABASE} ENGINE = Atomic")
        for table, create in creates.items():
            client.command(create)
            client.command(
                f"SYSTEM STOP MERGES {DATABASE}.`{table}`"
            )  # until it is opened in earnest: rows can be counted
            (place,) = orjson.loads(
                client.raw_query(
                    f"SELECT data_paths[1] FROM system.tables WHERE database = '{DATABASE}' AND name = {literal(table)}",
                    fmt="JSONCompactEachRow",
                )
            )
            _move_in(client, table, parts / table, Path(place) / "detached")
            found = client.raw_query(
                f"SELECT toInt64(sum(rows)) FROM system.parts WHERE active AND database = '{DATABASE}' AND table = {literal(table)}",
                fmt="TabSeparated",
            )
            if int(found) != rows[table]:
                raise Malformed(f"table {table} holds {int(found)} rows after the restore, {rows[table]} were saved")
            done(table)
    except ClickHouseError as error:
        raise ConfigError(f"historian: the record could not be made from the backup: {str(error)[:300]}") from error
    finally:
        client.close()


def _move_in(client: object, table: str, parts: Path, detached: Path) -> None:
    if not parts.is_dir():
        return
    for part in sorted(parts.iterdir()):
        part.rename(detached / part.name)
        client.command(f"ALTER TABLE {DATABASE}.`{table}` ATTACH PART {literal(part.name)}")  # type: ignore[attr-defined]  # the library has no types
