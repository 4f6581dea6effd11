from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import pytest
from argon2 import PasswordHasher
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from isthmus.security.attempts import ONE_PLACE, Attempts, TooManyFailures
from isthmus.security.codes import key_of
from isthmus.security.model import (
    ALLOWED,
    Action,
    Principal,
    Proof,
    Role,
)
from isthmus.security.passwords import check_password
from isthmus.security.policy import authorise
from isthmus.security.service import Security, looks_like_token
from isthmus.values.clock import ManualClock
from isthmus.values.errors import ConfigError, Denied, TryLater

FAST = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
PASSWORD = "correct horse battery"


@pytest.fixture
def security(engine: Engine, clock: ManualClock) -> Security:
    return Security(engine, clock, hasher=FAST)


def token_key(security: Security, role: Role = Role.VIEWER, lifetime_s: float | None = None) -> tuple[str, int]:
    secret, token = security.create_token("script", role, "admin", lifetime_s)
    return key_of(secret), token.id


def signed_in(security: Security, name: str = "ana", role: Role = Role.ENGINEER) -> str:
    security.create_user(name, role, PASSWORD)
    return key_of(security.sign_in(name, PASSWORD, "here").secret)


def everything_stored(engine: Engine) -> str:
    with engine.begin() as connection:
        tables = ["security_users", "security_tokens", "security_links", "security_sessions"]
        return " ".join(str(connection.execute(text(f"SELECT * FROM {t}")).all()) for t in tables)


def test_secrets_are_stored_only_as_hashes(security: Security, engine: Engine) -> None:
    secret, token = security.create_token("script", Role.VIEWER, "admin")
    security.create_user("ana", Role.VIEWER, PASSWORD)
    session = security.sign_in("ana", PASSWORD, "here").secret
    link = security.create_link("ana")
    stored = everything_stored(engine)
    assert looks_like_token(secret)
    assert token.hint == secret[:8]
    for hidden in (secret, session, link, PASSWORD):
        assert hidden not in stored
    assert key_of(secret) in stored


def test_passwords_are_hashed_as_stated(engine: Engine, clock: ManualClock) -> None:
    Security(engine, clock).create_user("ana", Role.VIEWER, PASSWORD)
    assert "$argon2id$v=19$m=19456,t=2,p=1$" in everything_stored(engine)


def test_a_weak_hash_is_replaced_at_the_next_sign_in(security: Security, engine: Engine, clock: ManualClock) -> None:
    security.create_user("ana", Role.VIEWER, PASSWORD)
    stronger = Security(engine, clock, hasher=PasswordHasher(time_cost=2, memory_cost=16, parallelism=1))
    stronger.sign_in("ana", PASSWORD, "here")
    assert "m=16,t=2" in everything_stored(engine)
    assert stronger.sign_in("ana", PASSWORD, "here")


@pytest.mark.mission("M36")
@given(st.sampled_from(list(Role)), st.sampled_from(list(Action)), st.sampled_from(list(Proof)))
def test_what_no_role_is_given_is_denied_with_a_reason(role: Role, action: Action, proof: Proof) -> None:
    principal = Principal("x", role, proof, "key")
    allowed = action in ALLOWED[role] and not (proof is not Proof.SESSION and action is Action.ACCOUNT_OWN)
    if allowed:
        authorise(principal, action)
    else:
        with pytest.raises(Denied, match=r"needs|account"):
            authorise(principal, action)
    with pytest.raises(Denied) as nobody:
        authorise(None, action)
    assert nobody.value.code == "no_credentials"


def test_roles_grow() -> None:
    assert ALLOWED[Role.VIEWER] < ALLOWED[Role.ENGINEER] < ALLOWED[Role.ADMIN]
    assert Action.PLANT_CHANGE not in ALLOWED[Role.VIEWER]


def test_a_token_verifies_until_it_is_revoked(security: Security) -> None:
    key, token_id = token_key(security, Role.ENGINEER)
    assert security.recall(Proof.TOKEN, key) is None
    principal = security.verify(Proof.TOKEN, key)
    assert principal is not None
    assert (principal.name, principal.role) == ("script", Role.ENGINEER)
    assert security.recall(Proof.TOKEN, key) == principal
    assert security.verify(Proof.SESSION, key) is None
    assert security.revoke_token(token_id)
    assert security.recall(Proof.TOKEN, key) is None
    assert security.verify(Proof.TOKEN, key) is None
    assert not security.revoke_token(token_id)
    assert security.tokens()[0].revoked_ns is not None


def test_a_token_runs_out_even_while_it_is_remembered(security: Security, clock: ManualClock) -> None:
    key, _ = token_key(security, lifetime_s=10)
    assert security.verify(Proof.TOKEN, key)
    clock.advance(9.9)
    assert security.recall(Proof.TOKEN, key)
    clock.advance(0.1)
    assert security.recall(Proof.TOKEN, key) is None
    assert security.verify(Proof.TOKEN, key) is None


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=25, deadline=None
)
@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from(["verify", "revoke", "wait", "recall"])), max_size=25))
def test_a_token_never_verifies_after_it_was_revoked(
    security: Security, clock: ManualClock, steps: list[tuple[int, str]]
) -> None:
    made = [token_key(security) for _ in range(3)]
    revoked: set[int] = set()
    for which, step in steps:
        key, token_id = made[which]
        if step == "revoke":
            security.revoke_token(token_id)
            revoked.add(which)
        elif step == "wait":
            clock.advance(40)
        elif step == "verify":
            assert (security.verify(Proof.TOKEN, key) is None) == (which in revoked)
        elif which in revoked:
            assert security.recall(Proof.TOKEN, key) is None


def test_a_revocation_beats_a_look_up_under_way(security: Security, monkeypatch: pytest.MonkeyPatch) -> None:
    key, token_id = token_key(security)
    look_up = security._store.token

    def revoked_meanwhile(hashed: str) -> object:
        row = look_up(hashed)
        monkeypatch.setattr(security._store, "token", look_up)
        security.revoke_token(token_id)
        return row

    monkeypatch.setattr(security._store, "token", revoked_meanwhile)
    assert security.verify(Proof.TOKEN, key) is None
    assert security.recall(Proof.TOKEN, key) is None


def test_sign_in_and_out(security: Security) -> None:
    key = signed_in(security)
    principal = security.verify(Proof.SESSION, key)
    assert principal is not None
    assert (principal.name, principal.role, principal.has_password) == ("ana", Role.ENGINEER, True)
    security.sign_out(principal)
    assert security.verify(Proof.SESSION, key) is None


def test_a_session_ends_when_idle_and_at_its_end_even_when_busy(security: Security, clock: ManualClock) -> None:
    lasts = security.lifetimes
    key = signed_in(security)
    clock.advance(lasts.idle_s - 1)
    assert security.verify(Proof.SESSION, key)
    clock.advance(lasts.idle_s)
    assert security.verify(Proof.SESSION, key) is None
    busy = key_of(security.sign_in("ana", PASSWORD, "here").secret)
    for _ in range(int(lasts.session_s // 3600) - 1):
        clock.advance(3600)
        assert security.verify(Proof.SESSION, busy)
    clock.advance(3600)
    assert security.verify(Proof.SESSION, busy) is None


def test_use_within_the_remembered_minute_counts_as_use(security: Security, clock: ManualClock) -> None:
    key = signed_in(security)
    assert security.verify(Proof.SESSION, key)
    clock.advance(59)
    assert security.recall(Proof.SESSION, key)
    clock.advance(security.lifetimes.idle_s - 1)
    assert security.verify(Proof.SESSION, key)


def test_a_session_survives_a_restart_and_no_secret_is_needed_for_it(
    security: Security, engine: Engine, clock: ManualClock
) -> None:
    key = signed_in(security)
    assert Security(engine, clock, hasher=FAST).verify(Proof.SESSION, key)


@pytest.mark.parametrize("name", ["ana", "nobody"])
def test_wrong_name_and_wrong_password_answer_alike(security: Security, name: str) -> None:
    security.create_user("ana", Role.VIEWER, PASSWORD)
    with pytest.raises(Denied) as denied:
        security.sign_in(name, "wrong password", "here")
    assert (str(denied.value), denied.value.code) == ("name or password is wrong", "wrong_password")


def test_an_unknown_name_costs_as_much_as_a_known_one(security: Security, monkeypatch: pytest.MonkeyPatch) -> None:
    verified: list[str] = []
    monkeypatch.setattr(security, "_hasher", SimpleNamespace(verify=lambda stored, _: bool(verified.append(stored))))
    with pytest.raises(Denied):
        security.sign_in("nobody", PASSWORD, "here")
    assert not FAST.check_needs_rehash(verified[0])


def test_five_failures_make_one_wait_longer_each_time(security: Security, clock: ManualClock) -> None:
    security.create_user("ana", Role.VIEWER, PASSWORD)
    for _ in range(5):
        with pytest.raises(Denied):
            security.sign_in("ana", "wrong password", "here")
    with pytest.raises(TooManyFailures) as first:
        security.sign_in("Ana", PASSWORD, "here")
    assert first.value.after_s == pytest.approx(30)
    assert security.sign_in("ana", PASSWORD, "elsewhere")
    clock.advance(30)
    with pytest.raises(Denied):
        security.sign_in("ana", "wrong password", "here")
    with pytest.raises(TooManyFailures) as second:
        security.sign_in("ana", PASSWORD, "here")
    assert second.value.after_s == pytest.approx(60)
    clock.advance(60)
    assert security.sign_in("ana", PASSWORD, "here")
    with pytest.raises(Denied):
        security.sign_in("ana", "wrong password", "here")


@given(st.integers(1, 200))
def test_the_wait_and_the_memory_of_failures_are_bounded(failures: int) -> None:
    attempts = Attempts(limit=12)
    for i in range(failures):
        attempts.failed("ana", "here", 0)
        attempts.failed(f"other{i}", "here", 0)
    assert len(attempts._failed) <= 12
    if failures >= 5:
        with pytest.raises(TooManyFailures) as denied:
            attempts.check("ana", "here", 0)
        assert denied.value.after_s <= ONE_PLACE.longest_s


def test_hashing_is_bounded(security: Security) -> None:
    security.create_user("ana", Role.VIEWER, PASSWORD)
    inside, go = threading.Semaphore(0), threading.Event()
    prove = security._prove

    def slow(*args: str) -> object:
        inside.release()
        go.wait(10)
        return prove(*args)

    security._prove = slow
    outcomes: list[str] = []

    def attempt() -> None:
        try:
            security.sign_in("ana", PASSWORD, "here")
            outcomes.append("in")
        except TryLater:
            outcomes.append("later")

    threads = [threading.Thread(target=attempt) for _ in range(8)]
    for thread in threads:
        thread.start()
    inside.acquire(timeout=10)
    inside.acquire(timeout=10)
    while len(outcomes) < 4:
        threading.Event().wait(0.001)
    assert outcomes == ["later"] * 4
    assert not inside.acquire(blocking=False)
    go.set()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["in"] * 4 + ["later"] * 4


def test_the_first_start_gives_a_link_until_somebody_has_a_password(security: Security) -> None:
    void, link = security.first_link(), security.first_link()
    assert void
    assert link
    with pytest.raises(Denied) as denied:
        security.sign_in_by_link(void, "here")
    assert denied.value.code == "link_spent"
    entered = security.sign_in_by_link(link, "here")
    assert (entered.principal.role, entered.principal.has_password) == (Role.ADMIN, False)
    with pytest.raises(Denied):
        security.sign_in_by_link(link, "here")
    again = security.first_link()
    assert again
    named = security.set_password(entered.principal, "Ana", PASSWORD, None, "here")
    assert (named.name, named.has_password) == ("Ana", True)
    assert security.first_link() is None
    with pytest.raises(Denied):
        security.sign_in_by_link(again, "here")
    assert [u.name for u in security.users()] == ["Ana"]
    renamed = security.verify(Proof.SESSION, entered.principal.key)
    assert renamed is not None
    assert renamed.name == "Ana"


def test_a_link_runs_out(security: Security, clock: ManualClock) -> None:
    link = security.first_link()
    assert link
    clock.advance(security.lifetimes.link_s)
    with pytest.raises(Denied):
        security.sign_in_by_link(link, "here")


def test_changing_a_password_needs_the_old_one_and_ends_other_sessions(security: Security) -> None:
    key, other = signed_in(security), key_of(security.sign_in("ana", PASSWORD, "phone").secret)
    principal = security.verify(Proof.SESSION, key)
    assert principal is not None
    assert security.verify(Proof.SESSION, other)
    for current in (None, "wrong password"):
        with pytest.raises(Denied) as denied:
            security.set_password(principal, "ana", "another password", current, "here")
        assert denied.value.code == "wrong_password"
    security.set_password(principal, "ana", "another password", PASSWORD, "here")
    assert security.verify(Proof.SESSION, key)
    assert security.verify(Proof.SESSION, other) is None
    assert security.sign_in("ana", "another password", "here")


def test_a_taken_name_changes_nothing(security: Security) -> None:
    key = signed_in(security)
    security.create_user("Bob", Role.VIEWER)
    principal = security.verify(Proof.SESSION, key)
    assert principal is not None
    with pytest.raises(Denied) as denied:
        security.set_password(principal, "BOB", "another password", PASSWORD, "here")
    assert denied.value.code == "name_taken"
    with pytest.raises(Denied):
        security.create_user("bob", Role.ADMIN)
    assert security.sign_in("ana", PASSWORD, "here")


def test_a_token_cannot_set_a_password(security: Security) -> None:
    key, _ = token_key(security, Role.ADMIN)
    principal = security.verify(Proof.TOKEN, key)
    assert principal is not None
    with pytest.raises(Denied):
        security.set_password(principal, "ana", PASSWORD, None, "here")


@pytest.mark.parametrize("change", [{"role": Role.VIEWER}, {"disabled": True}])
def test_a_changed_account_is_signed_out_at_once(security: Security, change: dict[str, Any]) -> None:
    key = signed_in(security)
    assert security.verify(Proof.SESSION, key)
    security.change_user("ANA", **change)
    assert security.verify(Proof.SESSION, key) is None
    if "disabled" in change:
        with pytest.raises(Denied):
            security.sign_in("ana", PASSWORD, "here")
    else:
        assert security.sign_in("ana", PASSWORD, "here").principal.role == Role.VIEWER


@pytest.mark.parametrize("password", ["short", "aaaaaaaaaaaaaaaa", "x" * 257, "administrator"])
def test_unfit_passwords_are_refused_without_being_repeated(password: str) -> None:
    with pytest.raises(ConfigError) as refused:
        check_password(password, "Administrator")
    assert password not in str(refused.value)


@pytest.mark.parametrize("name", ["", " ana", "a\nb", "x" * 65, "a\u202eb"])
def test_unfit_names_are_refused(security: Security, name: str) -> None:
    with pytest.raises(ConfigError):
        security.create_user(name, Role.VIEWER)


@given(st.text(max_size=60))
def test_nothing_but_a_token_looks_like_one(text_: str) -> None:
    assert not looks_like_token("isk_" + text_[:42])
    assert not looks_like_token(text_)
