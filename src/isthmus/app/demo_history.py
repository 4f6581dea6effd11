"""The demo's past: `isthmus demo --history 90d` lets the hall live through it in fast time and imports what its historian would have."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np

from isthmus.app.local import ImportDoor, call
from isthmus.simulators.bottling import quarter
from isthmus.simulators.bottling.hall import open_state
from isthmus.transfer.run import encode
from isthmus.values.errors import ConfigError, IsthmusError
from isthmus.values.sample import SampleBatch, ValueType

SEED: Final = 1
MOST_DAYS: Final = 180
"""A past of more days would be more than 150 million samples."""

PATIENCE_S: Final = 20.0
"""So long a core may be away: it comes back sooner, or the demo ends."""

_DTYPES: Final = {ValueType.FLOAT: np.float64, ValueType.INT: np.int64}


@dataclass(frozen=True, slots=True)
class Plan:
    """Which past a data directory has. Units: UTC s; samples taken so far"""

    days: int
    seed: int
    end_s: int
    done: bool = False
    samples: int = 0

    @property
    def key(self) -> str:
        """Names the import."""
        return hashlib.sha256(f"{self.days} {self.seed} {self.end_s}".encode()).hexdigest()[:32]


def _file(folder: Path) -> Path:
    return folder / "history.json"


def read_plan(folder: Path) -> Plan | None:
    """The past this hall has, or is about to have."""
    try:
        return Plan(**json.loads(_file(folder).read_text()))
    except (OSError, ValueError, TypeError):
        return None


def _write(folder: Path, plan: Plan) -> None:
    part = _file(folder).with_suffix(".part")
    part.write_text(json.dumps(asdict(plan)))
    part.replace(_file(folder))


class Stopped(IsthmusError):
    """Somebody ended the demo before its past was whole."""


def prepare(
    folder: Path,
    days: int,
    log: logging.Logger,
    stopped: Callable[[], bool] = lambda: False,
    now_s: float | None = None,
) -> quarter.Past | None:
    """Make the past of a new hall, and let the hall count on from its end.

    None if it is recorded already, or if the demo is stopped meanwhile. One that was cut off is made again, the same to the
    last digit.

    Raises: ConfigError if this hall has lived without a past, or with another
    """
    plan = read_plan(folder)
    if plan is None and any(folder.glob("hall-*.state")):
        raise ConfigError(
            f"history: the hall in {folder} has lived already; a past needs a new data directory: --data DIR"
        )
    if plan is not None and plan.days != days:
        raise ConfigError(f"history: this hall has a past of {plan.days} d; another one needs a new data directory")
    if plan is not None and plan.done:
        return None
    fresh = plan is None
    plan = plan or Plan(days, SEED, int(time.time() if now_s is None else now_s) // 10 * 10)
    began = time.monotonic()
    log.info("the hall lives through %d days before its first one", days)

    told = 0

    def look(share: float) -> None:
        nonlocal told
        if stopped():
            raise Stopped("stopped")
        if int(4 * share) > told:
            told = int(4 * share)
            log.info("the line has lived through %d %% of each day", 25 * told)

    try:
        past = quarter.simulate(days, plan.end_s, plan.seed, look)
    except Stopped:
        return None
    log.info("%d days took %.0f s", days, time.monotonic() - began)
    if fresh:
        quarter.carry_on(open_state(folder), past)
        _write(folder, plan)
    return past


def record(
    data: Path, folder: Path, past: quarter.Past, log: logging.Logger, stopped: Callable[[], bool] = lambda: False
) -> int:
    """Import a past, a day a block; what an earlier run brought is not sent again. The samples it has in all.

    Raises: NotConnected when core goes away, Stopped when somebody ends the demo, ConfigError if there is no plan
    """
    plan = read_plan(folder)
    if plan is None:
        raise ConfigError(f"{_file(folder)}: is gone")
    tags = {tag["path"]: tag for tag in call(data, "GET", "tags?limit=50000")["tags"]}
    known = {path: (int(tag["id"]), ValueType(tag["type"])) for path, tag in tags.items()}
    door = ImportDoor(data, lambda why: log.info("history: %s", why) if why else None, PATIENCE_S)
    _, stored = door.position(plan.key)
    days = len(past.record.days)
    samples, told = 0, 0
    try:
        with ThreadPoolExecutor(1, "history") as sender:
            pending: Future[None] | None = None
            for block, made in enumerate(quarter.Recorder(past, plan.seed).days(), 1):
                if stopped():
                    raise Stopped("the demo was stopped")
                batches = list(batches_of(made, known))
                samples += sum(map(len, batches))
                if pending is not None:
                    pending.result()
                if block > stored and batches:
                    pending = sender.submit(door.send, plan.key, 1, block, encode(batches))
                if 10 * block // days > told:
                    told = 10 * block // days
                    log.info("history: %d %%, %s samples", 10 * told, f"{samples:,}")
            if pending is not None:
                pending.result()
    finally:
        door.close()
    _write(folder, replace(plan, done=True, samples=samples))
    return samples


def batches_of(made: Sequence[quarter.Samples], known: Mapping[str, tuple[int, ValueType]]) -> Iterator[SampleBatch]:
    """Samples as columns by type; of tags that somebody took out of the plant there is no past."""
    chosen = [(known[one.path], one) for one in made if one.path in known]
    for kind in (ValueType.FLOAT, ValueType.INT, ValueType.TEXT):
        some = [(ident, one) for (ident, type_), one in chosen if type_ is kind]
        if not some:
            continue
        ids = np.repeat(np.array([i for i, _ in some], np.int32), [len(one.time_ns) for _, one in some])
        times = np.concatenate([one.time_ns for _, one in some])
        status = np.zeros(len(ids), np.uint32)
        if kind is ValueType.TEXT:
            words = [word for _, one in some for word in one.value]
            texts = tuple(dict.fromkeys(map(str, words)))
            code = {text: i for i, text in enumerate(texts)}
            yield SampleBatch(ids, times, np.array([code[str(w)] for w in words], np.int32), status, texts)
        else:
            values = np.concatenate([np.asarray(one.value) for _, one in some]).astype(_DTYPES[kind])
            yield SampleBatch(ids, times, values, status)
