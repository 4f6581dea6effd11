from __future__ import annotations

import asyncio
import dataclasses
from collections import Counter
from typing import ClassVar

import numpy as np
import pytest

from isthmus.acquisition.formulas import Column
from isthmus.values.errors import ConfigError
from isthmus.values.model import FormulaModel
from isthmus.values.sample import ValueType
from isthmus.values.status import (
    BAD_CONFIGURATION_ERROR,
    BAD_DEVICE_FAILURE,
    BAD_INTERNAL_ERROR,
    BAD_NO_COMMUNICATION,
    BAD_OUT_OF_SERVICE,
    BAD_WAITING_FOR_INITIAL_DATA,
    GOOD,
    UNCERTAIN_ENGINEERING_UNITS_EXCEEDED,
    worst,
)

RULES = {
    "a + b": (("a", "b"), lambda a, b: a + b),
    "100 * g / (g + r)": (("g", "r"), lambda g, r: 100 * g / (g + r)),
    "s * 2": (("s",), lambda s: s * 2),
    "a > 2": (("a",), lambda a: a > 2),
    "what(a)": (("a",), lambda a: np.where(a > 2, "high", "low").astype(object)),
    "runs(w)": (("w",), lambda w: w == "Execute"),
    "42": ((), lambda: np.array([42.0])),
    "broken": (("a",), lambda _: 1 / 0),
}


class Fake:
    """Stands for the expression language: names, columns in, a column out with the worst status of the inputs."""

    calls: ClassVar[Counter] = Counter()

    def __init__(self, text):
        if text not in RULES:
            raise ConfigError(f"column 1: no expression, was {text!r}")
        self.text = text
        self.names = frozenset(RULES[text][0])

    def evaluate(self, inputs):
        names, rule = RULES[self.text]
        assert set(inputs) == self.names
        columns = [inputs[n] for n in names]
        Fake.calls[self.text, len(columns[0].value) if columns else 1] += 1
        with np.errstate(all="ignore"):
            value = rule(*(c.value for c in columns))
        return Column(value, worst(*(c.status for c in columns)) if columns else np.zeros(1, np.uint32))


@pytest.fixture(autouse=True)
def language(rig):
    rig.compile = Fake
    Fake.calls.clear()


def formula(tag, text, **inputs):
    return FormulaModel(tag, text, inputs)


def calculated(*tags, kind="float"):
    return [{"id": tag, "type": kind, "period_s": 0.0} for tag in tags]


def test_a_formula_follows_its_inputs_and_waits_with_them(rig, model):
    device = rig.device("plc1")
    device.value = 3.0

    async def story(acquisition):
        await acquisition.apply(model("plc1", extra=calculated(7), formulas=(formula(7, "a + b", a=101, b=102),)))
        await asyncio.sleep(2)
        device.value = 4.0
        await asyncio.sleep(2)

    rig.play(story)
    assert rig.outbox.values(7) == [0.0, 6.0, 8.0]
    assert rig.outbox.statuses(7) == [BAD_WAITING_FOR_INITIAL_DATA, GOOD, GOOD]
    inputs = {t for tag, t, *_ in rig.outbox.rows(101)}
    assert {t for _, t, *_ in rig.outbox.rows(7)} <= inputs, "a result has the time of its newest input"


def test_a_bad_input_makes_a_bad_result_and_the_link_back_a_good_one(rig, model):
    device = rig.device("plc1")

    async def story(acquisition):
        made = model("plc1", extra=calculated(7), formulas=(formula(7, "a + b", a=101, b=102),))
        await acquisition.apply(made)
        await asyncio.sleep(2)
        device.answer = lambda points: [device.batch(points[:1]), device.batch(points[1:], 1.0, BAD_DEVICE_FAILURE)]
        await asyncio.sleep(2)
        assert rig.outbox.statuses(7)[-1] == BAD_DEVICE_FAILURE
        device.answer = lambda _: asyncio.Event().wait()
        await asyncio.sleep(20)
        device.answer = None
        await asyncio.sleep(31)
        assert rig.outbox.statuses(7)[-1] == GOOD

    rig.play(story)


def test_the_same_formula_of_many_assets_is_one_evaluation(rig, model):
    formulas = tuple(formula(5000 + i, "a + b", a=101 + i, b=601 + i) for i in range(500))
    extra = calculated(*(5000 + i for i in range(500)))
    device = rig.device("plc1")

    async def story(acquisition):
        await acquisition.apply(model("plc1", tags=1100, extra=extra, formulas=formulas))
        await asyncio.sleep(0.5)
        Fake.calls.clear()
        device.value = 5.0
        await asyncio.sleep(1)
        assert dict(Fake.calls) == {("a + b", 500): 1}
        device.answer = lambda points: [device.batch(points[:3], 9.0), device.batch(points[3:], 5.0)]
        Fake.calls.clear()
        await asyncio.sleep(1)
        assert dict(Fake.calls) == {("a + b", 3): 1}, "only where an input changed"
        Fake.calls.clear()
        await asyncio.sleep(5)
        assert not Fake.calls, "nothing changed, nothing is evaluated"

    rig.play(story)
    assert rig.outbox.values(5000)[-1] == 14.0
    assert rig.outbox.values(5400)[-1] == 10.0


def test_formulas_over_formulas_are_evaluated_in_their_order_in_one_go(rig, model):
    device = rig.device("plc1")
    formulas = (
        formula(7, "a + b", a=101, b=102),
        formula(8, "s * 2", s=7),
        formula(9, "a + b", a=8, b=101),
        formula(10, "42"),
        formula(11, "a + b", a=9, b=10),
    )

    async def story(acquisition):
        await acquisition.apply(model("plc1", extra=calculated(7, 8, 9, 10, 11), formulas=formulas))
        await asyncio.sleep(2)
        device.value = 2.0
        await asyncio.sleep(1)

    rig.play(story)
    assert rig.outbox.values(9)[1:] == [5.0, 10.0]
    assert rig.outbox.values(10) == [42.0]
    assert rig.outbox.values(11)[1:] == [47.0, 52.0]


def test_results_take_the_type_of_their_tag_and_pass_range_and_deadband(rig, model):
    device = rig.device("plc1")
    device.value = 1.0
    extra = [
        {"id": 7, "type": "int", "period_s": 0.0},
        {"id": 8, "type": "text", "period_s": 0.0},
        {"id": 9, "type": "float", "period_s": 0.0, "high": 5.0, "deadband": 1.5},
    ]
    formulas = (formula(7, "a > 2", a=101), formula(8, "what(a)", a=101), formula(9, "s * 2", s=102))

    async def story(acquisition):
        await acquisition.apply(model("plc1", extra=extra, formulas=formulas))
        for value in (1.0, 1.5, 2.0, 3.0):
            device.value = value
            await asyncio.sleep(1)

    rig.play(story)
    assert rig.outbox.values(7)[1:] == [0, 1]
    assert rig.outbox.values(8)[1:] == ["low", "high"]
    assert rig.outbox.values(9)[1:] == [2.0, 4.0, 6.0]
    assert rig.outbox.statuses(9)[-1] == UNCERTAIN_ENGINEERING_UNITS_EXCEEDED
    types = {b.type for _, batches in rig.outbox.offers for b in batches if 8 in b.id}
    assert types == {ValueType.TEXT}


def test_inputs_may_be_texts_and_integers(rig, model):
    device = rig.device("plc1")
    extra = [
        {"id": 5, "type": "text", "connection": "plc1", "address": "word"},
        {"id": 6, "type": "int", "connection": "plc1", "address": "count"},
        *calculated(7, 8, kind="int"),
    ]

    def answer(points):
        word, count = ([p for p in points if p.address == a] for a in ("word", "count"))
        texts = device.batch(word, 0)
        texts = dataclasses.replace(texts, value=np.zeros(1, np.int32), text=(device.word,))
        rest = [p for p in points if p not in word + count]
        return [device.batch(rest), device.batch(count, 2**53 + 1), texts]

    device.word, device.answer = "Execute", answer
    formulas = (formula(7, "runs(w)", w=5), formula(8, "s * 2", s=6))

    async def story(acquisition):
        await acquisition.apply(model("plc1", extra=extra, formulas=formulas))
        await asyncio.sleep(2)
        device.word = "Held"
        await asyncio.sleep(2)

    rig.play(story)
    assert rig.outbox.values(7) == [0, 1, 0]
    assert rig.outbox.values(8)[-1] == 2**54 + 2, "integers stay exact on their way through"


def test_division_by_zero_is_bad_and_not_infinite(rig, model):
    device = rig.device("plc1")
    device.value = 0.0

    async def story(acquisition):
        made = model("plc1", extra=calculated(7), formulas=(formula(7, "100 * g / (g + r)", g=101, r=102),))
        await acquisition.apply(made)
        await asyncio.sleep(2)

    rig.play(story)
    assert rig.outbox.statuses(7)[-1] >> 31


def test_inputs_from_two_connections_meet(rig, model):
    rig.device("plc2").value = 10.0

    async def story(acquisition):
        made = model("plc1", "plc2", extra=calculated(7), formulas=(formula(7, "a + b", a=101, b=201),))
        await acquisition.apply(made)
        await asyncio.sleep(2)
        rig.device("plc2").opening = rig.device("plc2").answer = None
        rig.device("plc2").answer = lambda _: asyncio.Event().wait()
        await asyncio.sleep(5)

    rig.play(story)
    assert rig.outbox.values(7)[-2] == 11.0
    assert rig.outbox.statuses(7)[-1] >> 31
    assert rig.outbox.statuses(101)[-1] == GOOD


@pytest.mark.parametrize(
    ("text", "status"),
    [("no such thing", BAD_CONFIGURATION_ERROR), ("s * 2", BAD_CONFIGURATION_ERROR), ("broken", BAD_INTERNAL_ERROR)],
)
def test_a_formula_that_cannot_run_costs_only_itself_and_is_told_once(rig, model, text, status):
    device = rig.device("plc1")
    formulas = (formula(7, text, a=101), formula(8, "a > 2", a=101))

    async def story(acquisition):
        await acquisition.apply(model("plc1", extra=calculated(7, 8), formulas=formulas))
        for value in (1.0, 5.0, 9.0):
            device.value = value
            await asyncio.sleep(1)

    rig.play(story)
    assert set(rig.outbox.statuses(7)) == {status}
    assert rig.outbox.statuses(8)[-1] == GOOD
    assert sum("formula" in line for line in rig.lines) == 1


def test_a_new_model_keeps_what_formulas_knew_and_ends_those_that_left(rig, model):
    def made(version, *tags):
        return model(
            "plc1",
            version=version,
            extra=calculated(*tags),
            formulas=tuple(formula(t, "a + b", a=101, b=102) for t in tags),
        )

    async def story(acquisition):
        await acquisition.apply(made(1, 7, 8))
        await asyncio.sleep(5)
        rig.outbox.clear()
        await acquisition.apply(made(2, 7, 9))
        await asyncio.sleep(5)

    rig.play(story)
    assert rig.outbox.rows(7) == [], "nothing new about it"
    assert rig.outbox.values(9) == [2.0], "the inputs are known, so it need not wait for their next change"
    assert rig.outbox.statuses(8) == [BAD_OUT_OF_SERVICE]


def test_a_formula_without_its_tag_refuses_the_model(rig, model):
    async def story(acquisition):
        with pytest.raises(ConfigError, match="tag 7"):
            await acquisition.apply(model("plc1", formulas=(formula(7, "42"),)))

    rig.play(story)


def test_an_edge_without_a_language_marks_its_calculated_tags(rig, model):
    rig.compile = None

    async def story(acquisition):
        await acquisition.apply(model("plc1", extra=calculated(7), formulas=(formula(7, "42"),)))
        await asyncio.sleep(1)

    rig.play(story)
    assert rig.outbox.statuses(7) == [BAD_CONFIGURATION_ERROR]
    assert BAD_NO_COMMUNICATION not in rig.outbox.statuses(101)
