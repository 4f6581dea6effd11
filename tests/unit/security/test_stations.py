from __future__ import annotations

import pytest

from isthmus.security.attempts import TooManyFailures
from isthmus.security.codes import key_of
from isthmus.security.model import Action, Principal, Proof, Role
from isthmus.security.policy import authorise
from isthmus.security.service import Security
from isthmus.values.clock import ManualClock
from isthmus.values.errors import ConfigError, Denied

PIN, BADGE = "903817", "04A1B2C3"

pytestmark = pytest.mark.mission("M33")


def station(security: Security, name: str = "line 1", **more: object) -> str:
    """The cookie of an enrolled one."""
    code = security.stations.create(name, ["hall/line1"], "admin", **more)  # type: ignore[arg-type]  # as a route would
    return security.stations.enrol(code.lower(), "10.0.0.7")[0]


def person(security: Security, name: str = "ana", role: Role = Role.OPERATOR, badge: str = BADGE) -> None:
    security.create_user(name, role)
    security.change_user(name, badge=badge.lower())
    security.change_user(name, pin=PIN)


def at(security: Security, cookie: str, key: str, active: bool = False) -> Principal | None:
    return security.verify(Proof.SESSION, key, station=key_of(cookie), active=active)


def test_a_badge_and_its_pin_open_a_session_narrowed_to_the_place(security: Security) -> None:
    cookie = station(security)
    person(security, role=Role.ENGINEER)
    signed_in = security.stations.sign_in(BADGE, PIN, cookie, "10.0.0.7")
    found = at(security, cookie, signed_in.principal.key)
    assert found is not None
    assert (found.name, found.role, found.station, found.scope.under) == ("ana", "engineer", "line 1", ("hall/line1",))
    assert found.scope == signed_in.principal.scope
    authorise(found, Action.READ)
    for beyond in (Action.PLANT_CHANGE, Action.WRITE):  # the station's role lacks one, the person's the other
        with pytest.raises(Denied):
            authorise(found, beyond)
    with pytest.raises(Denied) as denied:
        security.require_fresh(found)
    assert denied.value.code == "at_a_station"


def test_the_session_is_worthless_away_from_its_station(security: Security) -> None:
    cookie, other = station(security), station(security, "line 2")
    person(security)
    key = security.stations.sign_in(BADGE, PIN, cookie, "10.0.0.7").principal.key
    assert at(security, cookie, key)
    for away in (other, "", "x"):
        assert at(security, away, key) is None
    assert at(security, cookie, key)


def test_badges_are_taken_at_stations_only(security: Security) -> None:
    person(security)
    for cookie in ("", "x" * 43):
        with pytest.raises(Denied) as denied:
            security.stations.sign_in(BADGE, PIN, cookie, "here")
        assert denied.value.code == "no_station"


def test_wrong_pins_wait_and_unknown_badges_answer_alike(security: Security, clock: ManualClock) -> None:
    cookie = station(security)
    person(security)
    texts = set()
    for badge, pin in (("FFFF0000", PIN), (BADGE, "111222"), (BADGE, "")):
        with pytest.raises(Denied) as denied:
            security.stations.sign_in(badge, pin, cookie, "here")
        texts.add(str(denied.value))
    assert len(texts) == 1
    for _ in range(3):
        with pytest.raises(Denied):
            security.stations.sign_in(BADGE, "111222", cookie, "here")
    with pytest.raises(TooManyFailures):
        security.stations.sign_in(BADGE, PIN, cookie, "here")
    clock.advance(30)
    assert security.stations.sign_in(BADGE, PIN, cookie, "here")


def test_a_badge_alone_is_enough_only_where_the_station_says_so_and_is_narrowed_all_the_same(
    security: Security,
) -> None:
    cookie = station(security, badge_only=True, role=Role.VIEWER)
    person(security)
    found = security.stations.sign_in(BADGE, "", cookie, "here").principal
    assert found.scope.under == ("hall/line1",)
    with pytest.raises(Denied):
        authorise(found, Action.WRITE)
    with pytest.raises(Denied):
        security.stations.sign_in("FFFF0000", "", cookie, "here")
    security.change_user("ana", disabled=True)
    with pytest.raises(Denied):
        security.stations.sign_in(BADGE, "", cookie, "here")


def test_looking_is_not_using_at_a_station(security: Security, clock: ManualClock) -> None:
    cookie = station(security, idle_s=60.0)
    person(security)
    key = security.stations.sign_in(BADGE, PIN, cookie, "here").principal.key
    for _ in range(3):
        clock.advance(50)
        assert at(security, cookie, key, active=True)
    clock.advance(50)
    assert at(security, cookie, key)
    clock.advance(10)
    assert at(security, cookie, key) is None
    assert security.sessions() == []


def test_a_new_badge_signs_the_one_before_out(security: Security) -> None:
    cookie = station(security)
    person(security)
    person(security, "bob", badge="B0B0B0")
    first = security.stations.sign_in(BADGE, PIN, cookie, "here").principal.key
    second = security.stations.sign_in("b0b0b0", PIN, cookie, "here", replaces=first).principal
    assert at(security, cookie, first) is None
    assert second.name == "bob"


def test_a_removed_station_signs_everybody_out(security: Security) -> None:
    told: list[set[str]] = []
    security.on_revoked(lambda keys, _: told.append(set(keys)))
    cookie = station(security)
    person(security)
    key = security.stations.sign_in(BADGE, PIN, cookie, "here").principal.key
    assert at(security, cookie, key)
    assert security.stations.remove("LINE 1", "admin")
    assert {key} in told
    assert at(security, cookie, key) is None
    assert security.stations.whose(cookie) is None
    assert not security.stations.remove("line 1", "admin")


def test_an_enrolment_code_works_once_and_for_an_hour(security: Security, clock: ManualClock) -> None:
    code = security.stations.create("line 1", ["hall"], "admin")
    security.stations.enrol(code, "here")
    late = security.stations.create("line 2", ["hall"], "admin")
    clock.advance(3600)
    for wrong in (code, late, "", "AAAAA-AAAAA-AAAAA"):
        with pytest.raises(Denied) as denied:
            security.stations.enrol(wrong, "there")
        assert denied.value.code == "code_spent"


def test_a_station_unused_for_a_year_is_a_stranger(security: Security, clock: ManualClock) -> None:
    cookie = station(security)
    clock.advance(300 * 86_400)
    assert security.stations.whose(cookie)
    clock.advance(300 * 86_400)
    assert security.stations.whose(cookie)
    clock.advance(366 * 86_400)
    assert security.stations.whose(cookie) is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"under": []},
        {"under": ["/x"]},
        {"under": ["a/../b"]},
        {"idle_s": 1.0},
        {"role": Role.ADMIN},
        {"name": ""},
        {"name": "a\u200bb"},
    ],
)
def test_a_station_that_would_narrow_nothing_is_refused(security: Security, wrong: dict[str, object]) -> None:
    given: dict[str, object] = {"name": "x", "under": ["hall"], "by": "admin"} | wrong
    with pytest.raises(ConfigError):
        security.stations.create(**given)  # type: ignore[arg-type]  # wrong on purpose
    security.stations.create("twice", ["hall"], "admin")
    with pytest.raises(Denied):
        security.stations.create("TWICE", ["hall"], "admin")


def test_a_badge_belongs_to_one_person(security: Security) -> None:
    person(security)
    security.create_user("bob", Role.OPERATOR)
    with pytest.raises(Denied) as denied:
        security.change_user("bob", badge=BADGE)
    assert denied.value.code == "badge_taken"
    security.change_user("ana", badge="")
    security.change_user("bob", badge=BADGE)
    for wrong in ("x", "a b c d", "é" * 5, "x" * 65):
        with pytest.raises(ConfigError):
            security.change_user("bob", badge=wrong)
