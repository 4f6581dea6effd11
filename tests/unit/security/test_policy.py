"""Roles, zones, conduits, scopes and lock-outs, one by one."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest

from isthmus.namespace.compiled import make_plant
from isthmus.namespace.model import EMPTY, Asset, Conduit, Connection, Lockout, OwnRole, Plant, Tag, Zone
from isthmus.security.model import DOING, Action, Principal, Proof, Role, Scope
from isthmus.security.policy import KIND_OF, WITHOUT_PLANT, Lockouts, Policies, compile_policy
from isthmus.values.errors import ConfigError
from isthmus.values.plant.policy import BUILT_IN_ROLES, ActionName, MessageKind
from isthmus.values.sample import ValueType


def tag(number: int, path: str, connection: str = "") -> Tag:
    asset, _, name = path.rpartition("/")
    return Tag(number, path, asset, name, "value", ValueType.FLOAT, connection=connection)


def plant(**more: Any) -> Plant:
    """Two lines behind two connections, a calculated tag in the office's zone, and three zones."""
    given: dict[str, Any] = {
        "connections": (
            Connection("plc1", "modbus-tcp", "edge-1", "line1", "read-write", "10.1.0.7:502", 2),
            Connection("plc2", "modbus-tcp", "edge-1", "line2", "read-only", "10.2.0.7:502", 1),
        ),
        "zones": (
            Zone("line1", networks=("10.1.0.0/16",), edges=("edge-1",), security_level=2),
            Zone("line2", networks=("10.2.0.0/16", "10.1.9.0/24")),
            Zone("office", networks=("10.9.0.0/16",), programs=("erp",)),
        ),
        "conduits": (
            Conduit("screens", "office", "site", ("read", "live", "history", "sign-in")),
            Conduit("view", "office", "line1", ("read", "live", "write")),
            Conduit("core1", "site", "line1", ("read", "live", "history", "write", "field")),
            Conduit("up1", "line1", "site", ("edge", "write")),
        ),
        "roles": (
            OwnRole("filler-crew", extends=("operator",), under=("hall/line1",), when=("stopped", "held")),
            OwnRole("line1-guest", extends=("viewer",), zones=("line1",)),
            OwnRole("night", extends=("filler-crew", "line1-guest"), deny=("account.own",), allow=("connection.test",)),
            OwnRole("empty"),
        ),
    }
    return make_plant(
        version=1,
        enterprise="acme",
        site="lyon",
        timezone="UTC",
        tags=(
            tag(1, "hall/line1/filler/speed", "plc1"),
            tag(2, "hall/line1/filler/target", "plc1"),
            tag(3, "hall/line1/oee"),
            tag(4, "hall/line2/capper/speed", "plc2"),
            tag(5, "hall/line2x"),
            tag(9, "connections/plc1/state", "plc1"),
        ),
        assets=(
            Asset("", "lyon", "site", "", "", 0),
            Asset("hall", "hall", "area", "", "", 1),
            Asset("hall/line1", "line1", "line", "", "hall", 2, zone="office"),
            Asset("hall/line1/filler", "filler", "asset", "filler", "hall/line1", 3, zone="line1"),
        ),
        edges=("edge-1",),
        **{**given, **more},
    )


ZONED = compile_policy(plant())
PLAIN = compile_policy(plant(zones=(), conduits=()))
LOCAL = "127.0.0.1"
SPEED = "hall/line1/filler/speed"


def who(role: str, source: str = LOCAL, proof: Proof = Proof.SESSION, **scope: Any) -> Principal:
    return Principal("ana", role, proof, "k", scope=Scope(**scope), source=source)


def test_the_plant_file_knows_the_same_actions_kinds_and_roles_as_the_policy() -> None:
    assert set(get_args(ActionName)) == {action.value for action in Action}
    assert set(get_args(MessageKind)) >= set(KIND_OF.values()) | {"live", "history"}
    assert KIND_OF.keys() == set(Action)
    assert DOING.keys() == set(Action)
    assert list(BUILT_IN_ROLES) == [role.value for role in Role]


def test_nobody_is_denied_and_told_how_to_come_in() -> None:
    decision = ZONED.decide(None, Action.READ)
    assert not decision.allowed
    assert decision.code == "no_credentials"


@pytest.mark.parametrize("action", Action)
@pytest.mark.parametrize("role", ["", "unknown", "empty", "Viewer", "viewer "])
def test_a_role_that_is_none_or_has_nothing_is_denied_everything(role: str, action: Action) -> None:
    decision = PLAIN.decide(who(role), action)
    assert not decision.allowed
    assert decision.code == "role_missing"
    assert role in decision.reason or "needs" in decision.reason


def test_without_zones_everything_is_one_zone() -> None:
    for source in (LOCAL, "192.0.2.7", "::1", "nowhere"):
        assert PLAIN.zone_of(source) == "site"
        assert PLAIN.decide(who("operator", source), Action.WRITE, SPEED).allowed


@pytest.mark.mission("M5")
@pytest.mark.parametrize(
    ("source", "zone"),
    [
        ("10.1.2.3", "line1"), ("10.1.9.3", "line2"), ("10.2.0.1", "line2"), ("::ffff:10.1.2.3", "line1"), (LOCAL, "site"),
        ("::1", "site"), ("192.0.2.1", "outside"), ("testclient", "outside"), ("", "outside"), ("fe80::1%eth0", "outside"),
    ],
)  # fmt: skip
def test_the_longest_network_that_fits_tells_the_zone(source: str, zone: str) -> None:
    assert ZONED.zone_of(source) == zone


@pytest.mark.mission("M5")
@pytest.mark.parametrize(
    ("path", "zone"),
    [
        ("", "site"), (SPEED, "line1"), ("hall/line1/oee", "office"), ("hall/line2/capper/speed", "line2"),
        ("hall/line2x", "site"), ("hall/line1/filler", "line1"), ("hall/line1/other/deep", "office"),
        ("connections/plc2", "line2"), ("connections/plc2/errors", "line2"), ("connections/plc1/state", "line1"),
        ("connections/plc9", "site"), ("nowhere", "site"),
    ],
)  # fmt: skip
def test_a_path_has_the_zone_of_its_connection_or_its_asset(path: str, zone: str) -> None:
    assert ZONED.zone_at(path) == zone


@pytest.mark.mission("M5", "M77")
def test_only_what_a_conduit_names_passes_and_only_its_way() -> None:
    office = "10.9.0.1"
    assert ZONED.decide(who("operator", office), Action.READ, SPEED).rule == "role operator; conduit view"
    assert ZONED.decide(who("operator", office), Action.READ, SPEED, kind="live").allowed
    history = ZONED.decide(who("operator", office), Action.READ, SPEED, kind="history")
    assert (history.allowed, history.code) == (False, "conduit_missing")
    assert history.reason == "no conduit from zone office to zone line1 allows history"
    write = ZONED.decide(who("operator", office), Action.WRITE, SPEED)  # to line1, but not by way of core
    assert write.reason == "no conduit from zone office to zone site allows write"
    back = ZONED.decide(who("operator", "10.1.0.1"), Action.READ, "hall/line1/oee")
    assert back.reason == "no conduit from zone line1 to zone site allows read"
    assert ZONED.decide(who("operator", "10.1.0.1"), Action.WRITE, SPEED).allowed
    assert ZONED.decide(who("operator", "192.0.2.1"), Action.READ).code == "conduit_missing"
    assert not ZONED.decide(who("operator"), Action.READ, "hall/line2/capper/speed").allowed


@pytest.mark.mission("M5")
def test_frames_and_commands_of_an_edge_follow_the_conduits_of_its_zone() -> None:
    assert ZONED.edge_flows() == {"edge-1": (True, True)}
    assert PLAIN.edge_flows() == {"edge-1": (True, True)}
    up = Conduit("up1", "line1", "site", ("edge", "write"))  # what may come up says nothing of what may go down
    assert compile_policy(plant(conduits=(up,))).edge_flows() == {"edge-1": (True, False)}
    assert compile_policy(plant(conduits=())).edge_flows() == {"edge-1": (False, False)}


def test_who_owns_the_data_directory_crosses_no_network() -> None:
    owner = Principal("owner", "admin", Proof.SOCKET, "")
    assert ZONED.decide(owner, Action.PLANT_CHANGE).allowed
    assert ZONED.decide(owner, Action.READ, "hall/line2/capper/speed").allowed
    assert not ZONED.decide(owner, Action.WRITE, SPEED).allowed


def test_a_program_comes_from_its_zone_or_from_this_machine() -> None:
    def erp(source: str) -> Principal:
        return replace(who("viewer", source, Proof.TOKEN), name="erp")

    assert ZONED.zone_of(LOCAL, "erp") == "office"
    assert ZONED.decide(erp(LOCAL), Action.READ, SPEED).allowed
    assert ZONED.decide(erp("10.9.0.4"), Action.READ, SPEED).allowed
    stolen = ZONED.decide(erp("10.1.0.4"), Action.READ, SPEED)
    assert stolen.code == "program_elsewhere"
    assert "belongs to zone office" in stolen.reason
    person = replace(erp(LOCAL), proof=Proof.SESSION)  # a person of that name is no program
    assert ZONED.decide(person, Action.READ, "hall/line1/filler/target", kind="history").allowed


@pytest.mark.mission("M36")
def test_an_own_role_is_narrowed_to_its_paths_and_states() -> None:
    crew = who("filler-crew")
    assert PLAIN.decide(crew, Action.WRITE, SPEED, state="stopped").allowed
    assert PLAIN.decide(crew, Action.READ, SPEED).allowed  # looking is tied to no state
    running = PLAIN.decide(crew, Action.WRITE, SPEED, state="running")
    assert running.code == "role_state"
    assert running.reason == "role filler-crew changes something only while stopped or held; it is running"
    assert "state is not known" in PLAIN.decide(crew, Action.WRITE, SPEED).reason
    other = PLAIN.decide(crew, Action.READ, "hall/line2/capper/speed")
    assert other.code == "role_path"
    assert other.reason == "role filler-crew is narrowed to hall/line1; this is hall/line2/capper/speed"
    assert PLAIN.decide(crew, Action.READ, "hall/line1").allowed
    assert not PLAIN.decide(crew, Action.READ, "hall/line1x").allowed
    assert not PLAIN.decide(crew, Action.READ).allowed  # the whole site
    assert PLAIN.decide(crew, Action.READ, part=True).allowed
    assert PLAIN.decide(crew, Action.ACCOUNT_OWN).allowed  # nothing of the plant


@pytest.mark.mission("M36")
def test_an_own_role_is_narrowed_to_its_zones() -> None:
    guest = who("line1-guest")
    assert ZONED.decide(guest, Action.READ, SPEED).allowed
    assert ZONED.decide(guest, Action.READ, "hall/line2x").code == "role_zone"
    assert (
        ZONED.decide(guest, Action.READ).reason == "role line1-guest is narrowed to zone line1; this is the whole site"
    )
    assert ZONED.decide(guest, Action.READ, zone="line1").allowed


def test_what_a_role_extends_stays_narrowed_and_deny_outranks() -> None:
    night = who("night")
    assert PLAIN.decide(night, Action.WRITE, SPEED, state="held").allowed
    assert not PLAIN.decide(night, Action.WRITE, SPEED, state="running").allowed
    assert not PLAIN.decide(night, Action.WRITE, "hall/line2x", state="held").allowed
    assert PLAIN.decide(night, Action.CONNECTION_TEST).allowed
    denied = PLAIN.decide(night, Action.ACCOUNT_OWN)
    assert (denied.code, denied.reason) == ("role_missing", "role night denies account.own")


def test_roles_that_extend_each_other_in_a_circle_end_and_get_nothing_of_it() -> None:
    circle = (OwnRole("a", extends=("b",), allow=("read",)), OwnRole("b", extends=("a", "viewer", "gone")))
    policy = compile_policy(plant(roles=circle, zones=(), conduits=()))
    assert policy.decide(who("a"), Action.READ).allowed
    assert policy.decide(who("b"), Action.READ).allowed
    assert not policy.decide(who("a"), Action.WRITE).allowed


@pytest.mark.mission("M36")
def test_a_scope_narrows_actions_paths_zones_and_sources() -> None:
    def token(**scope: Any) -> Principal:
        return who("operator", proof=Proof.TOKEN, **scope)

    assert ZONED.decide(token(actions=frozenset({Action.READ})), Action.WRITE, SPEED).code == "scope_action"
    assert ZONED.decide(token(actions=frozenset({Action.READ})), Action.READ, SPEED).allowed
    assert ZONED.decide(token(under=("hall/line1",)), Action.READ, SPEED).allowed
    assert ZONED.decide(token(under=("hall/line1",)), Action.READ, "hall/line2x").code == "scope_path"
    assert ZONED.decide(token(zones=("line1",)), Action.WRITE, SPEED).allowed
    assert ZONED.decide(token(zones=("line2",)), Action.WRITE, SPEED).code == "scope_zone"
    near, far = token(sources=("127.0.0.0/8",)), token(sources=("10.0.0.0/8",))
    assert ZONED.decide(near, Action.READ).allowed
    assert ZONED.decide(far, Action.READ).code == "scope_source"
    assert ZONED.decide(token(sources=("no network",)), Action.READ).code == "scope_source"
    assert ZONED.decide(replace(near, source=""), Action.READ).code == "scope_source"


@pytest.mark.mission("M84")
def test_what_is_locked_out_is_not_written_to_by_anybody_and_is_still_read() -> None:
    held = Lockout("ana", "changing the seal", "2026-03-01")
    plc1, plc2 = PLAIN.plant.connections
    locked = plant(zones=(), conduits=(), connections=(replace(plc1, lockout=held), plc2))
    policy = compile_policy(locked)
    decision = policy.decide(who("operator"), Action.WRITE, SPEED)
    assert decision.code == "locked_out"
    assert decision.reason == "connections/plc1 is locked out by ana since 2026-03-01: changing the seal"
    assert policy.decide(who("operator"), Action.READ, SPEED).allowed
    assert policy.decide(who("operator"), Action.WRITE, "hall/line2/capper/speed").allowed
    assert policy.decide(who("viewer"), Action.WRITE, SPEED).code == "role_missing"
    for place in ("hall", "hall/line1/filler", SPEED):
        by_path = compile_policy(plant(zones=(), conduits=()), {place: Lockout("bo", "inside")})
        assert by_path.decide(who("operator"), Action.WRITE, SPEED).reason.startswith(f"{place} is locked out by bo")


@pytest.mark.mission("M84")
def test_a_lock_set_at_run_time_holds_at_once_and_after_a_restart(tmp_path: Path) -> None:
    file = tmp_path / "lockouts.json"
    policies = Policies(lambda: PLAIN.plant, Lockouts(file))
    assert policies.current().decide(who("operator"), Action.WRITE, SPEED).allowed
    policies.lockouts.lock("hall/line1", Lockout("ana", "inside the guard", "2026-03-01"))
    assert policies.current().decide(who("operator"), Action.WRITE, SPEED).code == "locked_out"
    assert file.stat().st_mode & 0o777 == 0o600
    with pytest.raises(ConfigError, match="locked out by ana already"):
        policies.lockouts.lock("hall/line1", Lockout("bo", "mine now"))
    again = Policies(lambda: PLAIN.plant, Lockouts(file))
    assert again.current().decide(who("operator"), Action.WRITE, SPEED).code == "locked_out"
    again.lockouts.unlock("hall/line1")
    assert again.current().decide(who("operator"), Action.WRITE, SPEED).allowed
    with pytest.raises(ConfigError, match="nothing locks"):
        again.lockouts.unlock("hall/line1")
    file.write_text("[1]")
    with pytest.raises(ConfigError, match="is not a list of lock-outs"):
        Lockouts(file)


def test_the_policy_in_force_is_that_of_the_plant_in_force() -> None:
    now = [EMPTY]
    policies = Policies(lambda: now[0])
    before = policies.current()
    assert policies.current() is before
    assert not before.decide(who("filler-crew"), Action.READ, part=True).allowed
    now[0] = plant()
    after = policies.current()
    assert after.plant is now[0]
    assert after.decide(who("filler-crew"), Action.READ, SPEED).allowed
    assert policies.current() is after


def test_many_threads_see_one_policy_and_the_same_answers() -> None:
    now = [plant()]
    policies = Policies(lambda: now[0])
    principals = [who(role, source) for role in ("viewer", "night", "operator") for source in (LOCAL, "10.9.0.1")]
    expected = {id(p): compile_policy(now[0]).decide(p, Action.READ, SPEED).allowed for p in principals}
    wrong: list[object] = []

    def ask() -> None:
        for _ in range(500):
            found = {id(p): policies.current().decide(p, Action.READ, SPEED).allowed for p in principals}
            if found != expected:
                wrong.append(found)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("isthmus.security.policy.MOST_MEMOS", 1000)
    policy = compile_policy(plant())
    asker = who("viewer")
    for i in range(5000):
        policy.decide(asker, Action.READ, f"guess/{i}")
    for _ in range(50):
        policy.decide(who("viewer"), Action.READ)
    assert 0 < len(policy._memory) <= 1000
    for _ in range(500):
        policy.sight(who("viewer"))
    assert 0 < len(policy._seen) <= 100


def test_another_principal_in_the_same_place_of_memory_is_not_taken_for_the_first() -> None:
    """Objects die and others take their address; a decision is kept with the object it was made for."""
    policy = compile_policy(plant(zones=(), conduits=()))
    for role in ("admin", "viewer") * 200:
        assert policy.decide(who(role), Action.BACKUP).allowed == (role == "admin")


@pytest.mark.mission("M5")
def test_every_flow_is_listed_with_what_allows_it() -> None:
    flows = ZONED.flows()
    assert {"from": "office", "to": "line1", "kind": "live", "what": "", "rule": "conduit view"} in flows
    machines = {f["what"]: (f["from"], f["to"], f["kind"], f["rule"]) for f in flows if f["what"]}
    assert machines["edge-1 and core"] == ("line1", "site", "edge", "conduit up1")
    assert machines["edge-1 and plc1 (10.1.0.7:502)"] == ("line1", "line1", "field", "same zone")
    assert machines["edge-1 and plc2 (10.2.0.7:502)"][3] == "none"
    assert all(f["rule"] == "same zone" for f in PLAIN.flows())


def test_nothing_is_narrowed_for_most_and_costs_nothing() -> None:
    assert PLAIN.sight(who("viewer")) is None
    assert (
        PLAIN.sight(who("viewer", proof=Proof.TOKEN, actions=frozenset({Action.READ}), sources=("127.0.0.1",))) is None
    )
    assert WITHOUT_PLANT.sight(who("admin")) is None
    seen = PLAIN.sight(who("filler-crew"))
    assert seen is not None
    assert [number for number in range(10) if seen[number]] == [1, 2, 3]
    assert PLAIN.sight(who("filler-crew")) is seen  # narrowed alike: the same columns


@pytest.mark.mission("M76")
def test_a_role_has_at_least_another_when_it_has_everything_of_it() -> None:
    policy = compile_policy(plant())
    yes = [
        ("operator", "operator"),
        ("supervisor", "operator"),
        ("filler-crew", "operator"),
        ("night", "filler-crew"),
        ("engineer", "viewer"),
    ]
    no = [("operator", "supervisor"), ("engineer", "operator"), ("admin", "operator"), ("supervisor", "filler-crew"), ("gone", "viewer"), ("operator", "gone")]  # fmt: skip
    assert [pair for pair in yes if not policy.at_least(*pair)] == []
    assert [pair for pair in no if policy.at_least(*pair)] == []


@pytest.mark.mission("M84")
def test_a_lock_out_is_found_for_whoever_asks_at_a_tag_above_it_and_at_its_connection() -> None:
    locked = compile_policy(
        plant(), {"hall/line1": Lockout("ana", "inside"), "connections/plc2": Lockout("ben", "wiring")}
    )
    assert [locked.locked(path) is not None for path in ("hall/line1/filler/speed", "hall/line2/capper/speed", "hall/line1", "hall")] == [True, True, True, False]  # fmt: skip
    assert compile_policy(plant()).locked("hall/line1") is None


def test_who_is_narrowed_by_state_is_asked_for_it_as_it_is_now() -> None:
    now = {"hall/line1/filler": "stopped"}
    policy = compile_policy(plant(zones=(), conduits=()), state_at=lambda path: now.get(path.rpartition("/")[0], ""))
    crew = Principal("c", "filler-crew", Proof.SESSION, "127.0.0.1", 5)
    night = Principal("n", "night", Proof.SESSION, "127.0.0.1", 6)
    actions = (Action.WRITE, Action.ALARM_ACKNOWLEDGE, Action.PRODUCTION_RECORD)
    for state, may in (("stopped", True), ("running", False), ("held", True), ("", False), ("stopped", True)):
        now["hall/line1/filler"] = state
        for who in (crew, night):
            assert [policy.decide(who, action, SPEED).allowed for action in actions] == [may] * 3, state
        assert policy.decide(crew, Action.READ, SPEED).allowed
    assert policy.decide(crew, Action.WRITE, SPEED, state="running").code == "role_state"  # what the asker knows holds
    assert not policy.decide(crew, Action.WRITE, "hall/line1").allowed  # there nobody knows


def test_nobody_looks_at_a_state_for_who_is_not_narrowed_by_it() -> None:
    asked: list[str] = []
    policy = compile_policy(plant(zones=(), conduits=()), state_at=lambda path: asked.append(path) or "")
    operator = Principal("o", "operator", Proof.SESSION, "127.0.0.1", 7)
    assert policy.decide(operator, Action.WRITE, SPEED).allowed
    assert not asked


@pytest.mark.parametrize(("state", "may"), [("stopped", True), ("Stopped", True), ("Execute", False), ("", False)])
def test_states_are_the_same_in_upper_and_lower_case(state: str, may: bool) -> None:
    crew = Principal("kim", "filler-crew", Proof.SESSION, "", source="10.1.0.3")
    policy = compile_policy(plant(conduits=(Conduit("c", "line1", "site", ("write",)),)))
    assert policy.decide(crew, Action.WRITE, "hall/line1/filler/target", state=state).allowed is may
    assert policy.decide(crew, Action.WRITE, part=True).allowed, "a route asks again for the path it acts on"
