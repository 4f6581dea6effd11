"""What /metrics answers: the installation's own state as OpenMetrics, from a registry of its own at each question."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector, CollectorRegistry

from isthmus.web.routes.connections import ConnectionAnswer
from isthmus.web.system import System

MOST_EDGES: Final = 256
MOST_CONNECTIONS: Final = 1000
MOST_CERTIFICATES: Final = 64

Rows = Iterable[tuple[tuple[str, ...], float | None]]


class Families(Collector):
    """One look at everything, as families of samples. ``rows`` is how many samples the record holds."""

    def __init__(self, system: System, connections: list[ConnectionAnswer], rows: int) -> None:
        self._system, self._connections, self._rows = system, connections, rows

    def collect(self) -> Iterator[Metric]:
        """Every family; a value that is not known leaves its sample out."""
        yield from self._parts()
        yield from self._queues()
        yield from self._lags()
        yield from self._disk()
        yield from self._keeping()
        yield from self._of_connections()
        left_out = {
            "edge": max(0, len(self._system.lags.edges) - MOST_EDGES),
            "connection": max(0, len(self._connections) - MOST_CONNECTIONS),
            "certificate": max(0, len(self._system.certificates) - MOST_CERTIFICATES),
        }
        yield _gauge(
            "metrics_left_out", "Label values beyond the bound", ("label",), [((k,), n) for k, n in left_out.items()]
        )

    def _parts(self) -> Iterator[Metric]:
        system = self._system
        info = InfoMetricFamily("isthmus_build", "Versions of all parts", labels=("part",))
        for one in system.versions:
            info.add_metric((one.name,), {"version": one.version})
        yield info
        yield _plain("uptime_seconds", "Since core started", system.uptime_s)
        yield _plain("attention", "Things that need a look", len(system.attention))
        label = ("process",)
        here = system.processes
        yield _gauge(
            "process_up", "1 while the process runs", label, [((p.name,), float(p.state == "running")) for p in here]
        )
        yield _gauge(
            "process_resident_memory_bytes", "Resident memory", label, [((p.name,), p.memory_bytes) for p in here]
        )
        yield _gauge("process_uptime_seconds", "Since it started", label, [((p.name,), p.uptime_s) for p in here])
        yield _counter("process_cpu_seconds", "CPU time", label, [((p.name,), p.cpu_s) for p in here])
        yield _counter(
            "process_restarts", "Started again after it died", label, [((p.name,), p.restarts) for p in here]
        )

    def _queues(self) -> Iterator[Metric]:
        label = ("queue", "owner", "unit")
        here = [((q.name, q.owner, q.unit), q) for q in self._system.queues[: MOST_EDGES + 16]]
        yield _gauge("queue_limit", "Most it may hold, in its unit", label, [(k, q.limit) for k, q in here])
        yield _gauge("queue_used", "What it holds, in its unit", label, [(k, q.used) for k, q in here])
        yield _counter("queue_in", "What came in, in its unit", label, [(k, q.entered) for k, q in here])
        yield _counter("queue_out", "What went out, in its unit", label, [(k, q.left) for k, q in here])
        yield _counter("queue_dropped", "What was dropped, in its unit", label, [(k, q.dropped) for k, q in here])

    def _lags(self) -> Iterator[Metric]:
        lags = self._system.lags
        yield _plain("historian_lag_seconds", "How far the record is behind", lags.historian_s)
        yield _plain("live_lag_seconds", "How far live values are behind", lags.live_s)
        yield _plain("historian_samples", "Samples in the record", self._rows)
        edges = lags.edges[:MOST_EDGES]
        yield _gauge(
            "edge_silent_seconds", "Since its last heartbeat", ("edge",), [((e.name,), e.age_s) for e in edges]
        )
        yield _gauge(
            "edge_clock_offset_seconds", "Its clock minus core's", ("edge",), [((e.name,), e.offset_s) for e in edges]
        )

    def _disk(self) -> Iterator[Metric]:
        disk = self._system.disk
        yield _plain("disk_free_bytes", "Free on the data volume", disk.free_bytes)
        yield _plain("disk_size_bytes", "Size of the data volume", disk.total_bytes)
        yield _plain("disk_reserve_bytes", "Kept free whatever happens", disk.reserve_bytes)
        yield _plain("disk_left_seconds", "Until only the reserve is left", _seconds(disk.hours_left))
        yield _plain("historian_size_bytes", "The record on disk", disk.history_bytes)
        yield _plain("bus_size_bytes", "Frames the bus keeps", disk.bus_bytes)
        yield _plain("bus_limit_bytes", "Most it may keep", disk.bus_limit_bytes)
        yield _plain("bus_buffer_seconds", "What it can keep at the present rate", _seconds(disk.buffer_hours))

    def _keeping(self) -> Iterator[Metric]:
        system = self._system
        yield _gauge(
            "certificate_expiry_timestamp_seconds",
            "When it ends",
            ("file",),
            [((c.file,), _timestamp(c.expires)) for c in system.certificates[:MOST_CERTIFICATES]],
        )
        last = system.backups.kept[0] if system.backups.kept else None
        yield _plain(
            "backup_timestamp_seconds", "Last backup that succeeded", _timestamp(last.created) if last else None
        )
        yield _plain("backup_size_bytes", "Its size", last.bytes if last else None)
        yield _plain(
            "backup_verified", "1 when it was read back and found whole", float(last.verified) if last else None
        )
        clock = system.clock
        yield _plain(
            "clock_synchronised",
            "1 while the kernel says so",
            None if clock.synchronised is None else float(clock.synchronised),
        )
        yield _plain("clock_offset_seconds", "From its time source", clock.offset_s)
        yield _plain("clock_error_seconds", "Estimated error", clock.error_s)
        yield _counter("clock_jumps", "Jumps of the wall clock", (), [((), clock.jumps)])

    def _of_connections(self) -> Iterator[Metric]:
        label = ("connection", "driver", "edge")
        here = [((c.name, c.driver, c.edge), c) for c in self._connections[:MOST_CONNECTIONS]]
        yield _gauge("connection_up", "1 while Good or Slow", label, [(k, float(c.state in UP)) for k, c in here])
        yield _gauge(
            "connection_latency_seconds",
            "Longest answer in the last second",
            label,
            [(k, None if c.latency_ms is None else c.latency_ms / 1000) for k, c in here],
        )
        yield _gauge("connection_requests_per_second", "Requests", label, [(k, c.requests_s) for k, c in here])
        yield _gauge("connection_values_per_second", "Values", label, [(k, c.values_s) for k, c in here])
        yield _gauge("connection_lag_seconds", "Behind its schedule", label, [(k, c.lag_s) for k, c in here])
        yield _counter("connection_errors", "Failed requests", label, [(k, c.errors) for k, c in here])


UP: Final = frozenset({"Good", "Slow"})


def _gauge(name: str, text: str, labels: tuple[str, ...], rows: Rows) -> Metric:
    family = GaugeMetricFamily(f"isthmus_{name}", text, labels=labels)
    for key, value in rows:
        if value is not None:
            family.add_metric(key, value)
    return family


def _counter(name: str, text: str, labels: tuple[str, ...], rows: Rows) -> Metric:
    family = CounterMetricFamily(f"isthmus_{name}", text, labels=labels)
    for key, value in rows:
        if value is not None:
            family.add_metric(key, value)
    return family


def _plain(name: str, text: str, value: float | None) -> Metric:
    return _gauge(name, text, (), [((), value)])


def _seconds(hours: float | None) -> float | None:
    return None if hours is None else hours * 3600


def _timestamp(text: str | None) -> float | None:
    return None if text is None else datetime.fromisoformat(text).timestamp()


def render(families: Families, accept: str) -> tuple[bytes, str]:
    """The answer and its media type, as Accept asks."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(families)
    encode, media_type = choose_encoder(accept)
    return encode(registry), media_type
