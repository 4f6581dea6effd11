"""Process screens over HTTP: who may draw, who may publish, what is refused, what the audit trail says."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import httpx
import pytest
from settled import settled

from isthmus.security.model import Role
from isthmus.security.model import Scope as Narrowed

pytestmark = [pytest.mark.real("uvicorn", "sqlite"), pytest.mark.mission("M23")]

BOX = {"x": 8, "y": 8, "w": 48, "h": 48}
FILLER = "hall/line1/filler"


def drawn(*elements: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"schema": 1, "title": "Line 1", "width": 800, "height": 400, "elements": list(elements), **more}


PUMP = {"id": "p1", "kind": "symbol", "symbol": "filler", **BOX, "asset": ".", "bind": {"state": "./state"}}


@pytest.fixture
async def people(works: Any, port: int) -> Any:
    """Browsers of people who signed in."""
    found = {}
    for name, role in (("Eva", Role.ENGINEER), ("Sam", Role.SUPERVISOR), ("Otto", Role.OPERATOR)):
        works.security.create_user(name, role)
        headers = {"X-Isthmus": "1", "Origin": f"http://127.0.0.1:{port}"}
        browser = httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port}/api/v1", headers=headers, trust_env=False, verify=False
        )
        await browser.post("/session/link", json={"link": works.security.create_link(name)})
        found[name] = browser
    yield found
    await asyncio.gather(*(browser.aclose() for browser in found.values()))


async def test_drawn_reviewed_published_and_seen(works: Any, people: Any) -> None:
    eva, sam, otto = people["Eva"], people["Sam"], people["Otto"]
    made = await eva.post("/screens", json={"id": "line-1", "document": drawn(asset=FILLER)})
    assert made.status_code == 201
    assert (made.json()["state"], made.json()["rev"], made.json()["may"]) == ("draft", 1, ["save", "review", "retire"])
    assert (await otto.get("/screens")).json()["screens"] == []
    assert (await otto.get("/screens/line-1")).json()["code"] == "unknown_screen"
    saved = await eva.put("/screens/line-1", json={"document": drawn(PUMP, asset=FILLER), "base": 1})
    assert (saved.status_code, saved.json()["rev"], saved.json()["findings"]) == (200, 2, [])
    stale = await eva.put("/screens/line-1", json={"document": drawn(), "base": 1})
    assert (stale.status_code, stale.json()["code"]) == (409, "stale_base")
    assert (await eva.get("/screens/line-1")).headers["etag"] == '"2"'
    sent = (await eva.post("/screens/line-1/review", json={"base": 2, "note": "first"})).json()
    assert (sent["state"], sent["may"]) == ("review", ["save", "return", "retire"])
    assert (await eva.post("/screens/line-1/publish", json={"base": 3})).json()["code"] == "same_person"
    assert (await otto.post("/screens/line-1/publish", json={"base": 3})).json()["code"] == "role_missing"
    seen = (await sam.get("/screens/line-1", params={"version": 0})).json()
    assert seen["may"] == ["publish", "return", "retire"]
    done = (await sam.post("/screens/line-1/publish", json={"base": 3})).json()
    assert (done["state"], done["live"], done["published_by"]) == ("published", 1, "Sam")
    shown = (await otto.get("/screens/line-1")).json()
    assert (shown["version"], shown["may"], shown["document"]["elements"][0]["id"]) == (1, [], "p1")
    assert [s["id"] for s in (await otto.get("/screens")).json()["screens"]] == ["line-1"]
    assert (await otto.get("/screens/line-1", params={"version": 0})).status_code == 404
    versions = (await otto.get("/screens/line-1/versions")).json()["versions"]
    assert [(v["version"], v["authors"], v["published_by"], v["note"]) for v in versions] == [(1, ["Eva"], "Sam", "first")]  # fmt: skip
    rev = (await eva.put("/screens/line-1", json={"document": drawn(asset=FILLER), "base": 4})).json()["rev"]
    lines = (await eva.get("/screens/line-1/compare", params={"old": 1, "new": 0})).json()["differences"]
    assert lines == [{"action": "remove", "id": "p1", "kind": "symbol", "what": []}]
    assert (await otto.get("/screens/line-1/compare", params={"old": 1})).status_code == 404
    back = (await eva.post("/screens/line-1/restore", json={"base": rev, "version": 1})).json()
    assert (back["state"], len(back["document"]["elements"])) == ("draft", 1)
    assert (await sam.delete("/screens/line-1", params={"base": back["rev"]})).status_code == 204
    assert (await otto.get("/screens/line-1")).status_code == 404


async def test_the_audit_trail_tells_who_published_what(works: Any, people: Any, as_: Any) -> None:
    eva, sam = people["Eva"], people["Sam"]
    await eva.post("/screens", json={"id": "a", "document": drawn()})
    await eva.post("/screens/a/review", json={"base": 1, "note": "ready"})
    await sam.post("/screens/a/publish", json={"base": 2})
    await settled(works.services.audit)
    found = (await as_.security.get("/audit", params={"target": "screens/a/publish"})).json()["records"]
    outcome = next(r for r in found if r["kind"] == "outcome")
    intent = next(r for r in found if r["kind"] == "intent")
    assert (intent["who"]["name"], outcome["result"]) == ("Sam", "ok 200")
    assert outcome["new"] == {"screen": "a", "rev": 3, "state": "published", "live": 1}


async def test_a_wrong_screen_is_refused_whole_with_every_place(people: Any) -> None:
    eva = people["Eva"]
    bad = drawn({**PUMP, "x": "left", "bind": {"speed": "./speed"}}, {**PUMP}, colour="red")
    refused = await eva.post("/screens", json={"id": "a", "document": bad})
    assert (refused.status_code, refused.json()["code"]) == (422, "findings")
    assert [(e["path"], e["value"]) for e in refused.json()["errors"]] == [
        ("colour", "red"),
        ("elements.p1.x", "left"),
        ("elements.p1.bind", '{"speed":"./speed"}'),
        ("elements[1].id", "p1"),
    ]
    assert (await eva.get("/screens")).json()["screens"] == []
    for body in ({"id": "Bad Name", "document": drawn()}, {"id": "a", "asset": "hall/none"}, {"document": drawn()}):
        assert (await eva.post("/screens", json=body)).status_code == 422
    await eva.post("/screens", json={"id": "a", "document": drawn()})
    again = await eva.post("/screens", json={"id": "a", "document": drawn()})
    assert (again.status_code, again.json()["code"]) == (409, "name_taken")
    lame = drawn({"id": "t", "kind": "trend", **BOX})
    await eva.put("/screens/a", json={"document": lame, "base": 1})
    held = await eva.post("/screens/a/review", json={"base": 2})
    assert (held.status_code, held.json()["errors"][0]["path"]) == (422, "elements.t.pens")


async def test_who_may_not_draw_is_refused_and_a_token_publishes_nothing(as_: Any, people: Any) -> None:
    for client in (as_.viewer, as_.operator, as_.maintainer, as_.security):
        assert (await client.post("/screens", json={"id": "a", "document": drawn()})).status_code == 403
        assert (await client.post("/screens/import", json={"svg": "<svg/>"})).status_code == 403
    await as_.engineer.post("/screens", json={"id": "a", "document": drawn()})
    await as_.engineer.post("/screens/a/review", json={"base": 1})
    token = await as_.supervisor.post("/screens/a/publish", json={"base": 2})
    assert (token.status_code, token.json()["code"]) == (403, "needs_session")
    back = await as_.supervisor.post("/screens/a/return", json={"base": 2, "reason": "no title"})
    assert (back.json()["state"], back.json()["note"]) == ("draft", "no title")
    assert (await as_.engineer.get("/screens/zzz")).json()["code"] == "unknown_screen"


async def test_a_first_drawing_of_a_line(as_: Any) -> None:
    made = await as_.engineer.post("/screens", json={"id": "line1", "asset": "hall/line1"})
    document = made.json()["document"]
    assert [e["symbol"] for e in document["elements"] if e["kind"] == "symbol"] == ["filler"]
    assert made.json()["findings"] == []
    assert (await as_.engineer.post("/screens/line1/review", json={"base": 1})).status_code == 200


async def test_a_drawing_with_scripts_is_cleaned_and_told(as_: Any) -> None:
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" width="40" height="30" onload="alert(1)"><script>alert(2)</script>'
        '<image href="http://elsewhere/x.png"/><rect width="9" height="9"/></svg>'
    )
    drawing = (await as_.engineer.post("/screens/import", json={"svg": svg})).json()
    assert drawing["told"] == [
        {"what": "event handlers", "count": 1},
        {"what": "pictures from elsewhere", "count": 1},
        {"what": "scripts", "count": 1},
    ]
    clean = base64.b64decode(drawing["source"].partition(",")[2])
    assert b"alert" not in clean
    assert b"<rect" in clean
    picture = {"id": "im", "kind": "image", **BOX, "source": drawing["source"]}
    assert (await as_.engineer.post("/screens", json={"id": "a", "document": drawn(picture)})).status_code == 201
    raw = "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()
    refused = await as_.engineer.post("/screens", json={"id": "b", "document": drawn({**picture, "source": raw})})
    assert "holds event handlers" in refused.json()["errors"][0]["problem"]
    bomb = (
        '<!DOCTYPE svg [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;">]><svg xmlns="http://www.w3.org/2000/svg">&b;</svg>'
    )
    assert "declares entities" in (await as_.engineer.post("/screens/import", json={"svg": bomb})).json()["detail"]
    huge = await as_.engineer.post("/screens/import", json={"svg": "x" * 1_100_000})
    assert huge.status_code == 422
    assert (await as_.engineer.post("/screens/import", json={"svg": "x" * 5_000_000})).status_code == 413


async def test_who_is_narrowed_to_a_part_sees_the_screens_of_that_part(works: Any, people: Any, port: int) -> None:
    eva, sam = people["Eva"], people["Sam"]
    other = {"id": "v", "kind": "value", **BOX, "bind": {"value": "hall/line2/filler/speed"}}
    for ident, document in (("mine", drawn(PUMP, asset=FILLER)), ("theirs", drawn(other)), ("any", drawn())):
        await eva.post("/screens", json={"id": ident, "document": document})
        await eva.post(f"/screens/{ident}/review", json={"base": 1})
        assert (await sam.post(f"/screens/{ident}/publish", json={"base": 2})).status_code == 200
    token = works.security.create_token("line1", Role.OPERATOR, "test", scope=Narrowed(under=("hall/line1",)))[0]
    async with httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{port}/api/v1",
        headers={"Authorization": f"Bearer {token}"},
        trust_env=False,
        verify=False,
    ) as narrow:
        assert {s["id"] for s in (await narrow.get("/screens")).json()["screens"]} == {"mine", "any"}
        assert (await narrow.get("/screens/mine")).status_code == 200
        assert (await narrow.get("/screens/theirs")).status_code == 404
