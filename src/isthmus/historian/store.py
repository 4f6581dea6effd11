"""The historian's only I/O: one embedded ClickHouse (chDB) or a server over HTTP, through the same client.

A connection serialises what runs on it, so every thread has its own. All of them are closed at the end: an engine that
is still open when the interpreter goes may take the process down with it.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import orjson
from numpy.typing import NDArray

from isthmus.historian import schema
from isthmus.values.errors import ConfigError, NotConnected, TryLater

T = TypeVar("T")

Column = tuple[str, str, NDArray[np.generic] | Sequence[str]]
"""Name, engine type and values; texts come as a sequence of str."""

_TOO_SLOW = {159, 160, 209}  # TIMEOUT_EXCEEDED, TOO_SLOW, SOCKET_TIMEOUT
_TOO_LARGE = {158, 241, 396}  # TOO_MANY_ROWS, MEMORY_LIMIT_EXCEEDED, TOO_MANY_ROWS_OR_BYTES
_NO_ROOM = {243}  # NOT_ENOUGH_SPACE


@dataclass(frozen=True, slots=True)
class StoreConfig:
    """Where the record is kept and what a question may cost.

    Units: query_timeout_s in seconds; query_memory and reserve in bytes
    """

    path: Path | None = None
    """Folder of the embedded engine; used when no host is given."""
    host: str = ""
    """ClickHouse server; empty for the embedded engine."""
    port: int = 8123
    username: str = ""
    password: str = ""
    secure: bool = False
    cluster: str = ""
    """Name of the server's cluster, where tables are replicated and distributed."""
    readers: int = 2
    """Questions answered at the same time; more wait."""
    waiting: int = 64
    """Questions that may wait; beyond that the answer is to try later."""
    query_timeout_s: float = 30.0
    query_memory: int = 1 << 30
    reserve: int = 256 << 20
    """Free space of the volume below which nothing more is written."""

    def __post_init__(self) -> None:
        if not self.host and self.path is None:
            raise ConfigError("historian: needs a path or a host, has neither")
        if self.readers < 1:
            raise ConfigError(f"historian.readers: must be 1 or more, was {self.readers}")
        if not self.query_timeout_s > 0:
            raise ConfigError(f"historian.query_timeout_s: must be more than 0, was {self.query_timeout_s}")


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes((*out, number))


def _string(text: str) -> bytes:
    data = text.encode()
    return _varint(len(data)) + data


def native_block(columns: Sequence[Column]) -> bytes:
    """Columns as one block of the engine's Native format: one copy of each column and nothing per row."""
    parts = [_varint(len(columns)), _varint(len(columns[0][2]))]
    for name, kind, values in columns:
        parts += [_string(name), _string(kind)]
        if isinstance(values, np.ndarray):
            parts.append(values.astype(values.dtype.newbyteorder("<"), copy=False).tobytes())
        else:
            parts += [_string(v) for v in values]
    return b"".join(parts)


class Store:
    """Runs statements in threads. ``open`` before use, ``close`` when done; both may be called once."""

    def __init__(self, config: StoreConfig) -> None:
        self._config = config
        self._local = threading.local()
        self._clients: list[Any] = []
        self._pools: list[Any] = []  # of sockets; a client does not close one it was given, and leaks its own
        self._guard = threading.Lock()
        self._writer: ThreadPoolExecutor | None = None
        self._readers: ThreadPoolExecutor | None = None
        self._bulk: ThreadPoolExecutor | None = None
        self._waiting = 0

    async def open(self) -> None:
        """Create what is missing.

        Raises: ConfigError if the store was written by a newer version, or its folder is in use
        """
        self._writer = ThreadPoolExecutor(1, "historian-write")
        self._readers = ThreadPoolExecutor(self._config.readers, "historian-read")
        self._bulk = ThreadPoolExecutor(1, "historian-bulk")
        try:
            await self.write(self._prepare)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Wait for what runs, then close every connection."""
        for pool in (self._bulk, self._readers, self._writer):
            if pool is not None:
                await asyncio.to_thread(pool.shutdown, wait=True, cancel_futures=True)
        self._bulk = self._readers = self._writer = None
        for client in self._clients:
            client.close()
        for pool in self._pools:
            pool.clear()
        self._clients.clear()
        self._pools.clear()

    async def write(self, job: Callable[[Store], T]) -> T:
        """Run a job in the writing thread; one at a time, in order."""
        if self._writer is None:
            raise NotConnected("the historian is not open")
        return await asyncio.get_running_loop().run_in_executor(self._writer, job, self)

    async def bulk(self, job: Callable[[Store], T]) -> T:
        """Run a long job in a thread of its own, so that neither live samples nor questions wait for it."""
        if self._bulk is None:
            raise NotConnected("the historian is not open")
        return await asyncio.get_running_loop().run_in_executor(self._bulk, job, self)

    async def read(self, job: Callable[[Store], T]) -> T:
        """Run a job in a reading thread.

        Raises: TryLater if too many are waiting already
        """
        if self._readers is None:
            raise NotConnected("the historian is not open")
        if self._waiting >= self._config.readers + self._config.waiting:
            raise TryLater(f"{self._waiting} questions to the historian are waiting already", 1.0)
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._readers, job, self)
        finally:
            self._waiting -= 1

    # In a thread of the store.

    def command(self, sql: str) -> None:
        """Run a statement that answers nothing."""
        self._engine(lambda client: client.command(sql))

    def insert(self, table: str, columns: Sequence[Column], *, bulk: bool = False) -> None:
        """Insert one block; durable when this returns.

        In ``bulk`` a block is sorted, but not merged with itself, which takes longer than all the rest: of equal keys the
        last one stays when it is read, as it does of several blocks.
        Raises: TryLater if the engine refuses it, NotConnected if it cannot be reached
        """
        if not len(columns[0][2]):
            return
        settings = {
            "max_partitions_per_insert_block": "0",
            "min_free_disk_bytes_to_perform_insert": str(self._config.reserve),
            "input_format_native_allow_types_conversion": "1",
            "deduplicate_insert": "disable",  # a row sent again must land: rows are told apart by their key alone
        }
        if bulk:
            settings["optimize_on_insert"] = "0"
        if self._config.cluster:
            settings["insert_distributed_sync"] = "1"
        names = [name for name, _, _ in columns]
        block = native_block(columns)
        self._engine(
            lambda client: client.raw_insert(
                f"{schema.DATABASE}.{table}", names, insert_block=block, fmt="Native", settings=settings
            )
        )

    def answer(self, sql: str, fmt: str, **settings: object) -> bytes:
        """The engine's bytes for a question, within the limits of every question.

        Raises: TryLater if a limit was hit
        """
        limits: dict[str, object] = {
            "max_execution_time": self._config.query_timeout_s,
            "max_memory_usage": self._config.query_memory,
            "max_query_size": 1 << 26,
            "max_ast_elements": 10_000_000,
            "max_expanded_ast_elements": 10_000_000,
            "use_variant_as_common_type": 0,  # types that do not agree are a mistake of ours, to be told at once
            "cast_string_to_variant_use_inference": 0,  # a text "12" stays a text
            **settings,
        }
        clause = ", ".join(f"{k} = {literal(v)}" for k, v in limits.items())
        body: bytes = self._engine(lambda client: client.raw_query(f"{sql}\nSETTINGS {clause}\nFORMAT {fmt}"))
        return body

    def explain(self, statement: str) -> bytes:
        """What the engine's parser makes of a statement; it is not run."""
        body: bytes = self._engine(lambda client: client.raw_query(f"EXPLAIN AST {statement}", fmt="TabSeparated"))
        return body

    def rows(self, sql: str) -> list[list[Any]]:
        """A small answer as Python rows; 64 bit integers stay numbers."""
        body = self.answer(sql, "JSONCompactEachRow", output_format_json_quote_64bit_integers=0)
        return [orjson.loads(line) for line in body.splitlines()]

    def _engine(self, job: Callable[[Any], T]) -> T:
        from clickhouse_connect.driver.exceptions import ClickHouseError, OperationalError

        try:
            return job(self._client())
        except OperationalError as error:
            raise NotConnected(f"the historian's server does not answer: {error}") from error
        except ClickHouseError as error:
            raise _translate(error) from error

    def _client(self) -> Any:
        client = getattr(self._local, "client", None)
        if client is None:
            import clickhouse_connect
            from clickhouse_connect.driver import httputil

            config = self._config
            if config.host:
                pool = httputil.get_pool_manager()
                self._pools.append(pool)
                client = clickhouse_connect.get_client(
                    host=config.host,
                    port=config.port,
                    username=config.username or None,
                    password=config.password,
                    secure=config.secure,
                    autogenerate_session_id=False,
                    pool_mgr=pool,
                )
            else:
                client = clickhouse_connect.get_client(dsn=f"chdb://{config.path}")
            self._local.client = client
            with self._guard:
                self._clients.append(client)
        return client

    def _prepare(self, _: Store) -> None:
        if self._config.path is not None and not self._config.host:
            self._config.path.mkdir(parents=True, exist_ok=True)
        try:
            self._client()
        except Exception as error:
            if self._config.host:
                raise NotConnected(f"the historian's server at {self._config.host} does not answer: {error}") from error
            raise ConfigError(
                f"historian: {self._config.path} cannot be opened; another Isthmus may be using it: {error}"
            ) from error
        version = 0
        exists = self.rows(
            f"SELECT count() FROM system.tables WHERE database = '{schema.DATABASE}' AND name = 'schema_version'"
        )
        if exists[0][0]:
            version = self.rows(f"SELECT max(version) FROM {schema.DATABASE}.schema_version")[0][0]
            if version > schema.VERSION:
                raise ConfigError(
                    f"historian: the record has schema version {version}, this build knows {schema.VERSION}; "
                    "it was written by a newer Isthmus"
                )
        cluster = self._config.cluster
        for statement in schema.cluster(cluster, {}) if cluster else schema.single({}):
            self.command(statement)
        for statement in schema.upgrade(version, cluster) if version else ():
            self.command(statement)
        if version < schema.VERSION:  # nothing is written without need: a record on a full disk opens for reading
            self.insert(
                "schema_version",
                [("one", "UInt8", np.ones(1, np.uint8)), ("version", "UInt32", np.full(1, schema.VERSION, np.uint32))],
            )

    def expire(self, days: Mapping[int, int]) -> None:
        """Set after how many days rows of each class are dropped; 0 is never. What is stored already follows."""
        ttl = schema.retention_ttl(days)
        for table in schema.EXPIRING:
            self.command(f"ALTER TABLE {self._stored(table.name)} MODIFY TTL {ttl}")

    def forget(self, table: str, condition: str) -> None:
        """Delete rows of a small table, in the background."""
        self.command(f"ALTER TABLE {self._stored(table)} DELETE WHERE {condition}")

    def _stored(self, table: str) -> str:
        """The table that holds the rows: on a cluster it stands behind the one that is asked."""
        cluster = self._config.cluster
        return f"{schema.DATABASE}.{table}" + (f"_local ON CLUSTER '{cluster}'" if cluster else "")


def literal(value: object) -> str:
    """A value as the engine's SQL writes it."""
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(literal(v) for v in value)}]"
    escaped = str(value).replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _translate(error: Exception) -> Exception:
    """What the caller does next, from the engine's error code."""
    code = getattr(error, "code", None)
    text = str(error).split("\n", 1)[0][:300]
    if code in _TOO_SLOW:
        return TryLater("the question took too long: ask for a shorter range, fewer tags or fewer points", 5.0)
    if code in _TOO_LARGE:
        return TryLater("the answer needs too much memory: ask for a shorter range or fewer tags, or stream it", 5.0)
    if code in _NO_ROOM or "No space left" in text:
        return TryLater(f"the historian's disk is full: {text}", 5.0)
    return error
