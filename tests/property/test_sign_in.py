"""Any order of attempts, sign-ins, rotations and endings keeps the promises of sessions and of waiting."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from argon2 import PasswordHasher
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from isthmus.app.records import open_records
from isthmus.security.attempts import ANY_NAME, ANY_PLACE, ONE_PLACE, Attempts, TooManyFailures
from isthmus.security.codes import key_of
from isthmus.security.model import Principal, Proof, Role
from isthmus.security.service import Security
from isthmus.security.store import metadata
from isthmus.values.clock import NS_PER_S, ManualClock
from isthmus.values.errors import Denied

pytestmark = pytest.mark.mission("M36")
PASSWORD, PLACES = "correct horse battery", st.sampled_from(["office", "home", "bar"])
FAST = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


class SignIns(RuleBasedStateMachine):
    """A model of who must be signed in, beside the real thing."""

    @initialize()
    def begin(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.clock = ManualClock()
        self.engine = open_records(Path(self.folder.name) / "records.db")
        metadata.create_all(self.engine)
        self.security = Security(self.engine, self.clock, hasher=FAST)
        self.security.create_user("ana", Role.VIEWER, PASSWORD)
        self.security.create_user("bob", Role.VIEWER, PASSWORD)
        self.security.on_revoked(lambda keys, users: self.told.append((set(keys), set(users))))
        self.told: list[tuple[set[str], set[int]]] = []
        self.open: dict[str, tuple[str, int, int]] = {}  # key -> name, used last, opened; in order, as keys are random
        self.dead: set[str] = set()
        self.disabled: set[str] = set()

    def end(self, keys: list[str]) -> None:
        for key in keys:
            over = not self.alive(key)
            del self.open[key]
            self.dead.add(key)
            assert over or any(key in told for told, _ in self.told), "who serves them must hear of it"

    def alive(self, key: str) -> bool:
        """Neither unused nor open for too long; one that is over may be forgotten without a word."""
        _, used, opened = self.open[key]
        now, lasts = self.clock.now_ns(), self.security.lifetimes
        return now - used < lasts.idle_s * NS_PER_S and now - opened < lasts.session_s * NS_PER_S

    @rule(name=st.sampled_from(["ana", "bob"]), place=PLACES)
    def right(self, name: str, place: str) -> None:
        try:
            secret = self.security.sign_in(name, PASSWORD, place).secret
        except TooManyFailures:
            return
        except Denied:
            assert name in self.disabled
            return
        assert name not in self.disabled
        now = self.clock.now_ns()
        self.open[key_of(secret)] = name, now, now

    @rule(name=st.sampled_from(["ana", "bob", "eve"]), place=PLACES, times=st.integers(1, 6))
    def wrong(self, name: str, place: str, times: int) -> None:
        for _ in range(times):
            with pytest.raises((Denied, TooManyFailures)):
                self.security.sign_in(name, "a wrong password", place)

    def verified(self, data: st.DataObject) -> tuple[str, Principal | None]:
        """One of the open sessions is shown; one that is over is dead from then on."""
        key = data.draw(st.sampled_from(list(self.open)))
        name, _, opened = self.open[key]
        alive = self.alive(key)
        found = self.security.verify(Proof.SESSION, key)
        assert (found is not None) == alive
        if alive:
            self.open[key] = name, self.clock.now_ns(), opened
        else:
            del self.open[key]
            self.dead.add(key)
        return key, found

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def use(self, data: st.DataObject) -> None:
        self.verified(data)

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def rotate(self, data: st.DataObject) -> None:
        key, principal = self.verified(data)
        if principal is None:
            return
        name, used, opened = self.open.pop(key)
        self.dead.add(key)
        self.open[key_of(self.security.rotate(principal).secret)] = name, used, opened

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def sign_out(self, data: st.DataObject) -> None:
        key, principal = self.verified(data)
        if principal is not None:
            self.security.sign_out(principal)
            self.end([key])

    @rule(name=st.sampled_from(["ana", "bob"]))
    def close_account(self, name: str) -> None:
        keys = [key for key, (owner, _, _) in self.open.items() if owner == name]
        self.security.change_user(name, disabled=True)
        self.disabled.add(name)
        self.end(keys)

    @rule(name=st.sampled_from(["ana", "bob"]))
    def open_account(self, name: str) -> None:
        self.security.change_user(name, disabled=False)
        self.disabled.discard(name)

    @rule(name=st.sampled_from(["ana", "bob"]), role=st.sampled_from([Role.VIEWER, Role.OPERATOR]))
    def change_role(self, name: str, role: Role) -> None:
        before = self.security.user_named(name).role
        keys = [key for key, (owner, _, _) in self.open.items() if owner == name]
        self.security.change_user(name, role=role)
        if role != before:
            self.end(keys)

    @rule(seconds=st.sampled_from([1, 61, 3600, 43_000, 86_400]))
    def wait(self, seconds: int) -> None:
        self.clock.advance(seconds)

    @rule()
    def restart(self) -> None:
        self.security = Security(self.engine, self.clock, hasher=FAST)
        self.security.on_revoked(lambda keys, users: self.told.append((set(keys), set(users))))

    @invariant()
    def the_dead_stay_dead(self) -> None:
        for key in list(getattr(self, "dead", ()))[-5:]:
            assert self.security.recall(Proof.SESSION, key) is None
            assert self.security.verify(Proof.SESSION, key) is None

    def teardown(self) -> None:
        if hasattr(self, "engine"):
            self.engine.dispose()
            self.folder.cleanup()


SignIns.TestCase.settings = settings(max_examples=15, stateful_step_count=20, deadline=None)
TestSignIns = SignIns.TestCase

STEPS = st.lists(
    st.tuples(st.sampled_from(["fail", "wait"]), st.sampled_from(["ana", "bob", "eve"]), st.integers(0, 60)),
    max_size=150,
)


@given(STEPS)
def test_nobody_is_locked_out_of_a_known_place_by_what_strangers_do(steps: list[tuple[str, str, int]]) -> None:
    attempts, now = Attempts(), 0
    attempts.succeeded("ana", "office")
    for what, name, number in steps:
        if what == "fail":
            attempts.failed(name, f"stranger{number}", now)
        else:
            now += number * NS_PER_S
        attempts.check("ana", "office", now)


@given(STEPS)
def test_who_comes_from_a_new_place_waits_a_minute_at_most_for_what_others_do(
    steps: list[tuple[str, str, int]],
) -> None:
    attempts, now = Attempts(), 0
    for what, name, number in steps:
        if what == "fail":
            attempts.failed(name, f"stranger{number}", now)
        else:
            now += number * NS_PER_S
        waits = [until_ns - now for key, (_, until_ns) in attempts._failed.items() if key == ("ana", "")]
        assert all(wait_ns <= ANY_PLACE.longest_s * NS_PER_S for wait_ns in waits)
        attempts.check("ana", "train", now + round(ANY_PLACE.longest_s) * NS_PER_S)


def test_guessing_one_name_from_everywhere_is_slow() -> None:
    attempts, now, tried = Attempts(), 0, 0
    for source in range(10_000):
        try:
            attempts.check("ana", f"bot{source}", now)
        except TooManyFailures:
            now += NS_PER_S
            continue
        attempts.failed("ana", f"bot{source}", now)
        tried += 1
    assert tried < ANY_PLACE.failures + 10_000 / ANY_PLACE.longest_s + 10


def test_one_password_tried_on_every_name_is_slow() -> None:
    attempts, tried = Attempts(), 0
    for name in range(1000):
        try:
            attempts.check(f"user{name}", "bot", 0)
        except TooManyFailures:
            continue
        attempts.failed(f"user{name}", "bot", 0)
        tried += 1
    assert tried == ANY_NAME.failures
    assert ONE_PLACE.failures < ANY_PLACE.failures < ANY_NAME.failures
