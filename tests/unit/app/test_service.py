from __future__ import annotations

import asyncio
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from isthmus.app.notify import Notifier
from isthmus.app.service import Service
from isthmus.values.errors import ConfigError

DATA = Path("/var/lib/isthmus")
FULL = Service(DATA, 8421, backup_every="12h", backup_to=Path("/var/backups/isthmus"))


def written(folder: Path, service: Service) -> list[str]:
    for name, text in service.files().items():
        (folder / name).write_text(text)
    return [str(folder / name) for name in service.files()]


def test_the_unit_keeps_to_itself() -> None:
    unit = FULL.files()["isthmus.service"]
    for line in (
        "Type=notify", "User=isthmus", "NoNewPrivileges=yes", "ProtectSystem=strict", "ReadWritePaths=/var/lib/isthmus",
        "PrivateTmp=yes", "CapabilityBoundingSet=", "SystemCallFilter=@system-service", "WatchdogSec=60",
        "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK", "RestartPreventExitStatus=2",
    ):  # fmt: skip
        assert f"\n{line}\n" in unit, line
    assert re.search(r"ExecStart=.* up --data /var/lib/isthmus --port 8421\n", unit)
    assert "MemoryDenyWriteExecute=" not in unit


@pytest.mark.real("systemd-analyze")
@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="there is no systemd here")
def test_systemd_finds_nothing_wrong_with_the_units(tmp_path: Path) -> None:
    for service in (FULL, Service(Path("/srv/data"), user="", name="mine")):
        files = written(tmp_path, service)
        found = subprocess.run(
            ["systemd-analyze", "verify", "--man=no", *(["--user"] if not service.user else []), *files],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        said = [line for line in found.stderr.splitlines() if any(f in line for f in service.files())]
        assert said == []


@pytest.mark.real("systemd-analyze")
@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="there is no systemd here")
def test_systemd_calls_the_unit_hardened(tmp_path: Path) -> None:
    files = written(tmp_path, FULL)
    answer = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", "--no-pager", files[0]],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if "exposure level" not in answer.stdout:
        pytest.skip("this systemd judges no files")
    level = float(re.search(r"exposure level for .*: ([\d.]+)", answer.stdout).group(1))  # type: ignore[union-attr]  # it is there
    assert level <= 2.5


def test_a_unit_of_ones_own_login_asks_for_no_rights() -> None:
    unit = Service(Path("/home/ann/plant"), user="").files()["isthmus.service"]
    assert "WantedBy=default.target" in unit
    for line in ("User=", "CapabilityBoundingSet=", "ProtectSystem=", "PrivateDevices="):
        assert f"\n{line}" not in unit  # a user's manager may not, and refuses to start the unit
    assert "\nNoNewPrivileges=yes\n" in unit


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"user": "root"}, "must not be root"),
        ({"backup_every": "1d"}, "belong together"),
        ({"backup_every": "daily", "backup_to": Path("/b")}, "must be like 12h or 1d, was 'daily'"),
        ({"name": "a b"}, "name"),
        ({"data": Path("relative")}, "must be an absolute path"),
        ({"data": Path("/a\nExecStartPre=/bin/evil")}, "must be an absolute path"),
    ],
)
def test_a_wrong_wish_is_refused_before_anything_is_written(wrong: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Service(**{"data": DATA, **wrong})


@pytest.fixture
def manager(tmp_path: Path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(5)
        yield tmp_path / "notify", listening


@pytest.mark.real("unix datagram socket")
async def test_readiness_and_life_reach_the_manager(manager: tuple[Path, socket.socket]) -> None:
    path, listening = manager
    notifier = Notifier({"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": "20000"})
    notifier.say("READY=1", "STATUS=serves port 1")
    assert listening.recv(100) == b"READY=1\nSTATUS=serves port 1"
    alive = asyncio.create_task(notifier.keep_alive())
    for _ in range(3):
        assert await asyncio.to_thread(listening.recv, 100) == b"WATCHDOG=1"
    alive.cancel()
    await asyncio.gather(alive, return_exceptions=True)


async def test_without_a_manager_nothing_is_said(tmp_path: Path) -> None:
    quiet = Notifier({})
    quiet.say("READY=1")
    await quiet.keep_alive()
    Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone")}).say("READY=1")
    assert Notifier({"NOTIFY_SOCKET": "x", "WATCHDOG_USEC": "9000000", "WATCHDOG_PID": "1"}).watchdog_s == 0


_COMPILES = """
import ctypes, sys
if ctypes.CDLL(None).prctl(65, 1, 0, 0, 0): sys.exit(77)  # PR_SET_MDWE
import clickhouse_connect
client = clickhouse_connect.get_client(dsn="chdb://" + sys.argv[1])
always = ", ".join(f"{n} = 0" for n in ("min_count_to_compile_expression", "min_count_to_compile_aggregate_expression"))
try:
    for _ in range(3):
        client.raw_query(f"SELECT sum(number * 3 + if(number > 5, 1, 2) * 7) FROM numbers(1000) GROUP BY number % 7 SETTINGS {always}, compile_expressions = 1")
finally:
    client.close()
"""


@pytest.mark.real("chdb")
@pytest.mark.skipif(sys.platform != "linux", reason="a rule of Linux")
def test_why_memory_may_become_executable(tmp_path: Path) -> None:
    """When this fails the engine can do without, and the unit should say MemoryDenyWriteExecute=yes."""
    result = subprocess.run(
        [sys.executable, "-c", _COMPILES, str(tmp_path / "h")], capture_output=True, text=True, check=False
    )
    if result.returncode == 77:
        pytest.skip("this kernel has no such rule")
    assert "CANNOT_MPROTECT" in result.stderr
