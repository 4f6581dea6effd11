"""Calls from the first alarm to the end, over real records."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from isthmus.alarms.callout import links, store
from isthmus.alarms.callout.model import Contact, Quiet, Step
from isthmus.alarms.callout.rota import Exchange
from isthmus.alarms.callout.service import Person
from isthmus.values.clock import NS_PER_S
from isthmus.values.errors import ConfigError, Denied, TryLater
from isthmus.values.messages.alarms import State

from .conftest import CONTACTS, KEY, MAIL, NIGHTS, NOW, RULE, SMS, Duty

pytestmark = pytest.mark.mission("M14")

ANA = [("mail", "ana@plant.example"), ("sms", "+33111")]
CHIEF = [("mail", "chief@plant.example")]


async def test_a_call_escalates_until_somebody_acknowledges(called: Duty) -> None:
    await called.hear(called.change(1))
    assert await called.later(9) == []  # it gathers
    assert await called.later(1) == ANA
    assert await called.later(299) == []
    assert await called.later(1) == ANA  # the reminder
    assert await called.later(600) == CHIEF
    await called.hear(called.change(1, State.ACKNOWLEDGED, by="chief"))
    assert await called.later(3600) == []
    assert (await called.callout.state()).calls == []
    assert called.alarms.reported == []


async def test_acknowledging_early_leaves_the_others_in_peace(called: Duty) -> None:
    await called.hear(called.change(1))
    await called.hear(called.change(1, State.ACKNOWLEDGED, by="ben"))
    assert await called.later(3600) == []
    assert await called.states() == []


async def test_ten_thousand_alarms_of_a_second_are_one_message_that_lists_them(called: Duty) -> None:
    await called.hear(*(called.change(n) for n in range(1, 10_001)))
    called.clock.advance(10)
    await called.callout.step()
    messages = sorted(called.ways.sent, key=lambda sent: sent[0])
    assert [channel for channel, _, _ in messages] == ["mail", "sms"]
    mail = messages[0][2]
    assert mail.title == "lyon: Critical, 10000 alarms"
    assert "Filler too fast 1 " in mail.body
    assert "and 9980 more" in mail.body
    await called.hear(*(called.change(n, State.ACKNOWLEDGED, by="ana") for n in range(1, 10_000)))
    assert len((await called.callout.state()).calls) == 1  # one alarm is left
    await called.hear(called.change(10_000, State.ACKNOWLEDGED, by="ana"))
    assert (await called.callout.state()).calls == []


async def test_alarms_that_come_while_a_call_is_under_way_gather_longer(called: Duty) -> None:
    await called.hear(called.change(1))
    assert await called.later(10) == ANA
    await called.hear(called.change(2))
    await called.hear(called.change(3))
    assert await called.later(59) == []
    assert await called.later(1) == ANA  # both in one
    assert [call.alarms for call in (await called.callout.state()).calls] == [2, 1]


async def test_what_was_over_before_anybody_could_hear_of_it_calls_nobody(called: Duty) -> None:
    await called.hear(called.change(1, replayed=True))
    assert await called.later(3600) == []


async def test_alarms_of_other_priorities_zones_and_paths_call_nobody(called: Duty) -> None:
    await called.setup(replace(RULE, under=("hall/line1",), zones=("line1",)))
    await called.hear(called.change(1, priority="low"), called.change(2, zone="line2"), called.change(3, path="yard/p"))
    assert await called.later(3600) == []
    await called.hear(called.change(4))
    assert await called.later(10) == ANA


async def test_an_alarm_that_is_shelved_needs_nobody_and_calls_again_afterwards(called: Duty) -> None:
    await called.hear(called.change(1))
    assert await called.later(10) == ANA
    await called.hear(called.change(1, State.SHELVED, by="ben"))
    assert await called.later(1000) == []
    await called.hear(called.change(1))
    assert await called.later(10) == ANA


async def test_by_rule_an_alarm_that_returned_needs_nobody(called: Duty) -> None:
    await called.hear(called.change(1), called.change(1, State.RETURNED_UNACKNOWLEDGED))
    assert await called.later(10) == ANA  # until acknowledged
    await called.setup(replace(RULE, until="returned"))
    await called.hear(called.change(2), called.change(2, State.RETURNED_UNACKNOWLEDGED))
    assert await called.later(240) == []
    assert len((await called.callout.state()).calls) == 1  # the first one goes on by the version it began with


async def test_quiet_hours_hold_a_call_back_and_then_it_comes(called: Duty) -> None:
    await called.setup(replace(RULE, quiet=(Quiet(("high",), "09:00-12:00"),)))  # it is 10:00 in Paris
    await called.hear(called.change(1, priority="high"))
    assert await called.later(3600) == []
    await called.hear(called.change(2))  # a critical one does not wait
    assert await called.later(10) == ANA
    await called.hear(called.change(2, State.ACKNOWLEDGED, by="ana"))
    assert await called.later(3589) == []
    assert await called.later(1) == ANA
    assert called.clock.now_ns() == NOW + 7200 * NS_PER_S


async def test_quiet_hours_that_begin_pause_an_escalation(called: Duty) -> None:
    await called.setup(replace(RULE, quiet=(Quiet(("critical", "high"), "10:04-10:30"),)))
    await called.hear(called.change(1))
    assert await called.later(10) == ANA
    assert await called.later(1000) == []  # 10:17, quiet
    assert await called.later(790) == ANA  # 10:30: the reminder, late
    assert await called.later(600) == CHIEF


async def test_who_is_on_duty_is_asked_at_the_moment_of_the_step(called: Duty) -> None:
    exchange = Exchange(datetime.fromisoformat("2026-11-23T10:04"), datetime.fromisoformat("2026-11-23T12:00"), "ben")
    await called.setup(replace(NIGHTS, exceptions=(exchange,)))
    await called.hear(called.change(1))
    assert await called.later(10) == ANA
    assert await called.later(300) == [("mail", "ben@plant.example"), ("sms", "+33222")]


async def test_where_nobody_is_on_duty_the_next_step_comes_at_once_and_the_log_says_so(called: Duty) -> None:
    await called.setup(replace(NIGHTS, hours="22:00-06:00"))
    await called.hear(called.change(1))
    assert await called.later(10) == CHIEF
    logged = await called.callout.deliveries(10, None, None)
    assert [(one.delivery.state, one.delivery.reason) for one in reversed(logged)] == [
        ("nobody", "nobody is on duty on rota nights"),
        ("delivered", ""),
    ]


async def test_an_account_that_was_closed_is_not_called(called: Duty) -> None:
    called.people[0] = Person("ana", open=False)
    await called.hear(called.change(1))
    assert await called.later(10) == CHIEF
    assert "ana has no open account" in (await called.callout.state()).rotas[0].problems


async def test_a_place_shared_by_everybody_is_told_once(called: Duty) -> None:
    await called.setup(replace(RULE, steps=(Step("all:nights", ("chat", "mail")),)))
    await called.hear(called.change(1))
    assert sorted(await called.later(10)) == [
        ("chat", ""),
        ("mail", "ana@plant.example"),
        ("mail", "ben@plant.example"),
    ]


async def test_when_nobody_answers_that_is_an_alarm_and_ends_when_somebody_does(called: Duty) -> None:
    await called.hear(called.change(1))
    for _ in range(3):
        await called.later(900)
    assert called.alarms.reported == []
    await called.later(900)
    assert called.alarms.reported == [("callout/unanswered/urgent", True)]
    assert (await called.callout.deliveries(1, None, None))[0].call.call.state == "unanswered"
    await called.hear(called.change(1, State.ACKNOWLEDGED, by="ana"))
    assert called.alarms.reported[-1] == ("callout/unanswered/urgent", False)


async def test_a_gateway_that_is_down_is_tried_again_told_and_heals(called: Duty, caplog) -> None:
    called.ways.down["mail"] = "no route to mail.plant.example"
    await called.hear(called.change(1))
    assert await called.later(10) == [("sms", "+33111")]
    state = await called.callout.state()
    health = next(c.health for c in state.channels if c.channel.name == "mail")
    assert (health.failing, health.reason, health.queued) == (True, "no route to mail.plant.example", 1)
    await called.later(6)
    await called.later(12)
    assert called.alarms.reported == [("callout/channel/mail", True)]  # once
    called.ways.down.clear()
    assert await called.later(24) == [("mail", "ana@plant.example")]
    assert called.alarms.reported[-1] == ("callout/channel/mail", False)
    logged = (await called.callout.deliveries(10, None, None))[-1]
    assert [result for _, _, result, _ in logged.attempts] == ["failed", "failed", "failed", "delivered"]
    assert logged.delivery.state == "delivered"
    said = [r.message for r in caplog.records if "channel mail" in r.message]
    assert len(said) == 1  # one line when it breaks; the one when it heals is at level info


async def test_a_gateway_that_heals_after_a_restart_ends_the_alarm_of_before(called: Duty) -> None:
    called.ways.down["mail"] = "no route"
    await called.hear(called.change(1))
    await called.later(10)
    await called.later(6)
    called.ways.down.clear()
    called.restart()
    await called.later(12)
    assert called.alarms.reported == [("callout/channel/mail", True), ("callout/channel/mail", False)]


async def test_what_waits_for_a_gateway_is_withdrawn_when_it_is_acknowledged(called: Duty) -> None:
    called.ways.down["mail"] = "no route"
    await called.hear(called.change(1))
    await called.later(10)
    await called.hear(called.change(1, State.ACKNOWLEDGED, by="ana"))
    called.ways.down.clear()
    assert await called.later(3600) == []
    assert await called.states() == ["withdrawn", "delivered"]


async def test_the_same_changes_again_and_restarts_decide_nothing_twice(called: Duty) -> None:
    changes = [called.change(1), called.change(2)]
    for _ in range(3):
        await called.hear(*changes)
        called.restart()
    assert await called.callout.after() == 2
    assert await called.later(10) == ANA
    called.restart()
    assert await called.later(0) == []
    await called.hear(*changes)
    assert await called.later(200) == []
    called.restart()
    assert await called.later(100) == ANA
    assert len(await called.callout.deliveries(100, None, None)) == 4


async def test_after_a_long_stop_an_escalation_goes_on_where_it_was_step_by_step(called: Duty) -> None:
    await called.hear(called.change(1))
    assert await called.later(10) == ANA
    called.clock.advance(8 * 3600)
    called.restart()
    assert await called.later(0) == ANA  # the reminder, not everything at once
    assert await called.later(599) == []
    assert await called.later(1) == CHIEF


async def test_an_attempt_that_a_kill_cut_off_is_made_again_and_shown(called: Duty) -> None:
    await called.hear(called.change(1))
    called.clock.advance(10)
    await called.callout._advance()
    with called.engine.begin() as db:
        one = store.to_send(db, called.clock.now_ns(), 1)[0]
        store.start_attempt(db, one, called.clock.now_ns())  # and then the lights went out
    called.restart()
    assert await called.later(0) == ANA
    logged = (await called.callout.deliveries(10, None, None))[-1]
    assert [result for _, _, result, _ in logged.attempts] == ["interrupted", "delivered"]


def token_of(duty: Duty, channel: str = "mail") -> str:
    body = next(message.body for name, _, message in duty.ways.sent if name == channel)
    found = re.search(r"https://plant\.example/api/v1/callout/answer/(\S+)", body)
    assert found
    return found[1]


async def test_the_link_of_a_message_acknowledges_its_alarms_once(called: Duty) -> None:
    await called.hear(called.change(1), called.change(2))
    called.clock.advance(10)
    await called.callout.step()
    token = token_of(called)
    for _ in range(3):  # looking changes nothing
        asked = await called.callout.asked(token)
    assert (asked.person, [line.occurrence for line in asked.left]) == ("ana", [1, 2])
    await called.callout.answer(token, "the principal of ana")
    assert called.alarms.acknowledged == [("the principal of ana", [1, 2], "by the link of a call-out")]
    with pytest.raises(links.LinkRefused) as spent:
        await called.callout.answer(token, "the principal of ana")
    assert spent.value.code == "link_spent"
    assert (await called.callout.state()).calls[0].call.answered_by == "ana"
    assert len(called.alarms.acknowledged) == 1


async def test_a_link_whose_acknowledging_failed_can_be_used_again(called: Duty) -> None:
    await called.hear(called.change(1))
    called.clock.advance(10)
    await called.callout.step()
    token = token_of(called)
    called.alarms.fails = TryLater("not now")
    with pytest.raises(TryLater):
        await called.callout.answer(token, "ana")
    called.alarms.fails = None
    await called.callout.answer(token, "ana")
    assert len(called.alarms.acknowledged) == 1


async def test_a_link_expires_and_one_of_a_test_does_nothing(called: Duty) -> None:
    await called.hear(called.change(1))
    called.clock.advance(10)
    await called.callout.step()
    token = token_of(called)
    called.clock.advance(12 * 3600)
    with pytest.raises(links.LinkRefused) as late:
        await called.callout.asked(token)
    assert late.value.code == "link_expired"
    one, _ = await called.callout.test("mail", "ana")
    with pytest.raises(links.LinkRefused):
        await called.callout.asked(links.make(KEY, one.id, called.clock.now_ns() + NS_PER_S))
    with pytest.raises(links.LinkRefused):
        await called.callout.asked(links.make(KEY, 999, called.clock.now_ns() + NS_PER_S))


async def test_a_test_message_says_at_once_how_it_went(called: Duty) -> None:
    one, attempts = await called.callout.test("mail", "chief")
    assert (one.state, [result for _, _, result, _ in attempts]) == ("delivered", ["delivered"])
    assert called.ways.sent[0][2].title == "Isthmus : message d’essai"  # in the person's own language
    called.ways.down["mail"] = "no route"
    one, attempts = await called.callout.test("mail", "chief")
    assert (one.state, one.reason, len(attempts)) == ("failed", "no route", 1)
    for channel, person, problem in (
        ("fax", "ana", "no channel"),
        ("mail", "out", "no open account"),
        ("sms", "chief", "no address"),
    ):
        with pytest.raises(ConfigError, match=problem):
            await called.callout.test(channel, person)


async def test_what_is_in_force_has_versions_and_a_stale_change_is_refused(called: Duty) -> None:
    assert await called.callout.keep(replace(NIGHTS, weeks=2), "bob", "longer turns", 1) == (2, NIGHTS)
    with pytest.raises(Denied) as stale:
        await called.callout.keep(NIGHTS, "bob", "", 1)
    assert stale.value.code == "stale_base"
    kept = await called.callout.versions("rota", "nights")
    assert [(one.version, one.what.weeks, one.by, one.reason) for one in kept] == [
        (2, 2, "bob", "longer turns"),
        (1, 1, "bob", ""),
    ]
    assert (await called.callout.keep(replace(NIGHTS, weeks=2), "eve", "the same again", None))[0] == 2
    with pytest.raises(Denied, match="rule urgent refers to it"):
        await called.callout.remove("rota", "nights", "bob", "")
    with pytest.raises(Denied, match="rule urgent refers to it"):
        await called.callout.remove("channel", "sms", "bob", "")
    assert await called.callout.remove("rule", "urgent", "bob", "no more") == RULE
    await called.callout.remove("rota", "nights", "bob", "no more")
    assert next(one.what for one in await called.callout.versions("rota", "nights")) is None
    assert await called.callout.keep(NIGHTS, "bob", "again", 0) == (4, None)


async def test_a_rota_of_people_who_are_not_there_is_refused(called: Duty) -> None:
    with pytest.raises(ConfigError, match="no account has the name 'zoe'"):
        await called.callout.keep(replace(NIGHTS, people=("ana", "zoe")), "bob", "", None)
    with pytest.raises(ConfigError, match="nobody is on it"):
        await called.callout.keep(replace(NIGHTS, people=()), "bob", "", None)
    with pytest.raises(ConfigError, match="has an address on it"):
        await called.callout.keep(replace(MAIL, personal=False), "bob", "", None)


async def test_gaps_and_what_is_wrong_are_said(called: Duty) -> None:
    await called.setup(replace(NIGHTS, people=("ana", "eve"), hours="Mon 17:00-Fri 08:00"))
    called.ways.unset.add("sms")
    state = await called.callout.state()
    assert {turn.why for turn in state.rotas[0].gaps} == {"hours"}
    assert state.rules[0].problems == [
        "step 1: eve may not acknowledge alarms, so the call goes on whatever they answer",
        "step 1: eve has no address on mail, sms",
    ]
    assert [c.missing for c in state.channels if c.channel.name == "sms"] == ["secret:sms: not set here"]


async def test_a_person_stands_nowhere_but_where_people_stand(called: Duty) -> None:
    """What privacy erases: one row of addresses, names in columns of their own, and no address anywhere else."""
    exchange = Exchange(
        datetime(2026, 12, 1, tzinfo=UTC).replace(tzinfo=None),
        datetime(2026, 12, 2, tzinfo=UTC).replace(tzinfo=None),
        "ana",
    )
    await called.setup(replace(NIGHTS, exceptions=(exchange,)), replace(RULE, steps=(Step("person:ana", ("mail",)),)))
    await called.hear(called.change(1))
    await called.later(10)
    with called.engine.begin() as db:
        for table in store.metadata.sorted_tables:
            for row in db.execute(table.select()).mappings():
                where = {column for column, value in row.items() if "ana" in str(value).lower()}
                assert where <= {"person", "people", "name_key", "addresses", "answered_by"}, (table.name, where)
    assert (await called.callout.versions("rule", "urgent"))[0].what.steps[0].who == "person:ana"


async def test_old_calls_go_with_all_of_them(called: Duty) -> None:
    await called.hear(called.change(1))
    await called.later(10)
    await called.hear(called.change(1, State.ACKNOWLEDGED, by="ana"), called.change(2))
    await called.callout.test("mail", "ana")
    await called.later(91 * 86_400)
    left = await called.callout.deliveries(100, None, None)
    assert {one.call.call.id for one in left if one.call} == {2}
    assert all(one.call is not None for one in left)


async def test_contacts_are_kept_replaced_and_forgotten(called: Duty) -> None:
    await called.callout.keep_contact(Contact("ana", "fr", {"mail": "new@plant.example"}))
    kept = {c.person: c for c in await called.callout.contacts()}
    assert kept["ana"] == Contact("ana", "fr", {"mail": "new@plant.example"})
    assert len(kept) == len(CONTACTS)
    assert await called.callout.forget_contact("ANA")
    assert not await called.callout.forget_contact("ana")


async def test_a_channel_that_goes_while_a_message_waits_is_said(called: Duty) -> None:
    called.ways.down["sms"] = "no signal"
    await called.hear(called.change(1))
    await called.later(10)
    await called.setup(replace(RULE, steps=(Step("rota:nights", ("mail",)),)))
    await called.callout.remove("channel", SMS.name, "bob", "")
    await called.later(10)
    waiting = next(one for one in await called.callout.deliveries(10, None, None) if one.delivery.channel == "sms")
    assert (waiting.delivery.state, waiting.delivery.reason) == ("queued", "there is no channel sms any more")


async def test_without_alarms_nothing_can_be_answered(called: Duty) -> None:
    called.callout.attach(None, None)
    with pytest.raises(TryLater):
        await called.callout.answer("x", "ana")


async def test_a_rota_with_one_turn_shows_its_schedule(called: Duty) -> None:
    turns = await called.callout.schedule("nights", NOW, NOW + 14 * 86_400 * NS_PER_S)
    assert [turn.person for turn in turns] == ["ana", "ben", "ana"]
    with pytest.raises(KeyError):
        await called.callout.schedule("days", NOW, NOW + NS_PER_S)
