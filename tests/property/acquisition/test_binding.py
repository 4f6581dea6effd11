from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.acquisition.binding import Binder, TagTable
from isthmus.values.clock import NS_PER_S
from isthmus.values.errors import Malformed
from isthmus.values.model import TagColumns
from isthmus.values.sample import SampleBatch, ValueType
from isthmus.values.status import (
    BAD,
    BAD_DEVICE_FAILURE,
    BAD_NO_COMMUNICATION,
    BAD_OUT_OF_RANGE,
    BAD_TYPE_MISMATCH,
    GOOD,
    UNCERTAIN,
    UNCERTAIN_ENGINEERING_UNITS_EXCEEDED,
    UNCERTAIN_SUB_NORMAL,
)

START = 1_700_000_000 * NS_PER_S
TYPES = ("float", "int", "text")


class Plain:
    """The rules of binding once more, for one tag and one sample at a time: what the columns must agree with."""

    def __init__(self, tag):
        self.tag = tag
        self.status = None
        self.value = "" if tag["type"] == "text" else 0
        self.sent_ns = self.sent_at = self.seen_ns = None

    def take(self, raw, time_ns, status, now, mono, from_device=True):
        value, status = self.convert(raw, status)
        low, high = self.tag["low"], self.tag["high"]
        numeric = self.tag["type"] != "text"
        outside = numeric and ((low is not None and value < low) or (high is not None and value > high))
        if outside and status >> 30 == 0:
            status = UNCERTAIN_ENGINEERING_UNITS_EXCEEDED
        if time_ns > now + 5 * NS_PER_S:
            time_ns, status = now, status if status >> 30 else UNCERTAIN
        time_ns -= time_ns % self.tag["resolution_ns"]
        held = self.seen_ns is not None and time_ns < self.seen_ns
        if held and self.seen_ns - time_ns > 5 * NS_PER_S and status >> 30 == 0:
            status = UNCERTAIN
        self.seen_ns = time_ns = self.seen_ns if held else time_ns
        if not self.wants(value, status, mono, from_device):
            return None
        resolution = self.tag["resolution_ns"]
        if held and self.sent_ns is not None and time_ns <= self.sent_ns and mono - self.sent_at >= 4 * resolution:
            self.seen_ns = time_ns = self.sent_ns + resolution
        self.status, self.sent_ns, self.sent_at = status, time_ns, mono
        if not status & BAD:
            self.value = value
        return (self.tag["id"], time_ns, None if status & BAD else value, status)

    def wants(self, value, status, mono, from_device):
        if self.status is None or status != self.status or mono - self.sent_at >= self.tag["max_gap_s"] * NS_PER_S:
            return True
        every = self.tag["deadband"] < 0 and not self.tag["deadband_percent"] > 0
        if not from_device:
            return False
        if status & BAD:
            return every
        if self.tag["type"] == "text":
            return every or value != self.value
        percent = self.tag["deadband_percent"]
        band = percent / 100 * abs(float(self.value)) if percent > 0 else self.tag["deadband"]
        return abs(value - self.value) > band

    def convert(self, raw, status):
        kind, factor, offset = self.tag["type"], self.tag["factor"], self.tag["offset"]
        blank = "" if kind == "text" else 0

        def worse(code):
            return (blank, code if code >> 30 > status >> 30 else status)

        if isinstance(raw, str) != (kind == "text"):
            return worse(BAD_TYPE_MISMATCH)
        if kind == "text":
            return raw, status
        scaled = (factor, offset) != (1.0, 0.0)
        if kind == "float":
            value = float(raw) * factor + offset if scaled else float(raw)
            return (value, status) if math.isfinite(value) else worse(BAD_OUT_OF_RANGE)
        if isinstance(raw, int) and not scaled:
            return raw, status
        if isinstance(raw, int) and factor.is_integer() and offset.is_integer():
            value = raw * int(factor) + int(offset)
            return (value, status) if abs(value) < 2**63 - 2**12 else worse(BAD_OUT_OF_RANGE)
        value = float(raw) * factor + offset
        if not abs(value) < 2**63 - 2**12:
            return worse(BAD_OUT_OF_RANGE)
        if not scaled and not value.is_integer():
            return worse(BAD_TYPE_MISMATCH)
        return round(value), status


numbers = st.one_of(
    st.floats(-1e6, 1e6), st.sampled_from([0.0, 1.0, 1.5, float("nan"), float("inf"), -float("inf"), 1e300, 3e18, 1e19])
)
integers = st.one_of(st.integers(-200, 200), st.integers(-(2**63), 2**63 - 1))
words = st.sampled_from(["", "run", "stop"])
statuses = st.sampled_from([GOOD, GOOD, GOOD, BAD_DEVICE_FAILURE, UNCERTAIN_SUB_NORMAL])


@st.composite
def tag_lists(draw):
    def tag(i):
        return {
            "id": 1000 + i,
            "type": draw(st.sampled_from(TYPES)),
            "factor": draw(st.sampled_from([1.0, 1.0, 10.0, 0.1, -3.0])),
            "offset": draw(st.sampled_from([0.0, 0.0, 5.0, 0.5])),
            "low": draw(st.sampled_from([None, None, -50.0, 0.5])),
            "high": draw(st.sampled_from([None, None, 100.0, 99.5])),
            "deadband": draw(st.sampled_from([0.0, 0.0, 0.5, 2.5, 10.0, -1.0])),
            "deadband_percent": draw(st.sampled_from([0.0, 0.0, 5.0])),
            "max_gap_s": draw(st.sampled_from([2.0, 10.0, 1e9])),
            "resolution_ns": draw(st.sampled_from([1, 1_000_000, 1_000_000, NS_PER_S])),
        }

    return [tag(i) for i in range(draw(st.integers(1, 5)))]


def table_of(tags):
    columns = TagColumns(**{name: [tag[name] for tag in tags] for name in tags[0]})
    return TagTable.of(columns, range(len(tags)))


def batches_of(rows):
    """(row, raw, time, status) in the order given, as one batch per raw type."""
    made = []
    for kind, dtype in ((float, np.float64), (int, np.int64), (str, np.int32)):
        mine = [r for r in rows if type(r[1]) is kind]
        if mine:
            text = tuple(sorted({r[1] for r in mine})) if kind is str else ()
            values = [text.index(r[1]) if kind is str else r[1] for r in mine]
            made.append(
                SampleBatch(
                    np.array([r[0] for r in mine], np.int32),
                    np.array([r[2] for r in mine], np.int64),
                    np.array(values, dtype),
                    np.array([r[3] for r in mine], np.uint32),
                    text,
                )
            )
    return made


def spelt(batches):
    found = []
    for batch in batches:
        for i in range(len(batch)):
            value = batch.value[i].item()
            value = batch.text[value] if batch.type is ValueType.TEXT else value
            status = int(batch.status[i])
            found.append((int(batch.id[i]), int(batch.time_ns[i]), None if status & BAD else value, status))
    return found


@st.composite
def scenes(draw):
    """Tags, and turns of (seconds since the last turn, clock jump in s, rows or a mark)."""
    tags = draw(tag_lists())
    turns = []
    for _ in range(draw(st.integers(1, 8))):
        elapsed = draw(st.sampled_from([0.0, 0.0004, 0.1, 1.0, 3.0]))
        jump = draw(st.sampled_from([0, 0, 0, 0, -2, -60, 60]))
        if draw(st.integers(0, 5)) == 0:
            turns.append((elapsed, jump, None))
            continue
        rows = []
        for _ in range(draw(st.integers(0, 8))):
            row = draw(st.integers(0, len(tags) - 1))
            of = {"float": st.one_of(numbers, integers), "int": st.one_of(integers, numbers), "text": words}
            raw = draw(st.one_of(*(of[tags[row]["type"]],) * 3, words, integers))
            late = draw(st.sampled_from([0, 0, 0, 1, NS_PER_S, -10 * NS_PER_S, 3_600 * NS_PER_S]))
            rows.append((row, raw, late, draw(statuses)))
        turns.append((elapsed, jump, rows))
    return tags, turns


def play(tags, turns):
    """The binder's answers and those of the plain rules, turn by turn."""
    binder, plain = Binder(table_of(tags)), [Plain(tag) for tag in tags]
    mono, wall = 0, START
    for elapsed, jump, rows in turns:
        step = round(elapsed * NS_PER_S)
        mono, wall = mono + step, wall + step + jump * NS_PER_S
        if rows is None:
            everything = np.arange(len(tags))
            got = spelt(binder.mark(everything, BAD_NO_COMMUNICATION, wall, mono))
            due = [p.take(p.value, wall, BAD_NO_COMMUNICATION, wall, mono, from_device=False) for p in plain]
        else:
            timed = [(row, raw, wall - late, status) for row, raw, late, status in rows]
            got = spelt(binder.bind(batches_of(timed), wall, mono))
            in_order = [r for kind in (float, int, str) for r in timed if type(r[1]) is kind]
            due = [plain[row].take(raw, time, status, wall, mono) for row, raw, time, status in in_order]
        yield got, [d for d in due if d is not None]


@settings(max_examples=120, deadline=None)
@given(scenes())
def test_columns_do_what_the_rules_say_sample_by_sample(scene):
    for got, due in play(*scene):
        for tag in {row[0] for row in got + due}:
            mine = [
                (t, pytest.approx(v, rel=1e-12) if isinstance(v, float) else v, s) for i, t, v, s in due if i == tag
            ]
            assert [row[1:] for row in got if row[0] == tag] == mine


@pytest.mark.mission("M35")
@settings(max_examples=40, deadline=None)
@given(scenes())
def test_a_tags_time_never_decreases_and_no_bad_value_passes_as_good(scene):
    tags, _ = scene
    by_id = {tag["id"]: tag for tag in tags}
    newest = {}
    for got, _ in play(*scene):
        for tag, time, value, status in got:
            assert time >= newest.get(tag, 0)
            assert time % by_id[tag]["resolution_ns"] == 0
            newest[tag] = time
            if status == GOOD and by_id[tag]["type"] != "text":
                assert math.isfinite(value)
                low, high = by_id[tag]["low"], by_id[tag]["high"]
                assert low is None or value >= low
                assert high is None or value <= high


@settings(max_examples=40, deadline=None)
@given(st.floats(0, 1e9), st.lists(statuses, min_size=1, max_size=20), st.sampled_from(["float", "int"]))
def test_no_deadband_hides_a_change_of_status(deadband, said, kind):
    tag = {"id": 7, "type": kind, "deadband": deadband, "max_gap_s": 1e9, "resolution_ns": 1}
    binder = Binder(table_of([tag]))
    sent = []
    for i, status in enumerate(said):
        sent += [s for *_, s in spelt(binder.bind(batches_of([(0, 1, START + i, status)]), START + i, i))]
    assert sent == [s for i, s in enumerate(said) if i == 0 or said[i - 1] != s]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(-100, 100), min_size=1, max_size=30), st.floats(0, 20))
def test_what_was_sent_is_never_further_from_the_truth_than_the_deadband(values, deadband):
    tag = {"id": 7, "type": "float", "deadband": deadband, "max_gap_s": 1e9, "resolution_ns": 1}
    binder, known = Binder(table_of([tag])), None
    for i, value in enumerate(values):
        got = spelt(binder.bind(batches_of([(0, value, START + i, GOOD)]), START + i, i))
        before, known = known, got[0][2] if got else known
        assert abs(value - known) <= deadband
        assert not got or before is None or abs(value - before) > deadband, "nothing passes that need not"


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=10), st.sampled_from([0.0, 2.5, 1e18, 1e19]))
def test_integers_are_exact_to_the_last_bit(values, deadband):
    tag = {"id": 7, "type": "int", "deadband": deadband, "max_gap_s": 1e9, "resolution_ns": 1}
    binder, known = Binder(table_of([tag])), None
    for i, value in enumerate(values):
        got = spelt(binder.bind(batches_of([(0, value, START + i, GOOD)]), START + i, i))
        assert [v for _, _, v, _ in got] == ([value] if known is None or abs(value - known) > deadband else [])
        known = got[0][2] if got else known


@settings(max_examples=40, deadline=None)
@given(scenes(), st.integers(0, 8))
def test_a_new_table_that_adopts_the_old_one_goes_on_as_if_nothing_had_happened(scene, when):
    tags, turns = scene
    turns = [(elapsed, 0, rows) for elapsed, _, rows in turns]

    def run(swap):
        binder, mono, out = Binder(table_of(tags)), 0, []
        for i, (elapsed, _, rows) in enumerate(turns):
            if i == swap:
                new = Binder(table_of(tags))
                new.adopt(binder)
                binder = new
            mono += round(elapsed * NS_PER_S)
            timed = [(row, raw, START + mono - late, status) for row, raw, late, status in rows or ()]
            out += spelt(binder.bind(batches_of(timed), START + mono, mono))
        return out

    assert run(when) == run(None)


def test_a_batch_that_contradicts_itself_is_malformed():
    binder = Binder(table_of([{"id": 7, "type": "text"}]))
    one = np.zeros(1, np.int64)
    uneven = SampleBatch(np.zeros(2, np.int32), one, np.zeros(1), np.zeros(1, np.uint32))
    for code, text in ((1, ("a",)), (-1, ("a",)), (0, ())):
        beyond = SampleBatch(np.zeros(1, np.int32), one, np.array([code], np.int32), np.zeros(1, np.uint32), text)
        for batch in (uneven, beyond):
            with pytest.raises(Malformed):
                binder.bind([batch], START, 0)


def test_an_empty_batch_says_nothing_and_an_endless_text_is_refused():
    binder = Binder(table_of([{"id": 7, "type": "text"}]))
    empty = SampleBatch(np.zeros(0, np.int32), np.zeros(0, np.int64), np.zeros(0), np.zeros(0, np.uint32))
    assert binder.bind([empty], START, 0) == ()
    assert spelt(binder.bind(batches_of([(0, "x" * 70_000, START, GOOD)]), START, 0))[0][3] == BAD_OUT_OF_RANGE
