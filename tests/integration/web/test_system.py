"""The installation's own state over the API, and its metrics."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as plain_text

from isthmus.web import metrics
from isthmus.web.api import create_app
from isthmus.web.doors import LocalDoor
from isthmus.web.routes.connections import ConnectionAnswer
from isthmus.web.system import EdgeLag


async def test_the_system_is_told_to_a_viewer_and_to_nobody_else(as_: Any) -> None:
    answer = (await as_.viewer.get("/system")).json()
    assert answer["queues"] == [
        {"name": "outbox", "owner": "edge-1", "unit": "samples", "limit": 100, "used": 1, "in": 11, "out": 10, "dropped": 0}
    ]  # fmt: skip
    assert answer["processes"][1]["state"] == "gone"
    assert (await as_.nobody.get("/system")).status_code == 401


async def _metrics(port: int, token: str | None, accept: str = "") -> httpx.Response:
    headers = {"Accept": accept} | ({"Authorization": f"Bearer {token}"} if token else {})
    async with httpx.AsyncClient(trust_env=False, verify=False) as client:
        return await client.get(f"http://127.0.0.1:{port}/metrics", headers=headers)


@pytest.mark.real("prometheus-client")
async def test_metrics_need_a_token_also_on_loopback(works: Any, port: int) -> None:
    assert (await _metrics(port, None)).status_code == 401
    assert (await _metrics(port, "isk_" + "x" * 40)).status_code == 401
    assert (await _metrics(port, works.tokens["viewer"])).status_code == 200


@pytest.mark.real("prometheus-client")
async def test_metrics_come_as_the_scraper_asks(works: Any, port: int) -> None:
    new = await _metrics(port, works.tokens["viewer"], "application/openmetrics-text; version=1.0.0")
    assert new.headers["content-type"].startswith("application/openmetrics-text")
    assert new.text.endswith("# EOF\n")
    families = {f.name: f for f in openmetrics(new.text)}
    assert {s.value for s in families["isthmus_process_cpu_seconds"].samples} == {3.5}
    assert families["isthmus_build"].samples[0].labels == {"part": "isthmus", "version": "9.9"}
    old = await _metrics(port, works.tokens["viewer"])
    assert old.headers["content-type"].startswith("text/plain")
    assert {f.name for f in plain_text(old.text)} >= {"isthmus_process_cpu_seconds", "isthmus_historian_lag_seconds"}


@pytest.mark.real("prometheus-client")
async def test_names_begin_with_ours_and_unknown_values_are_left_out(works: Any, port: int) -> None:
    text = (await _metrics(port, works.tokens["viewer"], "application/openmetrics-text")).text
    families = list(openmetrics(text))
    assert all(f.name.startswith("isthmus_") for f in families)
    assert all(s.name.endswith("_total") for f in families if f.type == "counter" for s in f.samples)
    by_name = {f.name: f for f in families}
    assert [s.labels["process"] for s in by_name["isthmus_process_resident_memory_bytes"].samples] == ["core"]
    assert by_name["isthmus_disk_left_seconds"].samples == []
    assert by_name["isthmus_bus_buffer_seconds"].samples[0].value == 7200
    states = {s.labels["connection"]: s.value for s in by_name["isthmus_connection_up"].samples}
    assert set(states) == {"plc1", "plc2"}


async def test_labels_are_bounded_and_what_is_beyond_is_counted(works: Any) -> None:
    system = works.services.operations.answer
    system.lags.edges = [EdgeLag(name=f"e{i}", state="running", age_s=1, offset_s=0) for i in range(300)]
    one = ConnectionAnswer(
        name="c", driver="d", edge="e", zone="", access="", endpoint="", tags=0, state="Good", reason="", since=None,
        latency_ms=None, requests_s=None, values_s=None, errors=None, lag_s=None, last_good=None,
    )  # fmt: skip
    many = [one.model_copy(update={"name": f"c{i}"}) for i in range(1200)]
    body, _ = metrics.render(metrics.Families(system, many, 5), "application/openmetrics-text")
    by_name = {f.name: f for f in openmetrics(body.decode())}
    assert len(by_name["isthmus_edge_silent_seconds"].samples) == metrics.MOST_EDGES
    assert len(by_name["isthmus_connection_up"].samples) == metrics.MOST_CONNECTIONS
    left = {s.labels["label"]: s.value for s in by_name["isthmus_metrics_left_out"].samples}
    assert left == {"edge": 44, "connection": 200, "certificate": 0}


async def test_snapshots_are_held_on_the_local_socket_only(works: Any, as_: Any) -> None:
    refused = await as_.admin.post("/system/backups", json={"owner": 5}, headers={"X-Isthmus": "1"})
    assert (refused.status_code, refused.json()["code"]) == (403, "local_only")
    assert (await as_.viewer.post("/system/backups", json={"owner": 5})).json()["code"] == "role_missing"
    local = httpx.ASGITransport(LocalDoor(create_app(works.services)))  # type: ignore[arg-type]  # starlette's spelling of the same protocol
    async with httpx.AsyncClient(transport=local, base_url="http://localhost/api/v1") as client:
        assert (await client.post("/system/backups", json={"owner": 5})).json() == {"id": "s1", "owner": 5}
        outcome = {"file": "/b", "bytes": 3, "took_s": 1.0, "encrypted": False, "verified": True}
        assert (await client.put("/system/backups/s1", json=outcome)).status_code == 204
        assert (await client.delete("/system/backups/s2")).status_code == 204
    assert [ident for ident, _ in works.services.operations.released] == ["s1", "s2"]
