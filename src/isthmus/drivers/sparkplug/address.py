"""What a Sparkplug tag is: `GROUP/NODE[/DEVICE]:METRIC[#MEMBER…] [TYPE]`; parts with blanks, slashes or colons in quotes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from isthmus.ports.drivers import Address
from isthmus.values.errors import ConfigError
from isthmus.values.sample import ValueType

TYPES: Final = {"float": ValueType.FLOAT, "int": ValueType.INT, "bool": ValueType.INT, "text": ValueType.TEXT}
_PART: Final = re.compile(r"""\s*(?:"([^"]*)"|'([^']*)'|([^/:"']+))""")
_TYPE: Final = re.compile(r"\s+(float|int|bool|text)\s*\Z")
_QUOTED: Final = re.compile(r"""(?:"([^"]*)"|'([^']*)')((?:#.+)?)\Z""")


@dataclass(frozen=True, slots=True)
class SparkplugAddress:
    """A parsed address. ``device`` empty: a metric of the edge node itself; ``members`` lead into templates."""

    group: str
    node: str
    device: str
    metric: str
    members: tuple[str, ...]
    type: ValueType

    @property
    def source(self) -> tuple[str, str, str]:
        """Whose metric it is."""
        return self.group, self.node, self.device


@lru_cache(65_536)
def parse(text: str) -> SparkplugAddress:
    """The parts of an address.

    Raises: ConfigError naming the part that is wrong
    """
    kind = _TYPE.search(text)
    value_type = TYPES[kind[1]] if kind else ValueType.FLOAT
    body = text[: kind.start()] if kind else text
    parts, at = [], 0
    while True:
        match = _PART.match(body, at)
        if match is None:
            raise ConfigError(f"address: must be GROUP/NODE[/DEVICE]:METRIC, was {text!r}")
        parts.append(next(g for g in match.groups() if g is not None).strip())
        at = match.end()
        if body[at : at + 1] != "/":
            break
        at += 1
    if body[at : at + 1] != ":" or len(parts) not in (2, 3):
        raise ConfigError(f"address: must be GROUP/NODE[/DEVICE]:METRIC, was {text!r}")
    metric = body[at + 1 :].strip()
    quoted = _QUOTED.match(metric)
    if quoted:
        metric = quoted[1] if quoted[1] is not None else quoted[2]
        members = tuple(quoted[3].split("#")[1:])
    else:
        metric, *rest = metric.split("#")
        members = tuple(rest)
    if not metric or not all(parts) or not all(members):
        raise ConfigError(f"address: group, node, device, metric and members have names, was {text!r}")
    if any(c in part for part in parts for c in "+#\0"):
        raise ConfigError(f"address: + and # cannot be in the name of a group, node or device, was {text!r}")
    return SparkplugAddress(parts[0], parts[1], parts[2] if len(parts) == 3 else "", metric, members, value_type)


def write(group: str, node: str, device: str, metric: str, members: tuple[str, ...], value_type: ValueType) -> str:
    """An address that `parse` reads back."""
    place = "/".join(_quote(p, "/: ") for p in (group, node, device) if p)
    tail = "".join(f"#{m}" for m in members)
    kind = {ValueType.FLOAT: "float", ValueType.INT: "int", ValueType.TEXT: "text"}[value_type]
    return f"{place}:{_quote(metric, '#')}{tail} {kind}"


def _quote(text: str, special: str) -> str:
    if (
        text
        and not any(c in special or c in "\"'" for c in text)
        and text == text.strip()
        and not _TYPE.search(f" {text}")
    ):
        return text
    return f"'{text}'" if '"' in text else f'"{text}"'


def parse_address(text: str) -> Address:
    """What an address is, for the plan.

    Raises: ConfigError naming the part that is wrong
    """
    return Address(parse(text).type)
