"""Every subject of the bus, written and read in one place.

f.v1.<site>.<edge>.<live|backfill|event>   frames, in the stream F
hb.v1.<site>.<edge>                        heartbeats of an edge, not stored
mdl.v1.<edge>                              a new model waits in the KV bucket
ask.v1.<edge>.<what>                       questions to an edge that change nothing (a test read)
enr.v1.<edge>                              an edge on another machine asks for its next certificate
cmd.v1.<site>.<edge>.<what>                commands; only core may publish them
"""

from __future__ import annotations

from isthmus.values.errors import Malformed
from isthmus.values.ids import decode_segment, encode_segment
from isthmus.values.lane import Lane

FRAME_STREAM = "F"
FRAME_FILTER = "f.v1.>"
MODEL_BUCKET = "model"
HEARTBEAT_FILTER = "hb.v1.>"
ENROL_FILTER = "enr.v1.*"

_LANES = {Lane.LIVE: "live", Lane.BACKFILL: "backfill", Lane.EVENT: "event"}
_LANE_OF = {word: lane for lane, word in _LANES.items()}


def frames(site: str, edge: str, lane: Lane) -> str:
    """Where an edge publishes the frames of a lane."""
    return f"f.v1.{encode_segment(site)}.{encode_segment(edge)}.{_LANES[lane]}"


def parse_frames(subject: str) -> tuple[str, str, Lane]:
    """Site, edge and lane of a frame's subject.

    Raises: Malformed
    """
    parts = subject.split(".")
    if len(parts) != 5 or parts[:2] != ["f", "v1"] or parts[4] not in _LANE_OF:
        raise Malformed(f"{subject!r} is not a subject of frames")
    return decode_segment(parts[2]), decode_segment(parts[3]), _LANE_OF[parts[4]]


def heartbeat(site: str, edge: str) -> str:
    """Where an edge says that it is alive."""
    return f"hb.v1.{encode_segment(site)}.{encode_segment(edge)}"


def model_poke(edge: str) -> str:
    """Where core says that a new model waits."""
    return f"mdl.v1.{encode_segment(edge)}"


def model_key(edge: str) -> str:
    """The edge's key in the model bucket; keys and subjects share one alphabet, `%` excepted, which keys spell `=`."""
    return encode_segment(edge).replace("%", "=")


def ask(edge: str, what: str) -> str:
    """Where an edge answers questions."""
    return f"ask.v1.{encode_segment(edge)}.{what}"


def command(site: str, edge: str, what: str) -> str:
    """Where an edge takes commands: write, outcome, mode, lock, trip."""
    return f"cmd.v1.{encode_segment(site)}.{encode_segment(edge)}.{what}"


def enrol(edge: str) -> str:
    """Where an edge on another machine asks core for its next certificate."""
    return f"enr.v1.{encode_segment(edge)}"


def parse_enrol(subject: str) -> str:
    """The edge of such a subject.

    Raises: Malformed
    """
    parts = subject.split(".")
    if len(parts) != 3 or parts[:2] != ["enr", "v1"]:
        raise Malformed(f"{subject!r} is not where an edge asks for a certificate")
    return decode_segment(parts[2])
