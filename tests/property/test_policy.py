"""What holds of every policy: closed by default, narrowing never allows more, and all ways to ask agree."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.namespace.compiled import make_plant
from isthmus.namespace.model import Asset, Conduit, Connection, Lockout, OwnRole, Plant, Tag, Zone
from isthmus.security.model import ALLOWED, Action, Principal, Proof, Role, Scope
from isthmus.security.policy import Policy, compile_policy
from isthmus.values.plant.policy import MessageKind
from isthmus.values.sample import ValueType

PATHS = (
    "hall/line1/filler/speed",
    "hall/line1/filler/good",
    "hall/line1",
    "hall/line1x/speed",
    "hall/line2/speed",
    "a",
    "hall",
)
TAGS = (*PATHS[:2], *PATHS[3:5], "a", "connections/plc1/state")
ROOTS = (*PATHS, "connections/plc1", "")
ZONES = ("site", "line1", "line2", "office")
NETWORKS = {"line1": "10.1.0.0/16", "line2": "10.2.0.0/16", "office": "10.9.0.0/16"}
SOURCES = ("127.0.0.1", "10.1.0.1", "10.2.0.1", "10.9.0.1", "192.0.2.1", "")
STATES = ("", "running", "stopped")
NAMES = ("crew", "guest", "night")


def some(choices: Any, size: int = 3) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(st.sampled_from(choices), max_size=size, unique=True).map(tuple)


roles = st.builds(
    OwnRole,
    name=st.just(""),
    extends=some((*NAMES, *(r.value for r in Role))),
    allow=some([a.value for a in Action]),
    deny=some([a.value for a in Action], 2),
    under=some(ROOTS, 2),
    zones=some(ZONES, 2),
    when=some(STATES[1:], 1),
)
conduits = st.builds(
    Conduit,
    name=st.just("c"),
    source=st.sampled_from((*ZONES, "outside")),
    target=st.sampled_from(ZONES),
    allow=some(get_args(MessageKind), 6),
)


@st.composite
def plants(draw: st.DrawFn) -> Plant:
    declared = draw(some(tuple(NETWORKS)))
    tags = tuple(
        Tag(
            i * 3, path, path.rpartition("/")[0], path.rpartition("/")[2], "value", ValueType.FLOAT,
            connection=draw(st.sampled_from(("", "plc1", "plc2"))),
        )
        for i, path in enumerate(sorted(TAGS))
    )  # fmt: skip
    return make_plant(
        version=1,
        enterprise="acme",
        site="lyon",
        timezone="UTC",
        tags=tags,
        assets=tuple(
            Asset(p, "", "", "", "", 0, zone=draw(st.sampled_from(("", *ZONES)))) for p in ("hall", "hall/line1")
        ),
        connections=tuple(
            Connection(name, "m", "edge-1", draw(st.sampled_from(("", *ZONES))), "read-only", "", 0)
            for name in ("plc1", "plc2")
        ),
        zones=tuple(Zone(name, networks=(NETWORKS[name],), programs=draw(some(("erp",), 1))) for name in declared),
        conduits=tuple(draw(st.lists(conduits, max_size=6))),
        roles=tuple(replace(draw(roles), name=name) for name in NAMES),
    )


scopes = st.builds(
    Scope,
    actions=some(tuple(Action)).map(frozenset),
    under=some(ROOTS, 2),
    zones=some(ZONES, 2),
    sources=some(("127.0.0.0/8", "10.0.0.0/8"), 1),
)
principals = st.builds(
    Principal,
    name=st.sampled_from(("ana", "erp")),
    role=st.sampled_from((*NAMES, *(r.value for r in Role), "gone")),
    proof=st.sampled_from(Proof),
    key=st.just("k"),
    scope=st.one_of(st.just(Scope()), scopes),
    source=st.sampled_from(SOURCES),
)
questions = st.fixed_dictionaries(
    {
        "action": st.sampled_from(Action),
        "path": st.sampled_from(("", *ROOTS, *TAGS)),
        "state": st.sampled_from(STATES),
        "kind": st.sampled_from(("", "live", "history")),
        "part": st.booleans(),
    }
)


def ask(policy: Policy, principal: Principal | None, question: dict[str, Any]) -> Any:
    given = dict(question)
    return policy.decide(principal, given.pop("action"), given.pop("path"), **given)


@pytest.mark.mission("M76")
@settings(max_examples=120, deadline=None)
@given(plants(), principals, questions)
def test_denied_by_default_and_every_answer_has_its_reason(plant: Plant, principal: Principal, question: Any) -> None:
    decision = ask(compile_policy(plant), principal, question)
    assert decision.reason
    assert decision.rule
    assert decision.allowed == (not decision.code)
    bare = compile_policy(replace(plant, roles=(), conduits=()))
    closed = ask(bare, principal, question)
    if principal.role not in ALLOWED:
        assert not closed.allowed
    elif closed.allowed:
        assert question["action"] in ALLOWED[principal.role]
        program = principal.name if principal.proof is Proof.TOKEN else ""  # a person of that name is no program
        at_home = bare.zone_of(principal.source, program) == "site"
        assert not bare.zoned or principal.proof is Proof.SOCKET or at_home


@pytest.mark.mission("M36")
@settings(max_examples=120, deadline=None)
@given(plants(), principals, scopes, questions)
def test_narrowing_never_allows_more(plant: Plant, principal: Principal, scope: Scope, question: Any) -> None:
    policy = compile_policy(plant)
    wide = replace(principal, scope=replace(scope, under=(), zones=(), sources=(), actions=frozenset()))
    steps = [wide.scope]
    for name in ("actions", "under", "zones", "sources"):
        steps.append(replace(steps[-1], **{name: getattr(scope, name)}))
    answers = [ask(policy, replace(principal, scope=one), question).allowed for one in steps]
    assert answers == sorted(answers, reverse=True)
    role = next(r for r in plant.roles if r.name == "crew")
    for narrower in (
        replace(role, under=role.under or ("hall/line1",)),
        replace(role, zones=role.zones or ("line1",)),
        replace(role, when=role.when or ("stopped",)),
        replace(role, deny=(*role.deny, "read")),
    ):
        less = compile_policy(replace(plant, roles=tuple(narrower if r is role else r for r in plant.roles)))
        assert ask(less, principal, question).allowed <= ask(policy, principal, question).allowed
    locked = compile_policy(plant, {"hall": Lockout("bo", "inside")})
    assert ask(locked, principal, question).allowed <= ask(policy, principal, question).allowed
    fewer = compile_policy(replace(plant, conduits=plant.conduits[1:]))
    assert ask(fewer, principal, question).allowed <= ask(policy, principal, question).allowed


@settings(max_examples=120, deadline=None)
@given(plants(), principals, st.sampled_from(("read", "live", "history")))
def test_what_is_seen_in_columns_is_what_is_decided_one_by_one(plant: Plant, principal: Principal, kind: str) -> None:
    policy = compile_policy(plant)
    seen = policy.sight(principal, kind)
    for tag in plant.tags:
        decision = policy.decide(principal, Action.READ, tag.path, kind=kind)
        assert (True if seen is None else bool(seen[tag.id])) == decision.allowed, decision.reason


@settings(max_examples=200, deadline=None)
@given(plants(), principals, st.lists(questions, min_size=1, max_size=8))
def test_asked_again_the_answer_is_the_same(plant: Plant, principal: Principal, several: list[Any]) -> None:
    policy = compile_policy(plant)
    first = [ask(policy, principal, one) for one in several]
    assert first == [ask(policy, principal, one) for one in several]
    assert first == [ask(compile_policy(plant), replace(principal), one) for one in several]
