"""Drawings from outside: what may hurt is taken out and told, what cannot be read safely is refused whole.

A drawing keeps shapes, text, gradients and clips. Scripts, event handlers, links, animations, foreign content, pictures from
elsewhere and styles that reach out do not come in; by list, so that what nobody thought of stays out as well.
Source: SVG 2 (W3C), and what `defusedxml` says of attacks by XML
"""

from __future__ import annotations

import base64
import binascii
import re
from collections import Counter
from dataclasses import dataclass, field
from html import escape
from typing import Final

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser, ParseError

from isthmus.values.errors import ConfigError

MOST_BYTES: Final = 1024 * 1024
MOST_NODES: Final = 20_000
MOST_DEPTH: Final = 60
MOST_DRAWN: Final = 50_000
"""Elements after every `use` is followed."""
MOST_USES: Final = 20
"""How far one `use` may lead to another."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_SVG: Final = "http://www.w3.org/2000/svg"
_XLINK: Final = "http://www.w3.org/1999/xlink"
_DRAWN: Final = frozenset(
    {"path", "rect", "circle", "ellipse", "line", "polyline", "polygon", "text", "tspan", "image"}
)
_KEPT: Final = _DRAWN | {
    *("svg", "g", "defs", "symbol", "use", "title", "desc", "linearGradient", "radialGradient", "stop", "clipPath", "style")
}  # fmt: skip
_OPENED: Final = frozenset({"a", "switch"})
"""These go, what is in them stays."""
_QUIET: Final = frozenset({"metadata", "namedview"})
"""What drawing programs write for themselves."""
_NUMBERS: Final = _words(
    "x y x1 y1 x2 y2 cx cy r rx ry fx fy fr dx dy width height offset d points transform gradientTransform viewBox "
    "preserveAspectRatio gradientUnits spreadMethod clipPathUnits textLength lengthAdjust rotate version"
)
_LOOKS: Final = _words(
    "fill fill-opacity fill-rule stroke stroke-width stroke-opacity stroke-linecap stroke-linejoin stroke-miterlimit "
    "stroke-dasharray stroke-dashoffset opacity color display visibility stop-color stop-opacity clip-path clip-rule "
    "font-family font-size font-style font-weight text-anchor text-decoration letter-spacing dominant-baseline "
    "alignment-baseline baseline-shift vector-effect paint-order shape-rendering text-rendering"
)
_LOCAL: Final = re.compile(r"#[^\s\"'()<>\\]{1,200}\Z")
_REACHES: Final = re.compile(
    r"[\\@<]|url\s*\(\s*(?!['\"]?#)|expression|javascript|behaviou?r|-moz-binding|data\s*:|/\*", re.IGNORECASE
)
_PICTURE: Final = re.compile(r"data:image/(png|jpeg);base64,[A-Za-z0-9+/=\s]*\Z")
_RULE: Final = re.compile(r"([^{}]*)\{([^{}]*)\}")
_SELECTOR: Final = re.compile(r"[\w.#*,\s>-]+\Z")
_LENGTH: Final = re.compile(r"\s*(\d{1,7}(?:\.\d+)?|\.\d+)(px|pt|mm|cm|in|)\s*\Z")
_PX: Final = {"": 1.0, "px": 1.0, "pt": 4 / 3, "mm": 96 / 25.4, "cm": 96 / 2.54, "in": 96.0}
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")


@dataclass(slots=True)
class Node:
    """An element; texts stand between its children in their place."""

    tag: str
    attributes: dict[str, str]
    children: list[Node | str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Told:
    """Something that was taken out, and how often."""

    what: str
    count: int


@dataclass(frozen=True, slots=True)
class Drawing:
    """A drawing that is safe to show. Units: width, height in px"""

    svg: str
    width: float
    height: float
    told: tuple[Told, ...]
    root: Node

    @property
    def source(self) -> str:
        """As a data: URL."""
        return "data:image/svg+xml;base64," + base64.b64encode(self.svg.encode()).decode()


class _Tree:
    """What the parser tells, as nodes. Bounded while it grows."""

    def __init__(self) -> None:
        self.root: Node | None = None
        self._open: list[Node] = []
        self._count = 0

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        self._count += 1
        if self._count > MOST_NODES:
            raise ConfigError(f"svg: holds more than {MOST_NODES} elements; draw it simpler")
        if len(self._open) >= MOST_DEPTH:
            raise ConfigError(f"svg: elements stand more than {MOST_DEPTH} deep")
        node = Node(tag, dict(attributes))
        if self._open:
            self._open[-1].children.append(node)
        elif self.root is None:
            self.root = node
        self._open.append(node)

    def end(self, tag: str) -> None:
        self._open.pop()

    def data(self, text: str) -> None:
        if self._open:
            self._open[-1].children.append(text)

    def close(self) -> Node | None:
        return self.root


def import_svg(data: bytes) -> Drawing:
    """The drawing, cleaned, with everything told that was taken out.

    Raises: ConfigError if it is no drawing, too large, or declares entities
    """
    root = _parse(data)
    cleaner = _Cleaner()
    clean = cleaner.node(root)
    if clean is None:
        raise ConfigError("svg: the outermost element must be <svg>")
    _check_uses(clean)
    width, height = _size(clean)
    clean.attributes.update({"width": f"{width:g}", "height": f"{height:g}"})
    clean.attributes.setdefault("viewBox", f"0 0 {width:g} {height:g}")
    told = tuple(Told(what, count) for what, count in sorted(cleaner.told.items()))
    return Drawing(_write(clean), width, height, told, clean)


def check_clean(data: bytes) -> None:
    """Pass a drawing from which nothing would be taken.

    Raises: ConfigError
    """
    try:
        told = import_svg(data).told
    except ConfigError as error:
        raise ConfigError(str(error).removeprefix("svg: ")) from None
    if told:
        raise ConfigError(f"holds {told[0].what}; import the drawing, which cleans it")


def _parse(data: bytes) -> Node:
    if len(data) > MOST_BYTES:
        raise ConfigError(f"svg: is larger than {MOST_BYTES // 2**20} MiB, was {len(data)} bytes")
    try:
        parser = DefusedXMLParser(target=_Tree())
        parser.feed(data)
        root = parser.close()
    except DefusedXmlException:
        raise ConfigError(
            "svg: declares entities or refers to other files, which may not come in; save it as plain SVG"
        ) from None
    except (ParseError, ValueError, LookupError) as error:
        raise ConfigError(f"svg: is not well-formed XML: {str(error)[:120]}") from None
    if not isinstance(root, Node):
        raise ConfigError("svg: is empty")
    space, _, name = root.tag.rpartition("}")
    if name != "svg" or space.removeprefix("{") not in (_SVG, ""):
        raise ConfigError(f"svg: the outermost element must be <svg>, was {name[:40]!r}")
    return root


class _Cleaner:
    """Copies what is on the lists and counts what is not."""

    def __init__(self) -> None:
        self.told: Counter[str] = Counter()
        self._clip = False

    def node(self, node: Node) -> Node | None:
        """The clean copy; None where nothing is left."""
        name = self._name(node)
        if name is None:
            return None
        made = Node(name, self._attributes(node, name))
        if name == "style":
            text = self._sheet("".join(c for c in node.children if isinstance(c, str)))
            made.children = [text]
            return made if text else None
        if name == "image" and "href" not in made.attributes:
            self.told["pictures from elsewhere"] += 1
            return None
        if name == "use" and "href" not in made.attributes:
            return None
        clip, self._clip = self._clip, self._clip or name == "clipPath"
        made.children = self._children(node)
        self._clip = clip
        return made

    def _name(self, node: Node) -> str | None:
        space, _, name = node.tag.rpartition("}")
        if space.removeprefix("{") not in (_SVG, "") or name in _QUIET:
            self.told["notes of a drawing program"] += 1
            return None
        if name not in _KEPT or (self._clip and name in ("use", "image", "clipPath")):
            self.told[_WORDS.get(name, f"<{name[:40]}> elements")] += 1
            return None
        return name

    def _children(self, node: Node) -> list[Node | str]:
        kept: list[Node | str] = []
        for child in node.children:
            if isinstance(child, str):
                kept.append(_CONTROL.sub("", child))
                continue
            space, _, name = child.tag.rpartition("}")
            if name in _OPENED and space.removeprefix("{") in (_SVG, ""):
                self.told["links" if name == "a" else f"<{name}> elements"] += 1
                kept.append(Node("g", {}, self._children(child)))
                continue
            clean = self.node(child)
            if clean is not None:
                kept.append(clean)
        return kept

    def _attributes(self, node: Node, name: str) -> dict[str, str]:
        kept: dict[str, str] = {}
        for key, value in node.attributes.items():
            space, _, plain = key.rpartition("}")
            space = space.removeprefix("{")
            if space and not (space == _XLINK and plain == "href"):
                self.told["notes of a drawing program"] += 1
                continue
            good = self._value(name, plain, _CONTROL.sub("", value))
            if good is not None:
                kept[plain] = good
        return kept

    def _value(self, name: str, key: str, value: str) -> str | None:
        if key in _NUMBERS or key in ("id", "class"):
            if not re.search(r"[<>\"'\\]|url|script", value, re.IGNORECASE):
                return value
            self.told[f"odd values of {key}"] += 1
        elif key in _LOOKS:
            if not _REACHES.search(value) and not (self._clip and key == "clip-path"):
                return value
            self.told["styles that reach out"] += 1
        elif key == "style":
            return self._declarations(value)
        elif key == "href":
            return self._href(name, value.strip())
        elif key.lower().startswith("on"):
            self.told["event handlers"] += 1
        else:
            self.told["unknown attributes"] += 1
        return None

    def _href(self, name: str, value: str) -> str | None:
        if name == "image":
            return value if _is_picture(value) else None  # its element is counted
        if name in ("use", "linearGradient", "radialGradient") and _LOCAL.match(value):
            return value
        self.told["links to elsewhere"] += 1
        return None

    def _declarations(self, text: str) -> str | None:
        kept = []
        for one in text.split(";"):
            key, found, value = one.partition(":")
            key = key.strip().lower()
            if not found:
                continue
            if _REACHES.search(one) or (self._clip and key == "clip-path"):
                self.told["styles that reach out"] += 1
            elif key in _LOOKS:
                kept.append(f"{key}:{value.strip()}")
            else:
                self.told["unknown styles"] += 1
        return ";".join(kept) or None

    def _sheet(self, text: str) -> str:
        """The rules of a style sheet that are plain."""
        kept = []
        if re.search(r"@|\\|<|/\*", text):
            self.told["styles that reach out"] += 1
            return ""
        for selector, body in _RULE.findall(text):
            declarations = self._declarations(body)
            if not _SELECTOR.match(selector):
                self.told["unknown styles"] += 1
            elif declarations:
                kept.append(f"{selector.strip()}{{{declarations}}}")
        return "".join(kept)


_WORDS: Final = {
    "script": "scripts",
    "foreignObject": "foreign content",
    "animate": "animations",
    "animateMotion": "animations",
    "animateTransform": "animations",
    "set": "animations",
    "iframe": "foreign content",
    "filter": "filters",
    "mask": "masks",
    "pattern": "patterns",
    "marker": "markers",
}


def _is_picture(value: str) -> bool:
    found = _PICTURE.match(value)
    if not found:
        return False
    try:
        data = base64.b64decode(value.partition(",")[2], validate=False)
    except binascii.Error:
        return False
    return data.startswith(b"\x89PNG\r\n\x1a\n" if found[1] == "png" else b"\xff\xd8\xff")


def _check_uses(root: Node) -> None:
    """A few elements that use each other can be more than any screen draws.

    Raises: ConfigError
    """
    by_id: dict[str, Node] = {}
    todo = [root]
    while todo:
        node = todo.pop()
        if "id" in node.attributes:
            by_id.setdefault(node.attributes["id"], node)
        todo += [c for c in node.children if isinstance(c, Node)]
    weights: dict[int, int] = {}

    def weigh(node: Node, uses: int, inside: frozenset[int]) -> int:
        if uses > MOST_USES or id(node) in inside:
            raise ConfigError("svg: elements use each other in a circle, or too far")
        known = weights.get(id(node))
        if known is not None:
            return known
        inside |= {id(node)}
        total = 1 + sum(weigh(c, uses, inside) for c in node.children if isinstance(c, Node))
        target = by_id.get(node.attributes.get("href", "")[1:]) if node.tag == "use" else None
        if target is not None:
            total += weigh(target, uses + 1, inside)
        if total > MOST_DRAWN:
            raise ConfigError(f"svg: draws more than {MOST_DRAWN} elements")
        weights[id(node)] = total
        return total

    weigh(root, 0, frozenset())


def _size(root: Node) -> tuple[float, float]:
    """Units: px"""
    box = [
        float(n)
        for n in re.findall(
            r"[-+]?(?:\d{1,9}(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d{1,2})?", root.attributes.get("viewBox", "")
        )
    ]
    if len(box) != 4 or box[2] <= 0 or box[3] <= 0:
        root.attributes.pop("viewBox", None)
        box = [0.0, 0.0, 300.0, 150.0]
    sides = []
    for name, fallback in (("width", box[2]), ("height", box[3])):
        found = _LENGTH.match(root.attributes.get(name, ""))
        side = float(found[1]) * _PX[found[2]] if found else fallback
        sides.append(min(8000.0, max(1.0, side or fallback)))
    return sides[0], sides[1]


def _write(node: Node, outermost: bool = True) -> str:
    attributes = {"xmlns": _SVG, **node.attributes} if outermost else node.attributes
    said = "".join(f' {key}="{escape(value)}"' for key, value in attributes.items())
    inside = "".join(
        escape(c, quote=False) if isinstance(c, str) else _write(c, outermost=False) for c in node.children
    )
    return f"<{node.tag}{said}>{inside}</{node.tag}>" if inside else f"<{node.tag}{said}/>"
