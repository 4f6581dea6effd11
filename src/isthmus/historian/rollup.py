"""The rollup: ten-minute cells, each a pure function of its own samples, so that computing one again changes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from isthmus.historian.codec import BITS, SINGLE_BITS, decode_sql
from isthmus.historian.model import BUCKET_NS, Dirty
from isthmus.historian.schema import DATABASE, bucket_of
from isthmus.historian.store import Store
from isthmus.values.status import SEVERITY_MASK

_ROWS = 2_000_000  # samples of one step, so that memory stays bounded
_PAIRS = 5_000


def compute(store: Store, buckets: Mapping[int, set[int]], every_tag: NDArray[np.int32], ver: int) -> None:
    """Write the rows of the given buckets, for the tags they name or for every tag."""
    for condition in _steps(store, buckets, every_tag):
        store.command(_insert(condition, ver))


def _steps(store: Store, buckets: Mapping[int, set[int]], every_tag: NDArray[np.int32]) -> Iterator[str]:
    pairs: list[tuple[int, int]] = []
    for bucket, tags in sorted(buckets.items()):
        if Dirty.EVERY_TAG not in tags:
            pairs += [(t, bucket) for t in tags]
            continue
        span = _span(bucket, bucket)
        rows = int(store.rows(f"SELECT count() FROM {DATABASE}.sample WHERE {span}")[0][0])
        step = max(1, len(every_tag) * _ROWS // max(rows, 1))
        for start in range(0, len(every_tag), step):
            part = every_tag[start : start + step]
            yield f"{span} AND tag BETWEEN {part[0]} AND {part[-1]}"
    for start in range(0, len(pairs), _PAIRS):
        some = pairs[start : start + _PAIRS]
        listed = ", ".join(f"({t}, {b})" for t, b in some)
        tags = ", ".join(str(t) for t in sorted({t for t, _ in some}))
        of = [b for _, b in some]
        yield f"{_span(min(of), max(of))} AND tag IN ({tags}) AND (tag, {bucket_of()}) IN ({listed})"


def _span(first: int, last: int) -> str:
    start, end = first * BUCKET_NS, (last + 1) * BUCKET_NS
    return f"ts >= fromUnixTimestamp64Nano({start}, 'UTC') AND ts < fromUnixTimestamp64Nano({end}, 'UTC')"


def _insert(condition: str, ver: int) -> str:
    """One statement that computes cells and stores them.

    Mantissas stay mantissas where all good samples of the cell have one exponent, as they nearly always have: those
    forms keep the order of values. Otherwise the cell holds float bits.
    """

    def kept(mantissa: str, value: str) -> str:
        return f"if(no = 0, 0, if(one, {mantissa}, reinterpretAsInt64({value})))"

    return f"""
INSERT INTO {DATABASE}.rollup (class, tag, ts, first_ns, last_ns, exponent, first, last, low, high, good, other, last_good, integral, bad_ns, ver)
SELECT class, tag, fromUnixTimestamp64Nano(b * {BUCKET_NS}, 'UTC'), ta[1] - b * {BUCKET_NS}, ta[-1] - b * {BUCKET_NS},
  if(no = 0, 0, if(one, kmin, {BITS})), {kept("mfirst", "vfirst")}, {kept("mlast", "vlast")}, {kept("mlow", "vlow")}, {kept("mhigh", "vhigh")},
  no, n - no, oa[-1], arraySum((h, y, k) -> if(k, h * y, 0.), held, arrayPopBack(va), arrayPopBack(oa)),
  ta[-1] - ta[1] - toInt64(arraySum((h, k) -> if(k, h, 0), held, arrayPopBack(oa))), {ver}
FROM (
  SELECT *, arrayPopFront(arrayDifference(ta)) AS held,
    if(ordered, v_, arraySort((y, x) -> x, v_, t_)) AS va, if(ordered, o_, arraySort((y, x) -> x, o_, t_)) AS oa
  FROM (
    SELECT *, arrayAll(d -> d >= 0, arrayDifference(t_)) AS ordered, if(ordered, t_, arraySort(t_)) AS ta,
      kmin = kmax AND kmin < {SINGLE_BITS} AS one
    FROM (
      SELECT any(class) AS class, tag, intDiv(t, {BUCKET_NS}) AS b, groupArray(t) AS t_, groupArray(v) AS v_, groupArray(ok) AS o_,
        count() AS n, countIf(ok) AS no, minIf(k, ok) AS kmin, maxIf(k, ok) AS kmax,
        argMinIf(m, t, ok) AS mfirst, argMaxIf(m, t, ok) AS mlast, minIf(m, ok) AS mlow, maxIf(m, ok) AS mhigh,
        argMinIf(v, t, ok) AS vfirst, argMaxIf(v, t, ok) AS vlast, minIf(v, ok) AS vlow, maxIf(v, ok) AS vhigh
      FROM (
        SELECT class, tag, toUnixTimestamp64Nano(ts) AS t, mantissa AS m, exponent AS k, {decode_sql()} AS v,
          bitAnd(status, {SEVERITY_MASK}) = 0 AND isFinite(v) AS ok
        FROM {DATABASE}.sample FINAL WHERE {condition}
      )
      GROUP BY tag, b
    )
  )
)"""
