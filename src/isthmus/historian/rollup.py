"""The rollup: ten-minute cells, each a pure function of its own samples, so that computing one again changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from isthmus.historian.codec import BITS, INT, MAX_DECIMALS, SINGLE_BITS, decode_sql
from isthmus.historian.model import BUCKET_NS, Dirty, Stretch, merge_spans
from isthmus.historian.schema import DATABASE, bucket_of, during
from isthmus.historian.store import Store
from isthmus.values.status import SEVERITY_MASK

_ROWS = 2_000_000  # samples of one step, so that memory stays bounded
_PAIRS = 5_000
_RUN = 250  # buckets looked at together: to count what is in them is short beside a step


def compute(store: Store, buckets: Mapping[int, set[int]], every_tag: NDArray[np.int32], ver: int) -> None:
    """Write the rows of the given buckets, for the tags they name or for every tag."""
    whole = sorted(b for b, tags in buckets.items() if Dirty.EVERY_TAG in tags)
    pairs = [(t, b) for b, tags in sorted(buckets.items()) if Dirty.EVERY_TAG not in tags for t in sorted(tags)]
    conditions = [condition for _, condition in _whole(store, whole, every_tag)]
    for condition in (*conditions, *_pairs(pairs)):
        store.command(_insert(condition, ver))


def compute_stretch(store: Store, stretch: Stretch, ver: int, stop: Callable[[], bool]) -> tuple[Stretch, ...]:
    """Write the rows of every bucket of a stretch, in steps of some two seconds; what was not come to when told to stop."""
    tags = np.array(sorted(stretch.tags), np.int32)
    for start in range(0, len(tags), _PAIRS):
        some = tags[start : start + _PAIRS]
        only = f" AND tag IN ({', '.join(map(str, some.tolist()))})"
        for bucket, condition in _whole(store, range(stretch.first, stretch.last), some, only):
            if stop():
                later = frozenset(tags[start + _PAIRS :].tolist())
                rest = Stretch(bucket, stretch.last, frozenset(some.tolist()))
                return (rest, Stretch(stretch.first, stretch.last, later)) if later else (rest,)
            store.command(_insert(condition + only, ver))
    return ()


def _whole(
    store: Store, buckets: Sequence[int], every_tag: NDArray[np.int32], only: str = ""
) -> Iterator[tuple[int, str]]:
    """Conditions that cover whole buckets, each of about as many samples as one step takes; and the bucket each begins with.

    In order of the buckets, so that everything before a condition's bucket is covered by those before it.
    """
    for start in range(0, len(buckets), _RUN):
        run = buckets[start : start + _RUN]
        counted = store.rows(
            f"SELECT {bucket_of()} AS b, count() FROM {DATABASE}.sample WHERE {_during(run)}{only} GROUP BY b ORDER BY b"
        )
        together: list[int] = []
        total = 0
        for bucket, rows in counted:
            if together and total + rows > _ROWS:
                yield together[0], _during(together)
                together, total = [], 0
            if rows > _ROWS:
                step = max(1, len(every_tag) * _ROWS // rows)
                for i in range(0, len(every_tag), step):
                    part = every_tag[i : i + step]
                    yield bucket, f"{_during([bucket])} AND tag BETWEEN {part[0]} AND {part[-1]}"
            else:
                together.append(bucket)
                total += rows
        if together:
            yield together[0], _during(together)


def _pairs(pairs: Sequence[tuple[int, int]]) -> Iterator[str]:
    for start in range(0, len(pairs), _PAIRS):
        some = pairs[start : start + _PAIRS]
        listed = ", ".join(f"({t}, {b})" for t, b in some)
        tags = ", ".join(str(t) for t in sorted({t for t, _ in some}))
        yield f"{_during(sorted({b for _, b in some}))} AND tag IN ({tags}) AND (tag, {bucket_of()}) IN ({listed})"


def _during(buckets: Sequence[int]) -> str:
    return during(merge_spans((b * BUCKET_NS, (b + 1) * BUCKET_NS) for b in buckets))


_COMPACT = 1 << 62  # differences of smaller mantissas fit an int64
SMALL = 15_000_000  # mantissas below this, times ten minutes in ns, fit an int64


def cells() -> str:
    """The rollup table read as plain columns: mantissas of low and high, and the integral.

    Kept small: low and high as distances from first, and where mantissas are exact decimals the integral as the exact
    area over first, in mantissa x ns. Otherwise (exponent 127) they are float bits. ``rising`` tells that no good value is
    lower than the one before: what a counter grew by is then last - first.
    """
    low, high = (f"if(exponent = {BITS}, {c}, first {sign} {c})" for c, sign in (("below", "-"), ("above", "+")))
    return f"""
SELECT tag, ts, first_ns, first_ns + lasts_ns AS last_ns, exponent, first, last, {low} AS low, {high} AS high, good, other,
  last_good, rising, lasts_ns - bad_ns AS good_ns,
  if({_exact("low", "high", "exponent")}, (area + first * good_ns) / intExp10(greatest(exponent, 0)), reinterpretAsFloat64(area)) AS integral
FROM {DATABASE}.rollup FINAL"""


def _exact(low: str, high: str, exponent: str) -> str:
    return f"({exponent} BETWEEN {INT} AND {MAX_DECIMALS} AND greatest(abs({low}), abs({high})) < {SMALL})"


def _insert(condition: str, ver: int) -> str:
    """One statement that computes cells and stores them.

    Mantissas stay mantissas where all good samples of the cell have one exponent, as they nearly always have: those
    forms keep the order of values.
    """

    def kept(mantissa: str, value: str) -> str:
        return f"multiIf(no = 0, 0, one, {mantissa}, reinterpretAsInt64({value}))"

    exact = _exact("mlow", "mhigh", "k")
    return f"""
INSERT INTO {DATABASE}.rollup (class, tag, ts, first_ns, lasts_ns, exponent, first, last, below, above, good, other, last_good, area, bad_ns, rising, ver)
SELECT class, tag, fromUnixTimestamp64Nano(b * {BUCKET_NS}, 'UTC'), ta[1] - b * {BUCKET_NS}, ta[-1] - ta[1], k,
  {kept("mfirst", "vfirst")}, {kept("mlast", "vlast")}, {kept("mfirst - mlow", "vlow")}, {kept("mhigh - mfirst", "vhigh")},
  no, n - no, oa[-1],
  multiIf(no = 0, 0, {exact}, toInt64(arraySum((h, m, good) -> if(good, h * (m - mfirst), 0), held, arrayPopBack(ma), arrayPopBack(oa))),
    reinterpretAsInt64(arraySum((h, v, good) -> if(good, h * v, 0.), held, arrayPopBack(va), arrayPopBack(oa)))),
  ta[-1] - ta[1] - toInt64(arraySum((h, good) -> if(good, h, 0), held, arrayPopBack(oa))),
  arrayAll(d -> d >= 0, arrayDifference(arrayFilter((v, good) -> good, va, oa))), {ver}
FROM (
  SELECT *, if(ordered, t_, arraySort(t_)) AS ta, arrayPopFront(arrayDifference(ta)) AS held,
    if(ordered, m_, arraySort((y, x) -> x, m_, t_)) AS ma,
    if(ordered, v_, arraySort((y, x) -> x, v_, t_)) AS va, if(ordered, o_, arraySort((y, x) -> x, o_, t_)) AS oa,
    kmin = kmax AND kmin < {SINGLE_BITS} AND greatest(abs(mlow), abs(mhigh)) < {_COMPACT} AS one,
    toInt8(multiIf(no = 0, 0, one, kmin, {BITS})) AS k
  FROM (
    SELECT any(class) AS class, tag, intDiv(t, {BUCKET_NS}) AS b, groupArray(t) AS t_, groupArray(m) AS m_,
      groupArray(v) AS v_, groupArray(ok) AS o_, arrayAll(d -> d >= 0, arrayDifference(t_)) AS ordered,
      count() AS n, countIf(ok) AS no, minIf(e, ok) AS kmin, maxIf(e, ok) AS kmax,
      argMinIf(m, t, ok) AS mfirst, argMaxIf(m, t, ok) AS mlast, minIf(m, ok) AS mlow, maxIf(m, ok) AS mhigh,
      argMinIf(v, t, ok) AS vfirst, argMaxIf(v, t, ok) AS vlast, minIf(v, ok) AS vlow, maxIf(v, ok) AS vhigh
    FROM (
      SELECT class, tag, toUnixTimestamp64Nano(ts) AS t, mantissa AS m, exponent AS e, {decode_sql()} AS v,
        bitAnd(status, {SEVERITY_MASK}) = 0 AND isFinite(v) AS ok
      FROM {DATABASE}.sample FINAL WHERE {condition}
    )
    GROUP BY tag, b
  )
)"""
