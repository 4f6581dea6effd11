"""Recipes: what may be saved, who agrees, and downloads that are all or told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from control_rig import LOG, SWITCH, TARGET, Works, person, plant, program

from isthmus.control.model import APPROVAL_S, Refusal
from isthmus.control.recipe_model import Item, Recipe
from isthmus.control.recipes import Recipes
from isthmus.values.errors import ConfigError
from isthmus.values.messages.control import Result
from isthmus.values.model import WritePoint

ANA, SUE, EVE = person("ana", user_id=1), person("sue", "supervisor", user_id=3), person("eve", "engineer", user_id=4)
COLA = Recipe("Cola", type="filler")
ITEMS = (Item("target", 110), Item("run", 1))


def make(works: Works) -> Recipes:
    return Recipes(
        works.engine, works.clock, works.control, lambda: works.plant, works.permissions, works.audit,
        lambda asker: works.behind.get(asker.name, ()), LOG,
    )  # fmt: skip


@pytest.fixture
async def recipes(works: Works) -> AsyncIterator[Recipes]:
    works.apply(plant(WritePoint(2, "operator", "line1"), version=8))
    made = make(works)
    await made.open()
    yield made
    await made.close()


async def approved(recipes: Recipes, recipe: Recipe = COLA, items: Any = ITEMS) -> None:
    made = await recipes.save(EVE, recipe, items, "first")
    await recipes.approve(SUE, recipe.name, made.number)


@pytest.mark.mission("M31")
async def test_a_recipe_is_written_in_its_order_and_the_report_tells_what_was_before(
    works: Works, recipes: Recipes
) -> None:
    await approved(recipes)
    done = await recipes.download(ANA, "Cola", reason="order 7")
    assert (done.state, done.asset, done.number) == ("done", "hall/line1/filler", 1)
    assert [(line.path, line.before, line.value, line.state) for line in done.lines] == [
        (TARGET, 100.0, 110.0, "done"), (SWITCH, 0, 1, "done"),
    ]  # fmt: skip
    assert [command.tag for command in works.edges.wire] == [1, 2]
    assert [w.why for w in await works.control.writes()] == ["recipe Cola version 1: order 7"] * 2
    assert await recipes.downloads(ANA, "Cola") == [done]


@pytest.mark.mission("M31")
async def test_when_one_value_would_be_refused_nothing_is_written(works: Works, recipes: Recipes) -> None:
    await approved(recipes, items=(Item("run", 1), Item("target", 110)))
    works.feed({"hall/line1/filler/guard": 0})
    done = await recipes.download(ANA, "Cola")
    assert (done.state, works.edges.sent) == ("refused", [])
    assert [(line.state, line.code) for line in done.lines] == [("not written", ""), ("not written", "interlock")]


async def test_the_first_that_is_not_done_stops_the_rest_and_the_report_says_so(works: Works, recipes: Recipes) -> None:
    await approved(recipes, items=(Item("run", 1), Item("target", 110), Item("mode", 2)))
    works.edges.how = [Result.DONE, Result.UNCERTAIN]
    done = await recipes.download(ANA, "Cola")
    assert done.state == "stopped"
    assert [(line.state, line.code) for line in done.lines] == [
        ("done", ""),
        ("uncertain", "no_answer"),
        ("not written", ""),
    ]
    assert len(works.edges.sent) == 2
    assert (await recipes.downloads(ANA, "Cola"))[0] == done


async def test_a_core_that_died_in_between_leaves_a_report_that_says_so(works: Works, recipes: Recipes) -> None:
    from isthmus.control import recipe_store
    from isthmus.control.recipe_model import Download, Line

    await approved(recipes)
    with works.engine.begin() as db:
        lines = (Line(TARGET, 110.0, 100.0, "done"), Line(SWITCH, 1, 0))
        recipe_store.add_download(db, Download(0, "Cola", 1, "hall/line1/filler", "ana", "", "running", 1, None, lines))
    again = make(works)
    await again.open()
    found = (await again.downloads(ANA, "Cola"))[0]
    assert (found.state, [line.state for line in found.lines]) == ("broken", ["done", "not written"])
    assert works.edges.sent == []


@pytest.mark.parametrize(
    ("recipe", "items", "says"),
    [
        (COLA, (Item("target", 141),), "may be written from"),
        (COLA, (Item("target", "fast"),), "takes a number"),
        (COLA, (Item("speed", 1),), "no point that may be written"),
        (COLA, (Item("nothing", 1),), "no point that may be written"),
        (COLA, (), "1 to 100"),
        (COLA, (Item("target", 1), Item("target", 2)), "named twice"),
        (Recipe("x", type="mixer"), ITEMS, "no asset"),
        (Recipe("x", asset="hall/nowhere"), ITEMS, "no such asset"),
    ],
)
async def test_what_does_not_fit_the_plant_is_not_saved(
    recipes: Recipes, recipe: Recipe, items: Any, says: str
) -> None:
    with pytest.raises((ConfigError, Refusal), match=says):
        await recipes.save(person("sue", "supervisor"), recipe, items, "")
    assert await recipes.listed(SUE) == []


async def test_another_person_agrees_and_only_then_it_can_be_downloaded(works: Works, recipes: Recipes) -> None:
    with pytest.raises(Refusal) as no:
        await recipes.save(ANA, COLA, ITEMS, "")
    assert no.value.code == "role_missing"
    made = await recipes.save(SUE, COLA, ITEMS, "first")
    with pytest.raises(Refusal) as no:
        await recipes.download(ANA, "Cola")
    assert no.value.code == "not_approved"
    for who, code in ((SUE, "same_person"), (EVE, "role_missing"), (program("p", "supervisor"), "needs_session")):
        with pytest.raises(Refusal) as no:
            await recipes.approve(who, "Cola", made.number)
        assert no.value.code == code
    boss = person("bo", "supervisor", user_id=9)
    assert (await recipes.approve(boss, "Cola", 1)).approved_by == "bo"
    with pytest.raises(Refusal):
        await recipes.approve(boss, "Cola", 1)
    second = await recipes.save(EVE, COLA, (Item("target", 120),), "faster")
    assert (second.number, [v.number for v in await recipes.versions(ANA, "Cola")]) == (2, [2, 1])
    assert (await recipes.download(ANA, "Cola")).number == 1, "a draft is not downloaded"
    with pytest.raises(Refusal):
        await recipes.download(ANA, "Cola", number=2)
    with pytest.raises(LookupError):
        await recipes.download(ANA, "Fanta")
    with pytest.raises(ConfigError):
        await recipes.download(ANA, "Cola", asset="hall/line2/filler")
    with pytest.raises(ConfigError, match="already"):
        await recipes.save(EVE, replace(COLA, type="", asset="hall/line1/filler"), ITEMS, "")


TANK = Recipe("Tank", asset="hall/line2/filler")
BEN, TOM = person("ben", user_id=2), person("tom", "supervisor", user_id=5)


@pytest.mark.mission("M31", "M34")
async def test_a_download_waits_once_for_a_second_person_and_carries_both_names(works: Works, recipes: Recipes) -> None:
    await approved(recipes, TANK, (Item("target", 5),))
    waits = await recipes.download(ANA, "Tank", reason="order 8")
    assert (waits.state, works.edges.sent) == ("waiting", [])
    assert await recipes.waiting(ANA) == [(waits, True)]
    assert await recipes.waiting(BEN) == [(waits, False)]
    assert await recipes.downloads(ANA, "Tank") == [waits]
    for who, code in (
        (ANA, "same_person"),
        (program("p"), "needs_session"),
        (EVE, "role_missing"),
        (person("ana", "supervisor"), "same_person"),
    ):
        with pytest.raises(Refusal) as no:
            await recipes.agree(who, "Tank", waits.id)
        assert no.value.code == code
        assert works.edges.sent == []
    done = await recipes.agree(BEN, "Tank", waits.id)
    assert (done.state, done.second, done.by) == ("done", "ben", "ana")
    [write] = await works.control.writes()
    assert (write.by, write.approved_by, write.why) == ("ana", "ben", "recipe Tank version 1: order 8")
    assert works.audit.begun[-1]["new"]["approved_by"] == "p-ben"
    assert await recipes.waiting(BEN) == []
    with pytest.raises(Refusal) as no:
        await recipes.agree(TOM, "Tank", waits.id)
    assert (no.value.code, len(works.edges.sent)) == ("wrong_state", 1)


async def test_what_stands_against_it_at_that_moment_leaves_it_waiting(works: Works, recipes: Recipes) -> None:
    await approved(recipes, TANK, (Item("target", 5),))
    waits = await recipes.download(ANA, "Tank")
    works.state["edge-2"] = None
    with pytest.raises(Refusal) as no:
        await recipes.agree(BEN, "Tank", waits.id)
    assert (no.value.code, works.edges.sent) == ("edge_silent", [])
    assert [one.state for one, _ in await recipes.waiting(BEN)] == ["waiting"]


async def test_who_asked_takes_it_back_and_another_says_no(works: Works, recipes: Recipes) -> None:
    await approved(recipes, TANK, (Item("target", 5),))
    first, second = await recipes.download(ANA, "Tank"), await recipes.download(ANA, "Tank")
    with pytest.raises(Refusal) as no:
        await recipes.refuse(ANA, "Tank", first.id, " ")
    assert no.value.code == "reason_needed"
    with pytest.raises(Refusal) as no:
        await recipes.refuse(EVE, "Tank", first.id, "no")
    assert no.value.code == "role_missing"
    back = await recipes.refuse(ANA, "Tank", first.id, "wrong order")
    said = await recipes.refuse(BEN, "Tank", second.id, "tank is open")
    assert [(one.state, one.second, one.said) for one in (back, said)] == [
        ("rejected", "ana", "wrong order"),
        ("rejected", "ben", "tank is open"),
    ]
    assert await recipes.downloads(ANA, "Tank") == [said, back]
    with pytest.raises(LookupError):
        await recipes.agree(BEN, "Tank", 99)
    with pytest.raises(LookupError):
        await recipes.refuse(BEN, "Cola", first.id, "x")
    assert works.edges.sent == []


async def test_a_download_that_nobody_decides_about_expires_and_a_restart_ends_it(
    works: Works, recipes: Recipes
) -> None:
    await approved(recipes, TANK, (Item("target", 5),))
    late = await recipes.download(ANA, "Tank")
    works.clock.advance(APPROVAL_S)
    with pytest.raises(Refusal) as no:
        await recipes.agree(BEN, "Tank", late.id)
    assert no.value.code == "wrong_state"
    await recipes.download(ANA, "Tank")
    again = make(works)
    await again.open()
    assert [one.state for one in await again.downloads(ANA, "Tank")] == ["expired", "expired"]
    assert (await again.waiting(BEN), works.edges.sent) == ([], [])


async def test_only_so_many_wait(works: Works, recipes: Recipes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("isthmus.control.recipes.MOST_WAITING", 1)
    await approved(recipes, TANK, (Item("target", 5),))
    await recipes.download(ANA, "Tank")
    with pytest.raises(Refusal) as no:
        await recipes.download(BEN, "Tank")
    assert no.value.code == "too_many_waiting"


async def test_who_may_not_read_its_assets_knows_no_recipe(works: Works, recipes: Recipes) -> None:
    await approved(recipes)
    other = person("x", "line2-only")
    assert await recipes.listed(other) == []
    with pytest.raises(LookupError):
        await recipes.get(other, "Cola")
    assert [d.recipe.name for d in await recipes.listed(ANA)] == ["Cola"]
