from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.app.part import Wish, read


def test_what_the_supervisor_says_is_understood():
    assert read(["core", "--data", "/d", "--supervised", "--json", "--port", "8421", "--spare"]) == Wish(
        "core", Path("/d"), 8421, json=True, supervised=True, spare=True
    )
    assert read(["edge", "--data", "/d", "--supervised", "--name", "edge-2"]) == Wish(
        "edge", Path("/d"), name="edge-2", supervised=True
    )
    assert read(["edge", "--bus", "b.json"]) == Wish("edge", bus=Path("b.json"))
    assert read(["listener", "--data", "/d", "--supervised", "--json"]) == Wish(
        "listener", Path("/d"), json=True, supervised=True
    )
    assert read(["up"]) == Wish("up")


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["plan", "plant.yaml"],
        ["up", "--help"],
        ["up", "extra"],
        ["up", "--port"],
        ["up", "--port", "0"],
        ["up", "--port", "65536"],
        ["up", "--port", "٨"],
        ["up", "--port", "x"],
        ["up", "--port=8420"],
        ["up", "--supervised"],
        ["up", "--spare"],
        ["up", "--data", ""],
        ["up", "--data", "--port"],
        ["up", "--port", "1", "--port", "2"],
        ["core", "--name", "edge-1"],
        ["core", "--spare", "now"],
        ["listener", "--port", "1"],
    ],
)
def test_what_is_not_plainly_right_is_left_to_the_commands(words):
    assert read(words) is None


@given(
    st.lists(st.sampled_from(["up", "core", "edge", "--data", "--port", "--json", "--name", "--spare", "7", "a", "-"]))
)
def test_whatever_is_read_was_said(words):
    wish = read(words)
    if wish is not None:
        assert wish.part == words[0]
        assert wish.json == ("--json" in words)
        assert (str(wish.port) if wish.port else "") == (words[words.index("--port") + 1] if "--port" in words else "")
        assert str(wish.data) == (words[words.index("--data") + 1] if "--data" in words else "data")
