"""What the API promises to others: who may do what, no way to a device, and no weight on it."""

from __future__ import annotations

import asyncio
import urllib.error
import urllib.request

import orjson
import pytest

from isthmus.bench.viewers import Viewer, stop

from .conftest import until

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.leaks("the demo serves all tests of this folder"),
    pytest.mark.real("nats-server", "uvicorn"),
]

REQUESTS = "connections/plc-filler/requests"
WATCHED = "packaging/line1/filler/state_time"  # counts every second, also while the line stands


async def token(demo, role: str) -> str:
    return (await demo.ask("POST", "tokens", {"name": f"e2e {role}", "role": role}))["token"]


async def http(demo, method: str, path: str, secret: str, body=None) -> tuple[int, dict]:
    """A call over HTTP as a business system makes it."""

    def ask() -> tuple[int, dict]:
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {secret}"} if secret else {})
        data = None if body is None else orjson.dumps(body)
        request = urllib.request.Request(f"{demo.origin}/api/v1/{path}", data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, orjson.loads(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return error.code, orjson.loads(error.read())

    return await asyncio.to_thread(ask)


async def test_a_viewer_reads_everything_and_changes_nothing(demo):
    viewer = await token(demo, "viewer")
    status, plant = await http(demo, "GET", "site", viewer)
    assert (status, plant["site"]) == (200, "lyon")
    text = (await demo.ask("GET", "plant"))["text"]
    changed = text.replace("Bottling hall", "Brewery", 1)
    for path, body in (
        ("plant/plan", {"text": changed}),
        ("plant/apply", {"text": changed, "base": 1, "reason": "no"}),
        ("plant/connections", {"name": "x", "connection": {"driver": "modbus-tcp", "host": "127.0.0.1"}, "base": 1}),
        ("tokens", {"name": "x", "role": "admin"}),
    ):
        status, problem = await http(demo, "POST", path, viewer, body)
        assert (status, problem["status"]) == (403, 403), path
        assert "viewer" in problem["detail"], "the answer carries its reason"
    assert (await http(demo, "GET", "site", ""))[0] == 401
    assert (await demo.ask("GET", "plant"))["text"] == text


async def test_who_runs_the_system_does_not_run_the_machines(demo):
    for role in ("viewer", "engineer", "admin"):
        body = {"path": "packaging/line1/filler/target", "value": 100}
        status, problem = await http(demo, "POST", "control/writes", await token(demo, role), body)
        assert (status, problem["code"]) == (403, "role_missing")


@pytest.mark.mission("M46")
async def test_a_hundred_viewers_of_a_tag_add_no_request_to_its_plc(demo):
    async def rate() -> float:
        """Requests a second as the edge counts them: the middle one of what it says while four seconds pass."""
        seen = []
        for _ in range(20):
            seen.append((await demo.value(REQUESTS))["value"])
            await asyncio.sleep(0.2)
        return sorted(seen)[len(seen) // 2]

    before = await rate()
    secret = await token(demo, "viewer")
    viewers = [Viewer(demo.port, secret, [WATCHED]) for _ in range(100)]
    tasks = [asyncio.create_task(viewer.run()) for viewer in viewers]
    try:

        async def frames() -> int:
            return min(viewer.frames for viewer in viewers)

        await until(frames, lambda least: least >= 3, "each viewer sees the tag change")
        during = await rate()
    finally:
        await stop(tasks)  # all of them gone at once, in the middle of a frame
    after = await rate()
    assert before > 1
    assert during <= 1.15 * max(before, after)  # a machine that is busy meanwhile may make it fewer
