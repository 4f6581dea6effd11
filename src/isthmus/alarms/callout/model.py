"""Rules and calls: which alarms, who is told in what order, and what becomes of a call. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from zoneinfo import ZoneInfo

from isthmus.alarms.callout.rota import Rota, intervals
from isthmus.values.clock import NS_PER_S
from isthmus.values.errors import ConfigError
from isthmus.values.ids import check_name, is_under
from isthmus.values.messages.alarms import PRIORITIES, AlarmChange, State
from isthmus.values.secrets import check_reference
from isthmus.values.windows import parse_window

KINDS = ("email", "sms", "voice", "chat", "webhook", "file")
SHORT = ("sms", "voice")
"""Kinds whose messages are a line or two."""
LANGUAGES = ("en", "fr", "de")
MOST_STEPS = 20
MOST_MESSAGES = 100
LONGEST_S = 24 * 3600.0
"""An escalation has an end, and it is not later than this."""
SHORTEST_REPEAT_S = 30.0
MOST_ADDRESS_CHARS = 200
ANSWER_S = 900.0
"""So long after the last message somebody may still answer; then the call has failed."""


@dataclass(frozen=True, slots=True)
class Channel:
    """A way to people. ``url`` refers to the secret that holds an apprise address, or a file of this machine; a personal one has
    ``{address}`` in it, where each person's own goes, and one that is not reaches the same place for everybody.
    """

    name: str
    kind: str
    url: str
    personal: bool = True


@dataclass(frozen=True, slots=True)
class Contact:
    """How to reach somebody who has an account. ``addresses``: by name of the channel."""

    person: str
    language: str = "en"
    addresses: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Step:
    """Tell ``who`` by all of ``channels``, ``after_s`` after the call began, then ``times`` again every ``repeat_s``.

    ``who``: ``rota:NAME`` (whoever is on duty), ``all:NAME`` (everybody on the rota) or ``person:NAME``.
    """

    who: str
    channels: tuple[str, ...]
    after_s: float = 0.0
    repeat_s: float = 0.0
    times: int = 0


@dataclass(frozen=True, slots=True)
class Quiet:
    """Alarms of these priorities wait until the window closes. ``hours``: a window such as ``22:00-06:00``."""

    priorities: tuple[str, ...]
    hours: str


@dataclass(frozen=True, slots=True)
class Rule:
    """Which alarms call whom. Empty ``under`` and ``zones`` narrow nothing.

    Alarms that come within ``group_s`` become one call; while one of this rule is under way, further ones gather for ``then_s``.
    ``until``: ``acknowledged``, or ``returned``: then an alarm that is over by itself needs nobody.
    """

    name: str
    priorities: tuple[str, ...]
    steps: tuple[Step, ...]
    under: tuple[str, ...] = ()
    zones: tuple[str, ...] = ()
    quiet: tuple[Quiet, ...] = ()
    group_s: float = 10.0
    then_s: float = 60.0
    until: str = "acknowledged"
    enabled: bool = True


@dataclass(frozen=True, slots=True)
class Setup:
    """All that is in force, by name."""

    rotas: Mapping[str, Rota] = field(default_factory=dict)
    rules: Mapping[str, Rule] = field(default_factory=dict)
    channels: Mapping[str, Channel] = field(default_factory=dict)
    contacts: Mapping[str, Contact] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Point:
    """One moment of an escalation. Units: offset_s since the call began"""

    offset_s: float
    step: int
    nth: int


# checks


def check_channel(channel: Channel) -> Channel:
    """The channel itself when it can be kept.

    Raises: ConfigError
    """
    where = f"channel {check_name(channel.name, 'name')}"
    if channel.kind not in KINDS:
        raise ConfigError(f"{where}: kind: must be one of {', '.join(KINDS)}, was {channel.kind!r}")
    if channel.kind == "file" and channel.personal:
        raise ConfigError(f"{where}: personal: a file is the same place for everybody")
    check_reference(channel.url, f"{where}: url")
    return channel


_PRINTABLE = re.compile(r"[^\x00-\x1f\x7f]+\Z")


def check_contact(contact: Contact, setup: Setup, people: Collection[str]) -> Contact:
    """The contact itself when it can be kept.

    Raises: ConfigError
    """
    where = f"contact {contact.person}"
    if contact.person not in people:
        raise ConfigError(f"{where}: no account has this name")
    if contact.language not in LANGUAGES:
        raise ConfigError(f"{where}: language: must be one of {', '.join(LANGUAGES)}, was {contact.language!r}")
    for channel, address in contact.addresses.items():
        if channel not in setup.channels:
            raise ConfigError(f"{where}: addresses.{channel}: no channel is called so")
        if not setup.channels[channel].personal:
            raise ConfigError(
                f"{where}: addresses.{channel}: reaches the same place for everybody and takes no address"
            )
        if not _PRINTABLE.match(address) or len(address) > MOST_ADDRESS_CHARS or address != address.strip():
            raise ConfigError(f"{where}: addresses.{channel}: must be 1 to {MOST_ADDRESS_CHARS} characters in one line")
    return contact


def check_rule(rule: Rule, setup: Setup, people: Collection[str]) -> Rule:
    """The rule itself when it can be kept.

    Raises: ConfigError naming the part
    """
    where = f"rule {check_name(rule.name, 'name')}"
    _priorities(rule.priorities, f"{where}: priorities")
    for number, quiet in enumerate(rule.quiet, 1):
        _priorities(quiet.priorities, f"{where}: quiet {number}: priorities")
        try:
            parse_window(quiet.hours)
        except ConfigError as error:
            raise ConfigError(f"{where}: quiet {number}: hours: {error}") from None
        if intervals(quiet.hours, 0, _WEEK_NS, ZoneInfo("UTC")) == [(0, _WEEK_NS)]:
            raise ConfigError(f"{where}: quiet {number}: hours: is always quiet, so nobody would ever be called")
    for key, value, most in (("group_s", rule.group_s, 600.0), ("then_s", rule.then_s, 3600.0)):
        if not 0 <= value <= most:
            raise ConfigError(f"{where}: {key}: must be 0 to {most:g} seconds, was {value:g}")
    if rule.until not in ("acknowledged", "returned"):
        raise ConfigError(f"{where}: until: must be acknowledged or returned, was {rule.until!r}")
    if not 1 <= len(rule.steps) <= MOST_STEPS:
        raise ConfigError(f"{where}: steps: must be 1 to {MOST_STEPS}, were {len(rule.steps)}")
    for number, step in enumerate(rule.steps, 1):
        _check_step(step, f"{where}: step {number}", setup, people)
    points = plan(rule)
    if len(points) > MOST_MESSAGES:
        raise ConfigError(
            f"{where}: steps: at most {MOST_MESSAGES} times somebody is told, this tells {len(points)} times"
        )
    if points[-1].offset_s > LONGEST_S:
        hours = points[-1].offset_s / 3600
        raise ConfigError(
            f"{where}: steps: must be at an end after {LONGEST_S / 3600:g} hours, this goes on for {hours:.1f}"
        )
    return rule


_WEEK_NS = 7 * 86_400 * NS_PER_S


def _priorities(given: Sequence[str], where: str) -> None:
    unknown = [one for one in given if one not in PRIORITIES]
    if unknown or not given:
        raise ConfigError(f"{where}: must name some of {', '.join(PRIORITIES)}, was {', '.join(given) or 'empty'}")


def _check_step(step: Step, where: str, setup: Setup, people: Collection[str]) -> None:
    kind, _, name = step.who.partition(":")
    if kind in ("rota", "all"):
        if name not in setup.rotas:
            raise ConfigError(f"{where}: who: no rota is called {name!r}")
    elif kind == "person":
        if name not in people:
            raise ConfigError(f"{where}: who: no account has the name {name!r}")
    else:
        raise ConfigError(f"{where}: who: must be rota:NAME, all:NAME or person:NAME, was {step.who!r}")
    if not step.channels:
        raise ConfigError(f"{where}: channels: name at least one")
    for channel in step.channels:
        if channel not in setup.channels:
            raise ConfigError(f"{where}: channels: no channel is called {channel!r}")
    if len(set(step.channels)) < len(step.channels):
        raise ConfigError(f"{where}: channels: one is named twice")
    if not 0 <= step.after_s <= LONGEST_S:
        raise ConfigError(f"{where}: after_s: must be 0 to {LONGEST_S:g} seconds, was {step.after_s:g}")
    if step.repeat_s and not step.times:
        raise ConfigError(f"{where}: times: an escalation that repeats must say how often, or it never ends")
    if step.times and step.repeat_s < SHORTEST_REPEAT_S:
        raise ConfigError(f"{where}: repeat_s: must be {SHORTEST_REPEAT_S:g} seconds or more, was {step.repeat_s:g}")
    if not 0 <= step.times <= MOST_MESSAGES:
        raise ConfigError(f"{where}: times: must be 0 to {MOST_MESSAGES}, was {step.times}")


# who hears of what


def plan(rule: Rule) -> tuple[Point, ...]:
    """All moments of an escalation, in order."""
    points = [
        Point(step.after_s + nth * step.repeat_s, number, nth)
        for number, step in enumerate(rule.steps)
        for nth in range(step.times + 1)
    ]
    return tuple(sorted(points, key=lambda p: (p.offset_s, p.step, p.nth)))


def concerns(rule: Rule, change: AlarmChange) -> bool:
    """Whether an alarm is one of the rule's."""
    return (
        rule.enabled
        and change.priority in rule.priorities
        and (not rule.under or any(is_under(change.path, root) for root in rule.under))
        and (not rule.zones or change.zone in rule.zones)
    )


def quiet_until(rule: Rule, priority: str, now_ns: int, zone: str) -> int:
    """When this priority may be called out again, UTC ns; 0 if it may now."""
    until, at = 0, now_ns
    horizon = now_ns + 8 * 86_400 * NS_PER_S
    for _ in range(2 * len(rule.quiet) + 1):  # where one quiet time ends within another, the later end counts
        ends = [
            close
            for quiet in rule.quiet
            if priority in quiet.priorities
            for begin, close in intervals(quiet.hours, at, horizon, ZoneInfo(zone))
            if begin <= at < close
        ]
        if not ends:
            break
        until = at = max(ends)
    return until


def most_urgent(priorities: Collection[str]) -> str:
    """Of several priorities the highest; the lowest where there is none that is known."""
    return next((one for one in PRIORITIES if one in priorities), PRIORITIES[-1])


class Effect(StrEnum):
    """What a change of an alarm means for calls."""

    RAISES = "raises"
    RETURNS = "returns"
    ANSWERED = "acknowledged"
    SETTLES = "over"
    NOTHING = "nothing"


_EFFECTS = {
    State.UNACKNOWLEDGED: Effect.RAISES,
    State.RETURNED_UNACKNOWLEDGED: Effect.RETURNS,
    State.ACKNOWLEDGED: Effect.ANSWERED,
    State.NORMAL: Effect.SETTLES,
    State.SHELVED: Effect.SETTLES,
    State.SUPPRESSED_BY_DESIGN: Effect.SETTLES,
    State.OUT_OF_SERVICE: Effect.SETTLES,
}


def effect(change: AlarmChange) -> Effect:
    """What a change means for calls. What was over before anybody could hear of it raises nothing; an alarm that latches still
    needs somebody, unless a person did something to it or had acknowledged it before.
    """
    if change.after is State.LATCHED:
        seen = change.before is State.ACKNOWLEDGED or bool(change.by)
        return Effect.ANSWERED if seen else Effect.RETURNS
    found = _EFFECTS[change.after]
    if found is Effect.RAISES and change.replayed:
        return Effect.NOTHING
    if found is Effect.SETTLES and change.after is State.NORMAL and change.by:
        return Effect.ANSWERED  # it had returned before, and was acknowledged now
    return found


class CallState(StrEnum):
    """Where a call is."""

    GATHERING = "gathering"
    CALLING = "calling"
    ACKNOWLEDGED = "acknowledged"
    OVER = "over"
    UNANSWERED = "unanswered"


OPEN = (CallState.GATHERING, CallState.CALLING)

NEXT = {
    (CallState.GATHERING, "tell"): CallState.CALLING,
    (CallState.CALLING, "tell"): CallState.CALLING,
    (CallState.CALLING, "end"): CallState.UNANSWERED,
    (CallState.GATHERING, "acknowledged"): CallState.ACKNOWLEDGED,
    (CallState.GATHERING, "over"): CallState.OVER,
    (CallState.CALLING, "acknowledged"): CallState.ACKNOWLEDGED,
    (CallState.CALLING, "over"): CallState.OVER,
    (CallState.UNANSWERED, "acknowledged"): CallState.ACKNOWLEDGED,
    (CallState.UNANSWERED, "over"): CallState.OVER,
}
"""(state, what happens) to state; what is not here changes nothing."""


@dataclass(frozen=True, slots=True)
class Told:
    """What a moment of an escalation decides: whom, by what. Nobody where both are empty; ``reason`` says why."""

    person: str
    channel: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Turned:
    """What a moment brings: what to deliver, how many points are done, when the next one is. Units: due_ns UTC"""

    told: tuple[Told, ...]
    done: int
    due_ns: int


def turn(
    rule: Rule, done: int, now_ns: int, setup: Setup, duty: Mapping[str, str], reachable: Collection[str]
) -> Turned:
    """One moment of an escalation. ``duty`` says who is on duty, by rota; ``reachable`` are the accounts that are open.

    Where a step reaches nobody, the next step comes at once.
    """
    points = plan(rule)
    point = points[done]
    step = rule.steps[point.step]
    told = tuple(dict.fromkeys(_told(step, setup, duty, reachable)))
    after = done + 1
    if all(not one.person for one in told):
        after = next((i for i in range(done + 1, len(points)) if points[i].step != point.step), len(points))
        return Turned(told, after, now_ns if after < len(points) else now_ns + round(ANSWER_S * NS_PER_S))
    wait_s = points[after].offset_s - point.offset_s if after < len(points) else ANSWER_S
    return Turned(told, after, now_ns + round(wait_s * NS_PER_S))


def _told(step: Step, setup: Setup, duty: Mapping[str, str], reachable: Collection[str]) -> list[Told]:
    people = people_of(step, setup, duty)
    if not people:
        return [Told("", "", f"nobody is on duty on rota {step.who.partition(':')[2]}")]
    told, why = [], []
    for number, person in enumerate(people):
        if person not in reachable:
            why.append("whoever is named has no open account")
            continue
        contact = setup.contacts.get(person)
        for name in step.channels:
            channel = setup.channels.get(name)
            if channel is None:
                why.append(f"there is no channel {name} any more")
            elif channel.personal and (contact is None or name not in contact.addresses):
                why.append(f"whoever is named has no address on channel {name}")
            elif channel.personal or not number:  # the same place is told once
                told.append(Told(person, name))
    return told or [Told("", "", "; ".join(dict.fromkeys(why))[:400])]


def people_of(step: Step, setup: Setup, duty: Mapping[str, str]) -> tuple[str, ...]:
    """Whom a step means now."""
    kind, _, name = step.who.partition(":")
    if kind == "person":
        return (name,)
    rota = setup.rotas.get(name)
    if rota is None:
        return ()
    if kind == "all":
        return rota.everybody()
    return (duty[name],) if duty.get(name) else ()


def problems_of(rule: Rule, setup: Setup, people: Mapping[str, bool]) -> list[str]:
    """What would keep a rule from reaching people, in words. ``people``: open accounts, and whether each may acknowledge."""
    found: list[str] = []
    for number, step in enumerate(rule.steps, 1):
        kind, _, name = step.who.partition(":")
        rota = setup.rotas.get(name)
        named = (name,) if kind == "person" else rota.everybody() if rota else ()
        if kind != "person" and rota is None:
            found.append(f"step {number}: rota {name} is gone")
        found += [f"step {number}: channel {c} is gone" for c in step.channels if c not in setup.channels]
        for person in named:
            if person not in people:
                found.append(f"step {number}: {person} has no open account")
                continue
            if not people[person]:
                found.append(
                    f"step {number}: {person} may not acknowledge alarms, so the call goes on whatever they answer"
                )
            contact = setup.contacts.get(person)
            missing = [
                c
                for c in step.channels
                if c in setup.channels
                and setup.channels[c].personal
                and (contact is None or c not in contact.addresses)
            ]
            if missing:
                found.append(f"step {number}: {person} has no address on {', '.join(missing)}")
    return list(dict.fromkeys(found))


def backoff_s(attempts: int, chance: float) -> float:
    """How long to wait after so many failed attempts: 5 s, twice as long with each, up to 5 minutes, spread by a fifth.

    Units: chance is 0 to 1
    """
    return min(300.0, 5.0 * 2.0 ** min(attempts - 1, 10)) * (0.8 + 0.4 * chance)
