from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.bus import subjects
from isthmus.values import status
from isthmus.values.clock import ManualClock
from isthmus.values.errors import ConfigError, Finding, Findings, Malformed
from isthmus.values.frame import Lane
from isthmus.values.ids import check_name, check_path, decode_segment, encode_segment, is_under
from isthmus.values.model import Budget, ConnectionModel, EdgeModel, FormulaModel, TagColumns


@given(st.text())
def test_any_text_is_a_segment_and_comes_back(text: str) -> None:
    segment = encode_segment(text)
    assert decode_segment(segment) == text
    assert segment
    assert set(segment) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-%")


@given(st.text(alphabet="aZ0_%-é. ", max_size=12))
def test_only_canonical_segments_are_decoded(segment: str) -> None:
    try:
        text = decode_segment(segment)
    except Malformed:
        return
    assert encode_segment(text) == segment


@given(st.text(min_size=1, max_size=20), st.text(min_size=1, max_size=20), st.sampled_from(list(Lane)))
def test_frame_subjects_come_back(site: str, edge: str, lane: Lane) -> None:
    assert subjects.parse_frames(subjects.frames(site, edge, lane)) == (site, edge, lane)


@pytest.mark.parametrize(
    "subject", ["", "f.v1.a.b", "f.v2.a.b.live", "f.v1.a.b.other", "x.v1.a.b.live", "f.v1.a.%zz.live"]
)
def test_other_subjects_are_refused(subject: str) -> None:
    with pytest.raises(Malformed):
        subjects.parse_frames(subject)


@pytest.mark.parametrize("path", ["a", "packaging/line1/filler", "Tank 1/level (raw)", "Übergabe/öl"])
def test_good_paths(path: str) -> None:
    assert check_path(path) == path


@pytest.mark.parametrize(
    "path", ["", "/a", "a/", "a//b", "a/ b", "a/b ", "a/#", "a/*", "x" * 401, "a/" + "b" * 81, "_a"]
)
def test_bad_paths(path: str) -> None:
    with pytest.raises(ConfigError):
        check_path(path)


def test_names_say_what_is_wrong() -> None:
    assert check_name("plc-1", "connection") == "plc-1"
    with pytest.raises(ConfigError, match="edge must begin with a letter"):
        check_name("1edge", "edge")


def test_is_under() -> None:
    assert is_under("a/b", "a")
    assert is_under("a", "a")
    assert is_under("a", "")
    assert not is_under("ab", "a")


def test_status_names_and_severity() -> None:
    assert status.name(0) == "Good"
    assert status.name(status.BAD_TIMEOUT) == "BadTimeout"
    assert status.name(0x80FF0000) == "Bad(0x80FF0000)"
    codes = np.array([status.GOOD, status.UNCERTAIN, status.BAD_TIMEOUT], np.uint32)
    assert status.is_good(codes).tolist() == [True, False, False]
    assert status.is_bad(codes).tolist() == [False, False, True]
    other = np.array([status.BAD, status.GOOD, status.BAD_NO_DATA], np.uint32)
    assert status.worst(codes, other).tolist() == [status.BAD, status.UNCERTAIN, status.BAD_TIMEOUT]


def test_findings_name_the_place() -> None:
    finding = Finding("error", "plant.yaml", 3, 5, "types.pump", "unknown key", "speeed")
    assert str(finding) == "plant.yaml:3:5: error: types.pump: unknown key, was speeed"
    assert "plant.yaml:3:5" in str(Findings((finding,)))
    assert str(Finding("warning", "x.csv", 0, 0, "", "empty")) == "x.csv: warning: empty"


def test_a_manual_clock_jumps_only_on_the_wall() -> None:
    clock = ManualClock(10)
    clock.advance(1)
    clock.set_wall(5)
    assert (clock.now_ns(), clock.monotonic_ns()) == (5, 1_000_000_000)


def test_an_edge_model_comes_back() -> None:
    model = EdgeModel(
        3,
        "acme",
        "lyon",
        "edge-1",
        (ConnectionModel("plc1", "modbus-tcp", {"host": "h"}, Budget(2, 5.0, 0.1), system={"state": 9}),),
        TagColumns(
            [1], ["a/b"], ["float"], ["plc1"], ["hr 0"], [1.0], [1.0], [0.0], [None], [5.0], [0.0], [0.0], [60.0], [10]
        ),
        (FormulaModel(2, "a + 1", {"a": 1}),),
    )
    assert EdgeModel.from_bytes(model.to_bytes()) == model


@pytest.mark.parametrize("data", [b"", b"x", EdgeModel(1, "a", "b", "c").to_bytes()[:-3]])
def test_a_damaged_edge_model_is_refused(data: bytes) -> None:
    with pytest.raises(Malformed):
        EdgeModel.from_bytes(data)


def test_an_edge_model_of_another_format_is_refused() -> None:
    import zlib

    import orjson

    with pytest.raises(Malformed, match="format"):
        EdgeModel.from_bytes(zlib.compress(orjson.dumps({"format": 99})))
