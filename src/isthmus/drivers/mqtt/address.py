"""What of which topic a tag is: `TOPIC [PATH] [TYPE] [time=PATH[:UNIT]] [quality=PATH[:WORDS]] [where=PATH=TEXT] [age=30s]`.

One that may be written says how besides: `write=TOPIC [as=PATH or as='JSON'] [qos=0 or 1]`.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import orjson

from isthmus.ports.drivers import Address
from isthmus.values.errors import ConfigError
from isthmus.values.mqtt import check_filter
from isthmus.values.sample import ValueType

Step = str | int
Steps = tuple[Step, ...]

TYPES: Final = {
    "float": ValueType.FLOAT,
    "int": ValueType.INT,
    "bool": ValueType.INT,
    "text": ValueType.TEXT,
    "raw": ValueType.TEXT,
}
TIME_UNITS: Final = ("iso", "s", "ms", "us", "ns")
QUALITY_WORDS: Final = ("opcua", "da")
MAX_STEPS: Final = 32
PLACE: Final = "$value"
"""The text in the JSON of `as` in whose place the value goes."""
MAX_CHARS: Final = 400

_TOKEN: Final = re.compile(r"""\s*((?:[^\s'"]|'[^']*'|"[^"]*")+)""")
_STEP: Final = re.compile(
    r"""\.?(?:(?P<name>[^.\[\]'":=\s]+)|"(?P<double>[^"]*)"|'(?P<single>[^']*)')"""
    r"""|\[(?:(?P<index>-?[0-9]{1,6})|"(?P<inner>[^"]*)"|'(?P<inside>[^']*)')\]"""
)
_AGE: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|min|h|d)\Z")
_SECONDS: Final = {"ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86_400.0}


@dataclass(frozen=True, slots=True)
class MqttAddress:
    """A parsed address. ``path`` None: the payload as a whole; ``time`` and ``quality`` None: none declared."""

    topic: str
    type: str
    path: Steps | None = None
    time: Steps | None = None
    time_unit: str = ""
    quality: Steps | None = None
    quality_words: str = "opcua"
    where: tuple[Steps, str] | None = None
    age_s: float | None = None
    write: str = ""  # the topic a value is published to; empty: it cannot be written
    put: Steps = ()  # where the value goes in a new document
    template: str = ""  # a document in JSON, with PLACE where the value goes
    qos: int = 1  # of what is published


@lru_cache(65_536)
def parse(text: str) -> MqttAddress:
    """The parts of an address.

    Raises: ConfigError naming the part that is wrong
    """
    if len(text) > MAX_CHARS:
        raise ConfigError(f"address: has at most {MAX_CHARS} characters, was {text[:60]}…")
    words = _words(text)
    topic = check_filter(_unquoted(words[0]), "address: topic")
    found: dict[str, object] = {}
    for word in words[1:]:
        key, sign, rest = word.partition("=")
        if sign and key in _PARTS:
            part = _PARTS[key](rest)
        elif word in TYPES and "type" not in found:
            key, part = "type", {"type": word}
        else:
            key, part = "path", {"path": _path(word)}
        if key in found:
            raise ConfigError(f"address: {key} is given twice, was {text!r}")
        found[key] = True
        found |= {f"={k}": v for k, v in part.items()}
    fields: dict[str, object] = {"type": "float"} | {k[1:]: v for k, v in found.items() if k.startswith("=")}
    if fields.keys() & {"put", "template", "qos"} and "write" not in fields:
        raise ConfigError(f"address: as and qos say how it is written, and need write=TOPIC, was {text!r}")
    if fields["type"] == "raw" and fields.keys() - {"type", "age_s", "write", "qos"}:
        raise ConfigError(f"address: raw is the payload as it came; it has no path, time or quality, was {text!r}")
    return MqttAddress(topic, **fields)  # type: ignore[arg-type]  # the parsers above give each field its type


def parse_address(text: str) -> Address:
    """What an address is, for the plan. Two tags may well read the same message, so it occupies nothing.

    Raises: ConfigError naming the part that is wrong
    """
    return Address(TYPES[parse(text).type])


def _words(text: str) -> list[str]:
    words, at = [], 0
    text = text.strip()
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise ConfigError(f"address: a quote is not closed, was {text!r}")
        words.append(match[1])
        at = match.end()
    if not words:
        raise ConfigError("address: must be TOPIC [PATH] [TYPE] …, was empty")
    return words


def _unquoted(word: str) -> str:
    return word[1:-1] if len(word) > 1 and word[0] == word[-1] and word[0] in "'\"" else word


def _path(text: str) -> Steps:
    """Steps of a path such as `$.values[0]."a.b"`; the `$` may be left out."""
    at = 1 if text.startswith("$") else 0
    steps: list[Step] = []
    while at < len(text):
        match = _STEP.match(text, at)
        if match is None or match.end() == at:
            raise ConfigError(f"address: not a path such as $.values[0].temp, was {text!r}")
        if match["index"] is not None:
            steps.append(int(match["index"]))
        else:
            steps.append(next(v for k, v in match.groupdict().items() if k != "index" and v is not None))
        at = match.end()
    if len(steps) > MAX_STEPS:
        raise ConfigError(f"address: a path has at most {MAX_STEPS} steps, was {text!r}")
    return tuple(steps)


def _time(text: str) -> dict[str, object]:
    path, colon, unit = text.rpartition(":")
    if not colon:
        path, unit = text, ""
    if unit and unit not in TIME_UNITS:
        raise ConfigError(f"address: time is in {', '.join(TIME_UNITS)}, was {unit!r}")
    return {"time": _path(path), "time_unit": unit}


def _quality(text: str) -> dict[str, object]:
    path, colon, words = text.rpartition(":")
    if not colon:
        path, words = text, "opcua"
    if words not in QUALITY_WORDS:
        raise ConfigError(f"address: quality codes are {' or '.join(QUALITY_WORDS)}, was {words!r}")
    return {"quality": _path(path), "quality_words": words}


def _where(text: str) -> dict[str, object]:
    path, sign, wanted = text.partition("=")
    if not sign:
        raise ConfigError(f"address: where must be PATH=TEXT, was {text!r}")
    return {"where": (_path(path), _unquoted(wanted))}


def _age(text: str) -> dict[str, object]:
    match = _AGE.match(text)
    age_s = float(match[1]) * _SECONDS[match[2]] if match else math.nan
    if not 0.1 <= age_s <= 365 * 86_400:
        raise ConfigError(f"address: age must be a time such as 30s, 5min or 2h, was {text!r}")
    return {"age_s": age_s}


def _write(text: str) -> dict[str, object]:
    topic = check_filter(_unquoted(text), "address: write")
    if any(c in topic for c in "+#") or topic.startswith("$"):
        raise ConfigError(f"address: write is one topic, without + and # and not beginning with $, was {text!r}")
    if topic.startswith("spBv1.0/"):
        raise ConfigError(f"address: commands to Sparkplug nodes are the driver sparkplug's, was {text!r}")
    return {"write": topic}


def _as(text: str) -> dict[str, object]:
    bare = _unquoted(text)
    if bare[:1] not in ("{", "["):
        steps = _path(text)
        if not steps or any(isinstance(s, int) for s in steps):
            raise ConfigError(f"address: as is a path of names such as $.set.value, or JSON, was {text!r}")
        return {"put": steps}
    try:
        document = orjson.loads(bare)
    except orjson.JSONDecodeError as error:
        raise ConfigError(f"address: as is no JSON ({error}), was {text!r}") from None
    if not holds_place(document):
        raise ConfigError(f'address: as must hold "{PLACE}" where the value goes, was {text!r}')
    return {"template": bare}


def holds_place(document: Any) -> bool:
    """Whether the value goes anywhere in a document."""
    if isinstance(document, dict):
        return any(holds_place(v) for v in document.values())
    if isinstance(document, list):
        return any(holds_place(v) for v in document)
    return bool(document == PLACE)


def _qos(text: str) -> dict[str, object]:
    if text not in ("0", "1"):
        raise ConfigError(f"address: qos is 0 or 1, was {text!r}")
    return {"qos": int(text)}


_PARTS: Final = {
    "time": _time,
    "quality": _quality,
    "where": _where,
    "age": _age,
    "write": _write,
    "as": _as,
    "qos": _qos,
}
