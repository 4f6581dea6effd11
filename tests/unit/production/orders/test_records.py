"""Work instructions, signatures and readings: done in order, bound to what was signed, within limits."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import orjson
import pytest
from orders_rig import ANA, FILLER, PROGRAM, STEPS, SUE, Works, simple
from sqlalchemy import update

from isthmus.production.orders.model import Operation, Order, Point, Product, Step, StepKind
from isthmus.production.orders.quantity import ONE, quantity, shown
from isthmus.production.orders.signing import hash_of
from isthmus.production.orders.store import SIGNATURE
from isthmus.values.clock import NS_PER_S
from isthmus.values.errors import ConfigError, Denied

PH = Point("ph", "pH of the rinse water", FILLER, "pH", 1, 0, 14 * ONE, 6 * ONE, 8 * ONE)


async def running(works: Works) -> tuple[Order, Product]:
    await works.products(simple("water", operation={"steps": STEPS}))
    order = await works.started("water", 2)
    works.make(FILLER, 2)
    await works.room.orders.catch_up()
    return await works.room.orders.get(order.id)


@pytest.mark.mission("M59")
async def test_an_operation_is_completed_when_its_steps_are_done_and_signed(works: Works) -> None:
    order, product = await running(works)
    signing = works.room.signing
    with pytest.raises(Denied, match="Read the card, First piece looked at, Line is free") as no:
        await works.room.orders.complete(order.id, order.rev, ANA)
    assert no.value.code == "steps_open"
    await signing.do(order, product, 10, "read", "", ANA)
    with pytest.raises(Denied, match="to sign operation 10 these steps are missing: First piece"):
        await signing.sign(order, product, 10, "free", ANA, "password")
    await signing.do(order, product, 10, "first", "fine", ANA)
    with pytest.raises(Denied) as no:
        await signing.do(order, product, 10, "free", "", ANA)
    assert no.value.code == "wrong_step"
    with pytest.raises(Denied) as no:
        await signing.sign(order, product, 10, "free", PROGRAM, "password")
    assert no.value.code == "needs_session"
    with pytest.raises(Denied) as no:
        await signing.sign(order, product, 10, "read", ANA, "password")
    assert no.value.code == "wrong_step"
    with pytest.raises(LookupError):
        await signing.sign(order, product, 10, "nothing", ANA, "password")
    await signing.sign(order, product, 10, "free", ANA, "password")
    done = await works.room.orders.complete(order.id, order.rev, ANA)
    with pytest.raises(Denied) as no:
        await signing.do(done, product, 10, "read", "", ANA)
    assert no.value.code == "wrong_state"


@pytest.mark.mission("M59")
async def test_a_signature_is_bound_to_what_was_signed_and_to_the_one_before(works: Works) -> None:
    order, product = await running(works)
    for step in ("read", "first"):
        await works.room.signing.do(order, product, 10, step, "", ANA)
    first = await works.room.signing.sign(order, product, 10, "free", ANA, "password", "looked behind the guard, too")
    second = await works.room.signing.sign(order, product, 10, "free", SUE, "pin")
    told = orjson.loads(first.content)
    assert (told["order"], told["lot"], told["meaning"], told["good"]) == (order.id, order.lot, "line clearance", "2")
    assert (told["signer"], told["proof"], told["version"]) == ("p-ana", "password", 1)
    assert set(told["done"]) == {"10/read", "10/first"}
    assert "ana" not in first.content.replace("p-ana", "")
    assert (told["previous"], orjson.loads(second.content)["previous"]) == ("", first.hash)
    assert [ok for _, ok in await works.room.signing.signatures(lot=order.lot)] == [True, True]
    forged = first.content.replace('"good":"2"', '"good":"3"')
    for change in (
        {"content": forged},
        {"content": forged, "hash": hash_of(forged), "meaning": "x"},
        {"content": first.content, "hash": first.hash, "meaning": first.meaning, "lot": "other"},
    ):
        with works.engine.begin() as db:
            db.execute(update(SIGNATURE).where(SIGNATURE.c.id == first.id).values(change))
        assert [ok for _, ok in await works.room.signing.signatures(order=order.id)] == [False, True]


async def test_a_reading_of_the_instructions_is_a_reading_of_its_point(works: Works) -> None:
    step = Step("ph", "Measure the water", kind=StepKind.READING, point="ph")
    product = replace(simple("water"), operations=(Operation(10, "Fill", (FILLER,), steps=(step,)),))
    with pytest.raises(ConfigError, match="no such reading"):
        await works.products(product)
    await works.room.readings.save_point(PH)
    await works.products(product)
    order = await works.started("water", 1)
    made = await works.room.readings.take("ph", "7.1", ANA, order=order.id)
    _, product = await works.room.orders.get(order.id)
    with pytest.raises(Denied):
        works.room.signing.check_reading(product, 10, "ph", "other")
    works.room.signing.check_reading(product, 10, "ph", "ph")
    await works.room.signing.read(order, 10, "ph", made.id, ANA)
    works.make(FILLER, 1)
    await works.room.orders.complete(order.id, order.rev, ANA)


@pytest.mark.mission("M21")
@pytest.mark.parametrize(
    ("value", "unit", "code", "says"),
    [
        ("7.25", None, "", "takes 1 decimals"),
        ("seven", None, "", "must be a number"),
        ("NaN", None, "", "must be a number"),
        ("1e999999999", None, "", "must be a number"),
        ("7", "bar", "", "is read in pH"),
        ("14.1", None, "out_of_range", "more than ph can be .14 pH"),
        ("-0.1", None, "out_of_range", "less than ph can be .0 pH"),
        ("5.9", None, "reason_needed", "5.9 is low .limit 6."),
        ("8.1", None, "reason_needed", "8.1 is high .limit 8."),
    ],
)
async def test_a_reading_that_cannot_be_is_refused_with_what_it_could_be(
    works: Works, value: str, unit: str | None, code: str, says: str
) -> None:
    await works.room.readings.save_point(PH)
    with pytest.raises((ConfigError, Denied), match=says) as no:
        await works.room.readings.take("ph", value, ANA, unit=unit)
    assert getattr(no.value, "code", "") == code
    assert await works.room.readings.listed("ph", 0, 2**62) == []


@pytest.mark.mission("M21")
async def test_a_reading_is_corrected_with_both_values_kept(works: Works) -> None:
    readings = works.room.readings
    await readings.save_point(PH)
    first = await readings.take("ph", Decimal("5.9"), ANA, comment="told maintenance")
    assert (first.outside, shown(first.value)) == ("low", "5.9")
    with pytest.raises(Denied) as no:
        await readings.take("ph", "6.9", SUE, replaces=first.id, comment="typo", may_correct=False)
    assert no.value.code == "not_yours"
    with pytest.raises(Denied) as no:
        await readings.take("ph", "6.9", ANA, replaces=first.id)
    assert no.value.code == "reason_needed"
    second = await readings.take("ph", "6.9", SUE, replaces=first.id, comment="typo", at_ns=first.at_ns)
    with pytest.raises(Denied) as no:
        await readings.take("ph", "6.8", ANA, replaces=first.id, comment="typo")
    assert no.value.code == "wrong_state"
    assert await readings.listed("ph", 0, 2**62) == [second]
    assert await readings.listed("ph", 0, 2**62, every=True) == [second, first]
    with pytest.raises(ConfigError, match="future"):
        await readings.take("ph", "7", ANA, at_ns=works.clock.now_ns() + 61 * NS_PER_S)
    for ident, replaced in (("nothing", 0), ("ph", 99)):
        with pytest.raises(LookupError):
            await readings.take(ident, "7", ANA, replaces=replaced, comment="x")


@pytest.mark.parametrize(
    "wrong",
    [{"decimals": 7}, {"asset": "hall/nowhere"}, {"low": 9 * ONE}, {"highest": 7 * ONE}, {"id": "a b"}],
)
async def test_a_point_has_limits_that_fit(works: Works, wrong: dict[str, int | str]) -> None:
    with pytest.raises(ConfigError):
        await works.room.readings.save_point(replace(PH, **wrong))
    assert await works.room.readings.points() == []


@pytest.mark.parametrize(
    ("text", "millionths"), [("1", ONE), ("0.000001", 1), ("12.50", 12_500_000), ("1e3", 1000 * ONE)]
)
def test_quantities_are_exact(text: str, millionths: int) -> None:
    assert quantity(text, "x") == millionths
    assert quantity(shown(millionths), "x") == millionths


@pytest.mark.parametrize(
    "text", ["0", "-1", "0.0000001", "1e13", "inf", "x", "1" * 40, "0.1234560000000000000000000000000001"]
)
def test_what_is_no_quantity_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="x: must be"):
        quantity(text, "x")


def test_no_float_comes_near_a_quantity() -> None:
    assert shown(sum([quantity("0.1", "x")] * 10)) == "1"
    assert shown(-1_500_000) == "-1.5"
