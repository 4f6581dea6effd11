"""Draws the screens that the hall's operators want: documents for the room `screens`, put where core looks when it starts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import orjson

from isthmus.app.datadir import DataDir
from isthmus.screens.model import SCHEMA, SYMBOLS, read
from isthmus.simulators.bottling.screens import SCREENS, Element, Screen

WIDTH, HEIGHT = 1600, 900
_TALL: Final = 36
"""What is flatter has no room for a scale, and is a figure."""
_ROW: Final = 40
"""Values that are flatter stand in rows, their names beside them."""
_LETTER, _FIGURE = 8, 72
"""What a letter of a name takes, and what its figure needs at least."""
_BUTTON: Final = (180, 32)
_TITLES: Final = {screen.id: screen.title for screen in SCREENS}


def document(screen: Screen) -> dict[str, Any]:
    """The drawing of one screen, checked.

    Raises: Findings if it is none
    """
    elements = [one for i, element in enumerate(screen.elements) for one in _drawn(element, f"e{i}", screen.asset)]
    found = {
        "schema": SCHEMA,
        "title": screen.title,
        "width": WIDTH,
        "height": HEIGHT,
        "grid": 8,
        "elements": [*elements, *_ways(screen)],
    }
    return read({**found, "asset": screen.asset} if screen.asset else found, screen.id)


def lay_out(data: DataDir) -> None:
    """Put the documents where core finds them; what people drew since is never touched by that."""
    data.screens.mkdir(parents=True, exist_ok=True, mode=0o700)
    for screen in SCREENS:
        (data.screens / f"{screen.id}.json").write_bytes(orjson.dumps(document(screen), option=orjson.OPT_INDENT_2))


def _drawn(element: Element, ident: str, asset: str) -> Iterator[dict[str, Any]]:
    tags = [f"./{tag}" if asset else tag for tag in element.tags]
    place = {
        "id": ident,
        "x": element.x,
        "y": element.y,
        "w": element.width,
        "h": element.height,
        "label": element.label,
    }
    match element.kind:
        case "pipe":
            middle = element.y + element.height / 2
            points = [[element.x, middle], [element.x + element.width, middle]]
            yield {"id": ident, "kind": "pipe", "points": points, "line": "main", "arrow": True}
            below = {"x": element.x + 16, "y": middle + 24, "w": element.width - 16, "h": 24}
            yield {"id": f"{ident}v", "kind": "value", **below, "label": element.label, "bind": {"value": tags[0]}}
        case "state" if element.height >= _ROW:  # room for its name above it
            yield {**place, "id": f"{ident}n", "kind": "text", "text": element.label, "size": 12, "h": 16, "label": ""}
            yield {**place, "y": element.y + 16, "h": element.height - 16, "kind": "state", "bind": {"state": tags[0]}}
        case "state":
            yield {**place, "kind": "state", "bind": {"state": tags[0]}}
        case "bar" if element.height >= _TALL:
            yield {**place, "kind": "indicator", "bind": {"value": tags[0]}}
        case "bar" | "value" if element.height < _ROW:  # no room for a name above it: one row
            name = max(element.width * 9 // 20, min(_LETTER * len(element.label), element.width - _FIGURE))
            text = {"text": element.label, "size": 14, "h": 20, "w": name, "label": ""}
            yield {**place, **text, "y": element.y + (element.height - 20) / 2, "id": f"{ident}n", "kind": "text"}
            beside = {"x": element.x + name, "w": element.width - name, "label": ""}
            yield {**place, **beside, "kind": "value", "bind": {"value": tags[0]}}
        case "bar" | "value":
            yield {**place, "kind": "value", "bind": {"value": tags[0]}}
        case "trend":
            yield {**place, "kind": "trend", "pens": tags, "span_s": 3600}
        case "table":
            yield {**place, "kind": "table", "rows": tags}
        case "alarms":
            yield {
                **place,
                "kind": "button",
                "w": 240,
                "h": 40,
                "to": {"page": "alarms", **({"asset": asset} if asset else {})},
            }
        case "button":
            yield {**place, "kind": "button", "to": {"page": "asset", "asset": asset}}
        case symbol:
            unit = element.tags[0].rpartition("/")[0]  # whose page a click opens
            own = {"asset": f"./{unit}" if asset else unit} if unit else {}
            names = [f"./{tag.removeprefix(f'{unit}/')}" for tag in element.tags]
            bind = dict(zip(SYMBOLS[symbol], names, strict=False))
            yield {**place, "kind": "symbol", "symbol": symbol, "bind": bind, "on_click": "asset", **own}


def _ways(screen: Screen) -> Iterator[dict[str, Any]]:
    """Buttons to the screen above and to those below, in a row at the foot."""
    below = dict.fromkeys(e.to for e in screen.elements if e.to)
    for i, ident in enumerate(dict.fromkeys((screen.above, *below)) if screen.above else below):
        place = {"x": 60 + i * (_BUTTON[0] + 16), "y": HEIGHT - _BUTTON[1] - 4, "w": _BUTTON[0], "h": _BUTTON[1]}
        label = f"Up: {_TITLES[ident]}" if ident == screen.above else _TITLES[ident]
        yield {"id": f"way{i}", "kind": "button", **place, "label": label, "to": {"screen": ident}}
