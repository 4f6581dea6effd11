"""What a server's status says about a write."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from asyncua import ua

from isthmus.drivers.opcua.write import UNCERTAIN, write
from isthmus.ports.writes import PointWrite
from isthmus.values.errors import NotConnected, Rejected

pytestmark = pytest.mark.mission("M40", "M22")
CODES = ua.StatusCodes


class Link:
    """A session at a server that answers every write in one way."""

    def __init__(self, answer: Any) -> None:
        self._answer, self.lost = answer, ""
        self.traffic = SimpleNamespace(errors=0, last_error="", requests=0)
        self.session = SimpleNamespace(write=self._write)
        self.sent: list[Any] = []

    async def _write(self, parameters: Any) -> Any:
        self.sent += parameters.NodesToWrite
        if isinstance(self._answer, int):
            return [ua.StatusCode(self._answer)]
        return self._answer

    async def ask(self, work: Any, _: str) -> Any:
        found = await work()
        if isinstance(found, ua.UaStatusCodeError):
            raise found
        return found

    def node_id(self, _: Any) -> ua.NodeId:
        return ua.NodeId("Pump.Set", 2)

    def give_up(self, reason: str) -> None:
        self.lost = reason


async def written(answer: Any, kinds: dict[str, Any] | None = None) -> Link:
    link = Link(answer)
    known = {"ns=2;s=Pump.Set": ua.VariantType.Double} if kinds is None else kinds
    await write(link, PointWrite("ns=2;s=Pump.Set", 2.5), known)  # type: ignore[arg-type]  # stands in for a session
    return link


@pytest.mark.parametrize("code", [CODES.Good, CODES.GoodCompletesAsynchronously, CODES.GoodClamped])
async def test_good_is_done(code: int) -> None:
    link = await written(code)
    assert (len(link.sent), link.lost, link.traffic.errors) == (1, "", 0)


@pytest.mark.parametrize(
    "code", [CODES.BadNotWritable, CODES.BadUserAccessDenied, CODES.BadOutOfRange, CODES.BadNodeIdUnknown]
)
async def test_bad_is_a_refusal(code: int) -> None:
    with pytest.raises(Rejected, match="refused, Bad"):
        await written(code)
    with pytest.raises(Rejected, match="refused, Bad"):
        await written(ua.UaStatusCodeError(code))


@pytest.mark.parametrize("code", [0x40000000, CODES.UncertainInitialValue, *sorted(UNCERTAIN)])
async def test_what_leaves_it_open_is_told_as_such(code: int) -> None:
    with pytest.raises(NotConnected, match="nobody knows"):
        await written(code)


@pytest.mark.parametrize("answer", [[], [ua.StatusCode(0)] * 2, None, [None]])
async def test_an_answer_to_another_request_leaves_it_open(answer: Any) -> None:
    with pytest.raises(NotConnected, match="another request"):
        await written(answer)


async def test_a_type_that_changed_is_asked_for_again() -> None:
    kinds = {"ns=2;s=Pump.Set": ua.VariantType.Double}
    with pytest.raises(Rejected, match="BadTypeMismatch"):
        await written(CODES.BadTypeMismatch, kinds)
    assert kinds == {}
