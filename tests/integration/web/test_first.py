"""What core answers before its rooms are open, and that nothing else is taken for an answer."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from isthmus.web.api import create_app
from isthmus.web.doors import LocalDoor
from isthmus.web.first import Gate, create_first
from isthmus.web.server import running

pytestmark = [pytest.mark.real("uvicorn"), pytest.mark.mission("M47", "M82")]

HISTORY = "/api/v1/history"


def client(port: int, token: str = "") -> httpx.AsyncClient:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False, headers=headers)


async def test_history_is_answered_to_those_who_may_see_it(works: Any) -> None:
    tag = works.live.plant.tags[0].path
    async with (
        running(create_first(works.services), port=0) as port,
        client(port, works.tokens["viewer"]) as viewer,
        client(port) as nobody,
    ):
        first = await viewer.get(HISTORY, params={"tag": tag})
        unknown = await viewer.get(HISTORY, params={"tag": "not/there"})
        wrong = await viewer.get(HISTORY, params={"tag": tag, "points": 0})
        assert (first.status_code, unknown.status_code, wrong.status_code) == (200, 404, 422)
        assert (await viewer.get("/api/v1/gaps")).status_code == 200
        refused = await nobody.get(HISTORY, params={"tag": tag})
        assert (refused.status_code, refused.json()["code"]) == (401, "no_credentials")
    async with running(create_app(works.services), port=0) as port, client(port, works.tokens["viewer"]) as viewer:
        assert (await viewer.get(HISTORY, params={"tag": tag})).json() == first.json()


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/v1/health"),
        ("GET", "/api/v1/site"),
        ("GET", "/api/v1/alarms"),
        ("GET", "/api/v1/nothing/there"),
        ("POST", "/api/v1/control/writes"),
        ("POST", "/api/v1/history/import"),
        ("GET", "/metrics"),
        ("GET", "/"),
        ("GET", "/ca.crt"),
    ],
)
async def test_everything_else_comes_in_a_moment_and_says_so(works: Any, method: str, path: str) -> None:
    async with running(create_first(works.services), port=0) as port, client(port, works.tokens["admin"]) as admin:
        answer = await admin.request(method, path)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["code"] == "try_later"
        assert "in a moment" in answer.json()["detail"]
        assert '"ok"' not in answer.text  # by which others know that core is whole


async def test_the_live_stream_comes_in_a_moment_too(works: Any) -> None:
    headers = {"Authorization": f"Bearer {works.tokens['viewer']}"}
    async with running(create_first(works.services), port=0) as port:
        with pytest.raises(InvalidStatus) as refused:
            await connect(f"ws://127.0.0.1:{port}/api/v1/live", additional_headers=headers, proxy=None)
        assert refused.value.response.status_code == 503
        assert refused.value.response.headers["Retry-After"] == "1"


async def test_what_changes_something_is_not_taken_on_history_either(works: Any) -> None:
    async with running(create_first(works.services), port=0) as port, client(port, works.tokens["admin"]) as admin:
        assert (await admin.post(HISTORY, json={})).status_code == 405


async def test_the_gate_opens_to_links_that_are_there_already(works: Any) -> None:
    gate = Gate(create_first(works.services))
    async with running(gate, port=0) as port, client(port, works.tokens["viewer"]) as viewer:
        assert (await viewer.get("/api/v1/health")).status_code == 503
        gate.open(create_app(works.services))
        assert (await viewer.get("/api/v1/health")).json() == {"status": "ok"}
        assert (await viewer.get("/api/v1/alarms")).status_code != 503
        async with connect(
            f"ws://127.0.0.1:{port}/api/v1/live",
            additional_headers={"Authorization": f"Bearer {works.tokens['viewer']}"},
            proxy=None,
        ):
            assert gate.state.live.viewers == 1
    assert gate.state.live.viewers == 0  # the server that stops knows the streams of the newer application


async def test_the_local_socket_waits_like_the_network(works: Any, tmp_path: Any) -> None:
    gate = Gate(create_first(works.services))
    socket = tmp_path / "core.sock"
    async with (
        running(LocalDoor(gate), local=socket),
        httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(uds=str(socket)), base_url="http://localhost") as local,
    ):
        assert (await local.get("/api/v1/system")).status_code == 503
        gate.open(create_app(works.services))
        assert (await local.get("/api/v1/system")).status_code == 200
