from __future__ import annotations

import pyotp
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from isthmus.security.attempts import TooManyFailures
from isthmus.security.model import Role, User
from isthmus.security.service import Security
from isthmus.values.clock import NS_PER_S, ManualClock
from isthmus.values.errors import ConfigError, Denied

PASSWORD = "correct horse battery"


def enrolled(security: Security, clock: ManualClock, name: str = "ana") -> tuple[pyotp.TOTP, list[str]]:
    user = security.create_user(name, Role.ENGINEER, PASSWORD)
    secret, uri = security.second.begin(user, "Isthmus acme")
    assert pyotp.parse_uri(uri).secret == secret
    app = pyotp.TOTP(secret)
    codes = security.second.confirm(user, now(app, clock))
    clock.advance(30)
    return app, codes


def now(app: pyotp.TOTP, clock: ManualClock, steps: int = 0) -> str:
    return app.generate_otp(clock.now_ns() // NS_PER_S // 30 + steps)


def refused(security: Security, code: str, name: str = "ana", source: str = "here") -> str:
    with pytest.raises(Denied) as denied:
        security.sign_in(name, PASSWORD, source, code)
    return denied.value.code


@pytest.mark.real("pyotp")
def test_a_code_is_needed_and_is_good_once(security: Security, clock: ManualClock) -> None:
    app, _ = enrolled(security, clock)
    assert refused(security, "") == "totp_needed"
    code = now(app, clock)
    assert security.sign_in("ana", PASSWORD, "here", f" {code[:3]} {code[3:]}")
    assert refused(security, code) == "wrong_code"
    clock.advance(30)
    assert security.sign_in("ana", PASSWORD, "here", now(app, clock))


def test_an_earlier_code_is_dead_once_a_later_one_was_used(security: Security, clock: ManualClock) -> None:
    app, _ = enrolled(security, clock)
    assert security.sign_in("ana", PASSWORD, "here", now(app, clock, 1))
    assert refused(security, now(app, clock)) == "wrong_code"
    assert refused(security, now(app, clock, -1)) == "wrong_code"


@pytest.mark.parametrize(("steps", "good"), [(-2, False), (-1, False), (0, True), (1, True), (2, False)])
def test_a_phone_may_be_one_step_off(security: Security, clock: ManualClock, steps: int, good: bool) -> None:
    app, _ = enrolled(security, clock)  # the step before was spent by confirming
    if good:
        assert security.sign_in("ana", PASSWORD, "here", now(app, clock, steps))
    else:
        assert refused(security, now(app, clock, steps)) == "wrong_code"


def test_a_step_behind_is_good_if_it_was_not_used(security: Security, clock: ManualClock) -> None:
    app, _ = enrolled(security, clock)
    clock.advance(60)
    assert security.sign_in("ana", PASSWORD, "here", now(app, clock, -1))


def test_wrong_codes_wait_like_wrong_passwords(security: Security, clock: ManualClock) -> None:
    app, _ = enrolled(security, clock)
    good = now(app, clock)
    for _ in range(5):
        assert refused(security, f"{(int(good) + 7) % 1_000_000:06}") == "wrong_code"
    with pytest.raises(TooManyFailures):
        security.sign_in("ana", PASSWORD, "here", good)


def test_a_recovery_code_works_once_however_it_is_written(security: Security, clock: ManualClock) -> None:
    _, codes = enrolled(security, clock)
    assert len(set(codes)) == 10
    assert security.sign_in("ana", PASSWORD, "here", codes[3].lower().replace("-", " "))
    assert refused(security, codes[3]) == "wrong_code"
    user = security.user_named("ana")
    assert security._store.recovery_left(user.id) == 9


def test_codes_of_others_are_worthless(security: Security, clock: ManualClock) -> None:
    _, codes = enrolled(security, clock)
    enrolled(security, clock, "vera")
    assert refused(security, codes[0], "vera") == "wrong_code"


def test_nothing_is_in_force_before_it_is_confirmed(security: Security, clock: ManualClock) -> None:
    user = security.create_user("ana", Role.VIEWER, PASSWORD)
    with pytest.raises(Denied) as early:
        security.second.confirm(user, "123456")
    assert early.value.code == "totp_not_begun"
    security.second.begin(user, "x")
    with pytest.raises(Denied) as wrong:
        security.second.confirm(user, "000000")
    assert wrong.value.code == "wrong_totp"
    assert security.sign_in("ana", PASSWORD, "here")


def test_an_administrator_takes_it_away(security: Security, clock: ManualClock) -> None:
    _, codes = enrolled(security, clock)
    user = security.user_named("ana")
    with pytest.raises(Denied) as again:
        security.second.begin(user, "x")
    assert again.value.code == "totp_set"
    security.second.remove(user, "admin")
    assert security.sign_in("ana", PASSWORD, "here")
    assert security._store.recovery_left(user.id) == 0
    assert codes


def test_a_link_asks_for_the_code_too_and_is_not_spent_by_asking(security: Security, clock: ManualClock) -> None:
    app, _ = enrolled(security, clock)
    link = security.create_link("ana")
    for code, why in (("", "totp_needed"), ("abc", "wrong_code")):
        with pytest.raises(Denied) as denied:
            security.sign_in_by_link(link, "here", code)
        assert denied.value.code == why
    assert security.sign_in_by_link(link, "here", now(app, clock))
    clock.advance(30)
    with pytest.raises(Denied) as spent:
        security.sign_in_by_link(link, "here", now(app, clock))
    assert spent.value.code == "link_spent"


def test_secrets_lie_sealed_and_bound_to_the_account(security: Security, engine: Engine, clock: ManualClock) -> None:
    app, codes = enrolled(security, clock)
    enrolled(security, clock, "vera")
    with engine.begin() as connection:
        stored = " ".join(
            str(connection.execute(text(f"SELECT * FROM security_{t}")).all()) for t in ("users", "recovery")
        )
        assert app.secret not in stored
        assert not [c for c in codes if c in stored or c.replace("-", "") in stored]
        connection.execute(
            text("UPDATE security_users SET totp = (SELECT totp FROM security_users WHERE name = 'vera')")
        )
    with pytest.raises(ConfigError, match="damaged, or was moved here from another name"):
        security.sign_in("ana", PASSWORD, "here", now(app, clock))


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=40, deadline=None
)
@given(st.text(max_size=80))
def test_no_text_passes_for_a_code(security: Security, code: str) -> None:
    user = User(1, "ana", "viewer", True, False, 0, totp=True)
    if code.strip():
        assert not security.second.passes(user, code)
