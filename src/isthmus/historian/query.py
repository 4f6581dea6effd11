"""Questions to the record, as the engine's SQL.

Every answer is made of *cells*: what is known of one tag in one stretch of time (first and last sample, lowest, highest,
count, integral of the held good value, good time). A rollup row is a cell of ten minutes; where the rollup cannot be
used a cell is computed from samples. A value is held from its sample to the next one of its tag, never across a gap
mark, never past now. What holds from one cell into the next is shared out over the buckets it covers.

In the SQL: g tag, b bucket, t time, v value, s its words, ok whether it counts; tf, tl first and last time in a cell,
no, nb good and other samples, mn, mx, sm, fv, lv, fs, ls of the good ones, hg whether there is one, lo whether the last
sample counts, ig integral (value x ns), gd good ns, inc increase.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from isthmus.historian import rollup
from isthmus.historian.codec import INT, decode_sql
from isthmus.historian.model import BUCKET_NS, TagInfo
from isthmus.historian.schema import DATABASE, during
from isthmus.historian.store import literal
from isthmus.ports.history import Format, Function, Shape
from isthmus.values.sample import ValueType
from isthmus.values.status import BAD, SEVERITY_MASK

Span = tuple[int, int]

_ALWAYS = ("g", "b", "tf", "tl", "no", "nb", "lo", "gd")
BOUNDED_COLUMNS = ("tag", "time", "first", "min", "max", "last", "mean", "count", "bad_s")
RAW_COLUMNS = ("tag", "time", "value", "status")
_FAR_NS = 1 << 62


@dataclass(frozen=True, slots=True)
class Before:
    """The sample a tag had before the range: held into it when ``ok``; ``good`` is the last value that counted."""

    time_ns: int
    ok: bool
    value: float = 0.0
    text: str = ""
    good: bool = False


@dataclass(frozen=True, slots=True)
class Scope:
    """What a part of a question is about.

    Units: UTC ns; [start, end) is the range, nothing is held past hold_ns
    """

    tags: tuple[TagInfo, ...]
    start_ns: int
    end_ns: int
    hold_ns: int
    gaps: Mapping[str, Sequence[Span]] = field(default_factory=dict)  # merged, by edge
    before: Mapping[int, Before] = field(default_factory=dict)

    @property
    def symbolic(self) -> bool:
        return self.tags[0].symbolic


def ns(time_ns: int) -> str:
    """A time or width, typed: bare literals are unsigned and would turn differences into something else."""
    return f"toInt64({time_ns})"


def ids(tags: Sequence[TagInfo]) -> str:
    return ", ".join(str(t.id) for t in tags)


def _words(tags: Sequence[TagInfo]) -> str:
    """What a whole number is called: by the tag's names, else as written."""
    by_states: dict[tuple[tuple[int, str], ...], list[TagInfo]] = {}
    for tag in tags:
        if tag.states and tag.type is not ValueType.TEXT:
            by_states.setdefault(tag.states, []).append(tag)
    plain = f"if(exponent = {INT}, toString(mantissa), toString({decode_sql()}))"
    branches = [
        f"tag IN ({ids(members)}), transform(if(exponent = {INT}, mantissa, toInt64OrZero(toString({decode_sql()}))), "
        f"CAST({literal([number for number, _ in states])} AS Array(Int64)), {literal([name for _, name in states])}, {plain})"
        for states, members in by_states.items()
    ]
    return f"multiIf({', '.join([*branches, plain])})" if branches else plain


def rows(scope: Scope, spans: Sequence[Span], *, words: bool = False) -> str:
    """Samples of the scope's tags in the spans: g, t, v, s, ok."""
    good = f"bitAnd(status, {SEVERITY_MASK}) = 0"
    numbers = tuple(t for t in scope.tags if t.type is not ValueType.TEXT)
    texts = tuple(t for t in scope.tags if t.type is ValueType.TEXT)
    parts = []
    if numbers:
        spoken = words or scope.symbolic
        parts.append(
            f"SELECT tag AS g, toUnixTimestamp64Nano(ts) AS t, {decode_sql()} AS v, "
            f"{_words(numbers) if spoken else repr('')} AS s, bitAnd({good}, isFinite(v)) AS ok "
            f"FROM {DATABASE}.sample FINAL WHERE tag IN ({ids(numbers)}) AND {during(spans)}"
        )
    if texts:
        parts.append(
            f"SELECT tag AS g, toUnixTimestamp64Nano(ts) AS t, toFloat64(0) AS v, text AS s, {good} AS ok "
            f"FROM {DATABASE}.text FINAL WHERE tag IN ({ids(texts)}) AND {during(spans)}"
        )
    return " UNION ALL ".join(parts)


def hold_end(scope: Scope, time: str) -> str:
    """Where a value sampled at ``time`` stops being known: the first gap of its edge that ends after it. "" is never."""
    edges = sorted({t.edge for t in scope.tags if scope.gaps.get(t.edge)})
    if not edges:
        return ""
    lists = [[*scope.gaps[e], (_FAR_NS, _FAR_NS)] for e in edges]
    starts, ends = (f"CAST({literal([[s[i] for s in g] for g in lists])} AS Array(Array(Int64)))" for i in (0, 1))
    place = literal([edges.index(t.edge) + 1 if t.edge in edges else 0 for t in scope.tags])
    edge = f"transform(g, CAST([{ids(scope.tags)}] AS Array(Int32)), CAST({place} AS Array(UInt32)), toUInt32(0))"
    which = f"arrayFirstIndex(e -> e > {time}, {ends}[{edge}])"
    return f"if({edge} = 0, {ns(_FAR_NS)}, greatest({starts}[{edge}][{which}], {time}))"


def _parts(scope: Scope, *, sums: bool, increase: bool) -> tuple[str, ...]:
    """Columns of a cell that an answer needs: every further one costs the engine a millisecond before it begins."""
    value = ("fs", "ls") if scope.symbolic else ("mn", "mx", "fv", "lv", "ig")
    return (*_ALWAYS, *value, *(("sm",) if sums else ()), *(("hg", "inc") if increase else ()))


def cells(
    scope: Scope,
    spans: Sequence[Span],
    origin_ns: int,
    width_ns: int,
    *,
    grid: bool = False,
    sums: bool = False,
    increase: bool = False,
) -> str:
    """Cells computed from samples, one per tag and bucket of ``width_ns`` counted from ``origin_ns``.

    With ``grid`` no cell is wider than a bucket of the rollup: where the spans have holes, none may reach over one.
    """
    wanted = _parts(scope, sums=sums, increase=increase)
    numeric = not scope.symbolic
    simple = {
        "mn": "minIf(v, ok)",
        "mx": "maxIf(v, ok)",
        "sm": "sumIf(v, ok)",
        "fv": "argMinIf(v, t, ok)",
        "lv": "argMaxIf(v, t, ok)",
        "fs": "argMinIf(s, t, ok)",
        "ls": "argMaxIf(s, t, ok)",
    }
    kept = [c for c in simple if c in wanted]
    late = {
        "g": "g",
        "b": "b",
        "tf": "ta[1]",
        "tl": "ta[-1]",
        "no": "no",
        "nb": "toUInt64(n - no)",
        "lo": "oa[-1]",
        "gd": "toInt64(arraySum((h, k) -> h * k, held, arrayPopBack(oa)))",
        "ig": "arraySum((h, y, k) -> if(k, h * y, 0.), held, arrayPopBack(va), arrayPopBack(oa))",
        "hg": "no > 0",
        "inc": "arraySum((d, x) -> if(d < 0, x, d), arrayPopFront(arrayDifference(gv)), arrayPopFront(gv))",
    }
    clipped = hold_end(scope, "x")
    held = "arrayPopFront(arrayDifference(ta))"
    if clipped:
        held = f"arrayMap((x, d) -> greatest(least(x + d, {clipped}) - x, 0), arrayPopBack(ta), {held})"
    carried = "".join(f", {c}" for c in kept)
    values = "if(sorted, v_, arraySort((y, x) -> x, v_, t_)) AS va, " if numeric else ""
    cell = f"intDiv(t - {origin_ns}, {width_ns})"
    grouped = f"g, b, intDiv(t, {BUCKET_NS})" if grid else "g, b"
    return f"""
SELECT {", ".join(f"{late.get(c, c)} AS {c}" for c in wanted)}
FROM (
  SELECT g, b, n, no, ta, oa{", va" if numeric else ""}{carried}, {held} AS held
    {", arrayFilter((y, k) -> k, va, oa) AS gv" if increase else ""}
  FROM (
    SELECT g, b, n, no{carried}, {values}if(sorted, t_, arraySort(t_)) AS ta,
      if(sorted, o_, arraySort((y, x) -> x, o_, t_)) AS oa
    FROM (
      SELECT *, arrayAll(d -> d >= 0, arrayDifference(t_)) AS sorted
      FROM (
        SELECT g, {cell} AS b, groupArray(t) AS t_, groupArray(ok) AS o_, {"groupArray(v) AS v_," if numeric else ""}
          count() AS n, countIf(ok) AS no{"".join(f", {simple[c]} AS {c}" for c in kept)}
        FROM ({rows(scope, spans)})
        GROUP BY {grouped}
      )
    )
  )
)"""


def rolled(scope: Scope, spans: Sequence[Span], origin_ns: int, width_ns: int, *, increase: bool = False) -> str:
    """Cells as the rollup has them, for numbers; ``increase`` is right only where it is rising."""
    at = "toUnixTimestamp64Nano(ts)"
    low, high, first, last = (decode_sql(c) for c in ("low", "high", "first", "last"))
    source = {
        "g": "tag",
        "b": f"intDiv({at} - {origin_ns}, {width_ns})",
        "tf": f"{at} + first_ns",
        "tl": f"{at} + last_ns",
        "no": "toUInt64(good)",
        "nb": "toUInt64(other)",
        "lo": "last_good",
        "gd": "good_ns",
        "mn": low,
        "mx": high,
        "fv": first,
        "lv": last,
        "ig": "integral",
        "hg": "good > 0",
        "inc": f"{last} - {first}",
    }
    wanted = _parts(scope, sums=False, increase=increase)
    return f"""
SELECT {", ".join(f"{source[c]} AS {c}" for c in wanted)}
FROM ({rollup.cells()}) WHERE tag IN ({ids(scope.tags)}) AND {during(spans)}"""


_KINDS = {
    "g": "Int32",
    "no": "UInt64",
    "nb": "UInt64",
    "lo": "UInt8",
    "hg": "UInt8",
    "fs": "String",
    "ls": "String",
    **dict.fromkeys(("b", "tf", "tl", "gd"), "Int64"),
    **dict.fromkeys(("mn", "mx", "sm", "fv", "lv", "ig", "inc"), "Float64"),
}


def _before_cells(scope: Scope, wanted: Sequence[str]) -> str:
    """The samples before the range, as cells without content of their own."""

    def row(tag: int, before: Before) -> str:
        known: dict[str, object] = {"g": tag, "tf": before.time_ns, "tl": before.time_ns, "lv": before.value}
        known |= {"ls": before.text, "fs": "", "hg": before.good, "lo": before.ok}
        return f"({', '.join(literal(known.get(c, 0)) for c in wanted)})"

    values = ", ".join(row(tag, before) for tag, before in scope.before.items())
    return f"SELECT * FROM values('{', '.join(f'{c} {_KINDS[c]}' for c in wanted)}', {values})"


# Conditions below join flags by arithmetic: the engine takes some milliseconds to analyse each AND and OR.


def buckets(
    scope: Scope,
    parts: Sequence[str],
    origin_ns: int,
    width_ns: int,
    *,
    every: bool = False,
    sums: bool = False,
    increase: bool = False,
) -> str:
    """Cells joined and shared out: one row per tag and bucket.

    With ``every`` a held value fills all the buckets it covers, else only those that hold samples, and the first.
    """
    wanted = _parts(scope, sums=sums, increase=increase)
    columns = ", ".join(wanted)
    sources = [f"SELECT {columns} FROM ({p})" for p in parts]
    if scope.before:
        sources.append(_before_cells(scope, wanted))
    frame = "OVER (PARTITION BY g ORDER BY tf ROWS BETWEEN"
    earlier = f"{frame} UNBOUNDED PRECEDING AND 1 PRECEDING)"
    previous = f", anyLastIf(lv, hg) {earlier} AS pv, countIf(hg) {earlier} AS hp" if increase else ""
    low, high = f"intDiv(ts - {origin_ns}, {width_ns})", f"intDiv(nx - 1 - {origin_ns}, {width_ns})"
    covered = f"range({low}, {high} + 1)" if every else f"arrayDistinct([{low}, {high}])"
    results = {
        "sumIf(no, own)": "n_good",
        "sumIf(nb, own)": "n_other",
        "sum(if(own, gd, hold))": "good_ns",
        "sum(if(own, tl - tf, span))": "known_ns",
    }
    if scope.symbolic:
        results |= {"argMinIf(fs, tf, og)": "first_s", "argMaxIf(ls, tf, og)": "last_s"}
        results |= {"argMinIf(ls, tf, hold > 0)": "held_s"}
    else:
        results |= {"minIf(mn, og)": "low", "maxIf(mx, og)": "high", "sum(if(own, ig, lv * hold))": "integral"}
        results |= {"argMinIf(fv, tf, og)": "first_v", "argMaxIf(lv, tf, og)": "last_v"}
        results |= {"argMinIf(lv, tf, hold > 0)": "held_v"}
    if sums:
        results["sumIf(sm, og)"] = "total"
    if increase:
        results["sumIf(inc + if(hp * no > 0, if(fv < pv, fv, fv - pv), 0), own)"] = "increase"
    until = hold_end(scope, "tl")
    end = f"least(xe, {until})" if until else "xe"
    return f"""
SELECT g, bk, {", ".join(f"{expression} AS {name}" for expression, name in results.items())}
FROM (
  SELECT *, bitAnd(own, no > 0) AS og, if(own, b, x) AS bk, toInt64(if(own, 0, greatest(xe - xs, 0))) AS span,
    toInt64(if(own, 0, lo * greatest({end} - xs, 0))) AS hold
  FROM (
    SELECT *, x < 0 AS own, greatest(ts, {ns(origin_ns)} + x * {width_ns}) AS xs, least(nx, {ns(origin_ns)} + (x + 1) * {width_ns}) AS xe
    FROM (
      SELECT *, arrayJoin(arrayConcat([toInt64(-1)], if(nx > ts, {covered}, []))) AS x
      FROM (
        SELECT *, greatest(tl, {ns(scope.start_ns)}) AS ts,
          greatest(tl, leadInFrame(tf, 1, {ns(scope.hold_ns)}) {frame} CURRENT ROW AND UNBOUNDED FOLLOWING)) AS nx{previous}
        FROM ({" UNION ALL ".join(sources)})
      )
    )
  )
)
GROUP BY g, bk"""


def steps(scope: Scope, *, words: bool = False) -> str:
    """Samples with the one before the range, each with what it holds: g, t, v, s, ok, n, span, hold."""
    source = f"SELECT g, t, v, s, ok, 1 AS n FROM ({rows(scope, [(scope.start_ns, scope.end_ns)], words=words)})"
    if scope.before:
        earlier = _before_cells(scope, ("g", "tf", "lv", "ls", "lo"))
        source += f" UNION ALL SELECT g, tf AS t, lv AS v, ls AS s, lo AS ok, 0 AS n FROM ({earlier})"
    until = hold_end(scope, "t")
    end = f"least(nx, {until})" if until else "nx"
    frame = "OVER (PARTITION BY g ORDER BY t ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING)"
    return f"""
SELECT g, greatest(t, {ns(scope.start_ns)}) AS at, t, v, s, ok, n, nx, toInt64(greatest(nx - at, 0)) AS span,
  toInt64(if(ok, greatest({end} - at, 0), 0)) AS hold
FROM (SELECT *, greatest(t, leadInFrame(t, 1, {ns(scope.hold_ns)}) {frame}) AS nx FROM ({source}))"""


# Answers: each SELECT below gives g, at (ns) and the columns of its shape, before they are dressed for a format.


def bounded_buckets(scope: Scope, inner: str, origin_ns: int, width_ns: int) -> str:
    """One row per bucket that holds samples, and the first one when a value is held into it."""
    suffix = "s" if scope.symbolic else "v"

    def pick(column: str, held: str) -> str:
        return f"multiIf(has, {column}, led, {held}, NULL)"

    low, high, mean = ("NULL",) * 3
    if not scope.symbolic:
        low, high = pick("low", "held_v"), pick("high", "held_v")
        mean = "multiIf(led + has * (good_ns > 0) > 0, integral / good_ns, has, first_v, NULL)"
    return f"""
SELECT g, {ns(origin_ns)} + bk * {ns(width_ns)} AS at, {pick("first_" + suffix, "held_" + suffix)} AS first,
  CAST({low} AS Nullable(Float64)) AS min, CAST({high} AS Nullable(Float64)) AS max,
  {pick("last_" + suffix, "held_" + suffix)} AS last, CAST({mean} AS Nullable(Float64)) AS mean,
  n_good AS count, (known_ns - good_ns) / 1e9 AS bad_s
FROM (SELECT *, n_good > 0 AS has, bitAnd(bk = 0, good_ns > 0) AS led FROM ({inner}))
WHERE n_good + n_other + (bk = 0) > 0"""


def bounded_steps(scope: Scope, lead: Sequence[int]) -> str:
    """One row per sample, and one at the start for the tags of ``lead`` whose earlier value holds into the range."""
    value = "s" if scope.symbolic else "v"
    number = "NULL" if scope.symbolic else "if(shown, v, NULL)"
    leading = f"(g IN ({', '.join(map(str, lead))})) * (nx > {ns(scope.start_ns)})" if lead else "0"
    return f"""
SELECT g, at, if(shown, {value}, NULL) AS first, CAST({number} AS Nullable(Float64)) AS min, min AS max, first AS last, min AS mean,
  toUInt64(n * ok) AS count, (span - hold) / 1e9 AS bad_s
FROM (SELECT *, bitAnd(ok, n + (hold > 0) > 0) AS shown FROM ({steps(scope)})) WHERE n + {leading} > 0"""


def aggregate(
    scope: Scope, functions: Sequence[Function], points: int, width_ns: int, inner: str, durations: str
) -> str:
    """One row per tag and bucket, all of them, with the asked functions."""
    symbolic = scope.symbolic
    number = {
        Function.TIME_WEIGHTED_MEAN: "if(good_ns > 0, integral / good_ns, NULL)",
        Function.MIN: "if(n_good > 0, low, NULL)",
        Function.MAX: "if(n_good > 0, high, NULL)",
        Function.SUM: "if(n_good > 0, total, NULL)",
        Function.INCREASE: "if(n_good > 0 OR good_ns > 0, increase, NULL)",
    }
    columns = []
    for function in functions:
        if function in number:
            sql = f"CAST({'NULL' if symbolic else number[function]} AS Nullable(Float64))"
        elif function is Function.COUNT:
            sql = "n_good"
        elif function is Function.DURATION:
            sql = "states"
        else:
            sql = f"if(n_good > 0, {function.value}_{'s' if symbolic else 'v'}, NULL)"
        columns.append(f"{sql} AS {function.value}")
    joined = f" LEFT JOIN ({durations}) AS d ON d.g = e.g AND d.bk = e.bk" if durations else ""
    return f"""
SELECT e.g AS g, {ns(scope.start_ns)} + e.bk * {ns(width_ns)} AS at, {", ".join(columns)}
FROM (SELECT arrayJoin(CAST([{ids(scope.tags)}] AS Array(Int32))) AS g, arrayJoin(range(toInt64(0), toInt64({points}))) AS bk) AS e
LEFT JOIN ({inner}) AS a ON a.g = e.g AND a.bk = e.bk{joined}"""


def durations(scope: Scope, width_ns: int) -> str:
    """Seconds in each state: g, bk, states (a map from the state's words to seconds)."""
    low, high = (f"intDiv({x} - {ns(scope.start_ns)}, {ns(width_ns)})" for x in ("at", "at + hold - 1"))
    return f"""
SELECT g, bk, CAST(arraySort(groupArray((s, seconds))) AS Map(String, Float64)) AS states
FROM (
  SELECT g, bk, s, sum(least(at + hold, {ns(scope.start_ns)} + (bk + 1) * {ns(width_ns)}) - greatest(at, {ns(scope.start_ns)} + bk * {ns(width_ns)})) / 1e9 AS seconds
  FROM (SELECT g, s, at, hold, arrayJoin(range({low}, {high} + 1)) AS bk FROM ({steps(scope, words=True)}) WHERE hold > 0)
  GROUP BY g, bk, s
)
GROUP BY g, bk"""


def raw(tags: Sequence[TagInfo], spans: Sequence[Span], kind: str) -> str:
    """Every sample of tags that are all in one table; ``kind`` is what the value column is to be."""
    bad = f"bitAnd(status, {BAD}) != 0"
    text = tags[0].type is ValueType.TEXT
    if text:
        value = "text"
    elif tags[0].symbolic:
        value = _words(tags)
    elif kind == "Int64":
        value = f"if(exponent = {INT}, mantissa, toInt64({decode_sql()}))"
    elif kind == "Float64":
        value = decode_sql()
    else:
        value = (
            f"if(exponent = {INT}, CAST(mantissa AS {kind}), CAST({decode_sql()} AS {kind}))"
            if "Variant" in kind
            else (f"if(exponent = {INT}, toString(mantissa), toString({decode_sql()}))")
        )
    return f"""
SELECT tag AS g, toUnixTimestamp64Nano(ts) AS at, if({bad}, NULL, {value}) AS value, status
FROM {DATABASE}.{"text" if text else "sample"} FINAL WHERE tag IN ({ids(tags)}) AND {during(spans)}"""


def dress(
    parts: Sequence[str], shape: Shape, columns: Sequence[str], order: Sequence[TagInfo], fmt: Format, kind: str
) -> str:
    """The final SELECT: tags and times as the format writes them, rows by tag and time."""
    numbers = ", ".join(str(t.id) for t in order)
    if fmt is Format.CSV:
        tag = f"transform(g, CAST([{numbers}] AS Array(Int32)), {literal([t.path or str(t.id) for t in order])}, toString(g))"
    else:
        tag = f"transform(g, CAST([{numbers}] AS Array(Int32)), CAST({literal(list(range(len(order))))} AS Array(UInt32)), toUInt32(0))"
    time = (
        "intDiv(at, 1000000) + (at % 1000000) / 1e6"
        if fmt is Format.JSON
        else "fromUnixTimestamp64Nano(toInt64(at), 'UTC')"
    )
    if kind in {VARIANT, "String"}:
        open_columns = {"value", "first", "last"}
        parts = [
            f"SELECT g, at, {', '.join(_cast(c, kind) if c in open_columns else c for c in columns[2:])} FROM ({p})"
            for p in parts
        ]
    union = " UNION ALL ".join(f"SELECT g, toInt64(at) AS at, {', '.join(columns[2:])} FROM ({p})" for p in parts)
    rest = "".join(f", {c}" for c in columns[2:])
    return f"SELECT {tag} AS tag, {time} AS time{rest} FROM ({union}) ORDER BY g, at"


def _cast(column: str, kind: str) -> str:
    return (
        f"if(isNull({column}), NULL, toString({column})) AS {column}"
        if kind == "String"
        else f"CAST({column} AS {kind}) AS {column}"
    )


VARIANT = "Variant(Float64, Int64, String)"


def width_for(start_ns: int, end_ns: int, points: int) -> int:
    """Narrowest bucket that needs no more than ``points`` of them."""
    return max(1, -(-(end_ns - start_ns) // points))


def snap(start_ns: int, end_ns: int, points: int) -> tuple[int, int, int]:
    """Start and end on the ten-minute grid around the range, and the narrowest width on it with at most ``points`` buckets."""
    start = start_ns // BUCKET_NS * BUCKET_NS
    end = -(-end_ns // BUCKET_NS) * BUCKET_NS
    return start, end, max(1, -(-(end - start) // (points * BUCKET_NS))) * BUCKET_NS
