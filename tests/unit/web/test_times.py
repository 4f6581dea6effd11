from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.ports.history import Format
from isthmus.values.clock import NS_PER_S
from isthmus.values.errors import ConfigError
from isthmus.web.problems import Refused
from isthmus.web.routes.history import choose_format
from isthmus.web.times import iso, parse_time

NOW = 1_700_000_000 * NS_PER_S


@pytest.mark.parametrize(
    ("text", "expected_s"),
    [
        ("now", 1_700_000_000), ("now-8h", 1_700_000_000 - 8 * 3600), ("now-30d", 1_700_000_000 - 30 * 86400),
        ("now-90s", 1_700_000_000 - 90), ("now-5m", 1_700_000_000 - 300), ("now-1w", 1_700_000_000 - 604800),
        ("now-999999999w", 0), ("2023-11-14T22:13:20Z", 1_700_000_000), ("2023-11-14T23:13:20+01:00", 1_700_000_000),
        ("2023-11-14T23:13:20 01:00", 1_700_000_000), ("2023-11-14T22:13:20.5Z", 1_700_000_000.5), ("1970-01-01", 0),
    ],
)  # fmt: skip
def test_times_are_understood(text: str, expected_s: float) -> None:
    assert parse_time(text, NOW, "start") == expected_s * NS_PER_S


@pytest.mark.parametrize(
    "text", ["", "yesterday", "now+1h", "now-", "now-1y", "now-8h ", "2023-11-14T22:13:20", "1969-12-31T23:59:59Z",
             "2263-01-01", "9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00+12:00", "17000000"],
)  # fmt: skip
def test_what_is_no_time_is_refused_by_name(text: str) -> None:
    with pytest.raises(ConfigError, match="start: "):
        parse_time(text, NOW, "start")


@given(st.text(max_size=40))
def test_no_text_breaks_it(text: str) -> None:
    with contextlib.suppress(ConfigError):
        assert 0 <= parse_time(text, NOW, "start") < 2**63


@given(st.integers(0, 2**63 - 1))
def test_what_is_written_is_understood(time_ns: int) -> None:
    written = iso(time_ns)
    assert written.endswith("Z")
    assert parse_time(written, NOW, "x") == time_ns // 1000 * 1000


def test_times_are_written_as_fine_as_needed() -> None:
    assert iso(NOW) == "2023-11-14T22:13:20.000Z"
    assert iso(NOW + 1000) == "2023-11-14T22:13:20.000001Z"
    assert iso(NOW + 1) == "2023-11-14T22:13:20.000000001Z"


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("*/*", Format.JSON), ("application/json", Format.JSON), ("text/csv", Format.CSV), ("TEXT/CSV; q=0.5", Format.CSV),
        ("application/json;q=0.1, text/csv;q=0.2", Format.CSV), ("text/html, */*;q=0.8", Format.JSON),
        ("application/vnd.apache.arrow.stream", Format.ARROW), ("text/csv;q=0, application/json", Format.JSON),
    ],
)  # fmt: skip
def test_the_format_follows_accept(accept: str, form: Format) -> None:
    assert choose_format(accept) is form


@pytest.mark.parametrize("accept", ["image/png", "text/csv;q=0", "", ";;;", "text/csv;q=9", "text/csv;q=nan"])
def test_other_formats_are_refused(accept: str) -> None:
    with pytest.raises(Refused):
        choose_format(accept)
