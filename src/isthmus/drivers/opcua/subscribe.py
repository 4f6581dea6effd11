"""Subscriptions of one session: monitored items by period, what the server tells of them, and whether it still speaks.

The bytes of a response are acknowledged, and the next one asked for, only when the consumer comes back for more: at
most as many responses wait here as publish requests were sent. What arrives faster waits in the server's queues.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import numpy as np
from asyncua import ua
from asyncua.common.utils import Buffer
from asyncua.ua.ua_binary import struct_from_binary

from isthmus.drivers.opcua import encode
from isthmus.drivers.opcua.config import OpcUaConfig
from isthmus.drivers.opcua.decode import Decoder, Published, Surprise, decode_publish, plain_items
from isthmus.drivers.opcua.references import decode_monitored, monitored_plainly
from isthmus.drivers.opcua.rows import LAST, Rows, Told, in_order
from isthmus.drivers.opcua.session import Link, body_of, code_in_words, fault
from isthmus.ports.drivers import Point
from isthmus.values.clock import NS_PER_S
from isthmus.values.errors import Malformed, NotConnected
from isthmus.values.sample import SampleBatch, join_by_type
from isthmus.values.status import BAD_NODE_ID_UNKNOWN, BAD_RESOURCE_UNAVAILABLE

PUBLISH_S: Final = 2.0
"""The server publishes at least this often, however slow the tags are: its silence must be noticed."""

KEEP_ALIVE_S: Final = 1.0
"""… and says that it is alive this often, or at the publishing interval where that is longer."""

MISSED: Final = 3
"""So many publishings or signs of life may be missed before the link counts as lost."""

LATE_S: Final = 1.0
"""… and this much longer, as no server is that punctual."""

LIFETIME_S: Final = 60.0
AT_ONCE: Final = 2
"""Requests for monitored items on their way."""

MOST_REQUESTS: Final = 20
RETRY_FIRST_S: Final = 5.0
RETRY_LONGEST_S: Final = 300.0

_GONE: Final = frozenset((BAD_NODE_ID_UNKNOWN, int(ua.StatusCodes.BadNodeIdInvalid)))
_ENDS: Final = frozenset((int(ua.StatusCodes.BadTimeout), int(ua.StatusCodes.GoodSubscriptionTransferred)))
_FULL: Final = frozenset((int(ua.StatusCodes.BadTooManyMonitoredItems), int(ua.StatusCodes.BadTooManySubscriptions)))


_Made = tuple[int, int]
"""Status and number of a monitored item."""


@dataclass(slots=True)
class _Subscription:
    """One subscription as the server has it."""

    id: int
    period_s: float
    alive_s: float  # a sign of life is promised this often
    silent_s: float  # longest silence that is no loss
    heard_ns: int
    items: int = 0
    sequence: int = 0  # of the last notification
    monitored: dict[int, int] = field(default_factory=dict)  # handle -> monitored item


@dataclass(slots=True)
class _Retry:
    """A handle the server refused, and when it is asked again."""

    due_ns: int
    wait_s: float


class Subscriptions:
    """All subscriptions for one list of points, on one link."""

    def __init__(self, link: Link, points: Sequence[Point], config: OpcUaConfig) -> None:
        self._link, self._config, self._clock = link, config, link.clock
        self.rows = Rows(points)
        self._period_s = [min(points[row].period_s for row in rows) for rows in self.rows.of]
        self._decoder = Decoder(handles=True)
        self._subscriptions: dict[int, _Subscription] = {}
        self._retries: dict[int, _Retry] = {}
        self._inbox: deque[tuple[asyncio.Future[Buffer], int]] = deque(maxlen=4 * MOST_REQUESTS)
        self._acks: list[ua.SubscriptionAcknowledgement] = []
        self._outstanding = 0
        self._wanted = 0
        self._news = asyncio.Event()
        self._closed = False
        self._doubtful: set[int] = set()  # subscriptions of which the server said that something is wrong

    async def batches(self) -> AsyncIterator[Sequence[SampleBatch]]:
        """Subscribe, then everything the server tells.

        Raises: NotConnected when the link is lost, silent, or the server ended a subscription; Malformed
        """
        link = self._link
        link.on_lost = self._news.set
        for _, reason in self.rows.wrong:
            link.traffic.last_error = reason
        now_ns = self._clock.now_ns()
        refused = await self._subscribe(range(len(self.rows.nodes)))
        first = [*self.rows.refused_addresses(now_ns), *self.rows.refused(refused, now_ns)]
        if first:
            yield join_by_type(first)
        while True:
            self._fill()
            await self._wait()
            told = self._take()
            if self._doubtful:
                told += self._bad(await self._verify())
            if self._retries:
                told += self._bad(await self._retry())
            if told:
                yield in_order(told)

    def _bad(self, refused: list[tuple[int, int]]) -> list[Told]:
        batches = self.rows.refused(refused, self._clock.now_ns())
        return [(batch, np.full(len(batch), LAST)) for batch in batches]

    async def close(self) -> None:
        """Tell the server that nobody listens any more."""
        self._closed = True
        self._link.on_lost = None
        ids, self._subscriptions = list(self._subscriptions), {}
        if ids and self._link.alive:
            with contextlib.suppress(Exception):
                await asyncio.wait_for(self._link.session.delete_subscriptions(ids), 1.0)

    # ------------------------------------------------------------------ subscribing

    async def _subscribe(self, handles: Iterable[int]) -> list[tuple[int, int]]:
        """Monitor these; what the server refuses comes back as (row, status) and is asked again later."""
        groups: dict[float, list[int]] = {}
        refused: list[tuple[int, int]] = []
        for handle in handles:
            if not self._link.knows(self.rows.nodes[handle]):
                uri = self.rows.nodes[handle].namespace
                refused += self._refuse(handle, BAD_NODE_ID_UNKNOWN, f"the server has no namespace {uri}")
            else:
                groups.setdefault(self._period_s[handle], []).append(handle)
        for period_s, group in sorted(groups.items()):
            self.rows.begins(group, self._clock.now_ns())
            refused += await self._monitor(period_s, group)
        return refused

    async def _monitor(self, period_s: float, handles: list[int]) -> list[tuple[int, int]]:
        limits = self._link.limits
        refused: list[tuple[int, int]] = []
        todo = deque(handles)
        while todo:
            subscription = await self._room(period_s)
            if subscription is None:
                for handle in todo:
                    refused += self._refuse(handle, BAD_RESOURCE_UNAVAILABLE, "the server takes no more subscriptions")
                break
            room = limits.items - subscription.items if limits.items else len(todo)
            part = [todo.popleft() for _ in range(min(room, len(todo)))]
            results = await self._create(subscription, part)
            full = [h for h, (code, _) in zip(part, results, strict=True) if code in _FULL]
            if full and subscription.items:  # what does not fit goes into another one
                subscription.items = limits.items or max(subscription.items, 1)
                self._close_for_more(subscription)
                todo.extendleft(reversed(full))
            for handle, (code, item) in zip(part, results, strict=True):
                if not code >> 31:
                    subscription.monitored[handle] = item
                elif not (code in _FULL and subscription.items):
                    refused += self._refuse(handle, code, code_in_words(code))
        return refused

    def _close_for_more(self, subscription: _Subscription) -> None:
        subscription.period_s = -1.0  # nothing is looked for under this period

    async def _room(self, period_s: float) -> _Subscription | None:
        """A subscription of this period with room for another item, made if there is none."""
        most = self._link.limits.items
        for subscription in self._subscriptions.values():
            if subscription.period_s == period_s and (not most or subscription.items < most):
                return subscription
        patience_s = self._config.timeout_s
        interval_s = min(period_s, PUBLISH_S, patience_s)
        alive_s = min(KEEP_ALIVE_S, patience_s)
        request = ua.CreateSubscriptionParameters()
        request.RequestedPublishingInterval = interval_s * 1000
        request.RequestedMaxKeepAliveCount = max(1, round(alive_s / interval_s))
        request.RequestedLifetimeCount = max(3 * request.RequestedMaxKeepAliveCount, round(LIFETIME_S / interval_s))
        request.MaxNotificationsPerPublish = 0
        request.PublishingEnabled = True
        request.Priority = 0
        session = self._link.session
        try:
            made = await self._link.ask(
                lambda: session.create_subscription(request, _nobody), "subscribing", self._config.connect_timeout_s
            )
        except ua.UaStatusCodeError as error:
            if not self._subscriptions:
                self._link.give_up(
                    f"{self._link.peer} takes no subscription ({code_in_words(error.code)}); `mode: poll` does without"
                )
                raise NotConnected(self._link.lost) from error
            return None
        interval_s = max(made.RevisedPublishingInterval / 1000, 0.001)
        alive_s = interval_s * max(made.RevisedMaxKeepAliveCount, 1)
        silent_s = MISSED * alive_s + min(LATE_S, patience_s)
        found = _Subscription(made.SubscriptionId, period_s, alive_s, silent_s, self._clock.monotonic_ns())
        self._subscriptions[found.id] = found
        self._wanted = min(2 * len(self._subscriptions) + 1, MOST_REQUESTS)
        self._fill()
        return found

    async def _create(self, subscription: _Subscription, handles: list[int]) -> list[_Made]:
        """Ask for these: while the server works at one request, the next is written."""
        step, turn = self._link.limits.monitor, asyncio.Semaphore(AT_ONCE)

        async def ask(part: list[int]) -> list[_Made]:
            async with turn:
                return await self._create_some(subscription, part)

        parts = [handles[i : i + step] for i in range(0, len(handles), step)]
        return [result for results in await asyncio.gather(*map(ask, parts)) for result in results]

    async def _create_some(self, subscription: _Subscription, handles: list[int]) -> list[_Made]:
        link, nodes, periods = self._link, self.rows.nodes, self._period_s
        items = [(link.node(nodes[handle]) or encode.NOBODY, handle, periods[handle] * 1000) for handle in handles]
        try:
            codes, ids = await link.answer(
                encode.monitor(subscription.id, items, self._config.queue),
                "subscribing",
                partial(decode_monitored, count=len(handles)),
                monitored_plainly,
                AT_ONCE * self._config.connect_timeout_s,
            )
        except ua.UaStatusCodeError as error:
            codes, ids = [int(error.code)] * len(handles), [0] * len(handles)
        if len(codes) != len(handles):
            link.give_up(f"{link.peer} answered for {len(codes)} of {len(handles)} items")
            raise NotConnected(link.lost)
        subscription.items += sum(not code >> 31 for code in codes)
        return list(zip(codes, ids, strict=True))

    def _refuse(self, handle: int, status: int, reason: str) -> list[tuple[int, int]]:
        """The handle is asked again later, ever more rarely; its rows are bad until then."""
        known = self._retries.get(handle)
        wait_s = RETRY_FIRST_S if known is None else min(2 * known.wait_s, RETRY_LONGEST_S)
        self._retries[handle] = _Retry(self._clock.monotonic_ns() + round(wait_s * NS_PER_S), wait_s)
        if known is None:
            self._link.traffic.errors += 1
            self._link.traffic.last_error = f"{self.rows.nodes[handle].text}: {reason}"
        return [(row, status) for row in self.rows.of[handle]]

    async def _retry(self) -> list[tuple[int, int]]:
        """Ask again for what is due."""
        now_ns = self._clock.monotonic_ns()
        due = [handle for handle, retry in self._retries.items() if retry.due_ns <= now_ns]
        if not due:
            return []
        if any(isinstance(self.rows.nodes[handle].namespace, str) for handle in due):
            with contextlib.suppress(ua.UaStatusCodeError):
                await self._link.refresh_namespaces()
        await self._forget(due)
        refused = await self._subscribe(due)
        still = {row for row, _ in refused}
        for handle in due:
            if not still.intersection(self.rows.of[handle]):
                del self._retries[handle]
        return refused

    async def _verify(self) -> list[tuple[int, int]]:
        """Look which nodes of the doubtful subscriptions are gone."""
        found = [s for s in self._subscriptions.values() if s.id in self._doubtful]
        self._doubtful.clear()
        handles = [h for s in found for h in s.monitored if h not in self._retries]
        nodes = [self._link.node_id(self.rows.nodes[h]) or ua.NodeId() for h in handles]
        answers = await self._link.attributes(nodes, ua.AttributeIds.NodeId)
        refused: list[tuple[int, int]] = []
        for handle, answer in zip(handles, answers, strict=True):
            if answer.StatusCode is not None and answer.StatusCode.value in _GONE:
                refused += self._refuse(handle, BAD_NODE_ID_UNKNOWN, "the node has vanished")
        return refused

    async def _forget(self, handles: Iterable[int]) -> None:
        """End monitoring of nodes that have vanished: the items of a node that is made anew are new ones."""
        for subscription in self._subscriptions.values():
            ids = [subscription.monitored.pop(h) for h in handles if h in subscription.monitored]
            if ids:
                request = ua.DeleteMonitoredItemsParameters()
                request.SubscriptionId, request.MonitoredItemIds = subscription.id, ids
                session = self._link.session
                with contextlib.suppress(ua.UaStatusCodeError):
                    await self._link.ask(lambda: session.delete_monitored_items(request), "subscribing")  # noqa: B023  awaited right here
                subscription.items -= len(ids)

    # ------------------------------------------------------------------ hearing

    def _fill(self) -> None:
        """Keep as many publish requests on their way as the subscriptions want; the first carries what is acknowledged."""
        while self._outstanding + len(self._inbox) < self._wanted:
            acks, self._acks = self._acks, []
            try:
                answer = self._link.session.publish_soon(acks)
            except Exception as error:
                self._link.give_up(self._link.lost or f"{self._link.peer} closed the connection")
                raise NotConnected(self._link.lost) from error
            self._outstanding += 1
            answer.add_done_callback(self._arrived)

    def _arrived(self, answer: asyncio.Future[Buffer]) -> None:
        self._outstanding -= 1
        if self._closed:
            if not answer.cancelled():
                answer.exception()
            return
        self._inbox.append((answer, self._clock.now_ns()))
        self._news.set()

    async def _wait(self) -> None:
        """Until there is news or something is due.

        Raises: NotConnected when a subscription has been silent for too long, or the link is lost
        """
        while not self._inbox:
            self._news.clear()
            if not self._link.alive:
                raise NotConnected(self._link.lost or f"{self._link.peer}: not open")
            now_ns = self._clock.monotonic_ns()
            dues = [s.heard_ns + round(s.silent_s * NS_PER_S) for s in self._subscriptions.values()]
            if dues and min(dues) <= now_ns:
                self._link.traffic.errors += 1
                quiet = min(self._subscriptions.values(), key=lambda s: s.heard_ns + round(s.silent_s * NS_PER_S))
                self._link.give_up(
                    f"{self._link.peer} has been silent for {quiet.silent_s:.3g} s, though it promised a sign of life "
                    f"every {quiet.alive_s:.3g} s"
                )
                raise NotConnected(self._link.lost)
            retries = [retry.due_ns for retry in self._retries.values()]
            if retries and min(retries) <= now_ns:
                return
            due_ns = min([*dues, *retries], default=None)
            timeout_s = None if due_ns is None else (due_ns - now_ns) / NS_PER_S
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):  # of Python 3.11, wait_for may swallow a cancellation
                    await self._news.wait()

    def _take(self) -> list[Told]:
        """What has arrived, in the order the server told it."""
        found: list[Told] = []
        responses = 0
        while self._inbox:
            answer, arrived_ns = self._inbox[0]
            if answer.cancelled() or answer.exception() is not None:
                if found:
                    break  # what came before the loss is told first
                self._link.give_up(self._link.lost or f"{self._link.peer} closed the connection")
                raise NotConnected(self._link.lost)
            self._inbox.popleft()
            published = self._published(body_of(answer.result()))
            if published is None:
                continue
            self._noted(published)
            if published.items is not None:
                told, said, unknown = self.rows.told(published.items, arrived_ns, self._config.timestamps)
                if said:
                    self._link.traffic.last_error = said
                self._link.traffic.dropped += unknown
                self._vanished(published)
                found += [(batch, place + (responses << 32)) for batch, place in told]
                responses += 1
        return found

    def _published(self, body: bytes) -> Published | None:
        """A response, the fast way or the long one; None where it only says that there was one request too many."""
        try:
            return decode_publish(self._decoder, body)
        except Surprise:
            pass
        try:
            code = fault(body)
            if code is None:
                return published_plainly(body)
        except Exception as error:
            self._link.traffic.dropped += 1
            self._link.give_up(f"{self._link.peer} sent a notification that cannot be read")
            raise Malformed(f"{self._link.lost} ({error})") from error
        if code == ua.StatusCodes.BadTooManyPublishRequests:
            self._wanted = max(1, self._wanted - 1)
            return None
        if code in {ua.StatusCodes.BadTimeout, ua.StatusCodes.BadRequestTimeout}:
            return None
        self._link.give_up(f"{self._link.peer} ended the subscription ({code_in_words(code)})")
        raise NotConnected(self._link.lost)

    def _noted(self, published: Published) -> None:
        """Signs of life, acknowledgements, and whether a notification is missing.

        Raises: NotConnected
        """
        subscription = self._subscriptions.get(published.subscription)
        if subscription is None:
            return
        subscription.heard_ns = self._clock.monotonic_ns()
        if published.closed:
            self._link.give_up(f"{self._link.peer} ended the subscription ({published.closed})")
            raise NotConnected(self._link.lost)
        if published.doubtful:
            self._doubtful.add(subscription.id)
        if published.keep_alive:
            return
        expected = subscription.sequence % 0xFFFFFFFF + 1
        if subscription.sequence and published.sequence != expected:
            self._link.traffic.dropped += 1
            self._link.give_up(
                f"{self._link.peer} lost a notification (number {expected}, then came {published.sequence}); "
                "all values are fetched anew"
            )
            raise NotConnected(self._link.lost)
        subscription.sequence = published.sequence
        self._acks.append(
            ua.SubscriptionAcknowledgement(SubscriptionId=subscription.id, SequenceNumber=published.sequence)
        )

    def _vanished(self, published: Published) -> None:
        """Nodes the server says are gone are asked for again later, as a node made anew is another one."""
        items = published.items
        if items is None:
            return
        for column in (items.ints, items.floats, items.texts):
            if not len(column) or not (column.status >> 31).any():
                continue
            for handle in column.handle[np.isin(column.status, list(_GONE))].tolist():
                if handle < len(self.rows.nodes) and handle not in self._retries:
                    self._refuse(handle, BAD_NODE_ID_UNKNOWN, "the node has vanished")


def published_plainly(body: bytes) -> Published:
    """A publish response taken apart by asyncua: the way for surprises, and what the fast way is held against.

    Raises: whatever asyncua raises for bytes that are none
    """
    response = struct_from_binary(ua.PublishResponse, Buffer(body))
    parameters = response.Parameters
    message = parameters.NotificationMessage
    values: list[tuple[int, ua.DataValue]] = []
    closed, doubtful = "", False
    for notification in message.NotificationData or []:
        if isinstance(notification, ua.DataChangeNotification):
            values += [(item.ClientHandle, item.Value) for item in notification.MonitoredItems or []]
        elif isinstance(notification, ua.StatusChangeNotification):
            doubtful = notification.Status.value not in _ENDS
            closed = "" if doubtful else code_in_words(notification.Status.value)
    return Published(
        parameters.SubscriptionId,
        message.SequenceNumber,
        plain_items(values) if message.NotificationData else None,
        keep_alive=not message.NotificationData,
        closed=closed,
        doubtful=doubtful,
    )


def _nobody(_: object) -> None:
    """The callback asyncua wants for notifications; ours never pass through it."""
