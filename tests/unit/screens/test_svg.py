"""Drawings from outside: what may hurt is taken out and told, what cannot be read safely is refused whole."""

from __future__ import annotations

import re
from xml.dom import minidom

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.screens.svg import MOST_BYTES, MOST_DEPTH, MOST_NODES, check_clean, import_svg
from isthmus.values.errors import ConfigError

pytestmark = [pytest.mark.mission("M23"), pytest.mark.real("defusedxml")]

HEAD = '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="0 0 10 20">'
BAD = re.compile(r"script|javascript|onload|onclick|foreignObject|@import|url\(\s*['\"]?(?!#)|https?://(?!www\.w3\.org/2000/svg)|<!|expression|iframe|animate|<set", re.IGNORECASE)  # fmt: skip
PNG = "data:image/png;base64,iVBORw0KGgo="

TAKEN_OUT = {
    "script": ("<script>alert(1)</script>", "scripts"),
    "script of another namespace": ('<x:script xmlns:x="http://www.w3.org/1999/xhtml">alert(1)</x:script>', "notes of a drawing program"),
    "script with a prefix": ('<s:script xmlns:s="http://www.w3.org/2000/svg">alert(1)</s:script>', "scripts"),
    "script in upper case": ("<SCRIPT>alert(1)</SCRIPT>", "<SCRIPT> elements"),
    "event handler": ('<rect onclick="alert(1)"/>', "event handlers"),
    "event handler in mixed case": ('<rect onLoad="alert(1)"/>', "event handlers"),
    "foreign content": ('<foreignObject><body xmlns="http://www.w3.org/1999/xhtml"><iframe src="x"/></body></foreignObject>', "foreign content"),
    "link": ('<a href="https://elsewhere/"><rect/></a>', "links"),
    "javascript link": ('<a xlink:href="javascript:alert(1)"><rect/></a>', "links"),
    "picture from elsewhere": ('<image href="https://elsewhere/x.png"/>', "pictures from elsewhere"),
    "picture of a file": ('<image xlink:href="file:///etc/passwd"/>', "pictures from elsewhere"),
    "svg within a picture": ('<image href="data:image/svg+xml;base64,PHN2Zz4="/>', "pictures from elsewhere"),
    "false png": ('<image href="data:image/png;base64,PHN2Zz4="/>', "pictures from elsewhere"),
    "use of elsewhere": ('<use href="https://elsewhere/x.svg#a"/>', "links to elsewhere"),
    "use of data": ('<use href="data:image/svg+xml;base64,PHN2Zz4=#x"/>', "links to elsewhere"),
    "style that imports": ("<style>@import url(https://elsewhere/x.css);</style>", "styles that reach out"),
    "style with a url": ("<style>rect{fill:url(https://elsewhere/x)}</style>", "styles that reach out"),
    "style with escapes": ("<style>rect{fill:\\75 rl(x)}</style>", "styles that reach out"),
    "style with a comment": ("<style>rect{fill:u/**/rl(x)}</style>", "styles that reach out"),
    "style attribute with a url": ('<rect style="fill:url(//elsewhere/x)"/>', "styles that reach out"),
    "style attribute that behaves": ('<rect style="behavior:url(x.htc)"/>', "styles that reach out"),
    "style attribute that computes": ('<rect style="width:expression(alert(1))"/>', "styles that reach out"),
    "fill from elsewhere": ('<rect fill="url(https://elsewhere/x#y)"/>', "styles that reach out"),
    "unknown style": ('<rect style="position:fixed"/>', "unknown styles"),
    "animation that sets a link": ('<set attributeName="href" to="javascript:alert(1)"/>', "animations"),
    "animation": ('<animate attributeName="x" values="1;2"/>', "animations"),
    "handler for an event": ('<handler type="x">alert(1)</handler>', "<handler> elements"),
    "filter": ('<filter id="f"><feImage href="https://elsewhere/x"/></filter>', "filters"),
    "pattern": ('<pattern id="p"><rect/></pattern>', "patterns"),
    "notes": ('<metadata><rdf xmlns="urn:x">x</rdf></metadata>', "notes of a drawing program"),
    "unknown attribute": ('<rect data-x="1"/>', "unknown attributes"),
    "base": ('<rect xml:base="https://elsewhere/"/>', "notes of a drawing program"),
    "odd number": ('<rect x="&lt;script"/>', "odd values of x"),
    "clip within a clip": ('<clipPath id="a"><rect clip-path="url(#a)"/></clipPath>', "styles that reach out"),
}  # fmt: skip


@pytest.mark.parametrize("case", TAKEN_OUT)
def test_what_may_hurt_is_taken_out_and_told(case: str) -> None:
    inside, what = TAKEN_OUT[case]
    drawing = import_svg(f'{HEAD}{inside}<path d="M0 0L5 5"/></svg>'.encode())
    assert what in {told.what for told in drawing.told}
    assert not BAD.search(drawing.svg), drawing.svg
    assert 'd="M0 0L5 5"' in drawing.svg
    minidom.parseString(drawing.svg)
    assert import_svg(drawing.svg.encode()).told == ()
    check_clean(drawing.svg.encode())


REFUSED = {
    "nothing": b"",
    "no markup": b"hello",
    "half": HEAD.encode(),
    "another language": b"<html xmlns='http://www.w3.org/1999/xhtml'/>",
    "another namespace": b'<svg xmlns="urn:x"/>',
    "bytes that are no text": HEAD.encode() + b"\xff\xfe</svg>",
    "an entity": b'<!DOCTYPE svg [<!ENTITY a "aaaa">]><svg xmlns="http://www.w3.org/2000/svg">&a;</svg>',
    "a bomb": b'<!DOCTYPE svg [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;">]><svg xmlns="http://www.w3.org/2000/svg">&c;</svg>',
    "a file by entity": b'<!DOCTYPE svg [<!ENTITY a SYSTEM "file:///etc/passwd">]><svg xmlns="http://www.w3.org/2000/svg">&a;</svg>',
    "a parameter entity": b'<!DOCTYPE svg [<!ENTITY % a SYSTEM "http://elsewhere/x.dtd"> %a;]><svg xmlns="http://www.w3.org/2000/svg"/>',
    "an unknown encoding": b'<?xml version="1.0" encoding="x-none"?><svg xmlns="http://www.w3.org/2000/svg"/>',
    "too many bytes": HEAD.encode() + b" " * MOST_BYTES + b"</svg>",
    "too many elements": HEAD.encode() + b"<g/>" * MOST_NODES + b"</svg>",
    "too deep": HEAD.encode() + b"<g>" * MOST_DEPTH + b"</g>" * MOST_DEPTH + b"</svg>",
    "use of itself": f'{HEAD}<g id="a"><use href="#a"/></g></svg>'.encode(),
    "use in a circle": f'{HEAD}<g id="a"><use href="#b"/></g><g id="b"><use href="#a"/></g></svg>'.encode(),
    "use that doubles": (HEAD + "".join(f'<g id="g{i}"><use href="#g{i + 1}"/><use href="#g{i + 1}"/></g>' for i in range(18)) + '<g id="g18"><rect/></g></svg>').encode(),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_read_safely_is_refused(case: str) -> None:
    with pytest.raises(ConfigError, match=r"^svg: ") as refused:
        import_svg(REFUSED[case])
    assert len(str(refused.value)) < 300


def test_a_doctype_alone_does_no_harm() -> None:
    named = b'<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "http://www.w3.org/Graphics/SVG/1.1/DTD/svg11.dtd">'
    assert import_svg(named + HEAD.encode() + b'<rect width="3"/></svg>').told == ()


def test_what_draws_is_kept() -> None:
    inside = (
        '<defs><linearGradient id="g"><stop offset="0" stop-color="#aaa"/></linearGradient>'
        '<clipPath id="c"><rect width="9" height="9"/></clipPath></defs><style>.a{fill:#ccc;stroke-width:2}</style>'
        f'<g transform="scale(2)" clip-path="url(#c)"><rect class="a" fill="url(#g)" style="stroke:#000;opacity:.5"/>'
        f'<text x="1" font-family="Arial, \'Inter\'">Tank &amp; 1 &lt; 2</text><use xlink:href="#c"/><image href="{PNG}"/></g>'
    )
    drawing = import_svg(f"{HEAD}{inside}</svg>".encode())
    assert drawing.told == ()
    for part in ("linearGradient", 'clip-path="url(#c)"', ".a{fill:#ccc;stroke-width:2}", "stroke:#000;opacity:.5", "Tank &amp; 1 &lt; 2", 'href="#c"', PNG):  # fmt: skip
        assert part in drawing.svg


@pytest.mark.parametrize(
    ("attributes", "size"),
    [('width="20mm" height="1in"', (75.59, 96)), ('viewBox="0 0 40 30"', (40, 30)), ("", (300, 150)), ('width="0" viewBox="0 0 5 5"', (5, 5)), ('width="1e9" height="100%" viewBox="0 0 -3 2"', (300, 150)), ('width="99999"', (8000, 150))],
)  # fmt: skip
def test_its_size_is_found(attributes: str, size: tuple[float, float]) -> None:
    drawing = import_svg(f'<svg xmlns="http://www.w3.org/2000/svg" {attributes}/>'.encode())
    assert (drawing.width, drawing.height) == pytest.approx(size, abs=0.01)
    assert import_svg(drawing.svg.encode()).told == ()


def test_a_drawing_that_is_not_clean_is_no_picture_of_a_screen() -> None:
    with pytest.raises(ConfigError, match="holds event handlers"):
        check_clean(f'{HEAD}<rect onclick="x"/></svg>'.encode())


PIECES = st.sampled_from([inside for inside, _ in TAKEN_OUT.values()] + ["<g>", "</g>", "<", "&amp;", "<!--", "-->", "<![CDATA[<script>]]>", "x", "<rect/>"])  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(st.lists(PIECES, max_size=6).map("".join) | st.text(max_size=40))
def test_whatever_comes_is_clean_or_refused(inside: str) -> None:
    try:
        drawing = import_svg(f"{HEAD}{inside}</svg>".encode("utf-8", "replace"))
    except ConfigError:
        return
    document = minidom.parseString(drawing.svg)
    tags = {node.tagName for node in document.getElementsByTagName("*")}
    assert tags <= {"svg", "g", "defs", "symbol", "use", "title", "desc", "linearGradient", "radialGradient", "stop", "clipPath", "style", "path", "rect", "circle", "ellipse", "line", "polyline", "polygon", "text", "tspan", "image"}  # fmt: skip
    for node in document.getElementsByTagName("*"):
        for name, value in node.attributes.items():
            assert not name.lower().startswith("on"), drawing.svg
            assert "javascript" not in value, drawing.svg
    assert import_svg(drawing.svg.encode()).told == ()
