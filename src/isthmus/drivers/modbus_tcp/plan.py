"""Which requests read a set of points: few and large, yet never across what the device refused.

Requests cost, not registers. Points are merged into blocks; when a device refuses a block, it is cut in two until what
it refuses stands alone. That is left alone for a while and then asked again.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from isthmus.drivers.modbus_tcp.address import ModbusAddress, parse
from isthmus.drivers.modbus_tcp.config import ModbusTcpConfig
from isthmus.drivers.modbus_tcp.decode import Decoder
from isthmus.drivers.modbus_tcp.framer import Request, read_request
from isthmus.ports.drivers import Point
from isthmus.values import status
from isthmus.values.clock import NS_PER_S
from isthmus.values.errors import ConfigError
from isthmus.values.sample import SampleBatch

EXTRA_REQUESTS: Final = 64
"""So many requests of one read may be refused, or find out what is, before it only goes on by small steps."""

LEAST_EXTRA: Final = 16
"""The requests of such a small step."""

_FIRST_REST_NS: Final = 10 * NS_PER_S
_LONGEST_REST_NS: Final = 640 * NS_PER_S

Span = tuple[int, int]
"""Cells [start, stop) of one area that must come in one reply."""

Key = tuple[str, int]
"""A span by its area and index."""


@dataclass(frozen=True, slots=True)
class Block:
    """Cells [start, stop) of an area, read at once; ``spans`` are the indices of those it is read for, ascending."""

    area: str
    start: int
    stop: int
    spans: tuple[int, ...]


def lay_out(area: str, spans: Sequence[Span], most: int, gap: int, refused: Iterable[int] = ()) -> list[Block]:
    """Blocks of at most ``most`` cells that hold every span once, with at most ``gap`` unwanted cells in a row.

    Refused spans are left out, and no block that could do without holds one.
    Shapes: spans are distinct, sorted, each at most ``most`` long; refused are indices of spans
    """
    apart = set(refused)
    barred = sorted(spans[i] for i in apart)
    lows = [low for low, _ in barred]
    blocks: list[Block] = []
    members: list[int] = []
    start = stop = 0
    for i, (low, high) in enumerate(spans):
        if i in apart:
            continue
        reach = max(stop, high)
        if members and low - stop <= gap and reach - start <= most and not _holds(start, reach, barred, lows):
            members.append(i)
            stop = reach
            continue
        if members:
            blocks.append(Block(area, start, stop, tuple(members)))
        members, start, stop = [i], low, high
    if members:
        blocks.append(Block(area, start, stop, tuple(members)))
    return blocks


def _holds(start: int, stop: int, barred: Sequence[Span], lows: Sequence[int]) -> bool:
    """Whether [start, stop) holds the whole of a refused span."""
    return any(high <= stop for _, high in barred[bisect_left(lows, start) : bisect_left(lows, stop)])


def cut(block: Block, spans: Sequence[Span]) -> tuple[Block, Block]:
    """The block in two, between two spans: at the unwanted cells nearest to its middle, else where no span is torn."""
    members = block.spans
    half = len(members) / 2
    best, where, reach = (2, 0.0), 1, spans[members[0]][1]
    for k in range(1, len(members)):
        low = spans[members[k]][0]
        worth = (0 if low > reach else 1 if low == reach else 2, abs(k - half))
        if k == 1 or worth < best:
            best, where = worth, k
        reach = max(reach, spans[members[k]][1])
    return _around(block.area, members[:where], spans), _around(block.area, members[where:], spans)


def _around(area: str, members: tuple[int, ...], spans: Sequence[Span]) -> Block:
    return Block(area, spans[members[0]][0], max(spans[i][1] for i in members), members)


class Plan:
    """How one sequence of points is read, and what was learned about the device while reading it.

    The image holds what arrived: two bytes for each register, one for each coil or input; areas one after the other.
    """

    def __init__(self, points: Sequence[Point], config: ModbusTcpConfig) -> None:
        self.points = points
        self.problem = ""  # what is wrong with the first address that cannot be read at all
        self._config = config
        addresses = [self._parse(p.address) for p in points]
        self._spans: dict[str, list[Span]] = {}
        self._base: dict[str, int] = {}  # where each area begins in the image
        self._lowest: dict[str, int] = {}
        size = 0
        for area in ("hr", "ir", "co", "di"):
            spans = sorted({(a.start, a.start + a.count) for a in addresses if a is not None and a.area == area})
            if spans:
                self._spans[area], self._base[area], self._lowest[area] = spans, size, spans[0][0]
                size += self._width(area) * (max(stop for _, stop in spans) - spans[0][0])
        buffer = bytearray(size)
        self.image = memoryview(buffer)
        self._bytes = np.frombuffer(buffer, np.uint8)
        self._decoder = Decoder(
            addresses,
            [0 if a is None else self._place(a.area, a.start) for a in addresses],
            [p.id for p in points],
            config.byte_order == "little",
            config.word_order == "little",
        )
        self._rows: dict[str, list[list[int]]] = {area: [[] for _ in spans] for area, spans in self._spans.items()}
        self._unreadable = [int(self._decoder.rows[i]) for i, a in enumerate(addresses) if a is None]
        index = {area: {span: i for i, span in enumerate(spans)} for area, spans in self._spans.items()}
        for i, address in enumerate(addresses):
            if address is not None:
                span = index[address.area][address.start, address.start + address.count]
                self._rows[address.area][span].append(int(self._decoder.rows[i]))
        self.refused: dict[Key, int] = {}  # spans the device refuses even alone, with the status
        self._rest_ns = _FIRST_REST_NS
        self._ask_again_ns = 0
        self._lay_out()

    def requests(self, blocks: Iterable[Block]) -> list[Request]:
        """What to send for blocks that are not among ``blocks``."""
        unit = self._config.unit
        return [read_request(unit, b.area, b.start, b.stop - b.start, self._place(b.area, b.start)) for b in blocks]

    def due(self, now_ns: int) -> list[Block]:
        """Refused spans whose rest is over, each alone."""
        if not self.refused or now_ns < self._ask_again_ns:
            return []
        chosen = list(self.refused)[:EXTRA_REQUESTS]
        return [_around(area, (i,), self._spans[area]) for area, i in chosen]

    def ask_again_now(self) -> None:
        """The device may have changed: its refusals are asked again with the next read."""
        self._ask_again_ns = 0

    def cut(self, block: Block) -> tuple[Block, Block]:
        return cut(block, self._spans[block.area])

    def learn(
        self,
        layout: list[Block] | None,
        refused: dict[Key, int],
        asked: Iterable[Key],
        healed: Iterable[Key],
        now_ns: int,
    ) -> None:
        """What a read has shown.

        layout is how blocks are cut now (None: as before); refused are spans that were refused alone for the first
        time, with the status; of the refused ones asked again, healed are well.
        """
        answered = set(healed)
        for key in asked:
            code = self.refused.pop(key)
            if key not in answered:
                self.refused[key] = code  # at the end: the others have their turn first
        self.refused.update(refused)
        if answered:
            self._rest_ns, self._ask_again_ns = _FIRST_REST_NS, now_ns  # the device came to itself: ask on
            self._lay_out()
            return
        if refused:
            self._rest_ns = _FIRST_REST_NS
        elif asked:
            self._rest_ns = min(2 * self._rest_ns, _LONGEST_REST_NS)
        self._ask_again_ns = now_ns + self._rest_ns
        if layout is not None:
            self._adopt(layout)

    def codes(self, failed: Iterable[tuple[Block, int]]) -> NDArray[np.uint32]:
        """The status of every row, when these blocks failed with these status codes. Shapes: -> (n,)"""
        codes = self._codes
        for block, code in failed:
            if codes is self._codes:
                codes = codes.copy()
            rows = self._rows[block.area]
            codes[[row for span in block.spans for row in rows[span]]] = code
        return codes

    def decode(self, time_ns: int, codes: NDArray[np.uint32]) -> tuple[list[SampleBatch], str]:
        """All rows out of the image, and a word about the first value that is none (or "")."""
        return self._decoder.decode(self._bytes, time_ns, codes)

    def _parse(self, text: str) -> ModbusAddress | None:
        try:
            address = parse(text)
            if address.area in {"hr", "ir"} and address.count > self._config.max_block:
                raise ConfigError(
                    f"address: takes {address.count} registers in one request, max_block is "
                    f"{self._config.max_block}, was {text!r}"
                )
        except ConfigError as error:
            self.problem = self.problem or str(error)
            return None
        return address

    def _width(self, area: str) -> int:
        return 2 if area in {"hr", "ir"} else 1

    def _place(self, area: str, start: int) -> int:
        return self._base[area] + self._width(area) * (start - self._lowest[area])

    def _lay_out(self) -> None:
        blocks: list[Block] = []
        for area, spans in self._spans.items():
            registers = area in {"hr", "ir"}
            most, gap = (
                (self._config.max_block, self._config.gap)
                if registers
                else (self._config.max_bits, 16 * self._config.gap)
            )
            blocks += lay_out(area, spans, most, gap, [i for name, i in self.refused if name == area])
        self._adopt(blocks)

    def _adopt(self, blocks: list[Block]) -> None:
        self.blocks = blocks
        self.prepared = self.requests(blocks)
        self._codes = np.zeros(len(self.points), np.uint32)
        self._codes[self._unreadable] = status.BAD_CONFIGURATION_ERROR
        for (area, span), code in self.refused.items():
            self._codes[self._rows[area][span]] = code
        self._codes.flags.writeable = False
