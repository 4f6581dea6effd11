"""A document is taken whole or refused whole, with every element and value that is wrong."""

from __future__ import annotations

import base64
import copy
import math
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from isthmus.screens.model import KINDS, SYMBOLS, bindings, check_id, difference, read, resolve
from isthmus.values.errors import ConfigError, Findings

PNG = "data:image/png;base64," + base64.b64encode(b"\x89PNG\r\n\x1a\n0000").decode()
SVG = "data:image/svg+xml;base64," + base64.b64encode(b'<svg xmlns="http://www.w3.org/2000/svg"><path d="M0 0h9"/></svg>').decode()  # fmt: skip
BOX = {"x": 0, "y": 0, "w": 40, "h": 40}
GOOD: dict[str, Any] = {
    "schema": 1,
    "title": "Water supply",
    "description": "to the filler",
    "width": 1200,
    "height": 720,
    "grid": 8,
    "asset": "hall/line1",
    "type": "line",
    "elements": [
        {"id": "tank", "kind": "symbol", "symbol": "tank", **BOX, "bind": {"level": "./tank/level"}, "asset": "."},
        {"id": "p1", "kind": "symbol", "symbol": "pump", **BOX, "bind": {"state": "./state", "value": "hall/x/speed"}, "label": "{asset.name}", "rotate": 90, "flip": True, "on_click": "asset", "group": "g1", "locked": True},
        {"id": "pipe", "kind": "pipe", "points": [[0, 0], [10, 0.5]], "line": "signal", "arrow": True, "from": {"id": "tank", "side": "right"}, "to": {"id": "p1", "side": "left"}},
        {"id": "t", "kind": "text", **BOX, "text": "Two\nlines", "size": 20, "bold": True, "align": "middle"},
        {"id": "v", "kind": "value", **BOX, "bind": {"value": "./speed"}, "size": 16},
        {"id": "s", "kind": "state", **BOX, "bind": {"state": "./state"}},
        {"id": "i", "kind": "indicator", **BOX, "bind": {"value": "./speed"}},
        {"id": "sp", "kind": "spark", **BOX, "bind": {"value": "./speed"}, "span_s": 3600},
        {"id": "tr", "kind": "trend", **BOX, "pens": ["./speed", "hall/x/speed"], "span_s": 600},
        {"id": "tb", "kind": "table", **BOX, "rows": ["./speed"]},
        {"id": "b", "kind": "button", **BOX, "to": {"screen": "other", "asset": "./pump2"}},
        {"id": "b2", "kind": "button", **BOX, "to": {"page": "alarms"}},
        {"id": "sh", "kind": "shape", **BOX, "d": "M0 0L10 10z", "box": [0, 0, 10, 10], "fill": "none", "stroke": "edge", "width": 1.5},
        {"id": "im", "kind": "image", **BOX, "source": PNG, "faint": True},
        {"id": "im2", "kind": "image", **BOX, "source": SVG},
    ],
}  # fmt: skip


def wrong(document: Any) -> list[tuple[str, str, str]]:
    with pytest.raises(Findings) as refused:
        read(document)
    return [(f.path, f.problem, f.value) for f in refused.value.findings]


def with_element(ident: str, **more: Any) -> dict[str, Any]:
    made = copy.deepcopy(GOOD)
    next(e for e in made["elements"] if e["id"] == ident).update(more)
    return made


@pytest.mark.mission("M23")
def test_a_good_document_comes_back_as_it_is() -> None:
    assert read(GOOD) == GOOD
    assert read(read(GOOD)) == GOOD
    assert {e["kind"] for e in GOOD["elements"]} == set(KINDS)


@pytest.mark.parametrize(
    ("ident", "more", "path", "problem"),
    [
        ("p1", {"x": math.nan}, "elements.p1.x", "must lie between"),
        ("p1", {"x": math.inf}, "elements.p1.x", "must lie between"),
        ("p1", {"x": 10**400}, "elements.p1.x", "must lie between"),
        ("p1", {"x": "4"}, "elements.p1.x", "must be a number"),
        ("p1", {"x": True}, "elements.p1.x", "must be a number"),
        ("p1", {"w": 0}, "elements.p1.w", "must lie between 1 and"),
        ("p1", {"symbol": "rocket"}, "elements.p1.symbol", "must be one of pump"),
        ("p1", {"symbol": ["pump"]}, "elements.p1.symbol", "must be one of pump"),
        ("p1", {"bind": {"level": "./level"}}, "elements.p1.bind", "a pump has no slot 'level'"),
        ("p1", {"bind": {"state": "../up"}}, "elements.p1.bind", "state: path segment '..'"),
        ("p1", {"bind": {"state": "./a//b"}}, "elements.p1.bind", "path segment ''"),
        ("p1", {"bind": "./state"}, "elements.p1.bind", "must say a path"),
        ("p1", {"rotate": 45}, "elements.p1.rotate", "must be one of 0, 90"),
        ("p1", {"onload": "alert(1)"}, "elements.p1.onload", "unknown key"),
        ("p1", {"label": "a\x00b"}, "elements.p1.label", "control characters"),
        ("p1", {"label": "\ud800"}, "elements.p1.label", "control characters"),
        ("p1", {"kind": "marquee"}, "elements.p1.kind", "must be one of"),
        ("pipe", {"points": [[0, 0]]}, "elements.pipe.points", "list of 2 to"),
        ("pipe", {"points": [[0, 0], [1]]}, "elements.pipe.points", "as [x, y]"),
        ("pipe", {"to": {"id": "nobody", "side": "left"}}, "elements.pipe.to", "names no element"),
        ("pipe", {"to": {"id": "pipe", "side": "left"}}, "elements.pipe.to", "names no element"),
        ("pipe", {"to": {"id": "p1", "side": "inside"}}, "elements.pipe.to", "must be one of left"),
        ("b", {"to": {"screen": "Other Screen"}}, "elements.b.to", "id: must be"),
        ("b", {"to": {"page": "https://elsewhere"}}, "elements.b.to", "must be one of overview"),
        ("b", {"to": {"page": "alarms", "screen": "x"}}, "elements.b.to", "either screen or page"),
        ("b", {"to": {"href": "javascript:1"}}, "elements.b.to", "must say screen or page"),
        ("sh", {"d": 'M0 0" onload="x'}, "elements.sh.d", "must be the data of an SVG path"),
        ("sh", {"box": [0, 0, 0, 1]}, "elements.sh.box", "size above 0"),
        ("sh", {"fill": "red"}, "elements.sh.fill", "must be one of none"),
        ("im", {"source": "https://elsewhere/x.png"}, "elements.im.source", "must be a data: URL"),
        ("im", {"source": "data:text/html;base64,PHNjcmlwdD4="}, "elements.im.source", "must be a data: URL"),
        ("im", {"source": PNG.replace("png", "jpeg")}, "elements.im.source", "is no image/jpeg"),
        ("im", {"source": "data:image/svg+xml;base64," + base64.b64encode(b'<svg xmlns="http://www.w3.org/2000/svg"><script/></svg>').decode()}, "elements.im.source", "holds scripts"),
        ("t", {"size": 13}, "elements.t.size", "must be one of 12"),
        ("tb", {"rows": ["./a"] * 21}, "elements.tb.rows", "list of 0 to 20"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_element_and_value(ident: str, more: Any, path: str, problem: str) -> None:
    found = wrong(with_element(ident, **more))
    assert len(found) == 1, found
    assert found[0][0] == path
    assert problem in found[0][1]
    "".join(found[0]).encode()


def test_every_mistake_is_told_at_once() -> None:
    bad = with_element("p1", x="a", y="b")
    bad["elements"].append({"id": "p1", "kind": "text", **BOX})
    bad["width"] = 3
    bad["colour"] = "red"
    assert [path for path, _, _ in wrong(bad)] == [
        "colour", "width", "elements.p1.x", "elements.p1.y", "elements[15].id", "elements.p1.text",
    ]  # fmt: skip


@pytest.mark.parametrize("raw", [None, [], 7, "x", {}, {"schema": 2, "title": "x"}, {"schema": 1, "title": " ", "width": 100, "height": 100}, {**GOOD, "elements": {}}, {**GOOD, "elements": [1]}, {**GOOD, "elements": [{}] * 2001}])  # fmt: skip
def test_what_is_no_document_is_refused(raw: Any) -> None:
    assert wrong(raw)


def test_a_newer_schema_says_so() -> None:
    assert wrong({**GOOD, "schema": 9}) == [("schema", "is of a newer Isthmus; this one reads up to 1", "9")]


def test_a_screen_that_is_too_large_says_so() -> None:
    big = "data:image/png;base64," + base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(1_600_000)).decode()
    assert "larger than 2 MiB" in wrong(with_element("im", source=big))[0][1]


EASY = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # colleagues share the machine
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


@EASY
@given(st.sampled_from([e["id"] for e in GOOD["elements"]]), st.data())
def test_no_value_breaks_the_reader(ident: str, data: st.DataObject) -> None:
    element = next(e for e in GOOD["elements"] if e["id"] == ident)
    key = data.draw(st.sampled_from(sorted(element)))
    try:
        read(with_element(ident, **{key: data.draw(JSON)}))
    except Findings as refused:
        "\n".join(map(str, refused.findings)).encode()  # it can be sent


@EASY
@given(JSON)
def test_no_document_breaks_the_reader(raw: Any) -> None:
    with pytest.raises(Findings):
        read(raw)


@pytest.mark.parametrize(
    ("path", "asset", "full"),
    [("./speed", "hall/p1", "hall/p1/speed"), ("./speed", "", ""), ("hall/x", "hall/p1", "hall/x"), (".", "hall/p1", "hall/p1"), (".", "", "")],
)  # fmt: skip
def test_one_template_serves_many_assets(path: str, asset: str, full: str) -> None:
    assert resolve(path, asset) == full


def test_bindings_are_found_wherever_they_stand() -> None:
    found = [pair for element in GOOD["elements"] for pair in bindings(element)]
    assert ("bind.level", "./tank/level") in found
    assert ("pens[1]", "hall/x/speed") in found
    assert ("rows[0]", "./speed") in found


def test_a_difference_names_elements_and_what_about_them() -> None:
    new = with_element("p1", x=99)
    new["elements"] = [*new["elements"][1:], {"id": "n", "kind": "text", **BOX, "text": "new"}]
    new["title"] = "Other"
    assert difference(GOOD, new) == [
        {"action": "change", "id": "", "kind": "screen", "what": ["title"]},
        {"action": "remove", "id": "tank", "kind": "symbol", "what": []},
        {"action": "change", "id": "p1", "kind": "symbol", "what": ["x"]},
        {"action": "add", "id": "n", "kind": "text", "what": []},
    ]
    assert difference(GOOD, GOOD) == []
    turned = {**GOOD, "elements": GOOD["elements"][::-1]}
    assert difference(GOOD, turned) == [{"action": "change", "id": "", "kind": "screen", "what": ["order"]}]


@pytest.mark.parametrize("ident", ["", "A", "a b", "-a", "a" * 61, "../x", "é"])
def test_a_bad_name_is_refused(ident: str) -> None:
    with pytest.raises(ConfigError, match="id: must be"):
        check_id(ident)


def test_every_symbol_has_a_place_for_a_tag() -> None:
    assert all(SYMBOLS.values())
