"""What no conduit of the plant allows, the bus does not carry; what it allows goes on meanwhile."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest

from isthmus.bus.broker import Flow, LocalBroker, load_flows, set_edges
from isthmus.bus.client import Bus
from isthmus.bus.field import reload
from isthmus.values.errors import NotConnected

LOG = logging.getLogger("test")


@pytest.mark.mission("M5")
@pytest.mark.real("nats-server")
async def test_a_closed_conduit_stops_commands_to_its_edge_and_breaks_no_link(tmp_path: Path) -> None:
    async with LocalBroker(tmp_path / "bus", ("edge-1", "edge-2")) as broker:
        core, one, two = (Bus(broker.addresses[user], LOG) for user in ("core", "edge-edge-1", "edge-edge-2"))
        try:
            await asyncio.gather(*(bus.connect() for bus in (core, one, two)))

            async def obey(_: str, __: bytes) -> bytes:
                return b"done"

            async def commanded(edge: str) -> bool:
                try:
                    answer = await core.request(f"cmd.v1.lyon.{edge}.write", b"x", timeout_s=5)
                except NotConnected:
                    return False
                return answer.data == b"done"

            for bus, edge in ((one, "edge-1"), (two, "edge-2")):
                await bus.listen(f"cmd.v1.lyon.{edge}.write", obey)
                await bus.nc.flush()
            assert await commanded("edge-1")
            links = [bus.nc.client_id for bus in (core, one, two)]
            set_edges(broker.files, (), {"edge-1": Flow(commands=False)})
            await asyncio.to_thread(reload, broker.files)
            assert not await commanded("edge-1")
            assert await commanded("edge-2")
            assert [bus.nc.client_id for bus in (core, one, two)] == links
            assert load_flows(broker.files) == {"edge-1": Flow(commands=False)}
            set_edges(broker.files, (), {})
            await asyncio.to_thread(reload, broker.files)
            await one.listen("cmd.v1.lyon.edge-1.write", obey)
            await one.nc.flush()
            assert await commanded("edge-1")
        finally:
            await asyncio.gather(*(bus.close() for bus in (core, one, two)))


@pytest.mark.mission("M5")
@pytest.mark.real("nats-server")
async def test_frames_of_an_edge_without_a_conduit_do_not_arrive(tmp_path: Path) -> None:
    async with LocalBroker(tmp_path / "bus") as broker:
        set_edges(broker.files, (), {"edge-1": Flow(frames=False, commands=False)})
        await asyncio.to_thread(reload, broker.files)
        core, edge = Bus(broker.addresses["core"], LOG), Bus(broker.addresses["edge-edge-1"], LOG)
        heard: list[str] = []

        async def hear(subject: str, _: bytes) -> None:
            heard.append(subject)

        try:
            await asyncio.gather(core.connect(), edge.connect())
            await core.listen("f.v1.>", hear)
            await core.listen("hb.v1.>", hear)
            await core.nc.flush()
            for subject in ("f.v1.lyon.edge-1.live", "hb.v1.lyon.edge-1"):
                await edge.nc.publish(subject, b"x")
            await edge.nc.flush()
            set_edges(broker.files, (), {})
            await asyncio.to_thread(reload, broker.files)
            await edge.nc.publish("hb.v1.lyon.edge-1", b"x")
            await edge.nc.flush()
            async with asyncio.timeout(20):
                while not heard:
                    await asyncio.sleep(0.02)
            assert heard == ["hb.v1.lyon.edge-1"]
        finally:
            await asyncio.gather(core.close(), edge.close())
