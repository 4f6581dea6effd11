"""A lot that quality holds back is not used, by anybody, until what holds it is cleared: both rooms over one record."""

from __future__ import annotations

from pathlib import Path

import pytest
from orders_rig import ANA, FILLER, SUE, Works, simple

from isthmus.production.orders.model import Lot
from isthmus.production.orders.quantity import ONE
from isthmus.quality.service import Quality
from isthmus.quality.store import metadata as quality_tables
from isthmus.values.errors import Denied

pytestmark = [pytest.mark.mission("M30", "M59"), pytest.mark.real("sqlite")]


async def test_a_held_lot_is_refused_with_what_would_clear_it_and_used_when_it_is_released(tmp_path: Path) -> None:
    works = Works(tmp_path)
    quality_tables.create_all(works.engine)
    quality = Quality(works.engine, works.clock, works.room.orders)
    quality._begin(works.plant)
    works.room.attach(holds=quality)
    await works.products(
        simple("bottle"), simple("water", material="bottle"), simple("juice", material="bottle", automatic=False)
    )
    for lot in ("B1", "B2"):
        await works.room.lots.receive(Lot(lot, "bottle", 0), 10 * ONE, ANA)
    held = await quality.hold(FILLER, "B1", "glass in it", "Eva")
    scanned = await works.started("juice", 5)
    with pytest.raises(Denied, match="lot B1 is held: glass in it; it is used again when quality releases it") as no:
        await works.room.lots.consume(scanned.id, "B1", ONE, 0, ANA)
    assert no.value.code == "lot_held"
    scanned = await works.room.orders.complete(scanned.id, scanned.rev, ANA, reason="none came")
    works.clock.advance(1)
    counted = await works.started("water", 20)
    works.make(FILLER, 12)
    await works.room.orders.catch_up()
    assert await works.on_hand("B1", "B2") == [10, 0], "a machine takes around what is held"
    (need,) = (await works.room.orders.detail(counted.id)).needs
    assert need.owed == 2 * ONE

    await quality.release(held.id, held.version, "Eva", "looked through", "use as is")
    await works.room.orders.catch_up()
    assert await works.on_hand("B1", "B2") == [8, 0]
    (need,) = (await works.room.orders.detail(counted.id)).needs
    assert need.owed == 0
    works.close()


async def test_what_an_order_made_is_not_used_by_another_while_its_order_is_held(tmp_path: Path) -> None:
    works = Works(tmp_path)
    quality_tables.create_all(works.engine)
    quality = Quality(works.engine, works.clock, works.room.orders)
    quality._begin(works.plant)
    works.room.attach(holds=quality)
    await works.products(simple("water"), simple("pack", material="water", automatic=False))
    first = await works.started("water", 3)
    works.make(FILLER, 3)
    first = await works.room.orders.complete(first.id, first.rev, ANA)
    await quality.hold(FILLER, first.lot, "foam", "Eva")
    with pytest.raises(Denied, match="foam") as no:
        await works.room.orders.close(first.id, first.rev, SUE)
    assert no.value.code == "lot_held"
    second = await works.started("pack", 1)
    with pytest.raises(Denied, match="foam"):
        await works.room.lots.consume(second.id, first.lot, ONE, 0, ANA)
    works.close()
