"""Runs the connectors: from the bus to the other side, each at its own pace and from a place of its own.

A connector reads the bus like the historian does, never the live values, so a slow or dead receiver holds up nothing: what
it has not had yet waits on the bus. Its place is in the records and moves only when a batch is delivered or refused.
Before a batch is sent the records say which frames it is made of, so a core that was killed sends the same batch again,
with the same key.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import zlib
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from random import Random

import numpy as np

from isthmus.acquisition.model import Backoff
from isthmus.app.delivery_store import DeliveryStore, Letter, Place
from isthmus.bus.client import Bus
from isthmus.bus.reader import FrameReader
from isthmus.bus.tasks import end
from isthmus.namespace.model import Connector as Model
from isthmus.namespace.model import Plant
from isthmus.ports.connectors import Connector, ConnectorContext, ConnectorSpec, Delivery, TagTable
from isthmus.ports.frames import Arrived, Cursor, Position
from isthmus.values.clock import NS_PER_S, Clock
from isthmus.values.errors import ConfigError, IsthmusError, Malformed, Rejected, TryLater
from isthmus.values.frame import Frame, Lane, decode, encode, split
from isthmus.values.ids import is_under
from isthmus.values.sample import SampleBatch, join_by_type
from isthmus.web.services import ConnectorStatus, DeadLetter

OPEN_S = 30.0
DELIVER_S = 60.0
"""What hangs is cut after this long; connectors have shorter time-outs of their own."""
CLOSE_S = 2.0
MAX_WAIT_S = 300.0
"""A connector's TryLater is believed up to this long."""
PASS_S = 5.0
"""How long frames that hold nothing for a connector may pass before its place is stored."""
MOST_FRAMES = 1_000
RETRY_S = 1.0
AGAIN_S = 1.0
"""A connector that forgot its cancellation is told again after this; sooner than whoever ends us tells us again."""
BEFORE_ALL = Position(-1, -1)


def tag_table(plant: Plant, model: Model) -> TagTable:
    """The tags a connector gets. Diagnostics of connections are among them only where it asks for them by path."""
    types = {asset.path: asset.type for asset in plant.assets}
    chosen = sorted(
        (
            tag
            for tag in plant.tags
            if (any(is_under(tag.path, root) for root in model.tags) if model.tags else tag.kind != "system")
            and (not model.types or types.get(tag.asset) in model.types)
        ),
        key=lambda tag: tag.id,
    )
    return TagTable(
        version=plant.version,
        enterprise=plant.enterprise,
        site=plant.site,
        id=np.array([t.id for t in chosen], np.int32),
        path=tuple(t.path for t in chosen),
        unit=tuple(t.unit for t in chosen),
        type=tuple(t.type for t in chosen),
    )


class _Fresh:
    """Frames one by one; those that came before, as they do after a rewind, are passed over."""

    def __init__(self, frames: AsyncIterator[list[Arrived]], taken: Cursor) -> None:
        self._frames, self._taken = frames, dict(taken)
        self._waiting: deque[Arrived] = deque()
        self._asked: asyncio.Task[list[Arrived]] | None = None

    async def next(self, until: float | None) -> Arrived | None:
        """The next frame; None when the loop's clock says ``until``."""
        loop = asyncio.get_running_loop()
        while True:
            while self._waiting:
                one = self._waiting.popleft()
                if one.position > self._taken.get(one.key, BEFORE_ALL):
                    self._taken[one.key] = one.position
                    return one
            self._asked = self._asked or asyncio.ensure_future(_following(self._frames))
            timeout = None if until is None else max(0.0, until - loop.time())
            done, _ = await asyncio.wait({self._asked}, timeout=timeout)
            if not done:
                return None
            asked, self._asked = self._asked, None
            self._waiting.extend(asked.result())

    async def close(self) -> None:
        if self._asked is not None:
            self._asked.cancel()
            await asyncio.gather(self._asked, return_exceptions=True)
        await self._frames.aclose()  # type: ignore[attr-defined]  # an async generator


async def _following(frames: AsyncIterator[list[Arrived]]) -> list[Arrived]:
    return await anext(frames)


class Runner:
    """Runs one connector until cancelled."""

    def __init__(
        self,
        model: Model,
        table: TagTable,
        spec: ConnectorSpec,
        context: ConnectorContext,
        bus: Bus,
        store: DeliveryStore,
        random: Random,
        log: logging.Logger,
    ) -> None:
        self.model, self.table = model, table
        self.state, self.reason = "Connecting", ""
        self.place = Place()
        self.missed = 0
        self._spec, self._context, self._clock = spec, context, context.clock
        self._bus, self._store, self._log = bus, store, log
        self._random = random
        self._backoff = Backoff(random)
        self._reader: FrameReader | None = None
        self._connector: Connector | None = None
        self._opened = False
        self._traced = False
        self._since_ns = self._clock.now_ns()
        self._oldest_ns = 0  # when the first frame in hand was sealed
        self._wanted = np.zeros(int(table.id[-1]) + 1 if len(table) else 0, np.bool_)
        self._wanted[table.id] = True
        self._print = zlib.crc32(table.id.tobytes() + f"{table.path}{model.rows}".encode())

    async def run(self) -> None:
        """Until cancelled; a wrong setting stops it until the plant changes."""
        try:
            self._connector = self._spec.build(self._spec.configure(self.model.config), self._context)
            await self._say_hello()
            while True:
                try:
                    await self._follow()
                except ConfigError:
                    raise
                except Exception as error:
                    self._turn("Waiting", f"bus or records: {error or type(error).__name__}", error)
                    await asyncio.sleep(RETRY_S)
        except ConfigError as error:
            self._turn("Stopped", str(error))
            await asyncio.Event().wait()
        except Exception as error:  # a connector that cannot even be built
            self._turn("Stopped", f"connector {self.model.connector} failed: {error or type(error).__name__}", error)
            await asyncio.Event().wait()
        finally:
            await self._close()

    async def _say_hello(self) -> None:
        """Try the other side before there is anything to deliver, so that people see how it is."""
        try:
            await self._open()
        except ConfigError:
            raise
        except Exception as error:
            self._turn("Waiting", str(error) or type(error).__name__)
            await self._close()
        else:
            self._turn("Delivering", "")

    async def _open(self) -> Connector:
        connector = self._connector
        assert connector is not None  # noqa: S101  built before anything is read
        if not self._opened:
            async with asyncio.timeout(OPEN_S):
                await connector.open(self.table)
            self._opened = True
        return connector

    async def _follow(self) -> None:
        """Read the bus from where the records say, portion by portion."""
        begin = await self._begin()
        self._reader = reader = FrameReader(self._bus, reader_name(self.model.name), self._log, begin)
        await reader.open()
        fresh = _Fresh(reader.frames(), self.place.cursor)
        missed = self.missed
        try:
            while True:
                frames = await self._portion(fresh, self.place.under_way)
                self.missed = missed + reader.counts.missed
                await self._carry(frames)
                self._oldest_ns = 0
                await reader.acknowledge(frames[-1].stream_seq)
        finally:
            await fresh.close()

    async def _begin(self) -> int:
        """Where in the stream to begin; a place in a stream that is no more is found again by the frames' own numbers."""
        stream, last = await self._bus.stream_place()
        place = await asyncio.to_thread(self._store.load, self.model.name)
        if place is None:
            place = Place(stream, last if self.model.start == "now" else 0)
            await asyncio.to_thread(self._store.save, self.model.name, place, {})
        self.place = place
        return place.stream_seq + 1 if place.stream == stream and place.stream_seq <= last else 1

    async def _portion(self, fresh: _Fresh, exactly: int) -> list[Arrived]:
        """The frames of the next batch: those of the one that was under way, else until it is full or was long enough open."""
        loop = asyncio.get_running_loop()
        frames: list[Arrived] = []
        rows, until = 0, None
        while True:
            one = await fresh.next(None if exactly else until)
            if one is None:
                return frames
            if not frames:
                until = loop.time() + PASS_S
            frames.append(one)
            found = sum(int(self._chosen(b).sum()) for b in one.frame.batches)
            if found and not rows:
                until = loop.time() + self.model.linger_s
                self._oldest_ns = one.frame.sealed_ns
            rows += found
            if exactly:
                if len(frames) == exactly:
                    return frames
            elif rows >= self.model.rows or len(frames) >= MOST_FRAMES:
                return frames

    def _chosen(self, batch: SampleBatch) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        known = (batch.id >= 0) & (batch.id < len(self._wanted))
        known[known] = self._wanted[batch.id[known]]
        return known

    async def _carry(self, frames: Sequence[Arrived]) -> None:
        """Deliver what these frames hold for us, and move on."""
        batches = join_by_type(b.rows(self._chosen(b)) for one in frames for b in one.frame.batches)
        place = self.place
        if batches:
            await self._keep(replace(place, under_way=len(frames)), {})
            first = frames[0]
            key = ".".join(
                map(str, (self.model.name, first.edge, int(first.frame.lane), first.frame.epoch, first.frame.seq))
            )
            for i, part in enumerate(split(batches, self.model.rows)):
                await self._hand_over(Delivery(f"{key}.{len(frames)}.{self._print:08x}.{i}", part))
        moved = {one.key: one.position for one in frames}
        await self._keep(
            replace(self.place, stream_seq=frames[-1].stream_seq, under_way=0, cursor=place.cursor | moved), moved
        )

    async def _keep(self, place: Place, moved: Cursor) -> None:
        """Store a place, however long the disk makes us wait."""
        while True:
            try:
                await asyncio.to_thread(self._store.save, self.model.name, place, moved)
            except Exception as error:
                self._turn("Waiting", f"records: {error}")
                await asyncio.sleep(RETRY_S)
            else:
                self.place = place
                return

    async def _hand_over(self, delivery: Delivery) -> None:
        """Until the batch is delivered or refused.

        Raises: ConfigError when another attempt is pointless until the plant changes
        """
        while True:
            try:
                await self._attempt(delivery)
            except ConfigError:
                raise
            except TryLater as error:
                self._turn("Waiting", str(error))
                await asyncio.sleep(min(max(error.after_s, Backoff.FIRST_S / 5), MAX_WAIT_S))
            except Rejected as error:
                await self._bury(delivery, str(error) or "refused without a reason")
                return
            except Exception as error:
                bug = not isinstance(error, IsthmusError | TimeoutError)
                words = str(error) or ("no answer in time" if isinstance(error, TimeoutError) else type(error).__name__)
                if bug:
                    words = f"connector {self.model.connector} failed: {type(error).__name__}: {words}"
                self._turn("Waiting", words, error if bug else None)
                await self._close()
                await asyncio.sleep(self._backoff.wait_s())
            else:
                self._backoff = Backoff(self._random)
                self._turn("Delivering", "")
                self.place = replace(self.place, delivered=self.place.delivered + delivery.rows)
                return

    async def _attempt(self, delivery: Delivery) -> None:
        connector = await self._open()
        async with asyncio.timeout(DELIVER_S):
            await connector.deliver(delivery)

    async def _bury(self, delivery: Delivery, reason: str) -> None:
        """Among the dead letters, on disk, before anything goes on."""
        data = encode(Frame(Lane.LIVE, 0, 0, self._clock.now_ns(), self.table.version, delivery.batches))
        letter = Letter(0, self._clock.now_ns(), delivery.key, reason, delivery.rows, data)
        while True:
            try:
                forgotten = await asyncio.to_thread(self._store.bury, self.model.name, letter)
                break
            except Exception as error:
                self._turn("Waiting", f"records: {error}")
                await asyncio.sleep(RETRY_S)
        place = self.place
        self.place = replace(place, rejected=place.rejected + delivery.rows, forgotten=place.forgotten + forgotten)
        if not place.rejected:
            self._log.warning("connector %s: a batch was refused, see its dead letters: %s", self.model.name, reason)
        self._turn("Delivering", f"the last batch was refused: {reason}")

    async def _close(self) -> None:
        self._opened = False
        if self._connector is not None:
            try:
                async with asyncio.timeout(CLOSE_S):
                    await self._connector.close()
            except Exception as error:
                self._log.error("connector %s: failed while closing", self.model.name, exc_info=error)

    def _turn(self, state: str, reason: str, bug: Exception | None = None) -> None:
        """One line when it breaks, one when it heals."""
        before, self.reason = self.state, reason
        if bug is not None and not self._traced:
            self._traced = True
            self._log.error("connector %s: %s", self.model.name, reason, exc_info=bug)
        if state == before:
            return
        self.state, self._since_ns = state, self._clock.now_ns()
        if state in ("Waiting", "Stopped"):
            self._log.warning("connector %s: %s", self.model.name, reason)
        elif before == "Waiting":
            self._traced = False
            self._log.info("connector %s: delivers again", self.model.name)

    def status(self, letters: int) -> ConnectorStatus:
        """How it is now."""
        waits = self._oldest_ns
        return {
            "name": self.model.name,
            "connector": self.model.connector,
            "endpoint": self.model.endpoint,
            "state": self.state,
            "reason": self.reason,
            "since_ns": self._since_ns,
            "delivered": self.place.delivered,
            "rejected": self.place.rejected,
            "missed_frames": self.missed,
            "dead_letters": letters,
            "forgotten_letters": self.place.forgotten,
            "lag_s": max(0.0, round((self._clock.now_ns() - waits) / NS_PER_S, 3)) if waits else 0.0,
        }


def reader_name(connector: str) -> str:
    """What a connector's reader is called on the bus."""
    return f"connector-{connector}"


@dataclass(slots=True)
class _Running:
    runner: Runner
    task: asyncio.Task[None]


class Deliveries:
    """All connectors of a plant: started, changed and stopped as its versions say."""

    def __init__(
        self,
        bus: Bus,
        store: DeliveryStore,
        clock: Clock,
        connector_of: Callable[[str], ConnectorSpec],
        context_of: Callable[[str, str], ConnectorContext],
        log: logging.Logger,
        random: Random | None = None,
    ) -> None:
        self._bus, self._store, self._clock, self._log = bus, store, clock, log
        self._connector_of, self._context_of = connector_of, context_of
        self._random = random or Random()  # noqa: S311  jitter of back-off is no secret
        self._running: dict[str, _Running] = {}
        self._plant: Plant | None = None
        self._changed = asyncio.Event()

    def apply(self, plant: Plant) -> None:
        """From now on the connectors of this version run."""
        self._plant = plant
        self._changed.set()

    async def run(self) -> None:
        """Until cancelled."""
        try:
            while True:
                await self._changed.wait()
                self._changed.clear()
                if self._plant is not None:
                    await self._follow(self._plant)
        finally:
            await end([one.task for one in self._running.values()], AGAIN_S)
            self._running.clear()
            self._changed.set()

    async def _follow(self, plant: Plant) -> None:
        models = {model.name: model for model in plant.connectors}
        for name in [n for n in self._running if n not in models]:
            await self._stop(name)
            with contextlib.suppress(IsthmusError, OSError, TimeoutError):
                await self._bus.drop_reader(reader_name(name))
        for name, model in models.items():
            table = await asyncio.to_thread(tag_table, plant, model)
            now = self._running.get(name)
            if now is not None and now.runner.model == model and _same(now.runner.table, table):
                continue
            await self._stop(name)
            self._start(model, table)

    def _start(self, model: Model, table: TagTable) -> None:
        try:
            spec = self._connector_of(model.connector)
        except ConfigError as error:
            self._log.error("connector %s: %s", model.name, error)
            return
        context = self._context_of(model.connector, model.name)
        runner = Runner(model, table, spec, context, self._bus, self._store, self._random, self._log)
        self._running[model.name] = _Running(runner, asyncio.create_task(runner.run(), name=f"connector {model.name}"))

    async def _stop(self, name: str) -> None:
        running = self._running.get(name)
        if running is not None:  # known until it has ended: who is stopped in between stops it again
            await end([running.task], AGAIN_S)
            del self._running[name]

    async def statuses(self) -> list[ConnectorStatus]:
        """Every connector, by name."""
        letters = await asyncio.to_thread(self._store.letter_counts)
        return [one.runner.status(letters.get(name, 0)) for name, one in sorted(self._running.items())]

    async def dead_letters(self, name: str, limit: int) -> list[DeadLetter]:
        """The newest refused batches of a connector, newest first."""
        letters = await asyncio.to_thread(self._store.letters, name, limit)
        return await asyncio.to_thread(lambda: [self._opened(letter) for letter in letters])

    def _opened(self, letter: Letter) -> DeadLetter:
        by_id = self._plant.by_id if self._plant is not None else {}
        samples: list[tuple[str, int, float | int | str | None, int]] = []
        with contextlib.suppress(Malformed):
            for batch in decode(letter.data).batches:
                values = batch.value.tolist()
                for i, (tag, time_ns, value, code) in enumerate(
                    zip(batch.id.tolist(), batch.time_ns.tolist(), values, batch.status.tolist(), strict=True)
                ):
                    path = by_id[tag].path if tag in by_id else f"#{tag}"
                    samples.append((path, time_ns, batch.text[values[i]] if batch.text else value, code))
        return {
            "time_ns": letter.time_ns,
            "key": letter.key,
            "reason": letter.reason,
            "rows": letter.samples,
            "samples": samples,
        }


def _same(one: TagTable, other: TagTable) -> bool:
    return (
        np.array_equal(one.id, other.id)
        and (one.path, one.unit, one.type) == (other.path, other.unit, other.type)
        and (one.enterprise, one.site) == (other.enterprise, other.site)
    )
