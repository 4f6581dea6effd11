"""Rules, plans, quiet hours, links and texts: pure."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime

import pytest

from isthmus.alarms.callout import links, model, texts
from isthmus.alarms.callout.channels import cleaned
from isthmus.alarms.callout.model import Channel, Contact, Effect, Quiet, Rule, Setup, Step
from isthmus.alarms.callout.rota import Rota
from isthmus.alarms.callout.texts import Line
from isthmus.values.clock import NS_PER_S
from isthmus.values.errors import ConfigError
from isthmus.values.messages.alarms import AlarmChange, State

PEOPLE = {"ana", "ben"}
SETUP = Setup(
    {"nights": Rota("nights", ("ana", "ben"), date(2026, 1, 1))},
    {},
    {"mail": Channel("mail", "email", "secret:mail"), "chat": Channel("chat", "chat", "secret:chat", personal=False)},
    {"ana": Contact("ana", "en", {"mail": "a@x.example"})},
)
STEP = Step("rota:nights", ("mail",))
RULE = Rule("r", ("high",), (STEP,))


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * NS_PER_S


@pytest.mark.mission("M14")
@pytest.mark.parametrize(
    ("rule", "problem"),
    [
        (replace(RULE, steps=(replace(STEP, repeat_s=60),)), "must say how often, or it never ends"),
        (replace(RULE, steps=(replace(STEP, repeat_s=3600, times=30),)), "must be at an end after 24 hours, this goes on for 30.0"),
        (replace(RULE, steps=(replace(STEP, repeat_s=30, times=100),)), "at most 100 times somebody is told"),
        (replace(RULE, steps=(replace(STEP, repeat_s=5, times=3),)), "repeat_s: must be 30 seconds or more"),
        (replace(RULE, steps=(replace(STEP, who="person:eve"),)), "no account has the name 'eve'"),
        (replace(RULE, steps=(replace(STEP, who="rota:days"),)), "no rota is called 'days'"),
        (replace(RULE, steps=(replace(STEP, who="ana"),)), "must be rota:NAME, all:NAME or person:NAME"),
        (replace(RULE, steps=(replace(STEP, channels=()),)), "channels: name at least one"),
        (replace(RULE, steps=(replace(STEP, channels=("fax",)),)), "no channel is called 'fax'"),
        (replace(RULE, steps=(replace(STEP, channels=("mail", "mail")),)), "one is named twice"),
        (replace(RULE, steps=()), "steps: must be 1 to 20"),
        (replace(RULE, priorities=()), "priorities: must name some of"),
        (replace(RULE, priorities=("urgent",)), "priorities: must name some of"),
        (replace(RULE, quiet=(Quiet(("low",), "nights"),)), "quiet 1: hours: a window is such as"),
        (replace(RULE, quiet=(Quiet(("low",), "00:00-24:00"),)), "is always quiet"),
        (replace(RULE, group_s=-1), "group_s: must be 0 to 600"),
        (replace(RULE, until="never"), "until: must be acknowledged or returned"),
    ],
)  # fmt: skip
def test_a_rule_that_cannot_be_is_refused_by_name(rule: Rule, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        model.check_rule(rule, SETUP, PEOPLE)
    model.check_rule(RULE, SETUP, PEOPLE)


@pytest.mark.parametrize(
    ("contact", "problem"),
    [
        (Contact("eve", "en", {}), "no account has this name"),
        (Contact("ana", "it", {}), "language: must be one of en, fr, de"),
        (Contact("ana", "en", {"fax": "1"}), "no channel is called so"),
        (Contact("ana", "en", {"chat": "1"}), "reaches the same place for everybody"),
        (Contact("ana", "en", {"mail": "a@x\nBcc: b@y"}), "characters in one line"),
        (Contact("ana", "en", {"mail": ""}), "characters in one line"),
    ],
)
def test_a_contact_that_cannot_be_is_refused_by_name(contact: Contact, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        model.check_contact(contact, SETUP, PEOPLE)


def test_a_channel_takes_a_reference_and_never_repeats_what_may_be_the_secret_itself() -> None:
    with pytest.raises(ConfigError) as refused:
        model.check_channel(Channel("mail", "email", "mailtos://me:hunter2@mail.example"))
    assert "hunter2" not in str(refused.value)
    with pytest.raises(ConfigError, match="kind: must be one of"):
        model.check_channel(Channel("mail", "pigeon", "secret:mail"))


def test_a_plan_has_all_moments_in_order() -> None:
    rule = replace(RULE, steps=(replace(STEP, repeat_s=300, times=2), replace(STEP, who="person:ben", after_s=400)))
    assert [(p.offset_s, p.step, p.nth) for p in model.plan(rule)] == [(0, 0, 0), (300, 0, 1), (400, 1, 0), (600, 0, 2)]


@pytest.mark.mission("M14")
def test_quiet_hours_hold_back_the_priorities_they_name_in_plant_time() -> None:
    rule = replace(RULE, quiet=(Quiet(("low",), "22:00-06:00"), Quiet(("low", "medium"), "Sat 00:00-Mon 00:00")))
    night = at("2026-03-04T23:00:00")  # 00:00 of Thursday in Paris
    assert model.quiet_until(rule, "low", night, "Europe/Paris") == at("2026-03-05T05:00:00")
    assert model.quiet_until(rule, "critical", night, "Europe/Paris") == 0
    friday = at("2026-03-06T22:00:00")  # 23:00: the night runs into the week-end, and that into the next night
    assert model.quiet_until(rule, "low", friday, "Europe/Paris") == at("2026-03-09T05:00:00")
    assert model.quiet_until(rule, "medium", friday, "Europe/Paris") == 0


def change(after: State, **more: object) -> AlarmChange:
    given = {"before": State.UNACKNOWLEDGED, "time_ns": 0, "zone": "line1", "priority": "high", "path": "hall/p"}
    return AlarmChange(seq=1, occurrence=1, alarm="a", asset="", message="", after=after, **{**given, **more})  # type: ignore[arg-type]


def test_what_a_change_means_for_calls() -> None:
    assert model.effect(change(State.UNACKNOWLEDGED)) is Effect.RAISES
    assert model.effect(change(State.UNACKNOWLEDGED, replayed=True)) is Effect.NOTHING
    assert model.effect(change(State.RETURNED_UNACKNOWLEDGED)) is Effect.RETURNS
    assert model.effect(change(State.ACKNOWLEDGED, by="ana")) is Effect.ANSWERED
    assert model.effect(change(State.NORMAL)) is Effect.SETTLES
    assert model.effect(change(State.NORMAL, before=State.RETURNED_UNACKNOWLEDGED, by="ana")) is Effect.ANSWERED
    assert model.effect(change(State.LATCHED, before=State.ACKNOWLEDGED)) is Effect.ANSWERED
    assert model.effect(change(State.LATCHED)) is Effect.RETURNS  # it latched before anybody had seen it
    for away in (State.SHELVED, State.SUPPRESSED_BY_DESIGN, State.OUT_OF_SERVICE):
        assert model.effect(change(away)) is Effect.SETTLES


def test_a_rule_concerns_priority_path_and_zone() -> None:
    raised = change(State.UNACKNOWLEDGED)
    assert model.concerns(RULE, raised)
    assert model.concerns(replace(RULE, under=("hall",), zones=("line1",)), raised)
    assert not model.concerns(replace(RULE, under=("hal",)), raised)
    assert not model.concerns(replace(RULE, zones=("line2",)), raised)
    assert not model.concerns(replace(RULE, priorities=("low",)), raised)
    assert not model.concerns(replace(RULE, enabled=False), raised)


def test_what_keeps_a_rule_from_reaching_people_is_said() -> None:
    found = model.problems_of(RULE, SETUP, {"ana": False})
    assert found == [
        "step 1: ana may not acknowledge alarms, so the call goes on whatever they answer",
        "step 1: ben has no open account",
    ]
    assert model.problems_of(RULE, SETUP, {"ana": True, "ben": True}) == ["step 1: ben has no address on mail"]


def test_back_off_grows_to_five_minutes() -> None:
    assert [model.backoff_s(n, 0.5) for n in (1, 2, 3, 7, 50)] == [5, 10, 20, 300, 300]
    assert model.backoff_s(1, 0.0) == 4.0
    assert model.backoff_s(1, 1.0) == pytest.approx(6.0)


@pytest.mark.mission("M14")
def test_a_link_is_one_of_ours_for_its_time_and_nothing_else() -> None:
    key = b"k" * 32
    token = links.make(key, 7, 100 * NS_PER_S)
    assert links.read(key, token, 99 * NS_PER_S) == 7
    with pytest.raises(links.LinkRefused) as late:
        links.read(key, token, 100 * NS_PER_S)
    assert late.value.code == "link_expired"
    others = [
        token[:-1],
        token + "A",
        "",
        "x",
        token.swapcase(),
        token[:5] + "é",
        token + "=",
        links.make(b"o" * 32, 7, 100 * NS_PER_S),
    ]
    flipped = [token[:i] + ("A" if token[i] != "A" else "B") + token[i + 1 :] for i in range(len(token))]
    for wrong in others + flipped:
        with pytest.raises(links.LinkRefused) as refused:
            links.read(key, wrong, 0)
        assert refused.value.code == "link_wrong", wrong


def line(number: int = 1, priority: str = "high", **more: object) -> Line:
    given = {"message": f"Too hot {number}", "value": 81.25, "unit": "°C", "limit": 80.0}
    return Line(
        number, f"hall/t{number}#high", f"hall/t{number}", priority, raised_ns=number * NS_PER_S, **{**given, **more}
    )  # type: ignore[arg-type]


@pytest.mark.mission("M14")
def test_one_message_lists_many_alarms_the_most_urgent_first() -> None:
    lines = [line(n, "low") for n in range(1, 10_000)] + [line(10_000, "critical")]
    told = texts.call_message(lines, "en", "UTC", site="lyon", nth=0, link="https://x/y", expires_ns=0, short=False)
    assert told.title == "lyon: Critical, 10000 alarms"
    body = told.body.splitlines()
    assert body[0].startswith("Critical: Too hot 10000 (hall/t10000): 81.25 °C, limit 80 °C, since 1970-01-01")
    assert "and 9980 more" in body
    assert "https://x/y" in body
    short = texts.call_message(lines, "de", "UTC", site="lyon", nth=2, link="https://x/y", expires_ns=0, short=True)
    assert short.title == ""
    assert len(short.body) <= texts.MOST_SHORT_CHARS
    assert short.body.startswith("Erinnerung 2 · lyon: Kritisch, 10000 Alarme: Too hot 10000 (hall/t10000)")
    assert short.body.endswith("https://x/y")


def test_every_language_has_every_text_with_the_same_holes() -> None:
    import re

    english = texts._WORDS["en"]
    for words in texts._WORDS.values():
        assert words.keys() == english.keys()
        for key, text in words.items():
            assert set(re.findall(r"{\w+}", text)) == set(re.findall(r"{\w+}", english[key])), key


def test_the_page_escapes_what_machines_say_and_has_no_script() -> None:
    page = texts.page("en", "<b>", [line(message="<script>x</script>")], button=True)
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert '<form method="post">' in page
    assert "<form" not in texts.page("en", "done")


def test_no_part_of_an_address_is_in_a_reason() -> None:
    url = (
        "mailtos://user:pa%24%24word@smtp.example.com:587?from=isthmus@example.com&to=ana%40plant.example&mode=starttls"
    )
    said = f"failed {url} user pa$$word pa%24%24word ana@plant.example isthmus@example.com at smtp.example.com starttls"
    assert cleaned(said, url, "ana@plant.example") == "failed *** *** *** *** *** *** at smtp.example.com starttls"
