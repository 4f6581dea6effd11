"""kill -9 in the middle of writing: what was confirmed is there, and the chain goes on whole."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import orjson
import pytest

from isthmus.security.audit.files import AuditFiles
from isthmus.security.audit.log import AuditLog
from isthmus.security.audit.service import verify_folder
from isthmus.values.clock import SystemClock

pytestmark = [pytest.mark.mission("M78"), pytest.mark.mission("M82")]

WRITER = """
import concurrent.futures, sys
from pathlib import Path
from isthmus.security.audit.files import AuditFiles
from isthmus.security.audit.log import AuditLog, LogConfig
from isthmus.values.clock import SystemClock
log = AuditLog(AuditFiles(Path(sys.argv[1])), SystemClock(), LogConfig(segment_bytes=20_000, checkpoint_records=17))
log.open()
n = 0
while True:
    waiters = []
    for _ in range(5):
        n += 1
        waiters.append((n, concurrent.futures.Future()))
        record = {"kind": "intent", "id": f"{sys.argv[2]}-{n}", "who": {"id": "system"}, "action": "x" * 200, "target": ""}
        log.submit(record, waiters[-1][1])
    for number, waiter in waiters:
        assert waiter.result() == ""
        print(number, flush=True)
"""


def cycle(folder: Path, turn: int, after_s: float) -> int:
    """Kill a writer some time after its first confirmed record; how many it was told are durable."""
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(folder), str(turn)], stdout=subprocess.PIPE, text=True
    )
    confirmed = int(process.stdout.readline())
    time.sleep(after_s)
    process.send_signal(signal.SIGKILL)
    for line in process.stdout.read().splitlines(keepends=True):
        if line.endswith("\n"):
            confirmed = int(line)
    process.stdout.close()
    process.wait()
    return confirmed


def kills(folder: Path, times: int) -> None:
    chance, files, told = random.Random(5), AuditFiles(folder), {}
    for turn in range(times):
        told[turn] = cycle(folder, turn, chance.uniform(0, 0.2))
    log = AuditLog(files, SystemClock())
    log.open()
    log.close()
    assert verify_folder(files).problem is None
    there = {orjson.loads(line).get("id") for _, data in files.contents() for line in data.splitlines()}
    assert {f"{turn}-{n}" for turn, last in told.items() for n in range(1, last + 1)} <= there
    assert len(files.segments()) > 1


def test_nothing_confirmed_is_lost_by_kills(tmp_path: Path) -> None:
    kills(tmp_path / "audit", 4)


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_nothing_confirmed_is_lost_by_many_kills(tmp_path: Path) -> None:
    kills(tmp_path / "audit", 100)
