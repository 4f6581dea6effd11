"""Columns of a file to samples of known tags: tall files name the tag in each row, wide ones in the first line."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from isthmus.transfer import cells
from isthmus.transfer.model import (
    EARLIEST_NS,
    EXAMPLES,
    FUTURE_NS,
    ROLES,
    Columns,
    Layout,
    Made,
    Piece,
    Refusal,
    Refused,
    Target,
)
from isthmus.transfer.parquet_file import Source
from isthmus.values.clock import NS_PER_S
from isthmus.values.errors import ConfigError
from isthmus.values.sample import DTYPES, SampleBatch, ValueType
from isthmus.values.status import BAD

_NAMES = {
    "tag": ("tag", "path", "tag_path", "tagname", "tag_name", "name", "point"),
    "time": ("time", "timestamp", "ts", "datetime", "date", "t_stamp", "_time"),
    "value": ("value", "val", "v", "_value"),
    "quality": ("quality", "status", "q"),
}
_MISSING = -1
_WHOLE = 2.0**53
"""Whole numbers below it are their own floats."""
_DAY_NS = 86_400 * NS_PER_S


class Plan:
    """Which column is what, for one file.

    Raises: ConfigError naming the file and what cannot be found in it
    """

    def __init__(self, source: Source, layout: Layout, targets: Mapping[str, Target]) -> None:
        self._source, self._layout, self._targets = source, layout, targets
        said = dict(layout.columns)
        for role, name in said.items():
            if name not in source.names:
                raise ConfigError(f"{source.file}: has no column {name!r} ({role}); it has {_few(source.names)}")
        self.time = said.get("time") or self._find("time")
        if not self.time:
            raise ConfigError(
                f"{source.file}: which column is the time? say --map time=NAME; it has {_few(source.names)}"
            )
        self.tag = "" if layout.wide else said.get("tag") or self._find("tag")
        self.value = "" if layout.wide else said.get("value") or self._find("value")
        self.quality = "" if layout.wide else said.get("quality") or self._find("quality")
        self.wide: dict[str, Target] = {}
        if not (self.tag and self.value):
            self._plan_wide(said)
        used = [self.time, *self.wide] if self.wide else [self.tag, self.time, self.value]
        extra = [self.quality] if self.quality and not self.wide else []
        self.text = "text" if not self.wide and "text" in source.names and "text" not in used else ""
        source.wanted = [*used, *extra, *([self.text] if self.text else [])]

    def target(self, name: str) -> Target | None:
        return self._targets.get(self._layout.prefix + name.strip())

    def _find(self, role: str) -> str:
        by_name = {name.casefold(): name for name in reversed(self._source.names)}
        return next((by_name[name] for name in _NAMES[role] if name in by_name), "")

    def _plan_wide(self, said: Mapping[str, str]) -> None:
        named = {column: path for path, column in said.items() if path not in ROLES}
        unknown = []
        for column in self._source.names:
            if column == self.time or not column:
                continue
            target = self._targets.get(named[column]) if column in named else self.target(column)
            if target is not None:
                self.wide[column] = target
            else:
                unknown.append(named.get(column, self._layout.prefix + column))
        if not self.wide or (unknown and not self._layout.wide):
            missing = "tag and value" if not self.tag and not self.value else "tag" if not self.tag else "value"
            raise ConfigError(
                f"{self._source.file}:1: neither has columns for {missing} (say --map tag=NAME and value=NAME), nor are "
                f"all its columns tags: {_few(unknown)} is none"
            )
        twice = [t.path for t, n in Counter(self.wide.values()).items() if n > 1]
        if unknown or twice:
            problem = f"{_few(unknown)} is no tag" if unknown else f"{twice[0]} stands there twice"
            raise ConfigError(f"{self._source.file}:1: {problem}; leave the column out, or say --map PATH=COLUMN")


def _few(names: Sequence[str]) -> str:
    return ", ".join(repr(n) for n in names[:6]) + (" …" if len(names) > 6 else "")


class Converter:
    """Pieces of one file to samples. ``make`` may run in several threads at once."""

    def __init__(self, source: Source, layout: Layout, targets: Mapping[str, Target], now_ns: int) -> None:
        self._source, self._layout = source, layout
        self._plan, self._latest_ns = Plan(source, layout, targets), now_ns + FUTURE_NS
        self._times = cells.Times(layout)
        self._all = list(targets.values())
        self._ids = np.array([t.id for t in self._all] or [0], np.int32)
        self._place = {path: i for i, path in enumerate(targets)}
        self._days = np.array([t.kept_days for t in self._all] or [0], np.int32)
        self._now_ns = now_ns
        spoken: dict[tuple[tuple[str, int], ...], int] = {}
        self._groups = np.array([_group(t, spoken) for t in self._all] or [0], np.int32)
        self._numeric = [t.type is ValueType.FLOAT or (t.type is ValueType.INT and not t.states) for t in self._all]
        self._hit = self._missed = 0  # pieces read the quick way, and those that were tried in vain
        self.most: int | None = EXAMPLES
        """Refused rows of a piece that are told one by one; None is all of them."""

    def make(self, piece: Piece) -> Made:
        """The samples of a piece, and what of it was refused.

        Raises: ConfigError if the file cannot be read as it was declared
        """
        made = self._quick(piece)
        if made is not None:
            return made
        columns = self._source.columns(piece)
        refused = [
            Refused(line, col, name, value, problem, value) for line, col, name, problem, value in columns.spoilt
        ]
        made = Made(piece, [], refused[: self.most], refusals=len(refused), rows=len(columns) + len(refused))
        if len(columns):
            try:
                (self._wide if self._plan.wide else self._tall)(columns, made)
            except ConfigError as error:
                raise ConfigError(f"{self._source.file}:{int(columns.line[0])}: {error}") from error
        made.refused.sort(key=lambda r: r.line)
        return made

    def _quick(self, piece: Piece) -> Made | None:
        """The same where each cell is what it should be, and each value a number; else nothing, and texts tell what is wrong."""
        if self._plan.wide or self._missed > self._hit + 1 or self._layout.time_unit or self._layout.time_format:
            return None
        columns = self._source.quick(piece, self._plan.time, self._plan.value)
        if columns is not None and len(columns) and self._exact(columns):
            made = Made(piece, [], [], rows=len(columns))
            with contextlib.suppress(ConfigError):
                self._tall(columns, made)
                if not made.refusals:
                    self._hit += 1
                    return made
        self._missed += 1
        return None

    def _exact(self, columns: Columns) -> bool:
        """Whether a float says all that is said of whole numbers, and no tag has words."""
        value = columns.cells[self._plan.value].to_numpy(zero_copy_only=False)
        least, most = value.min(), value.max()  # NaN if there is any
        if not -_WHOLE < least <= most < _WHOLE:
            return False
        column = columns.cells[self._plan.tag] = columns.cells[self._plan.tag].dictionary_encode()
        named = (self._place.get(self._layout.prefix + str(word).strip()) for word in column.dictionary.to_pylist())
        return all(place is not None and self._numeric[place] for place in named)

    def _refuse(self, columns: Columns, made: Made, refusals: Sequence[Refusal], ok: NDArray[np.bool_]) -> None:
        """Note refused rows, each once, and take them out."""
        for refusal in refusals:
            column = self._source.place(refusal.column)
            shown = columns.cells[refusal.column]
            rows = refusal.rows[ok[refusal.rows]]
            made.refusals += len(rows)
            if self.most is not None:
                rows = rows[: max(0, self.most - len(made.refused))]
            for row in rows.tolist():
                value = shown[row].as_py()
                text = "" if value is None else str(value)
                made.refused.append(
                    Refused(int(columns.line[row]), column, refusal.column, text, refusal.problem, columns.text(row))
                )
            ok[refusal.rows] = False

    def _time(self, columns: Columns) -> tuple[NDArray[np.int64], list[Refusal]]:
        name = self._plan.time
        time_ns, refusals = self._times.read(columns.cells[name], name)
        for problem, rows in (
            ("lies before 1990: a clock that was not set", time_ns < EARLIEST_NS),
            ("lies in the future", time_ns > self._latest_ns),
        ):
            if rows.any():
                refusals.append(Refusal(name, problem, np.flatnonzero(rows)))
        return time_ns, refusals

    def _expired(self, time_ns: NDArray[np.int64], days: NDArray[np.int32]) -> list[Refusal]:
        """Rows that the record would drop at once. Shapes: (n,), (n,) or (1,)"""
        refusals = []
        for kept in np.flatnonzero(np.bincount(days)).tolist():
            old = time_ns < self._now_ns - kept * _DAY_NS
            if kept and old.any():
                problem = f"is older than the {kept} days its retention class keeps"
                refusals.append(Refusal(self._plan.time, problem, np.flatnonzero(old & (days == kept))))
        return refusals

    # Tall: one sample a row.

    def _tall(self, columns: Columns, made: Made) -> None:
        ok = np.ones(len(columns), np.bool_)
        place = self._named(columns, made, ok)
        time_ns, refusals = self._time(columns)
        refusals += self._expired(time_ns, self._days[place])
        self._refuse(columns, made, refusals, ok)
        code = np.zeros(len(columns), np.uint32)
        if self._plan.quality:
            code, refusals = cells.qualities(
                columns.cells[self._plan.quality], self._plan.quality, self._layout.quality
            )
            self._refuse(columns, made, refusals, ok)
        kinds = self._groups[place]
        whole = bool(ok.all())
        for group in np.flatnonzero(np.bincount(kinds)).tolist():
            mine = kinds == group
            rows = np.flatnonzero(mine if whole else ok & mine)
            if not len(rows):
                continue
            target = self._all[int(place[rows[0]])]
            some = slice(None) if len(rows) == len(columns) else rows
            batch = self._batch(columns, made, rows, some, target, code)
            if batch is None:
                continue
            value, text, kept = batch
            if not kept.all():
                rows, value = rows[kept], value[kept]
            made.batches.append(SampleBatch(self._ids[place[rows]], time_ns[rows], value, code[rows], text))

    def _named(self, columns: Columns, made: Made, ok: NDArray[np.bool_]) -> NDArray[np.intp]:
        """Which tag each row names. Shapes: -> (n,)"""
        name = self._plan.tag
        column = columns.cells[name]
        if not pa.types.is_dictionary(column.type):
            column = cells.texts(column).dictionary_encode()
        if column.null_count:
            column = cells.texts(column).dictionary_encode()
        words = [str(word) for word in column.dictionary.to_pylist()]
        prefix, known = self._layout.prefix, self._place
        of_word = np.array([known.get(prefix + word.strip(), _MISSING) for word in words] or [_MISSING], np.intp)
        indices = column.indices.to_numpy(zero_copy_only=False)
        place: NDArray[np.intp] = of_word[indices]
        if (place == _MISSING).any():
            missing = np.flatnonzero(place == _MISSING)
            counts = np.bincount(indices[missing], minlength=len(words))
            made.unknown.update({words[i]: int(counts[i]) for i in np.flatnonzero(counts)})
            self._refuse(columns, made, [Refusal(name, "is no tag of this plant", missing)], ok)
            place = np.where(place == _MISSING, 0, place)
        return place

    def _batch(
        self,
        columns: Columns,
        made: Made,
        rows: NDArray[np.intp],
        some: slice | NDArray[np.intp],
        target: Target,
        code: NDArray[np.uint32],
    ) -> tuple[NDArray[Any], tuple[str, ...], NDArray[np.bool_]] | None:
        """Values of rows of one kind, and which of them count."""
        column = self._values(columns, target)
        if not isinstance(some, slice):
            column = column.take(pa.array(some))
        value, text, empty, refusals = read_values(column, self._plan.value, target, comma=self._source.comma)
        kept = np.ones(len(rows), np.bool_)
        nothing = np.flatnonzero(empty & (code[rows] & BAD == 0))
        if len(nothing):
            refusals = [*refusals, Refusal(self._plan.value, "is no number, and its quality is not Bad", nothing)]
        if refusals:
            moved = [Refusal(r.column, r.problem, rows[r.rows]) for r in refusals]
            full = np.ones(len(columns), np.bool_)
            self._refuse(columns, made, moved, full)
            kept = full[rows]
        return (value, text, kept) if kept.any() else None

    def _values(self, columns: Columns, target: Target) -> Any:
        """The value column; beside numbers of a Parquet file a column ``text`` says what a float cannot."""
        value = columns.cells[self._plan.value]
        if not self._plan.text or (target.type is ValueType.FLOAT and not target.states):
            return value
        words = columns.cells[self._plan.text]
        if not cells.is_text(words):
            return value
        words = cells.texts(words)
        said = pc.not_equal(words, "")
        if not cells.is_text(value):
            value = value.cast(pa.float64(), safe=False)
            whole = pc.and_(pc.equal(value, pc.round(value)), pc.less_equal(pc.abs(value), 2.0**53))
            plain = pc.if_else(pc.fill_null(whole, False), value, pa.scalar(None, pa.float64()))
            value = pc.fill_null(plain.cast(pa.int64()).cast(pa.string()), "")
        return pc.if_else(said, words, value)

    # Wide: a tag a column.

    def _wide(self, columns: Columns, made: Made) -> None:
        ok = np.ones(len(columns), np.bool_)
        time_ns, refusals = self._time(columns)
        self._refuse(columns, made, refusals, ok)
        parts: dict[ValueType, list[tuple[int, NDArray[np.int64], NDArray[Any]]]] = {}
        words: list[str] = []
        for name, target in self._plan.wide.items():
            value, text, empty, refusals = read_values(columns.cells[name], name, target, comma=self._source.comma)
            mine = ok.copy()
            refusals += self._expired(time_ns, np.array([target.kept_days], np.int32))
            self._refuse(columns, made, [Refusal(r.column, r.problem, r.rows[~empty[r.rows]]) for r in refusals], mine)
            made.empty += int(np.count_nonzero(empty & ok))
            mine &= ~empty
            kept = value[mine]
            if target.type is ValueType.TEXT:
                kept = kept + len(words)
                words.extend(text)
            if len(kept):
                parts.setdefault(target.type, []).append((target.id, time_ns[mine], kept))
        for kind, found in parts.items():
            made.batches.append(
                SampleBatch(
                    np.repeat(np.array([i for i, _, _ in found], np.int32), [len(v) for *_, v in found]),
                    np.concatenate([t for _, t, _ in found]),
                    np.concatenate([v for *_, v in found]).astype(DTYPES[kind], copy=False),
                    np.zeros(sum(len(v) for *_, v in found), np.uint32),
                    tuple(words) if kind is ValueType.TEXT else (),
                )
            )


def _group(target: Target, spoken: dict[tuple[tuple[str, int], ...], int]) -> int:
    """Rows of equal groups are read together: by type, and by states."""
    if target.type is not ValueType.INT:
        return 0 if target.type is ValueType.FLOAT else 1
    return spoken.setdefault(tuple(sorted(target.states.items())), len(spoken) + 2)


def read_values(
    column: Any, name: str, target: Target, *, comma: bool
) -> tuple[NDArray[Any], tuple[str, ...], NDArray[np.bool_], list[Refusal]]:
    """Values as a tag has them, the texts they point at, which cells are empty, and what was refused."""
    if target.type is ValueType.TEXT:
        encoded = cells.texts(column).dictionary_encode()
        codes = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int32)
        words = tuple(encoded.dictionary.to_pylist())
        blank = np.array([not word for word in words], np.bool_)
        return codes, words, blank[codes], []
    if target.type is ValueType.INT:
        value, empty, refused = cells.ints(column, name, target.states, comma=comma)
        return value, (), empty, refused
    number, refused = cells.floats(column, name, comma=comma)
    lacking = ~np.isfinite(number)
    for refusal in refused:
        lacking[refusal.rows] = False
    return np.where(lacking, 0.0, number) if lacking.any() else number, (), lacking, refused


Make = Callable[[Piece], Made]
