"""Change control: rules by zone, the life of a change, and that nothing gets round them."""

from __future__ import annotations

import itertools
import logging
from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from isthmus.namespace.changes import NEXT, ChangeRequests, Hand, State, Trigger, follow
from isthmus.namespace.control import Consent
from isthmus.namespace.service import StaleBase
from isthmus.values.clock import NS_PER_S
from isthmus.values.errors import ConfigError, Denied, Findings

BASE = """\
plant: {enterprise: acme, site: lyon, timezone: Europe/Paris}
connections:
  plc1: {driver: modbus-tcp, host: 10.0.0.1, zone: line1}
  plc2: {driver: modbus-tcp, host: 10.0.0.2, zone: line2}
  hall: {driver: modbus-tcp, host: 10.0.0.3}
types:
  pump: {tags: {speed: {unit: 1/min}, twice: {formula: 2 * speed}}}
assets:
  a/p1: {type: pump, source: plc1, at: {speed: hr 0 float32}}
  b/p2: {type: pump, source: plc2, at: {speed: hr 0 float32}}
  c/lamp: {source: hall, tags: {on: {at: hr 5}}}
change_control:
  line1: {reason: required, approvals: 1}
  line2: {window: "Sat 22:00-Sun 06:00"}
"""
ANA, BEN = Hand("Ana", 1, person=True), Hand("Ben", 2, person=True)
ROBOT = Hand("deploy", person=False, behind=("Ben",))


@pytest.fixture
def plant(namespace):
    namespace.apply(BASE, 0, "Ana", "first")
    return namespace


@pytest.fixture
def changes(engine, plant, clock):
    return ChangeRequests(engine, plant, clock)


def set_time(clock, text: str) -> None:
    clock.set_wall(round(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo("Europe/Paris")).timestamp()) * NS_PER_S)


LINE1 = BASE.replace("10.0.0.1", "10.0.1.1")
LINE2 = BASE.replace("10.0.0.2", "10.0.1.2")
HALL = BASE.replace("hr 5", "hr 6")


@pytest.mark.parametrize(
    ("text", "zones"),
    [
        (LINE1, {"line1"}),
        (LINE2, {"line2"}),
        (HALL, {""}),
        (BASE + "# a remark\n", {""}),
        (BASE.replace("unit: 1/min", "unit: 1/s"), {"line1", "line2"}),
        (BASE.replace("2 * speed", "3 * speed"), {"line1", "line2"}),
        (BASE.replace("zone: line1", "zone: line2"), {"line1", "line2"}),
        (BASE.replace("  a/p1:", "  # moved down\n  d/new: {source: hall, tags: {x: {at: hr 9}}}\n  a/p1:"), {""}),
        (BASE.replace("Europe/Paris", "UTC"), {"", "line1", "line2"}),
        (BASE.replace("approvals: 1", "approvals: 0"), {"line1"}),
        (BASE + '  "*": {reason: required}\n', {"", "line1", "line2"}),
        (BASE.replace("  b/p2", "  b/p3"), {"line2"}),
        (BASE + 'rules: {hot: {when: "rate({a/p1/speed}, 10 min) > 1 [1/min/s]"}}\n', {"line1"}),
        (BASE.replace("source: hall, tags", "owner: Ops, source: hall, tags"), {""}),
        (BASE.replace("host: 10.0.0.2,", "host: 10.0.0.2, owner: Ops,"), {"line2"}),
    ],
)
@pytest.mark.mission("M86")
def test_the_zones_a_plan_touches(plant, text, zones):
    assert set(plant.plan(text).demands.zones) == zones


@pytest.mark.mission("M86")
def test_apply_is_refused_with_the_rule_and_passes_once_it_is_met(plant, clock):
    with pytest.raises(Denied, match=r"change_control 'line1': zone line1 needs a reason") as refused:
        plant.apply(LINE1, 1, "Ana", " ")
    assert refused.value.code == "reason_needed"
    with pytest.raises(Denied, match=r"change_control 'line1'.*approval of another person") as refused:
        plant.apply(LINE1, 1, "Ana", "new address")
    assert refused.value.code == "approval_needed"
    set_time(clock, "2026-06-13T21:59")
    with pytest.raises(Denied, match=r"Sat 22:00-Sun 06:00 \(Europe/Paris\) only") as refused:
        plant.apply(LINE2, 1, "Ana", "")
    assert refused.value.code == "window_closed"
    assert plant.apply(HALL, 1, "Ana", "") == 2, "what no rule is about goes on as ever"
    set_time(clock, "2026-06-13T22:00")
    assert plant.apply(HALL.replace("10.0.0.2", "10.0.1.2"), 2, "Ana", "") == 3


def test_the_rules_in_force_decide_not_those_of_the_new_text(plant):
    relaxed = LINE1.split("change_control")[0]
    with pytest.raises(Denied, match="line1"):
        plant.apply(relaxed, 1, "Ana", "get rid of it")
    other = LINE1.replace("zone: line1", "zone: hall")
    with pytest.raises(Denied, match="line1"):
        plant.apply(other, 1, "Ana", "away from its zone")


def test_the_star_stands_for_all_without_a_rule_of_their_own(namespace):
    namespace.apply(BASE + '  "*": {approvals: 1}\n', 0, "Ana", "first")
    demands = namespace.plan(HALL + '  "*": {approvals: 1}\n').demands
    assert [(zone, rule.zone) for zone, rule in demands.rules] == [("", "*")]


@pytest.mark.mission("M86")
def test_restoring_goes_through_the_same_control(plant):
    plant.apply(LINE1, 1, "Ana", "x", consent=Consent(approved_by="Ben"))
    with pytest.raises(Denied, match="approval"):
        plant.restore(1, "Ana", "back")
    assert plant.restore(1, "Ana", "back", Consent(approved_by="Ben")) == 3


@pytest.mark.mission("M86")
def test_an_emergency_passes_over_the_rules_and_stays_visible(plant, caplog):
    with caplog.at_level(logging.WARNING):
        assert plant.apply(LINE1, 1, "owner", "", consent=Consent(emergency="line down")) == 2
    assert "EMERGENCY: owner passes over the change control of the plant: line down" in caplog.text
    assert plant.version(2).reason == "EMERGENCY, change control passed over: line down"


@pytest.mark.mission("M86")
def test_a_change_from_proposal_to_version(plant, changes, another):
    made = changes.propose(LINE1, 1, ANA, "new address", {})
    assert (made.state, made.zones, made.author) == ("proposed", ("line1",), "Ana")
    assert [o.code for o in changes.obstacles(changes.get(made.id))] == ["approval_needed"]
    with pytest.raises(Denied, match="approval"):
        changes.apply(made.id, ANA)
    for who, code in ((ANA, "same_person"), (Hand("ana", 1, person=True), "same_person"), (ROBOT, "needs_session")):
        with pytest.raises(Denied) as refused:
            changes.approve(made.id, who)
        assert refused.value.code == code
    assert changes.approve(made.id, BEN, "seen").decided_by == "Ben"
    assert changes.obstacles(changes.get(made.id)) == ()
    assert changes.apply(made.id, ANA) == 2
    done = changes.get(made.id)
    assert (done.state, done.version, done.closed_by, done.decision) == ("applied", 2, "Ana", "seen")
    assert plant.current().connections[0].endpoint == "10.0.1.1"
    assert another().version(2).reason == "new address"
    with pytest.raises(Denied, match="that is applied cannot"):
        changes.apply(made.id, ANA)


def test_whoever_answers_for_a_program_is_no_second_person_for_it(changes):
    made = changes.propose(LINE1, 1, ROBOT, "nightly", {})
    with pytest.raises(Denied) as refused:
        changes.approve(made.id, BEN)
    assert refused.value.code == "same_person"
    assert changes.approve(made.id, ANA).state == "approved"


@pytest.mark.mission("M86")
def test_an_approval_does_not_outlive_its_base_nor_its_window(plant, changes, clock):
    set_time(clock, "2026-06-13T23:00")
    both = changes.propose(LINE1.replace("10.0.0.2", "10.0.1.2"), 1, ANA, "both lines", {})
    changes.approve(both.id, BEN)
    set_time(clock, "2026-06-14T06:00")
    with pytest.raises(Denied) as refused:
        changes.apply(both.id, ANA)
    assert refused.value.code == "window_closed"
    plant.apply(HALL, 1, "Cy", "")
    assert changes.get(both.id).state == "stale"
    assert changes.get(both.id).closed_by == "version 2"
    with pytest.raises(Denied, match="that is stale cannot"):
        changes.apply(both.id, ANA)
    with pytest.raises(StaleBase):
        changes.propose(LINE1, 1, ANA, "late", {})


def test_rejecting_wants_a_reason_and_withdrawing_the_author(changes):
    made = changes.propose(LINE1, 1, ANA, "x", {})
    with pytest.raises(Denied):
        changes.reject(made.id, BEN, " ")
    assert changes.reject(made.id, BEN, "not now").state == "rejected"
    other = changes.propose(LINE1, 1, ANA, "x", {})
    with pytest.raises(Denied) as refused:
        changes.withdraw(other.id, BEN)
    assert refused.value.code == "not_author"
    assert changes.withdraw(other.id, ANA).state == "withdrawn"
    assert [c.state for c in changes.listed()] == ["withdrawn", "rejected"]
    assert [c.id for c in changes.listed("rejected")] == [made.id]
    assert changes.listed(before=made.id) == ()
    assert changes.listed()[0].text == ""


def test_what_cannot_be_put_forward(changes):
    with pytest.raises(Denied) as refused:
        changes.propose(LINE1, 1, ANA, "", {})
    assert refused.value.code == "reason_needed"
    with pytest.raises(ConfigError, match="nothing would change"):
        changes.propose(BASE, 1, ANA, "x", {})
    with pytest.raises(Findings):
        changes.propose("plant: 3", 1, ANA, "x", {})
    with pytest.raises(LookupError):
        changes.get(77)


def test_files_travel_with_the_change(changes, plant):
    text = HALL + "tag_files: [more.csv]\n"
    made = changes.propose(text, 1, ANA, "", {"more.csv": b"path,connection,address\nd/x,hall,hr 7\n"})
    changes.apply(made.id, BEN)
    assert "d/x" in plant.current().by_path
    assert plant.version(2).by == "Ben for Ana"


def test_open_changes_are_bounded(changes, monkeypatch):
    monkeypatch.setattr("isthmus.namespace.changes.MOST_OPEN", 1)
    changes.propose(HALL, 1, ANA, "", {})
    with pytest.raises(Denied) as refused:
        changes.propose(HALL, 1, ANA, "", {})
    assert refused.value.code == "too_many_changes"


def test_the_table_is_all_there_is():
    """Closed states are left by nothing, and an approval is never skipped by a way round."""
    for state, trigger in itertools.product(State, Trigger):
        if (state, trigger) in NEXT:
            assert state in (State.PROPOSED, State.APPROVED)
        else:
            with pytest.raises(Denied) as refused:
                follow(state, trigger)
            assert refused.value.code == "wrong_state"


@given(st.lists(st.sampled_from(["approve", "reject", "withdraw", "apply", "other"]), max_size=6))
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
def test_no_order_of_steps_applies_without_an_approval_or_twice(engine, plant, clock, steps):
    changes = ChangeRequests(engine, plant, clock)
    now = plant.current().version
    text = BASE.replace("10.0.0.1", f"10.0.9.{now}")  # never what is there already
    made = changes.propose(text, now, ANA, "x", {})
    approved, applied = False, 0
    for step in steps:
        try:
            match step:
                case "approve":
                    changes.approve(made.id, BEN)
                    approved = True
                case "reject":
                    changes.reject(made.id, BEN, "no")
                    approved = False
                case "withdraw":
                    changes.withdraw(made.id, ANA)
                    approved = False
                case "apply":
                    changes.apply(made.id, ANA)
                    applied += 1
                    assert approved
                case "other":
                    plant.apply(plant.export() + "#\n", plant.current().version, "x", "")
                    approved = False
        except Denied:
            pass
    assert applied <= 1
    assert plant.current().version >= now + applied


def test_a_restart_knows_rules_and_owners(plant, another):
    again = another()
    assert again.current().change_control == plant.current().change_control
    assert again.current().change_control[0].approvals == 1


@pytest.mark.parametrize(
    ("section", "problem"),
    [
        ("{line1: {approvals: 2}}", "0 or 1"),
        ("{line1: {window: sometimes}}", "a window is such as"),
        ("{line1: {reason: maybe}}", "required, optional"),
        ("{'no zone': {}}", "zone"),
        ("{line1: {until: 3}}", "not known here"),
    ],
)
def test_mistakes_in_the_section_are_told_with_their_place(namespace, section, problem):
    with pytest.raises(Findings, match=problem) as found:
        namespace.plan(BASE.partition("change_control")[0] + f"change_control: {section}\n")
    assert all(f.line for f in found.value.findings)


@pytest.mark.parametrize(
    ("more", "zones"),
    [
        ("connectors: {cloud: {connector: http-push, url: 'https://example.org/in', tags: [a]}}\n", {"line1"}),
        ("connectors: {cloud: {connector: http-push, url: 'https://example.org/in', types: [pump]}}\n", {"line1", "line2"}),
        ("connectors: {cloud: {connector: http-push, url: 'https://example.org/in'}}\n", {"", "line1", "line2"}),
        ("history: {long: 10 y}\n", {""}),
    ],
)  # fmt: skip
def test_what_stands_beside_the_assets_touches_the_zones_it_reaches(plant, more, zones):
    assert set(plant.plan(BASE + more).demands.zones) == zones


def test_a_script_touches_the_zones_of_the_tags_it_makes(plant):
    python = "{python: {file: s.py, function: f, inputs: {speed: speed}}}"
    text = BASE.replace("b/p2: {type: pump,", f"b/p2: {{type: pump, tags: {{made: {python}}},")
    assert set(plant.plan(text, files={"s.py": b"def f(inputs, time_ns):\n    return 1\n"}).demands.zones) == {"line2"}
    clock_time = Consent(emergency="test")
    plant.apply(text, 1, "Ana", "x", {"s.py": b"def f(inputs, time_ns):\n    return 1\n"}, consent=clock_time)
    assert set(plant.plan(text, files={"s.py": b"def f(inputs, time_ns):\n    return 2\n"}).demands.zones) == {"line2"}


def test_how_long_history_is_kept_touches_the_tags_that_are_kept_so(plant):
    text = BASE.replace("hr 5", "hr 5, retention: long") + "history: {long: 10 y}\n"
    plant.apply(text, 1, "Ana", "x")
    assert set(plant.plan(text.replace("10 y", "9 y")).demands.zones) == {""}


def test_an_open_change_tells_when_its_base_or_its_build_has_moved_on(changes, plant, engine, clock):
    made = changes.propose(LINE1, 1, ANA, "x", {})
    seen = changes.get(made.id)
    plant.apply(HALL, 1, "Cy", "")
    assert [o.code for o in changes.obstacles(seen)] == ["stale_base"], "seen just before it was made stale"
    broken = ChangeRequests(engine, plant, clock)
    unfit = replace(seen, base=2, text="plant: 3")
    assert [o.code for o in broken.obstacles(unfit)] == ["invalid"]
    assert changes.obstacles(changes.get(made.id)) == (), "a closed one is told by its state"


def test_two_who_decide_at_once_are_not_both_right(changes, monkeypatch):
    made = changes.propose(LINE1, 1, ANA, "x", {})
    before = changes.get(made.id)
    changes.reject(made.id, BEN, "no")
    monkeypatch.setattr(changes, "get", lambda _: before)
    with pytest.raises(Denied, match="somebody else") as refused:
        changes.approve(made.id, BEN)
    assert refused.value.code == "wrong_state"


def test_a_change_rejected_while_it_is_applied_makes_no_version(changes, plant, monkeypatch):
    made = changes.propose(LINE1, 1, ANA, "x", {})
    changes.approve(made.id, BEN)
    approved = changes.get(made.id)
    changes.reject(made.id, BEN, "wait")
    monkeypatch.setattr(changes, "get", lambda _: approved)
    with pytest.raises(Denied, match="somebody else"):
        changes.apply(made.id, ANA)
    assert plant.current().version == 1
    assert [v.version for v in plant.versions()] == [1]


def test_two_changes_with_one_file_keep_it_once(changes):
    files = {"more.csv": b"path,connection,address\nd/x,hall,hr 7\n"}
    for reason in ("one", "two"):
        made = changes.propose(HALL + "tag_files: [more.csv]\n", 1, ANA, reason, files)
        assert changes.files(made.id) == files


def test_a_review_without_a_date_is_refused(namespace):
    text = BASE.replace("host: 10.0.0.2,", "host: 10.0.0.2, unpatchable: {reason: a, control: b, review: soon},")
    with pytest.raises(Findings, match="must be a date"):
        namespace.plan(text)
