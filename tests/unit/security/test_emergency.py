from __future__ import annotations

import logging

import pytest

from isthmus.security.attempts import TooManyFailures
from isthmus.security.emergency import ACCOUNT, State
from isthmus.security.model import Proof, Role
from isthmus.security.service import Security
from isthmus.values.clock import ManualClock
from isthmus.values.errors import ConfigError, Denied

pytestmark = pytest.mark.mission("M36")


def test_the_credential_works_once_loudly_and_for_an_hour(
    security: Security, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    assert security.emergency.state() is State.NONE
    credential = security.emergency.make("admin")
    assert security.emergency.state() is State.READY
    with caplog.at_level(logging.WARNING, "isthmus.security"):
        entered = security.emergency.sign_in(credential.lower().replace("-", ""), "10.0.0.9")
    assert "BREAK-GLASS" in caplog.text
    assert "10.0.0.9" in caplog.text
    assert credential not in caplog.text
    assert entered.principal.role == Role.ADMIN
    assert security.emergency.state() is State.IN_USE
    with pytest.raises(Denied):
        security.emergency.sign_in(credential, "10.0.0.9")
    for _ in range(11):
        clock.advance(300)
        assert security.verify(Proof.SESSION, entered.principal.key)
    clock.advance(300)
    assert security.verify(Proof.SESSION, entered.principal.key) is None
    assert security.emergency.state() is State.SPENT


def test_a_new_one_voids_the_old_and_its_sessions(security: Security) -> None:
    first = security.emergency.make("admin")
    key = security.emergency.sign_in(first, "here").principal.key
    second = security.emergency.make("admin")
    assert security.verify(Proof.SESSION, key) is None
    with pytest.raises(Denied):
        security.emergency.sign_in(first, "here")
    assert security.emergency.sign_in(second, "here")


def test_its_account_has_no_other_way_in_and_is_no_way_round(security: Security) -> None:
    credential = security.emergency.make("admin")
    entered = security.emergency.sign_in(credential, "here").principal
    for change in ({"role": Role.VIEWER}, {"disabled": True}, {"new_name": "ana"}, {"badge": "B0B0"}):
        with pytest.raises(ConfigError):
            security.change_user(ACCOUNT, **change)
    with pytest.raises(ConfigError):
        security.create_link(ACCOUNT)
    with pytest.raises(Denied):
        security.set_password(entered, "ana", "correct horse battery", None, "here")
    with pytest.raises(Denied):
        security.sign_in(ACCOUNT, "", "here")


def test_the_first_administrator_is_never_its_account(security: Security) -> None:
    security.emergency.make("local")
    link = security.first_link()
    assert link
    assert security.sign_in_by_link(link, "here").principal.name == "admin"


def test_it_cannot_be_guessed_at_speed(security: Security) -> None:
    credential = security.emergency.make("admin")
    for _ in range(5):
        with pytest.raises(Denied):
            security.emergency.sign_in("AAAAA-AAAAA", "there")
    with pytest.raises(TooManyFailures):
        security.emergency.sign_in(credential, "there")
    assert security.emergency.sign_in(credential, "here")


def test_the_last_administrator_stays(security: Security) -> None:
    security.emergency.make("x")
    security.create_user("ana", Role.ADMIN)
    for change in ({"role": Role.VIEWER}, {"disabled": True}):
        with pytest.raises(Denied) as denied:
            security.change_user("ana", **change)
        assert denied.value.code == "last_admin"
    security.create_user("bob", Role.ADMIN)
    assert security.change_user("ana", role="shift-lead").role == "shift-lead"
