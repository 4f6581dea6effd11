from __future__ import annotations

import contextlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from isthmus.security.codes import key_of
from isthmus.security.model import WHOLE, Action, Principal, Proof, Role, Scope, TokenKind
from isthmus.security.policy import WITHOUT_PLANT
from isthmus.security.scopes import from_json, make_scope, to_json
from isthmus.security.service import Security
from isthmus.values.clock import ManualClock
from isthmus.values.errors import ConfigError, Denied

pytestmark = pytest.mark.mission("M36")

PATHS = st.from_regex(r"[a-z]{1,8}(/[a-z0-9]{1,8}){0,3}", fullmatch=True)


@given(
    st.sets(st.sampled_from(list(Action))),
    st.lists(PATHS, max_size=5),
    st.lists(st.ip_addresses().map(str), max_size=4),
)
def test_a_scope_comes_back_as_it_was(actions: set[Action], under: list[str], sources: list[str]) -> None:
    scope = make_scope([a.value for a in actions], under, ["line1"], sources)
    assert from_json(to_json(scope)) == scope
    assert to_json(WHOLE) == ""
    assert from_json("") == WHOLE


@pytest.mark.parametrize(
    "wrong",
    [
        {"actions": ["fly"]}, {"under": [""]}, {"under": ["a//b"]}, {"under": ["../etc"]}, {"under": ["a\n"]}, {"sources": ["here"]},
        {"sources": ["10.0.0.1/8"]}, {"sources": ["10.0.0.0/33"]}, {"zones": [" x"]}, {"under": ["x"] * 101}, {"zones": ["z" * 401]},
    ],
)  # fmt: skip
def test_what_narrows_nothing_sensible_is_refused(wrong: dict[str, list[str]]) -> None:
    with pytest.raises(ConfigError):
        make_scope(**wrong)


@given(st.text(min_size=1, max_size=60))
def test_a_broken_scope_never_becomes_a_whole_one(kept: str) -> None:
    with contextlib.suppress(Denied):
        assert from_json(kept) != WHOLE


def test_actions_that_are_gone_leave_nothing_allowed() -> None:
    with pytest.raises(Denied):
        from_json('{"actions":["gone"],"under":[],"zones":[],"sources":[]}')


@pytest.mark.parametrize(
    ("sources", "source", "good"),
    [
        ((), "", True), (("10.0.0.0/24",), "10.0.0.9", True), (("10.0.0.0/24",), "10.0.1.9", False), (("10.0.0.7",), "::ffff:10.0.0.7", True),
        (("fd00::/8",), "fd12::1", True), (("fd00::/8",), "10.0.0.1", False), (("10.0.0.7",), "", False), (("10.0.0.7",), "unknown", False),
    ],
)  # fmt: skip
def test_addresses(sources: tuple[str, ...], source: str, good: bool) -> None:
    principal = Principal("x", "viewer", Proof.TOKEN, "k", scope=Scope(sources=sources), source=source)
    assert WITHOUT_PLANT.decide(principal, Action.READ).allowed == good


def test_a_token_carries_its_limits_and_when_it_was_used(security: Security, clock: ManualClock) -> None:
    scope = make_scope(["read"], ["hall/line1"], ["line1"], ["10.0.0.0/8"])
    secret, token = security.create_token("edge 7", Role.ADMIN, "ana", 3600, scope=scope, kind=TokenKind.SERVICE)
    assert security.tokens()[0].seen_ns is None
    found = security.verify(Proof.TOKEN, key_of(secret))
    assert found is not None
    assert found.scope == scope == token.scope
    here = replace(found, source="10.1.2.3")
    assert WITHOUT_PLANT.decide(here, Action.READ, "hall/line1/press", zone="line1").allowed
    assert not WITHOUT_PLANT.decide(here, Action.READ, "hall/line2", zone="line1").allowed
    assert WITHOUT_PLANT.decide(here, Action.ACCOUNTS).code == "scope_action"
    listed = security.tokens()[0]
    assert (listed.kind, listed.scope, listed.seen_ns) == (TokenKind.SERVICE, scope, clock.now_ns())
    for wrong in ("", "Admin", "a b", "x" * 64, "é"):
        with pytest.raises(ConfigError):
            security.create_token("x", wrong, "ana")


def test_a_token_whose_limits_are_unreadable_is_refused(security: Security, engine: Engine) -> None:
    secret, _ = security.create_token("x", Role.ADMIN, "ana", scope=make_scope(["read"]))
    with engine.begin() as connection:
        connection.execute(text("UPDATE security_tokens SET scope = '{'"))
    with pytest.raises(Denied):
        security.verify(Proof.TOKEN, key_of(secret))
