"""Hears alarms, walks calls along their steps, and delivers.

What is heard and what it brings are one transaction with the place in the stream of changes; so are a moment of an escalation
and whom it tells. So a core that is killed decides nothing twice. Deliveries wait in the records and are sent at least once: an
attempt that a kill cut off is made again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Any, Protocol, TypeVar

from sqlalchemy import Connection, Engine

from isthmus.alarms.callout import links, model, rota, store, texts
from isthmus.alarms.callout.channels import Ways
from isthmus.alarms.callout.model import CallState, Channel, Contact, Effect, Rule, Setup
from isthmus.alarms.callout.rota import Rota, Turn
from isthmus.alarms.callout.texts import Line, Message
from isthmus.ports.alarms import AlarmReports
from isthmus.values.clock import NS_PER_S, Clock
from isthmus.values.errors import ConfigError, Denied, IsthmusError, TryLater
from isthmus.values.messages.alarms import AlarmChange, Reported

T = TypeVar("T")

MOST_AT_ONCE = 8
MOST_BY_CHANNEL = 2
GIVE_UP_NS = 24 * 3600 * NS_PER_S
"""A delivery that failed for so long is given up; the call has ended long before."""
LONGEST_SLEEP_S = 30.0
PRUNE_NS = 6 * 3600 * NS_PER_S
REPORT_AFTER = 2
"""Failed attempts of a channel in a row from which on it is an alarm of its own."""
MOST_RULES = 200


class Acknowledges(Protocol):
    """The part of the room alarms that an answer asks for. ``who`` is whoever web has made of the link's person."""

    async def acknowledge(self, who: Any, occurrences: list[int], comment: str, /) -> object: ...


@dataclass(frozen=True, slots=True)
class Person:
    """An account: whether it is open, and whether its role may acknowledge alarms."""

    name: str
    open: bool = True
    may_acknowledge: bool = True


@dataclass(frozen=True, slots=True)
class CallOutConfig:
    """``link`` is where browsers of people reach this core, without a slash at its end; empty: messages hold no links."""

    link: str = ""
    link_s: float = 12 * 3600.0
    keep_s: float = 90 * 86_400.0


@dataclass(frozen=True, slots=True)
class Place:
    """Of the plant: its name, and its time zone."""

    site: str
    zone: str


@dataclass(frozen=True, slots=True)
class Asked:
    """What a link is about."""

    delivery: int
    person: str
    language: str
    lines: tuple[Line, ...]
    left: tuple[Line, ...]
    answered_ns: int | None


class CallOut:
    """An `ports.alarms.AlarmListener`. ``run`` makes time pass for calls and deliveries; ``step`` does it once."""

    name = "callout"

    def __init__(
        self,
        engine: Engine,
        clock: Clock,
        random: Random,
        *,
        place: Callable[[], Place],
        people: Callable[[], Sequence[Person]],
        ways: Ways,
        key: Callable[[], bytes],
        key_of: Callable[[str], str],
        config: CallOutConfig = CallOutConfig(),
        log: logging.Logger | None = None,
    ) -> None:
        self._engine, self._clock, self._random = engine, clock, random
        self._place, self._people, self._ways = place, people, ways
        self._key, self._key_of, self._config = key, key_of, config
        self._alarms: Acknowledges | None = None
        self._reports: AlarmReports | None = None
        self._log = log or logging.getLogger("isthmus.callout")
        self._wake = asyncio.Event()
        self._sending: dict[int, tuple[str, asyncio.Task[None]]] = {}
        self._broken: dict[str, int] = {}  # failed attempts in a row, by channel
        self._told: set[str] = set()  # channels reported as failing
        self._pruned_ns = 0
        self._begun = False

    def attach(self, alarms: Acknowledges | None, reports: AlarmReports | None) -> None:
        """Whom answers go to, and who hears of what call-out itself cannot do; the room alarms is made after this one."""
        self._alarms, self._reports = alarms, reports

    # what is heard

    async def after(self) -> int:
        """The last change whose effect is stored."""
        return await self._do(store.cursor)

    async def heard(self, changes: Sequence[AlarmChange]) -> None:
        """Take changes; stored with all they bring when this returns."""
        healed: set[str] = await self._do(lambda db: self._hear(db, changes))
        self._wake.set()
        for rule in healed:
            await self._report(_unanswered(rule), active=False)

    def _hear(self, db: Connection, changes: Sequence[AlarmChange]) -> set[str]:
        """Rules of which no call is unanswered any more."""
        known = store.cursor(db)
        fresh = [change for change in changes if change.seq > known]
        if not fresh:
            return set()
        setup, versions = store.setup(db)
        touched: set[int] = set()
        run: list[AlarmChange] = []
        kind = Effect.NOTHING
        for change in fresh:  # in order, in runs of one effect: ten thousand alarms of one second are one run
            found = model.effect(change)
            if found is Effect.NOTHING:
                continue
            if found is not kind and run:
                touched |= self._take(db, kind, run, setup, versions)
                run = []
            kind = found
            run.append(change)
        if run:
            touched |= self._take(db, kind, run, setup, versions)
        ended = [self._end(db, call) for call, left in store.left_in(db, touched).items() if not left]
        store.move(db, fresh[-1].seq)
        return {rule for rule in ended if rule and not store.unanswered(db, rule)}

    def _take(
        self,
        db: Connection,
        kind: Effect,
        run: Sequence[AlarmChange],
        setup: Setup,
        versions: Mapping[tuple[str, str], store.Version],
    ) -> set[int]:
        """The calls that some of their alarms need no more."""
        if kind is Effect.RAISES:
            self._raise(db, run, setup, versions)
            return set()
        how = {change.occurrence: (str(kind), self._clock.now_ns()) for change in run}
        if kind is not Effect.RETURNS:
            return store.settle(db, how)
        over = [one for one in store.open_versions(db) if store.rule_of(db, one).until == "returned"]
        return store.settle(db, {o: (str(Effect.SETTLES), at) for o, (_, at) in how.items()}, over) if over else set()

    def _raise(
        self,
        db: Connection,
        run: Sequence[AlarmChange],
        setup: Setup,
        versions: Mapping[tuple[str, str], store.Version],
    ) -> None:
        now_ns, zone = self._clock.now_ns(), self._place().zone
        waiting = store.waiting_in(db, {change.occurrence for change in run})
        for rule in setup.rules.values():
            joining: dict[int, dict[int, tuple[Line, str]]] = {}
            quiet = {p: model.quiet_until(rule, p, now_ns, zone) for p in rule.priorities}
            for change in run:
                if model.concerns(rule, change) and (rule.name, change.occurrence) not in waiting:
                    line = Line(
                        change.occurrence, change.alarm, change.path, change.priority, change.message, change.time_ns,
                        change.value, change.unit, change.limit,
                    )  # fmt: skip
                    joining.setdefault(quiet[change.priority], {}).setdefault(change.occurrence, (line, change.zone))
            for held_ns, lines in joining.items():
                call = store.gathering(db, rule.name, held_ns)
                if call is None:
                    wait_s = max(rule.group_s, rule.then_s) if store.under_way(db, rule.name) else rule.group_s
                    due_ns = max(held_ns, now_ns + round(wait_s * NS_PER_S))
                    call = store.begin(db, rule.name, versions["rule", rule.name].id, now_ns, held_ns, due_ns)
                store.join(db, call, list(lines.values()))

    def _end(self, db: Connection, call_id: int) -> str:
        """No alarm of the call needs anybody. Its rule, where nobody had answered it."""
        call = store.call_of(db, call_id)
        word = "acknowledged" if store.was_acknowledged(db, call_id) else "over"
        state = model.NEXT.get((call.state, word))
        if state is None:
            return ""
        now_ns = self._clock.now_ns()
        store.change_call(db, call_id, state=state, due_ns=None, ended_ns=call.ended_ns or now_ns)
        store.withdraw(db, call_id, now_ns, "its alarms need nobody any more")
        return call.rule if call.state is CallState.UNANSWERED else ""

    # time

    async def run(self) -> None:
        """Until cancelled."""
        try:
            while True:
                self._wake.clear()
                await self._advance()
                await self._launch()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(await self._sleep_s()):
                        await self._wake.wait()
        finally:
            sending = [task for _, task in self._sending.values()]
            for task in sending:
                task.cancel()
            await asyncio.gather(*sending, return_exceptions=True)

    async def step(self) -> None:
        """Everything that is due by now, to its end."""
        await self._advance()
        await self._launch()
        while self._sending:
            await asyncio.wait([task for _, task in self._sending.values()])
            await self._launch()

    async def _sleep_s(self) -> float:
        moment = await self._do(store.next_moment)
        if moment is None:
            return LONGEST_SLEEP_S
        wait_s = (moment - self._clock.now_ns()) / NS_PER_S
        # what is due and not yet being sent waits for room: whoever ends makes it and wakes us
        return LONGEST_SLEEP_S if wait_s <= 0 and self._sending else min(LONGEST_SLEEP_S, max(0.05, wait_s))

    async def _advance(self) -> None:
        now_ns = self._clock.now_ns()
        if not self._begun:
            self._begun = True
            await self._begin(now_ns)
        if now_ns - self._pruned_ns > PRUNE_NS:
            self._pruned_ns = now_ns
            await self._do(lambda db: store.prune(db, now_ns - round(self._config.keep_s * NS_PER_S)))
        unanswered: list[store.Call] = []
        while await self._do(lambda db: bool(store.due(db, now_ns))):
            reachable = {one.name for one in await self._everybody() if one.open}
            await self._do(partial(self._turn_all, now_ns=now_ns, reachable=reachable, unanswered=unanswered))
        for call in unanswered:
            self._log.error("call %d of rule %s: everybody was told, and nobody answered", call.id, call.rule)
            await self._report(_unanswered(call.rule), active=True)

    async def _begin(self, now_ns: int) -> None:
        """What the end of the core before left behind."""
        cut = await self._do(lambda db: store.interrupted(db, now_ns))
        if cut:
            self._log.info("%d attempts to deliver were cut off by the end of core; they are made again", cut)
        setup, _ = await self._do(store.setup)
        for name in setup.channels:
            health = await self._do(partial(store.health, channel=name))
            if health.failing:
                self._broken[name] = REPORT_AFTER
                self._told.add(name)

    async def _everybody(self) -> Sequence[Person]:
        """All accounts. Never asked within a transaction of ours: they lie in the same records."""
        return await asyncio.to_thread(self._people)

    def _turn_all(self, db: Connection, now_ns: int, reachable: set[str], unanswered: list[store.Call]) -> None:
        """One moment of each call that is due."""
        place = self._place()
        setup, _ = store.setup(db)
        duty = {name: rota.on_duty(one, now_ns, place.zone) for name, one in setup.rotas.items()}
        for call in store.due(db, now_ns):
            self._turn(db, call, now_ns, place, setup, duty, reachable, unanswered)

    def _turn(
        self,
        db: Connection,
        call: store.Call,
        now_ns: int,
        place: Place,
        setup: Setup,
        duty: Mapping[str, str],
        reachable: set[str],
        unanswered: list[store.Call],
    ) -> None:
        rule = store.rule_of(db, call.version)
        points = model.plan(rule)
        if call.done >= len(points):
            state = model.NEXT[call.state, "end"]
            store.change_call(db, call.id, state=state, due_ns=None, ended_ns=now_ns)
            store.withdraw(db, call.id, now_ns, "the call is at its end")
            unanswered.append(call)
            return
        quiet_ns = model.quiet_until(rule, model.most_urgent(store.priorities_of(db, call.id)), now_ns, place.zone)
        if quiet_ns:
            store.change_call(db, call.id, due_ns=quiet_ns)
            return
        point = points[call.done]
        turned = model.turn(rule, call.done, now_ns, setup, duty, reachable)
        for one in turned.told:
            store.queue(db, call.id, point.step, point.nth, one.person, one.channel, now_ns, one.reason)
        state = model.NEXT[call.state, "tell"]
        store.change_call(db, call.id, state=state, done=turned.done, due_ns=turned.due_ns)

    async def _report(self, alarm: Reported, *, active: bool) -> None:
        if self._reports is not None:
            try:
                await self._reports.report(alarm, active=active, time_ns=self._clock.now_ns())
            except Exception as error:  # call-out goes on whatever becomes of what it says about itself
                self._log.warning("%s could not be reported: %s", alarm.key, error)

    # deliveries

    async def _launch(self) -> None:
        """Begin to send what is due, as much as may be under way."""
        now_ns = self._clock.now_ns()
        due = await self._do(lambda db: store.to_send(db, now_ns, 200))
        for one in due:
            if len(self._sending) >= MOST_AT_ONCE:
                return
            busy = sum(1 for channel, _ in self._sending.values() if channel == one.channel)
            if one.id in self._sending or busy >= MOST_BY_CHANNEL:
                continue
            task = asyncio.create_task(self._send(one), name=f"callout {one.id}")
            self._sending[one.id] = (one.channel, task)
            task.add_done_callback(partial(self._sent, one.id))

    def _sent(self, ident: int, task: asyncio.Task[None]) -> None:
        self._sending.pop(ident, None)
        self._wake.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            self._log.error("delivery %d could not be recorded: %s", ident, error)

    async def _send(self, one: store.Delivery) -> None:
        """One attempt, and what it means."""
        begun_ns = self._clock.now_ns()
        prepared = await self._do(lambda db: self._prepare(db, one, begun_ns))
        if prepared is None:
            return
        attempt, channel, address, message = prepared
        reason = ""
        try:
            if isinstance(message, str):
                raise ConfigError(message)
            await asyncio.to_thread(self._ways.send, channel, address, message)
        except IsthmusError as error:
            reason = str(error)
        except Exception as error:  # a bug must not stop the others from being told
            self._log.exception("delivery %d failed", one.id)
            reason = type(error).__name__
        await self._do(lambda db: self._outcome(db, one, attempt, reason))
        await self._told_of_channel(one.channel, reason)

    def _prepare(
        self, db: Connection, one: store.Delivery, now_ns: int
    ) -> tuple[int, Channel, str, Message | str] | None:
        """What to send; None when there is nothing to send any more, a text where something must be set right first."""
        fresh = store.delivery(db, one.id)
        if fresh is None or fresh.state != store.QUEUED:
            return None
        setup, _ = store.setup(db)
        channel = setup.channels.get(one.channel)
        contact = setup.contacts.get(one.person, Contact(one.person))
        attempt = store.start_attempt(db, one, now_ns)
        if channel is None:
            return attempt, Channel(one.channel, "email", ""), "", f"there is no channel {one.channel} any more"
        address = contact.addresses.get(one.channel, "")
        if channel.personal and not address:
            return attempt, channel, "", f"there is no address on channel {one.channel} any more"
        place = self._place()
        if one.call is None:
            return attempt, channel, address, texts.test_message(contact.language, place.site, one.channel)
        lines = store.lines_of(db, one.call, unsettled=True)
        if not lines:
            store.change_delivery(db, one.id, state=store.WITHDRAWN, next_ns=None, done_ns=now_ns)
            store.end_attempt(db, attempt, store.WITHDRAWN, "", now_ns)
            return None
        expires_ns = one.created_ns + round(self._config.link_s * NS_PER_S)
        link = ""
        if self._config.link and channel.kind != "voice":
            link = f"{self._config.link}/api/v1/callout/answer/{links.make(self._key(), one.id, expires_ns)}"
        message = texts.call_message(
            lines, contact.language, place.zone, site=place.site, nth=one.nth, link=link, expires_ns=expires_ns,
            short=channel.kind in model.SHORT,
        )  # fmt: skip
        return attempt, channel, address, message

    def _outcome(self, db: Connection, one: store.Delivery, attempt: int, reason: str) -> None:
        now_ns = self._clock.now_ns()
        store.end_attempt(db, attempt, store.FAILED if reason else store.DELIVERED, reason, now_ns)
        attempts = one.attempts + 1
        if not reason:
            # what was withdrawn while it was on its way was told nevertheless
            store.change_delivery(
                db, one.id, only_queued=False, state=store.DELIVERED, attempts=attempts, next_ns=None, done_ns=now_ns, reason="",
            )  # fmt: skip
        elif one.call is None or now_ns - one.created_ns > GIVE_UP_NS:  # a test says at once how it went
            store.change_delivery(
                db, one.id, state=store.FAILED, attempts=attempts, next_ns=None, done_ns=now_ns, reason=reason[:500]
            )
        else:
            wait_s = model.backoff_s(attempts, self._random.random())
            store.change_delivery(
                db, one.id, attempts=attempts, next_ns=now_ns + round(wait_s * NS_PER_S), reason=reason[:500]
            )

    async def _told_of_channel(self, channel: str, reason: str) -> None:
        """One line when a channel breaks, one when it heals; and an alarm of its own while it does not deliver."""
        if reason:
            failures = self._broken[channel] = self._broken.get(channel, 0) + 1
            if failures == 1:
                self._log.warning("channel %s does not deliver: %s", channel, reason)
            if failures >= REPORT_AFTER and channel not in self._told:
                self._told.add(channel)
                await self._report(_undelivered(channel, reason), active=True)
            return
        if self._broken.pop(channel, 0):
            self._log.info("channel %s delivers again", channel)
        if channel in self._told:
            self._told.discard(channel)
            await self._report(_undelivered(channel, ""), active=False)

    # answers

    async def asked(self, token: str) -> Asked:
        """What a link is about. Looking changes nothing.

        Raises: LinkRefused
        """
        ident = links.read(self._key(), token, self._clock.now_ns())
        return await self._do(lambda db: self._asked(db, ident))

    def _asked(self, db: Connection, ident: int) -> Asked:
        one = store.delivery(db, ident)
        if one is None or one.call is None:
            raise links.LinkRefused("this link is not one of ours", "link_wrong")
        contact = next((c for c in store.contacts(db) if c.person == one.person), Contact(one.person))
        lines, left = store.lines_of(db, one.call), store.lines_of(db, one.call, unsettled=True)
        return Asked(ident, one.person, contact.language, tuple(lines), tuple(left), one.answered_ns)

    async def answer(self, token: str, who: Any) -> Asked:
        """Acknowledge what a link is about; what it was about. It works once.

        Raises: LinkRefused, and whatever the room alarms says; the link can be used again then
        """
        if self._alarms is None:
            raise TryLater("alarms are not served here")
        asked = await self.asked(token)
        now_ns = self._clock.now_ns()
        if not await self._do(lambda db: store.claim(db, asked.delivery, now_ns)):
            raise links.LinkRefused("this link was used already", "link_spent")
        if not asked.left:
            return asked
        try:
            await self._alarms.acknowledge(who, [line.occurrence for line in asked.left], "by the link of a call-out")
        except BaseException:
            await self._do(lambda db: store.change_delivery(db, asked.delivery, only_queued=False, answered_ns=None))
            raise
        await self._do(lambda db: self._answered(db, asked))
        self._wake.set()
        return asked

    def _answered(self, db: Connection, asked: Asked) -> None:
        """The call is told at once who took it; that its alarms are acknowledged is heard as a change like any other."""
        one = store.delivery(db, asked.delivery)
        if one is not None and one.call is not None and not store.call_of(db, one.call).answered_by:
            store.change_call(db, one.call, answered_by=asked.person)

    async def test(self, channel: str, person: str) -> tuple[store.Delivery, list[tuple[int, int | None, str, str]]]:
        """Send a test message now; how it went.

        Raises: ConfigError
        """
        accounts = {one.name for one in await self._everybody() if one.open}

        def begin(db: Connection) -> store.Delivery:
            setup, _ = store.setup(db)
            if channel not in setup.channels:
                raise ConfigError(f"channel: no channel is called {channel!r}")
            if person not in accounts:
                raise ConfigError(f"person: no open account has the name {person!r}")
            if (
                setup.channels[channel].personal
                and channel not in setup.contacts.get(person, Contact(person)).addresses
            ):
                raise ConfigError(f"person: {person} has no address on channel {channel}")
            ident = store.queue(db, None, 0, 0, person, channel, self._clock.now_ns())
            # ours alone: whoever looks for what is due comes later
            store.change_delivery(db, ident, next_ns=self._clock.now_ns() + 120 * NS_PER_S)
            found = store.delivery(db, ident)
            assert found is not None  # noqa: S101  it was made in this transaction
            return found

        one = await self._do(begin)
        await self._send(one)

        def ended(db: Connection) -> tuple[store.Delivery, list[tuple[int, int | None, str, str]]]:
            return store.delivery(db, one.id) or one, store.attempts_of(db, [one.id]).get(one.id, [])

        return await self._do(ended)

    # what is in force

    async def state(self) -> State:
        """Everything that is in force, and how it is."""
        open_people = {one.name: one.may_acknowledge for one in await self._everybody() if one.open}
        return await self._do(lambda db: self._state(db, open_people))

    def _state(self, db: Connection, open_people: Mapping[str, bool]) -> State:
        setup, versions = store.setup(db)
        now_ns, place = self._clock.now_ns(), self._place()
        rotas = []
        for one in setup.rotas.values():
            now, later = rota.now_and_next(one, now_ns, place.zone)
            problems = [f"{name} has no open account" for name in one.everybody() if name not in open_people]
            rotas.append(
                RotaState(one, versions["rota", one.name], now, later, rota.gaps(one, now_ns, place.zone), problems)
            )
        rules = [
            RuleState(r, versions["rule", r.name], model.problems_of(r, setup, open_people))
            for r in setup.rules.values()
        ]
        channels = [
            ChannelState(c, versions["channel", c.name], store.health(db, c.name), self._ways.missing(c))
            for c in setup.channels.values()
        ]
        calls = store.calls(db, 50, only_open=True)
        told = store.told_of(db, [call.id for call in calls])
        return State(
            place.zone, self._config.link, rotas, rules, channels, list(setup.contacts.values()), sorted(open_people),
            [CallShown(call, *told[call.id]) for call in calls],
        )  # fmt: skip

    async def schedule(self, name: str, start_ns: int, end_ns: int) -> list[Turn]:
        """Who is on duty on a rota over a time.

        Raises: LookupError if there is none
        """
        setup, _ = await self._do(store.setup)
        return rota.schedule(setup.rotas[name], start_ns, end_ns, self._place().zone)

    async def versions(self, kind: str, name: str) -> list[store.Version]:
        """Every version of a rota, rule or channel, newest first."""
        return await self._do(lambda db: store.versions(db, kind, name))

    async def keep(
        self, what: Rota | Rule | Channel, by: str, reason: str, base: int | None
    ) -> tuple[int, Rota | Rule | Channel | None]:
        """Put a rota, rule or channel in force; its version, and what it was before.

        Raises: ConfigError naming what is wrong, Denied (stale_base) when ``base`` is not the version in force
        """
        kind = _kind(what)
        if isinstance(what, Channel) and not self._ways.missing(model.check_channel(what)):
            await asyncio.to_thread(self._ways.check, what)  # a secret that is there must fit
        names = {one.name for one in await self._everybody()}

        def do(db: Connection) -> tuple[int, Rota | Rule | Channel | None]:
            setup, versions = store.setup(db)
            _check(what, setup, names)
            before = versions.get((kind, what.name))
            _check_base(base, before)
            if before is None and sum(1 for k, _ in versions if k == kind) >= MOST_RULES:
                raise ConfigError(f"{kind}s: at most {MOST_RULES}")
            if before is not None and before.what == what:
                return before.version, before.what
            number = store.keep(db, kind, what.name, what, by, self._clock.now_ns(), reason)
            return number, before.what if before else None

        kept = await self._do(do)
        self._wake.set()
        return kept

    async def remove(self, kind: str, name: str, by: str, reason: str) -> Rota | Rule | Channel:
        """Take a rota, rule or channel away; what it was.

        Raises: LookupError if there is none, Denied (conflict) while something refers to it
        """

        def do(db: Connection) -> Rota | Rule | Channel:
            setup, versions = store.setup(db)
            before = versions[kind, name]
            for rule in setup.rules.values():
                used = [s for s in rule.steps if s.who in (f"{kind}:{name}", f"all:{name}")] if kind == "rota" else []
                used += [s for s in rule.steps if kind == "channel" and name in s.channels]
                if used:
                    raise Denied(f"{kind} {name}: rule {rule.name} refers to it; change the rule first", "conflict")
            store.keep(db, kind, name, None, by, self._clock.now_ns(), reason)
            assert before.what is not None  # noqa: S101  what is in force is something
            return before.what

        return await self._do(do)

    async def contacts(self) -> list[Contact]:
        """How people are reached, with their addresses."""
        return await self._do(store.contacts)

    async def keep_contact(self, contact: Contact) -> None:
        """Keep how somebody is reached.

        Raises: ConfigError
        """
        names = {one.name for one in await self._everybody()}

        def do(db: Connection) -> None:
            setup, _ = store.setup(db)
            model.check_contact(contact, setup, names)
            store.keep_contact(db, self._key_of(contact.person), contact)

        await self._do(do)

    async def forget_contact(self, person: str) -> bool:
        """Forget how somebody is reached; whether anything was known."""
        return await self._do(lambda db: store.keep_contact(db, self._key_of(person), None))

    async def renamed(self, old: str, new: str) -> None:
        """An account has another name."""
        await self._do(lambda db: store.rename(db, old, new, self._key_of(old), self._key_of(new)))

    async def deliveries(self, limit: int, before: int | None, call: int | None) -> list[Logged]:
        """The delivery log, newest first."""

        def ask(db: Connection) -> list[Logged]:
            found = store.deliveries(db, limit, before, call)
            attempts = store.attempts_of(db, [one.id for one in found])
            calls = {one.call for one in found if one.call is not None}
            told = store.told_of(db, calls)
            states = {ident: store.call_of(db, ident) for ident in calls}
            return [
                Logged(
                    one,
                    attempts.get(one.id, []),
                    CallShown(states[one.call], *told[one.call]) if one.call is not None else None,
                )
                for one in found
            ]

        return await self._do(ask)

    async def _do(self, what: Callable[[Connection], T]) -> T:
        """In one transaction, in a thread."""

        def work() -> T:
            with self._engine.begin() as db:
                return what(db)

        return await asyncio.to_thread(work)


@dataclass(frozen=True, slots=True)
class RotaState:
    """A rota, who is on duty and comes next, when nobody is, and what is wrong with it."""

    rota: Rota
    version: store.Version
    now: Turn
    later: Turn | None
    gaps: list[Turn]
    problems: list[str]


@dataclass(frozen=True, slots=True)
class RuleState:
    """A rule, and what keeps it from reaching people."""

    rule: Rule
    version: store.Version
    problems: list[str]


@dataclass(frozen=True, slots=True)
class ChannelState:
    """A channel, and how it delivers."""

    channel: Channel
    version: store.Version
    health: store.Health
    missing: str  # why its secret cannot be read, empty when it can


@dataclass(frozen=True, slots=True)
class CallShown:
    """A call, how many alarms it is about, and the first of them."""

    call: store.Call
    alarms: int
    priority: str
    message: str
    path: str


@dataclass(frozen=True, slots=True)
class Logged:
    """A delivery with its attempts (at_ns, done_ns, result, reason), and its call unless it was a test."""

    delivery: store.Delivery
    attempts: list[tuple[int, int | None, str, str]]
    call: CallShown | None


@dataclass(frozen=True, slots=True)
class State:
    """Everything that is in force, and how it is."""

    zone: str
    link: str
    rotas: list[RotaState]
    rules: list[RuleState]
    channels: list[ChannelState]
    contacts: list[Contact]
    people: list[str]
    calls: list[CallShown]


def _kind(what: Rota | Rule | Channel) -> str:
    return type(what).__name__.lower()


def _check(what: Rota | Rule | Channel, setup: Setup, names: set[str]) -> None:
    match what:
        case Rota():
            rota.check_rota(what)
            unknown = [name for name in what.everybody() if name not in names]
            if unknown:
                raise ConfigError(f"rota {what.name}: people: no account has the name {unknown[0]!r}")
        case Rule():
            model.check_rule(what, setup, names)
        case Channel():
            having = [c.person for c in setup.contacts.values() if what.name in c.addresses]
            if having and not what.personal:
                raise ConfigError(
                    f"channel {what.name}: personal: {having[0]} has an address on it; take it away first"
                )


def _check_base(base: int | None, before: store.Version | None) -> None:
    if base is not None and base != (before.version if before else 0):
        raise Denied(
            f"changed from version {base}, in force is {before.version if before else 0}; look at it again",
            "stale_base",
        )


def _unanswered(rule: str) -> Reported:
    return Reported(
        key=f"callout/unanswered/{rule}",
        path="",
        priority="high",
        message=f"Call-out by rule {rule}: everybody was told, and nobody answered",
        cause="Nobody on duty saw the messages, or nobody acknowledged",
        consequence="The alarms of the call are unattended",
        response="Acknowledge them, and reach somebody by other means",
    )


def _undelivered(channel: str, reason: str) -> Reported:
    return Reported(
        key=f"callout/channel/{channel}",
        path="",
        priority="high",
        message=f"Call-out does not deliver by channel {channel}",
        cause=reason,
        consequence="People on duty hear of alarms later, by other channels, or not at all",
        response="Look at /callout, set the channel right, and send a test",
    )
