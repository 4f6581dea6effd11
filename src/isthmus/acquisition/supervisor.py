"""The supervisor of one connection: the only one who opens, reads and closes its device.

One read at a time, the group that is due first; a read never waits for anything but its own device. When the link
breaks every tag gets one bad sample, the supervisor backs off and opens again; when it heals all groups are read at
once. Whatever a driver does (hang, lie, raise) stays within its own connection.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from functools import partial
from random import Random
from typing import Any, TypeVar

import numpy as np

from isthmus.acquisition.binding import HOLD_LIMIT_NS, Binder, Counts, Rows
from isthmus.acquisition.diagnostics import Figures
from isthmus.acquisition.model import Backoff, ConnectionStatus, Link, cut_s, stale_s
from isthmus.acquisition.schedule import Cadence, ConnectionPlan, GroupPlan, phase_of
from isthmus.ports.drivers import Confirms, ContextOf, Driver, DriverSpec, Kept, Point, Polls, Streams, Traffic
from isthmus.values.clock import NS_PER_S, Clock
from isthmus.values.errors import ConfigError, Denied, IsthmusError, Malformed, NotConnected, Rejected, TryLater
from isthmus.values.messages.control import Written
from isthmus.values.sample import SampleBatch
from isthmus.values.status import (
    BAD,
    BAD_COMMUNICATION_ERROR,
    BAD_CONFIGURATION_ERROR,
    BAD_DECODING_ERROR,
    BAD_INTERNAL_ERROR,
    BAD_NO_COMMUNICATION,
    BAD_NO_DATA,
    BAD_NOT_CONNECTED,
    BAD_NOT_READABLE,
    BAD_TIMEOUT,
    BAD_WAITING_FOR_INITIAL_DATA,
)

Log = logging.Logger | logging.LoggerAdapter[Any]
Sent = Callable[[Sequence[SampleBatch]], None]
Turned = Callable[[str, Link, str], None]
WhenDelivered = Callable[[Callable[[bool], None]], None]
WriteOne = Callable[[Driver, str, Written], Coroutine[Any, Any, None]]
T = TypeVar("T")

OPEN_S = 15.0
"""An open that hangs is cut after this long; drivers have shorter time-outs of their own."""

WRITE_S = 10.0
"""A write that hangs is cut after this long; drivers have shorter time-outs of their own."""

CONFIRM_S = 1.0
"""A device that tells changes only is asked this often whether what the gate and trips look at still holds."""

CLOSE_S = 2.0
ABANDON_S = 0.5
MAX_WAIT_S = 30.0
"""A driver's TryLater is believed up to this long."""

LATE_IS_SLOW = 3
"""This many more overrun polls than polls on time make the connection Slow; as many on time make it Good again."""

FIRST_DATA_S = 5.0
"""A subscription that brought nothing for this long, and did not fail, counts as up."""

REASON_EVERY_S = 10.0
"""A reason that changes while the state does not is told this often at most."""


class TimedOut(IsthmusError):
    """A driver did not come back in time and was cut."""


class _Group:
    """A poll group at run time. ``status`` is the bad status the supervisor gave its tags, None while they are read."""

    def __init__(self, plan: GroupPlan, phase: float) -> None:
        self.plan = plan
        self.rows: Rows = np.arange(plan.start, plan.stop)
        self.cadence = Cadence(plan.period_s, phase)
        self.status: int | None = BAD_WAITING_FOR_INITIAL_DATA
        self.problem = ""
        self.pace_s = 0.0
        self.read = False  # in this session
        self.late = 0  # overrun polls more than polls on time, up to twice LATE_IS_SLOW
        self.timer: asyncio.TimerHandle | None = None

    def calm(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None


class Supervisor:
    """Runs one connection from ``start`` to ``stop``.

    ``sent`` takes its samples, ``kept`` those its device had kept, ``turned`` its state and reason; ``when_delivered`` tells when
    all that was sent so far is on the bus; ``judged`` is called when an answer was bound, before it is sent.
    """

    def __init__(
        self,
        plan: ConnectionPlan,
        driver_of: Callable[[str], DriverSpec],
        context_of: ContextOf,
        clock: Clock,
        random: Random,
        log: Log,
        sent: Sent,
        turned: Turned,
        when_delivered: WhenDelivered,
        kept: Sent,
        judged: Callable[[], None] = lambda: None,
    ) -> None:
        self.plan = plan
        self.name = plan.connection.name
        self.binder = Binder(plan.table)
        self.state, self.reason = Link.CONNECTING, ""
        self.config: object = None  # as the driver checked it
        self.connected = False
        self._driver_of, self._context_of, self._clock, self._log = driver_of, context_of, clock, log
        self._sent, self._turned = sent, turned
        self._when_delivered, self._kept, self._judged = when_delivered, kept, judged
        self._driver: Driver | None = None
        self.wrote_ns = -(2**63)  # when the last value went out, monotonic
        self._turn = asyncio.Lock()  # one request of ours at a time, so that a write comes between two polls
        self._alone: dict[int, tuple[Point, ...]] = {}  # a row as a list of its own: drivers keep plans by list
        self._stream = 0  # which one runs: what was sent for an earlier one is not confirmed by this one
        self._backoff = Backoff(random)
        self._groups = [_Group(g, phase_of(self.name, i)) for i, g in enumerate(plan.groups)]
        self._seen = np.zeros(len(plan.table), np.bool_)
        self._worth = np.zeros(len(plan.table), np.int8)  # of a stream's rows: 0 not heard yet, 1 usable, 2 bad
        self._moved: Rows = np.zeros(0, np.intp)  # whose address is another than the predecessor's
        self._task: asyncio.Task[None] | None = None
        self._hung: set[asyncio.Task[Any]] = set()
        self._first_data: asyncio.TimerHandle | None = None
        self._traffic = Traffic()
        self._traced = False
        self._swept = False
        self._held_until_ns = 0
        self._not_before_ns = 0
        self._away_ns = clock.monotonic_ns()
        self._since_ns = clock.now_ns()
        self._said_ns = 0
        self._attempts = 0
        self._polls = self._skipped = self._values = self._cuts = 0
        self._lag_ns = 0
        self._reading: _Group | None = None
        self._last_good_ns = 0
        self._errors_before = 0
        self._ticked = (clock.monotonic_ns(), 0, 0)
        self._figures = Figures(0.0, 0.0, 0.0, 0, 0.0)

    # ------------------------------------------------------------------ life

    def start(self, predecessor: Supervisor | None = None) -> None:
        """Begin. Tags the predecessor knew go on without a repeat; the others say that they wait for initial data."""
        if predecessor is not None:
            self.binder.adopt(predecessor.binder)
            self._errors_before = predecessor.errors
            for group in self._groups:  # values of before are believed for as long as those of a running connection
                self._watch(group)
            self._moved = _moved(self.plan, predecessor.plan)
        self._turned(self.name, self.state, self.reason)
        self._mark(self.binder.unsent(np.arange(len(self.plan.table))), BAD_WAITING_FOR_INITIAL_DATA)
        self._task = asyncio.create_task(self._run(), name=f"connection {self.name}")

    async def stop(self, reason: str) -> None:
        """Close the device and end; within a few seconds even where the driver hangs."""
        task = self._task
        if task is not None:
            task.cancel()
            await asyncio.wait({task}, timeout=CLOSE_S + 3 * ABANDON_S)
        self._set_state(Link.STOPPED, reason)

    def rebind(self, plan: ConnectionPlan) -> None:
        """Bind differently from now on; the device notices nothing."""
        binder = Binder(plan.table)
        binder.adopt(self.binder)
        self.plan, self.binder = plan, binder
        self._alone.clear()

    def retire(self, keep: set[int], status: int) -> None:
        """Say of the tags that are not among those kept that nothing more will come."""
        ids = self.plan.table.id.tolist()
        gone = np.array([row for row, tag in enumerate(ids) if tag not in keep], np.intp)
        self._mark(gone, status)

    async def _run(self) -> None:
        try:
            driver = self._build()
            while True:
                after_s = await self._session(driver)
                await self._sleep(after_s)
        except ConfigError as error:
            self._down(BAD_CONFIGURATION_ERROR, str(error))
            await asyncio.Event().wait()  # until the model changes
        except Exception as error:  # a driver that cannot even be built
            self._fail(error, BAD_INTERNAL_ERROR)
            await asyncio.Event().wait()

    def _build(self) -> Polls | Streams:
        connection = self.plan.connection
        spec = self._driver_of(connection.driver)
        self.config = spec.configure(connection.config)
        driver = spec.build(self.config, self._context_of(connection.driver, self.name, connection.budget))
        if not isinstance(driver, Streams | Polls):
            raise ConfigError(f"driver {connection.driver}: neither polls nor streams, so there is nothing to acquire")
        self._traffic = driver.traffic
        return driver

    async def _session(self, driver: Polls | Streams) -> float:
        """Open, acquire until something breaks, close. Answers how long to wait before the next attempt.

        Raises: ConfigError when another attempt is pointless until the model changes
        """
        if self._hung:
            self._down(BAD_TIMEOUT, "the driver does not come back from a cancelled request")
            return self._backoff.wait_s()
        self._attempts += 1
        opened_ns: int | None = None
        try:
            await self._within(driver.open(), OPEN_S, "connecting")
            opened_ns = self._clock.monotonic_ns()
            self.connected, self._driver = True, driver
            await self._acquire(driver)
        except ConfigError:
            raise
        except TryLater as error:
            self._down(BAD_NOT_CONNECTED, str(error))
            return min(max(error.after_s, Backoff.FIRST_S), MAX_WAIT_S)
        except Exception as error:
            self._fail(error, BAD_NOT_CONNECTED if opened_ns is None else BAD_NO_COMMUNICATION)
        finally:
            self.connected, self._driver = False, None
            self._calm()
            await self._close(driver)
        if opened_ns is not None:
            self._backoff.held((self._clock.monotonic_ns() - opened_ns) / NS_PER_S)
        return self._backoff.wait_s()

    async def _acquire(self, driver: Polls | Streams) -> None:
        self._swept = False
        if not self._groups:
            self._swept = True
            self._judge()
            await asyncio.Event().wait()
        if isinstance(driver, Streams):
            await self._listen(driver)
        else:
            await self._poll(driver)

    async def _close(self, driver: Driver) -> None:
        try:
            await self._within(driver.close(), CLOSE_S, "closing")
        except Exception as error:
            self._trace("closing", error)

    def _calm(self) -> None:
        for group in self._groups:
            group.calm()
        if self._first_data is not None:
            self._first_data.cancel()

    # --------------------------------------------------------------- polling

    async def _poll(self, driver: Polls) -> None:
        now_ns = self._clock.monotonic_ns()
        self._not_before_ns = 0
        for group in self._groups:
            group.cadence.start(now_ns)
            group.read, group.problem = False, ""
        while True:
            group = min(self._groups, key=lambda g: g.cadence.due_ns)
            await self._sleep_until(max(group.cadence.due_ns, self._not_before_ns))
            if self._not_before_ns > group.cadence.due_ns:  # waiting because the device asked for it is no lag
                group.cadence.start(self._clock.monotonic_ns())
            await self._read(driver, group)

    async def _read(self, driver: Polls, group: _Group) -> None:
        plan = group.plan
        started_ns = self._clock.monotonic_ns()
        self._reading = group
        try:
            async with self._turn:
                batches = await self._within(driver.read(plan.points), cut_s(plan.period_s), "reading")
        except TryLater as error:
            wait_s = min(max(error.after_s, 0.0), MAX_WAIT_S)
            self._not_before_ns = self._clock.monotonic_ns() + round(wait_s * NS_PER_S)
            if group.status is not None:  # else its values are still believed; the watch ends that in time
                group.problem = str(error)
        except Rejected as error:
            self._refused(group, str(error))
        else:
            group.pace_s = (self._clock.monotonic_ns() - started_ns) / NS_PER_S
            self._took(group, batches)
        finally:
            self._reading = None
        group.read = True
        self._ended(group, started_ns)
        self._swept = self._swept or all(g.read for g in self._groups)
        self._judge()

    def _ended(self, group: _Group, started_ns: int) -> None:
        """A poll is over: its lag, and when the next one is due."""
        cadence, now_ns = group.cadence, self._clock.monotonic_ns()
        self._lag_ns = max(self._lag_ns, started_ns - cadence.due_ns, cadence.late_ns(now_ns))
        skipped = cadence.done(now_ns)
        self._polls += 1
        self._skipped += skipped
        group.late = min(group.late + 1, 2 * LATE_IS_SLOW) if skipped else max(group.late - 1, 0)

    def _took(self, group: _Group, batches: Sequence[SampleBatch]) -> None:
        """A group was answered: bind, send, and see that every point asked for is there."""
        answered = self._bind(batches)
        plan = group.plan
        self._seen[plan.start : plan.stop] = False
        for batch in batches:
            ids = batch.id[(batch.id >= 0) & (batch.id < len(self._seen))]
            self._seen[ids] = True
        missing = plan.start + np.flatnonzero(~self._seen[plan.start : plan.stop])
        if len(missing):
            self._mark(missing, BAD_NO_DATA)
        group.status = None
        if answered:
            group.problem = ""
        elif not group.problem:
            group.problem = self._traffic.last_error or "the device answers, but refuses every value"
        self._watch(group)

    def _bind(self, batches: Sequence[SampleBatch]) -> bool:
        """Bind and send; whether any row carries a usable value."""
        now_ns = self._clock.now_ns()
        bound = self.binder.bind(batches, now_ns, self._clock.monotonic_ns())
        self._judged()
        self._emit(bound)
        self._values += sum(len(b) for b in batches)
        self._judge_clock(now_ns)
        answered = any(bool(((b.status & BAD) == 0).any()) for b in batches)
        if answered:
            self._last_good_ns = now_ns
        return answered

    def _refused(self, group: _Group, reason: str) -> None:
        group.calm()
        group.problem = group.problem or reason or "the device refused"
        group.status = BAD_NOT_READABLE
        self._mark(group.rows, BAD_NOT_READABLE)

    def _watch(self, group: _Group) -> None:
        """From now on the group has its three periods to be answered again."""
        group.calm()
        limit_s = stale_s(group.plan.period_s, group.pace_s)
        group.timer = asyncio.get_running_loop().call_later(limit_s, self._stale, group, limit_s)

    def _stale(self, group: _Group, limit_s: float) -> None:
        """Nothing came for three periods: the group's tags turn bad, whatever the driver is still waiting for."""
        group.timer = None
        group.status = BAD_TIMEOUT
        group.problem = f"no answer for {limit_s:.3g} s (due every {group.plan.period_s:.3g} s)"
        self._mark(group.rows, BAD_TIMEOUT)
        self._judge()

    # ------------------------------------------------------------- streaming

    async def _listen(self, driver: Streams) -> None:
        points = tuple(point for group in self._groups for point in group.plan.points)
        self._worth[:] = 0
        moved, self._moved = self._moved, self._moved[:0]
        self._mark(moved, BAD_WAITING_FOR_INITIAL_DATA)  # a stream may never speak of what is elsewhere now
        for group in self._groups:
            group.problem = ""
            group.calm()  # a value that stays the same is not told again, and is not late
        stream = driver.stream(points)
        self._first_data = asyncio.get_running_loop().call_later(FIRST_DATA_S, self._subscribed)
        self._stream += 1
        confirms = driver if isinstance(driver, Confirms) else None
        confirming = None
        if isinstance(driver, Polls) and len(self.binder.watched):
            confirming = asyncio.create_task(self._confirm(driver), name=f"confirm {self.name}")
        count = 0
        try:
            while True:
                self._heard(await anext(stream))
                if confirms is not None:
                    count += 1
                    self._when_delivered(partial(self._delivered, confirms, self._stream, count))
                await asyncio.sleep(0)  # a stream that always has more must not starve the others
        except StopAsyncIteration:
            raise NotConnected("the device ended the subscription") from None
        finally:
            if confirming is not None:
                confirming.cancel()
                await asyncio.wait({confirming})
            await self._end_stream(stream)

    def _heard(self, batches: Sequence[SampleBatch]) -> None:
        self._subscribed()
        self._polls += 1
        if isinstance(batches, Kept):
            self._values += sum(len(b) for b in batches)
            bound = self.binder.bind_kept(batches, self._clock.now_ns())
            if bound:
                self._kept(bound)
        else:
            self._bind(batches)
            self._weigh(batches)
        self._judge()

    def _weigh(self, batches: Sequence[SampleBatch]) -> None:
        """A link that stands while every value is bad is not good: a broker lives on when all devices behind it are gone."""
        for batch in batches:
            known = (batch.id >= 0) & (batch.id < len(self._worth))
            self._worth[batch.id[known]] = np.where(batch.status[known] & BAD, 2, 1)
        nothing = len(self._worth) > 0 and bool((self._worth == 2).all())
        problem = (self._traffic.last_error or "every value is bad") if nothing else ""
        for group in self._groups:
            group.problem = problem

    def _delivered(self, driver: Confirms, stream: int, count: int, whole: bool) -> None:
        if stream == self._stream and self.connected:
            driver.delivered(count, whole=whole)

    def _subscribed(self) -> None:
        """The subscription stands; tags keep the status they have until their own first value comes."""
        if not self._swept:
            self._swept = True
            for group in self._groups:
                group.status = None
            self._judge()

    async def _end_stream(self, stream: AsyncIterator[Sequence[SampleBatch]]) -> None:
        close: Callable[[], Coroutine[Any, Any, None]] | None = getattr(stream, "aclose", None)
        if close is None:
            return
        try:
            await self._within(close(), CLOSE_S, "unsubscribing")
        except Exception as error:
            self._trace("unsubscribing", error)

    # --------------------------------------------------------------- the way back

    async def write(self, row: int, value: Written, write_one: WriteOne, ready: Callable[[], None]) -> None:
        """Write one raw value when no other request of ours is on its way. See `ports.field.Field.write`."""
        async with self._turn:
            driver = self._reachable()
            ready()
            self.wrote_ns = self._clock.monotonic_ns()
            try:
                await self._within(write_one(driver, self._point(row).address, value), WRITE_S, "writing")
            except TimedOut as error:
                raise TimeoutError(str(error)) from error

    async def read_now(self, row: int) -> bool:
        """Read one tag now, beside the schedule; False where the device only speaks by itself.

        Raises: NotConnected
        """
        if not isinstance(self._driver, Polls) and self.connected:
            return False
        await self._read_alone(self._alone.setdefault(row, (self._point(row),)))
        return True

    async def _read_alone(self, points: Sequence[Point]) -> None:
        async with self._turn:
            driver = self._driver
            if not isinstance(driver, Polls):
                raise NotConnected(f"{self.name}: {self.reason or 'not connected'}")
            try:
                batches = await self._within(driver.read(points), WRITE_S, "reading")
            except (TimedOut, TryLater, Rejected) as error:
                raise NotConnected(str(error)) from error
        try:
            self._bind(batches)
        except Malformed as error:
            raise NotConnected(str(error)) from error

    async def _confirm(self, driver: Polls) -> None:
        """Ask again and again for what somebody decides by, as a stream does not tell what stays the same."""
        rows = self.binder.watched
        points: tuple[Point, ...] = ()
        while driver is self._driver:
            if not points or not np.array_equal(rows, self.binder.watched):
                rows = self.binder.watched
                points = tuple(self._point(row) for row in rows.tolist())
            await self._sleep(CONFIRM_S)
            try:
                await self._read_alone(points)
            except IsthmusError:
                continue  # the stream itself tells that the link is gone; what is not confirmed grows old

    def _point(self, row: int) -> Point:
        return next(g.points[row - g.start] for g in self.plan.groups if g.start <= row < g.stop)

    def _reachable(self) -> Driver:
        """The open driver.

        Raises: Denied where there is none: nothing was sent
        """
        if self._driver is None or not self.connected:
            raise Denied(f"{self.name}: {self.reason or 'not connected'}", "not_connected")
        return self._driver

    # ------------------------------------------------------- state and words

    def _judge(self) -> None:
        """The state, once every group was read in this session."""
        if not self._swept:
            return
        problems = [g.problem for g in self._groups if g.problem]
        if problems and len(problems) == len(self._groups):
            self._set_state(Link.BAD, problems[0])
            return
        late = max((g.late for g in self._groups), default=0)
        if late >= LATE_IS_SLOW or (self.state is Link.SLOW and late > 0):
            self._set_state(Link.SLOW, self._why_slow() if self.state is not Link.SLOW else self.reason)
        elif problems:
            self._set_state(Link.GOOD, problems[0])
        elif self._held_until_ns:
            self._set_state(Link.GOOD, "times went back: they are held until they catch up with the newest sample")
        else:
            self._set_state(Link.GOOD, "")

    def _why_slow(self) -> str:
        slowest = max(self._groups, key=lambda g: g.pace_s / g.plan.period_s)
        return (
            f"polls overrun: the last read of {len(slowest.plan.points)} points took {slowest.pace_s:.2g} s, "
            f"its period is {slowest.plan.period_s:.3g} s"
        )

    def _judge_clock(self, now_ns: int) -> None:
        """Tell when times went back so far that samples are Uncertain, and when they have caught up."""
        held_ns = self.binder.held_ns
        if held_ns > HOLD_LIMIT_NS:
            if not self._held_until_ns:
                self._log.warning(
                    "%s: times are held, they went back to %.1f s before the newest sample (a clock that was set back, or "
                    "a device that tells what is old)",
                    self.name,
                    held_ns / NS_PER_S,
                )
            self._held_until_ns = now_ns + held_ns
        elif self._held_until_ns and now_ns > self._held_until_ns - HOLD_LIMIT_NS:
            self._held_until_ns = 0
            self._log.info("%s: times have caught up and are their own again", self.name)

    def _fail(self, error: Exception, status: int) -> None:
        """An attempt ended. Anything but the errors drivers raise on purpose is a bug and keeps its traceback, once."""
        reason, bug = str(error) or type(error).__name__, None
        if isinstance(error, TimedOut) or isinstance(error.__cause__, TimeoutError):
            status = BAD_TIMEOUT
        elif isinstance(error, Malformed):
            status = BAD_DECODING_ERROR
        elif isinstance(error, NotConnected | Rejected):
            pass
        elif isinstance(error, IsthmusError):
            status = BAD_COMMUNICATION_ERROR
        else:
            status, bug = BAD_INTERNAL_ERROR, error
            reason = f"driver {self.plan.connection.driver} failed: {type(error).__name__}: {error}"
        self._down(status, reason, bug)

    def _trace(self, doing: str, error: Exception) -> None:
        if not self._traced:
            self._traced = True
            self._log.error("%s: the driver failed while %s", self.name, doing, exc_info=error)

    def _down(self, status: int, reason: str, bug: Exception | None = None) -> None:
        """Every tag that still looks alive, or waits, gets one bad sample."""
        for group in self._groups:
            if group.status is None or group.status == BAD_WAITING_FOR_INITIAL_DATA:
                group.status = status
                self._mark(group.rows, status)
        if bug is not None and self.state is Link.BAD:
            self._trace("acquiring", bug)
        self._set_state(Link.BAD, reason, bug)

    def _set_state(self, state: Link, reason: str, bug: Exception | None = None) -> None:
        before, now_ns = self.state, self._clock.monotonic_ns()
        if state is before:
            if reason == self.reason or now_ns - self._said_ns < REASON_EVERY_S * NS_PER_S:
                return  # what is still so is said at a later tick
        else:
            self._since_ns = self._clock.now_ns()
            self._say(before, state, reason, now_ns, bug)
        self.state, self.reason, self._said_ns = state, reason, now_ns
        self._turned(self.name, state, reason)

    def _say(self, before: Link, state: Link, reason: str, now_ns: int, bug: Exception | None) -> None:
        """One line when it breaks, one when it heals."""
        if state is Link.BAD:
            self._away_ns, self._attempts = now_ns, 0
            self._traced = bug is not None
            self._log.warning("%s: %s", self.name, reason, exc_info=bug)
        elif state is Link.STOPPED:
            self._log.info("%s: stopped: %s", self.name, reason)
        elif before is Link.BAD:
            away_s = (now_ns - self._away_ns) / NS_PER_S
            self._log.info("%s: back after %.1f s, %d attempts to connect", self.name, away_s, self._attempts)
        elif state is Link.SLOW:
            self._log.warning("%s: %s", self.name, reason)
        elif before is Link.SLOW:
            self._log.info("%s: keeps its periods again", self.name)
        else:
            self._log.info("%s: connected, %d tags", self.name, len(self.plan.table))

    # ----------------------------------------------------------- small parts

    def _mark(self, rows: Rows, status: int) -> None:
        if len(rows):
            marked = self.binder.mark(rows, status, self._clock.now_ns(), self._clock.monotonic_ns())
            self._judged()
            self._emit(marked)

    def _emit(self, batches: Sequence[SampleBatch]) -> None:
        if batches:
            self._sent(batches)

    async def _sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds))

    async def _sleep_until(self, due_ns: int) -> None:
        await self._sleep((due_ns - self._clock.monotonic_ns()) / NS_PER_S)

    async def _within(self, work: Coroutine[Any, Any, T], seconds: float, doing: str) -> T:
        """The result of a driver's coroutine, or TimedOut; one that ignores its cancellation is left behind, but watched.

        A task of its own, because a driver that swallows the cancellation would else hang its supervisor too.
        """
        task = asyncio.create_task(work, name=f"{doing} {self.name}")
        try:
            done, _ = await asyncio.wait({task}, timeout=seconds)
        except asyncio.CancelledError:
            await self._abandon(task)
            raise
        if done:
            return task.result()
        self._cuts += 1
        await self._abandon(task)
        raise TimedOut(f"{doing} took longer than {seconds:.3g} s")

    async def _abandon(self, task: asyncio.Task[Any]) -> None:
        task.cancel()
        await asyncio.wait({task}, timeout=ABANDON_S)
        if task.done():
            _retrieve(task)
        else:
            self._hung.add(task)
            task.add_done_callback(self._came_back)

    def _came_back(self, task: asyncio.Task[Any]) -> None:
        self._hung.discard(task)
        _retrieve(task)

    # ----------------------------------------------------------------- status

    @property
    def errors(self) -> int:
        """Requests that failed since the edge started."""
        return self._errors_before + self._traffic.errors + self._cuts

    @property
    def counts(self) -> Counts:
        """What binding has seen."""
        return self.binder.counts

    def tick(self) -> Figures:
        """Once a second: the figures of that second; tags that are down are said again when their max gap is over."""
        for group in self._groups:
            if group.status is not None and group.status != BAD_WAITING_FOR_INITIAL_DATA:
                self._mark(group.rows, group.status)
        if self.connected:
            self._judge()
        now_ns = self._clock.monotonic_ns()
        since_ns, requests, values = self._ticked
        elapsed_s = max(round((now_ns - since_ns) / NS_PER_S, 1), 0.1)  # rounded, so that a steady rate reads steady
        traffic, lag_ns = self._traffic, self._lag_ns
        if self._reading is not None:
            lag_ns = max(lag_ns, self._reading.cadence.late_ns(now_ns))
        self._figures = Figures(
            latency_ms=round(traffic.slowest_s * 1000, 1),
            requests_per_s=round((traffic.requests - requests) / elapsed_s, 1),
            values_per_s=round((self._values - values) / elapsed_s),
            errors=self.errors,
            lag_s=round(lag_ns / NS_PER_S, 3),
        )
        traffic.slowest_s = 0.0
        self._lag_ns = 0
        self._ticked = (now_ns, traffic.requests, self._values)
        return self._figures

    def status(self) -> ConnectionStatus:
        """How the connection is now."""
        figures, counts = self._figures, self.counts
        return ConnectionStatus(
            name=self.name,
            state=self.state,
            reason=self.reason,
            since_ns=self._since_ns,
            last_good_ns=self._last_good_ns,
            attempts=self._attempts,
            tags=len(self.plan.table),
            polls=self._polls,
            skipped=self._skipped,
            latency_s=figures.latency_ms / 1000,
            requests_per_s=figures.requests_per_s,
            values_per_s=figures.values_per_s,
            errors=figures.errors,
            lag_s=figures.lag_s,
            sent=counts.sent,
            collisions=counts.collisions,
            held=counts.held,
            unknown=counts.unknown,
        )


def _moved(plan: ConnectionPlan, before: ConnectionPlan) -> Rows:
    """Rows of tags that both plans have, at different addresses."""
    was = {int(before.table.id[p.id]): p.address for g in before.groups for p in g.points}
    points = [p for g in plan.groups for p in g.points]
    found = [p.id for p in points if was.get(int(plan.table.id[p.id]), p.address) != p.address]
    return np.array(found, np.intp)


def _retrieve(task: asyncio.Task[Any]) -> None:
    """Take the outcome of a task nobody waits for, so that the loop does not complain about it."""
    if not task.cancelled():
        task.exception()
