from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from isthmus.app.logs import JsonLines, Lines, log_to_files, redacted
from isthmus.app.settings import LogSettings


@pytest.fixture(autouse=True)
def own_root() -> Iterator[logging.Logger]:
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    root.setLevel(logging.INFO)
    yield root
    for handler in [h for h in root.handlers if h not in before]:
        root.removeHandler(handler)
        handler.close()
    root.setLevel(level)


@pytest.mark.mission("M82")
def test_logs_are_bounded_in_size_and_number(tmp_path: Path) -> None:
    log_to_files(tmp_path / "logs", "core", LogSettings(file_mb=1, files=3))
    log = logging.getLogger("core")
    for i in range(50):
        log.info("%d %s", i, "x" * 100_000)
    files = sorted((tmp_path / "logs").iterdir())
    assert [f.name for f in files] == ["core.log", "core.log.1", "core.log.2"]
    assert all(f.stat().st_size <= 2**20 for f in files)
    assert all(f.stat().st_mode & 0o777 == 0o600 for f in files)
    assert "core INFO 49 " in files[0].read_text()


def test_each_line_is_json_where_wished(tmp_path: Path) -> None:
    log_to_files(tmp_path / "logs", "core", LogSettings(json=True))
    log = logging.getLogger("core")
    log.warning("a line\nwith a break and €")
    try:
        raise ValueError("password=hunter2hunter2")
    except ValueError:
        log.exception("it broke")
    first, second = (json.loads(line) for line in (tmp_path / "logs" / "core.log").read_text().splitlines())
    assert (first["part"], first["level"], first["message"]) == ("core", "warning", "a line\nwith a break and €")
    assert first["time"].endswith("Z")
    assert "ValueError" in second["trace"]
    assert "hunter2" not in json.dumps(second)


@pytest.mark.mission("M36")
@pytest.mark.parametrize(
    "secret",
    [
        "token isk_iFvcJc1_Z5te8ViK8PD6nKpH0b_JzC8yXk57kaFdXUM refused",
        "http://localhost:8420/welcome?link=iFvcJc1_Z5te8ViK8PD6nKpH0b",
        "cookie isthmus_session=iFvcJc1_Z5te8Vi; path=/",
        "http://user:iFvcJc1_Z5te8Vi@clickhouse:8123/isthmus",
        "Authorization: Bearer iFvcJc1_Z5te8Vi",
        '{"user": "core", "password": "iFvcJc1_Z5te8Vi"}',
        "config(host=1, passphrase='iFvcJc1_Z5te8Vi')",
    ],
)
def test_secrets_never_reach_a_log(secret: str) -> None:
    record = logging.LogRecord("x", logging.INFO, "", 0, "%s", (secret,), None)
    for shown in (Lines().format(record), JsonLines().format(record), redacted(secret)):
        assert "iFvcJc1" not in shown
        assert "***" in shown


def test_plain_words_stay_as_they_are() -> None:
    text = "plc1: connected, 1000 tags; password: *** is set at http://localhost:8420/overview"
    assert redacted(text) == text


def test_a_disk_that_is_full_loses_lines_and_nothing_else(tmp_path: Path, own_root: logging.Logger) -> None:
    log_to_files(tmp_path / "logs", "core", LogSettings())
    handler = own_root.handlers[-1]
    handler.stream = open("/dev/full", "w")  # type: ignore[attr-defined]  # noqa: PTH123, SIM115  the handler closes it
    logging.getLogger("core").info("one")
    with pytest.raises(OSError, match="space"):
        handler.stream.close()  # type: ignore[attr-defined]  # a file handler has one
    handler.stream = None  # type: ignore[attr-defined]  # as after a rotation
    logging.getLogger("core").info("two")
    assert "two" in (tmp_path / "logs" / "core.log").read_text()
