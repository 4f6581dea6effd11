from __future__ import annotations

import pytest

from isthmus.drivers.modbus_tcp.framer import frame_end, is_reply, read_request
from isthmus.values.errors import Malformed


def test_a_read_knows_its_reply() -> None:
    request = read_request(17, "hr", 107, 3)
    assert request.tail == bytes.fromhex("0000 0006 11 03 006b 0003")
    assert request.head == bytes.fromhex("0000 0009 11 03 06")
    assert request.size == 15


def test_coils_take_a_byte_of_the_image_each() -> None:
    request = read_request(1, "co", 0, 2000, at=10)
    assert (request.size, request.at, request.stop) == (9 + 250, 10, 2010)


@pytest.mark.parametrize(
    ("data", "end"),
    [
        ("", 0),
        ("0001", 0),
        ("0001 0000 00", 0),
        ("0001 0000 0003 01 83", 0),
        ("0001 0000 0003 01 83 02", 9),
        ("0001 0000 0003 01 83 02 ff", 9),
    ],
)
def test_where_a_frame_ends(data: str, end: int) -> None:
    assert frame_end(bytes.fromhex(data), 0) == end


@pytest.mark.parametrize("data", ["0001 0001", "0001 0100 0003", "0001 0000 0001", "0001 0000 0000", "0001 0000 00ff"])
def test_what_is_no_frame_is_refused_as_soon_as_it_shows(data: str) -> None:
    with pytest.raises(Malformed):
        frame_end(bytes.fromhex(data), 0)


@pytest.mark.parametrize(
    ("frame", "fits"),
    [
        ("0001 0000 0005 01 03 02 0001", True),
        ("0001 0000 0003 01 83 02", True),
        ("0001 0000 0006 01 06 0001 0003", True),
        ("0001 0000 0005 02 03 02 0001", False),
        ("0001 0000 0005 01 03 03 0001", False),
        ("0001 0000 0002 01 03", False),
        ("0001 0000 0002 01 83", False),
        ("0001 0000 0005 01 06 0001 00", False),
        ("0001 0000 0006 01 2b 0001 0003", False),
    ],
)
def test_what_could_be_an_answer_to_something(frame: str, fits: bool) -> None:
    assert is_reply(bytes.fromhex(frame), 1) is fits
